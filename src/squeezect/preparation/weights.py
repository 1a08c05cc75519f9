"""What every resampled voxel is made of: one small matrix per axis, and where the result lies.

All of it is one rule. An output sample is the mean of the input over an interval; an interval one
input voxel wide is linear interpolation, a wider one is area averaging. The paper's three steps (to
1 mm, pad to a cube, resize) are products of such matrices, so they are one matrix as well.
"""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from squeezect.scan import Grid, Shape, Triple

Matrix = npt.NDArray[np.float64]
Banded: TypeAlias = "sparse.csr_array[np.float64]"
Outside = Literal["edge", "air"]
Padding = Literal["cube", "none"]


def mean_matrix(
    size_in: int, centres: npt.ArrayLike, *, width: float, outside: Outside = "edge"
) -> Matrix:
    """Means over intervals of a row of voxels, with the exact share of every voxel.

    Args:
        size_in: number of voxels; voxel ``i`` covers ``i - 0.5`` to ``i + 0.5``.
        centres: middles of the intervals in index units, whole numbers being voxel centres.
        width: of the intervals in voxels; 1 is linear interpolation.
        outside: ``edge`` goes on with the outermost voxel, ``air`` counts as nothing.

    Returns:
        Weights, shape (len(centres), size_in); rows sum to one, or less where they reach into air.

    Example:
        >>> mean_matrix(3, [0.25], width=1).tolist()
        [[0.75, 0.25, 0.0]]
    """
    matrix: Matrix = _banded(size_in, centres, width=width, outside=outside).toarray()
    return matrix


def _banded(
    size_in: int, centres: npt.ArrayLike, *, width: float, outside: Outside = "edge"
) -> Banded:
    """`mean_matrix` without its zeros: only the voxels that an interval can reach are looked at."""
    middle = np.asarray(centres, float)[:, None] + 0.5
    # One voxel more than an interval can touch, whatever rounding does.
    reach = min(size_in, math.ceil(width) + 2)
    lowest = np.clip(np.floor(middle - width / 2), 0, size_in - reach)
    lower_face = lowest + np.arange(reach)
    upper_face = lower_face + 1
    columns = lower_face.astype(np.int32).ravel()
    if outside == "edge":
        lower_face[lower_face == 0], upper_face[upper_face == size_in] = -np.inf, np.inf
    top = np.minimum(middle + width / 2, upper_face)
    bottom = np.maximum(middle - width / 2, lower_face)
    weights = np.maximum(top - bottom, 0) / width
    rows = np.arange(len(weights) + 1, dtype=np.int32) * reach
    return sparse.csr_array((weights.ravel(), columns, rows), shape=(len(weights), size_in))


def linear_matrix(size_in: int, size_out: int) -> Matrix:
    """Linear interpolation to `size_out` samples over the same field, edges held."""
    return mean_matrix(size_in, _centres(size_in, size_out), width=1)


def area_matrix(size_in: int, size_out: int) -> Matrix:
    """Mean over each of `size_out` equal parts of the same field."""
    return mean_matrix(size_in, _centres(size_in, size_out), width=size_in / size_out)


def resize_matrix(size_in: int, size_out: int) -> Matrix:
    """Averaging when reducing, linear interpolation when enlarging: no voxel is ever skipped."""
    matrix: Matrix = _resize(size_in, size_out).toarray()
    return matrix


def _resize(size_in: int, size_out: int) -> Banded:
    return _banded(size_in, _centres(size_in, size_out), width=max(1.0, size_in / size_out))


def _to_spacing(size_in: int, size_out: int) -> Banded:
    """Linear, as the paper has it; averaging where linear would skip voxels (beyond a factor 2)."""
    width = size_in / size_out if size_in > 2 * size_out else 1.0
    return _banded(size_in, _centres(size_in, size_out), width=width)


def _centres(size_in: int, size_out: int) -> npt.NDArray[np.float64]:
    """Middles of `size_out` equal parts of a row of `size_in` voxels (half-pixel centres)."""
    return np.asarray((np.arange(size_out) + 0.5) * (size_in / size_out) - 0.5, np.float64)


