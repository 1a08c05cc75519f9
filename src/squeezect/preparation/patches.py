"""Cut patches around world points: cubes, slabs, planes and nested scales, at a stated spacing.

All of them go through the one resampler: enlarging is linear, reducing averages, and the middle of
a patch is the point itself, not the nearest voxel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from squeezect.errors import Code, PreparationError
from squeezect.preparation.pipeline import AIR_HU, Volume, check_point
from squeezect.preparation.resample import FloatVolume, resample
from squeezect.preparation.weights import Outside, plan_around
from squeezect.scan import Grid, Scan, Shape, Triple

CUBE: Shape = (32, 32, 32)
SLAB: Shape = (3, 64, 64)
WINDOW_HU = (-1000, 400)

BAD_PATCH = Code(
    "bad-patch",
    "A patch needs at least one voxel and a positive spacing along every axis.",
    "correct shape and spacing",
)


@dataclass(frozen=True, eq=False)
class Patch:
    """A part of a scan around a point.

    Args:
        values: float32 in [0, 1], shape [z, y, x].
        grid: where the voxels are; its middle is the point.
    """

    values: FloatVolume
    grid: Grid


def cut_patch(
    source: Scan | Volume,
    point_mm: npt.ArrayLike,
    *,
    shape: Shape = CUBE,
    spacing_mm: float | Triple = 1.0,
    outside: Outside = "air",
    window_hu: tuple[int, int] = WINDOW_HU,
) -> Patch:
    """Cut the patch whose middle is a point.

    Args:
        source: a scan, or a prepared volume, whose window is kept.
        point_mm: LPS point (x, y, z) in mm, inside the source.
        shape: of the patch along [z, y, x]; `CUBE`, `SLAB`, or any other.
        spacing_mm: of its voxels along [z, y, x] in mm; one number for all axes.
        outside: what lies beyond the source: ``air``, or ``edge`` to go on with its last voxel.
        window_hu: Hounsfield units that become 0 and 1; used for scans only.

    Returns:
        The patch on its own grid, with the source's directions.

    Raises:
        PreparationError: `point-outside`, `bad-patch`.

    Example:
        >>> from squeezect.phantom import thorax
        >>> scan, truth = thorax(1, nodules=1)
        >>> patch = cut_patch(scan, truth.nodules[0].centre_mm, shape=(3, 64, 64))
        >>> patch.values.shape, bool(patch.values[1, 31:33, 31:33].min() > 0.6)
        ((3, 64, 64), True)
    """
    spacing = (spacing_mm,) * 3 if isinstance(spacing_mm, (int, float)) else spacing_mm
    if min(shape) < 1 or not all(0 < step < np.inf for step in spacing):
        raise PreparationError(BAD_PATCH, f"patch of shape {shape} and spacing {spacing} mm")
    check_point(source.grid, point_mm)
    how = plan_around(source.grid, point_mm, shape=shape, spacing_mm=spacing, outside=outside)
    if isinstance(source, Volume):
        fill = source.preparation.fill
        return Patch(resample(source.values, how.matrices, window=(0, 1), fill=fill), how.grid)
    low, high = window_hu
    fill = (min(max(AIR_HU, low), high) - low) / (high - low)
    return Patch(resample(source.hu, how.matrices, window=window_hu, fill=fill), how.grid)


def cut_planes(
    source: Scan | Volume,
    point_mm: npt.ArrayLike,
    *,
    size: int = 64,
    spacing_mm: float = 1.0,
    outside: Outside = "air",
    window_hu: tuple[int, int] = WINDOW_HU,
) -> tuple[Patch, Patch, Patch]:
    """Cut the axial, the coronal and the sagittal plane through a point.

    Args:
        source: a scan, or a prepared volume.
        point_mm: LPS point (x, y, z) in mm, inside the source.
        size: of the square planes, in voxels.
        spacing_mm: in plane, and the thickness of the planes.
        outside: as in `cut_patch`.
        window_hu: as in `cut_patch`.

    Returns:
        Patches of shape (1, size, size), (size, 1, size) and (size, size, 1).

    Raises:
        PreparationError: `point-outside`, `bad-patch`.

    Source: the views of Liu and Kang, "Multiview convolutional neural networks for lung nodule
    classification", 2017.
    """
    shapes: tuple[Shape, Shape, Shape] = ((1, size, size), (size, 1, size), (size, size, 1))
    axial, coronal, sagittal = (
        cut_patch(
            source,
            point_mm,
            shape=shape,
            spacing_mm=spacing_mm,
            outside=outside,
            window_hu=window_hu,
        )
        for shape in shapes
    )
    return axial, coronal, sagittal


def cut_scales(
    source: Scan | Volume,
    point_mm: npt.ArrayLike,
    *,
    shape: Shape = CUBE,
    spacings_mm: Sequence[float] = (1.0, 2.0, 3.0),
    outside: Outside = "air",
    window_hu: tuple[int, int] = WINDOW_HU,
) -> tuple[Patch, ...]:
    """Cut nested patches of one shape around a point, each at a spacing of its own.

    Args:
        source: a scan, or a prepared volume.
        point_mm: LPS point (x, y, z) in mm, inside the source.
        shape: of every patch along [z, y, x].
        spacings_mm: of the patches, in mm.
        outside: as in `cut_patch`.
        window_hu: as in `cut_patch`.

    Returns:
        One patch for each spacing.

    Raises:
        PreparationError: `point-outside`, `bad-patch`.

    Source: the scales of Shen et al., "Multi-scale convolutional neural networks for lung nodule
    classification", 2015.
    """
    return tuple(
        cut_patch(
            source,
            point_mm,
            shape=shape,
            spacing_mm=spacing,
            outside=outside,
            window_hu=window_hu,
        )
        for spacing in spacings_mm
    )