@dataclass(frozen=True, eq=False)
class Plan:
    """How a grid becomes another one.

    Args:
        matrices: from the scan's samples to the result's, along [z, y, x].
        grid: of the result, in the same space.
    """

    matrices: tuple[Matrix, Matrix, Matrix]
    grid: Grid


def plan(grid: Grid, *, size: Shape, spacing_mm: float | None = 1.0, pad: Padding = "cube") -> Plan:
    """The paper's steps for one grid: to `spacing_mm`, centred padding to a cube, to `size`.

    The number of samples at `spacing_mm` is rounded, so that the field is kept outer face to outer
    face; the exact spacing that results is in the plan's grid. Where the padding is odd, the extra
    sample lies at the end (superior, posterior, left).

    Args:
        grid: the scan's, or the part of it to use.
        size: of the result along [z, y, x].
        spacing_mm: of the intermediate step; None goes straight from the scan's voxels to `size`.
        pad: ``cube`` keeps proportions (voxels are cubic if `size` is), ``none`` stretches the
            field to fill `size`.
    """
    if spacing_mm is None:
        return _direct(grid, size, pad)
    samples = [max(1, round(extent / spacing_mm)) for extent in grid.size_mm]
    matrices, first, step = [], [], []
    for count, kept, target in zip(grid.shape, samples, size, strict=True):
        side = max(samples) if pad == "cube" else kept
        before = (side - kept) // 2
        # Sparse, as a dense product by BLAS takes a quarter of the time of a scan, and its threads
        # get in the way of other workers'.
        resize = _resize(side, target)[:, before : before + kept]
        matrices.append((resize @ _to_spacing(count, kept)).toarray())
        first.append((0.5 * side / target - before) * count / kept - 0.5)
        step.append(side / target * count / kept)
    return Plan((matrices[0], matrices[1], matrices[2]), placed(grid, size, first, step))


def _direct(grid: Grid, size: Shape, pad: Padding) -> Plan:
    """From the scan's voxels to `size` in one step."""
    matrices, first, step = [], [], []
    side_mm = max(grid.size_mm)
    for count, spacing, target in zip(grid.shape, grid.spacing_mm, size, strict=True):
        field = side_mm / spacing if pad == "cube" else float(count)
        stride = field / target
        start = (count - field + stride) / 2 - 0.5
        centres = start + np.arange(target) * stride
        outside: Outside = "air" if pad == "cube" else "edge"
        matrices.append(mean_matrix(count, centres, width=max(1.0, stride), outside=outside))
        first.append(start)
        step.append(stride)
    return Plan((matrices[0], matrices[1], matrices[2]), placed(grid, size, first, step))


def plan_around(
    grid: Grid, point_mm: npt.ArrayLike, *, shape: Shape, spacing_mm: Triple, outside: Outside
) -> Plan:
    """A patch of `shape` whose middle is a point, averaging where its voxels are the larger ones.

    Args:
        grid: the scan's.
        point_mm: LPS point (x, y, z) in mm.
        shape: of the patch along [z, y, x].
        spacing_mm: of the patch along [z, y, x].
        outside: what lies beyond the scan.
    """
    middle = grid.to_index(point_mm)
    step = np.divide(spacing_mm, grid.spacing_mm)
    first = middle - (np.array(shape) - 1) / 2 * step
    z, y, x = (
        mean_matrix(n, start + np.arange(m) * s, width=max(1.0, float(s)), outside=outside)
        for n, m, start, s in zip(grid.shape, shape, first, step, strict=True)
    )
    return Plan((z, y, x), placed(grid, shape, first, step))


def placed(grid: Grid, shape: Shape, first: npt.ArrayLike, step: npt.ArrayLike) -> Grid:
    """The grid whose voxel [0, 0, 0] is at index `first` of another, `step` of its voxels apart."""
    sz, sy, sx = (np.array(grid.spacing_mm) * np.asarray(step)).tolist()
    x, y, z = grid.to_mm(first).tolist()
    return Grid(shape, (sz, sy, sx), (x, y, z), grid.direction)
