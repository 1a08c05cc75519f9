"""A CT in Hounsfield units on a grid in space, and every conversion between index and millimetre.

The one geometry rule: arrays and their tuples are ordered [z, y, x]; world points are LPS
millimetres (x, y, z), as DICOM has them. Conversions live in `Grid` and nowhere else.
"""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from squeezect.errors import Code, Finding, GeometryError

FloatArray = npt.NDArray[np.float64]
Triple = tuple[float, float, float]
Shape = tuple[int, int, int]
Direction = tuple[Triple, Triple, Triple]

AXIAL: Direction = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
"""Array axes z, y, x pointing to superior, posterior and left: the canonical orientation."""

BAD_GRID = Code(
    "bad-grid",
    "The shape, spacing, origin or direction of a grid is not finite, positive or orthonormal.",
    "check the header of the scan",
)


def pseudonym(text: str) -> str:
    """A short stable name for a UID or patient id that does not show it.

    Args:
        text: the identifying text.

    Returns:
        Twelve hexadecimal digits of its BLAKE2 hash.
    """
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


@dataclass(frozen=True)
class Grid:
    """A regular lattice of voxel centres in space.

    Args:
        shape: voxels along [z, y, x].
        spacing_mm: distance of neighbouring centres along [z, y, x], in mm.
        origin_mm: LPS point (x, y, z) of the centre of voxel [0, 0, 0], in mm.
        direction: LPS unit vectors of the array axes z, y and x, in this order.

    Raises:
        GeometryError: `bad-grid`, if a number is not finite, a spacing or size is not positive,
            or the direction is not orthonormal to 1e-3.

    Example:
        >>> grid = Grid((10, 20, 30), (2.5, 0.7, 0.7), (-10.0, -5.0, 100.0))
        >>> grid.to_mm((1, 0, 0)).tolist()
        [-10.0, -5.0, 102.5]
    """

    shape: Shape
    spacing_mm: Triple
    origin_mm: Triple = (0.0, 0.0, 0.0)
    direction: Direction = AXIAL

    def __post_init__(self) -> None:
        numbers = np.array([*self.spacing_mm, *self.origin_mm, *np.ravel(self.direction)])
        if numbers.shape != (15,) or not np.isfinite(numbers).all():
            raise GeometryError(BAD_GRID, f"grid numbers {numbers.tolist()} are not 15 finite ones")
        if len(self.shape) != 3 or min(self.shape) < 1 or min(self.spacing_mm) <= 0:
            raise GeometryError(
                BAD_GRID, f"shape {self.shape} and spacing {self.spacing_mm} mm must be positive"
            )
        axes = np.array(self.direction)
        if np.abs(axes @ axes.T - np.eye(3)).max() > 1e-3:
            raise GeometryError(BAD_GRID, f"direction {self.direction} is not orthonormal")

    @property
    def steps_mm(self) -> FloatArray:
        """World step (x, y, z) in mm along each array axis; shape (3, 3), a row per axis."""
        steps: FloatArray = np.array(self.direction) * np.array(self.spacing_mm)[:, None]
        return steps

    @property
    def size_mm(self) -> Triple:
        """Extent of the field along [z, y, x] in mm, outer face to outer face."""
        z, y, x = (n * s for n, s in zip(self.shape, self.spacing_mm, strict=True))
        return (z, y, x)

    @property
    def centre_mm(self) -> FloatArray:
        """LPS point (x, y, z) of the middle of the field, in mm."""
        return self.to_mm((np.array(self.shape) - 1) / 2)

    def to_mm(self, index: npt.ArrayLike) -> FloatArray:
        """World points of (fractional) indices.

        Args:
            index: indices [z, y, x], shape (..., 3); whole numbers are voxel centres.

        Returns:
            LPS points (x, y, z) in mm, shape (..., 3).
        """
        point: FloatArray = np.asarray(index, float) @ self.steps_mm + np.array(self.origin_mm)
        return point

    def to_index(self, point_mm: npt.ArrayLike) -> FloatArray:
        """Fractional indices of world points: the inverse of `to_mm`.

        Args:
            point_mm: LPS points (x, y, z) in mm, shape (..., 3).

        Returns:
            Indices [z, y, x], shape (..., 3), not rounded and not bounded to the grid.
        """
        offset = np.asarray(point_mm, float) - np.array(self.origin_mm)
        index: FloatArray = offset @ np.linalg.inv(self.steps_mm)
        return index

    def contains(self, point_mm: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether points lie inside the field (outer faces included); shape (...)."""
        index = self.to_index(point_mm)
        inside = (index >= -0.5 - 1e-9) & (index <= np.array(self.shape) - 0.5 + 1e-9)
        return np.asarray(inside.all(axis=-1))

    def affine_ras(self) -> npt.NDArray[np.float64]:
        """Matrix (4, 4) from voxels (x, y, z, 1) to RAS millimetres, as NIfTI has it.

        Example:
            >>> Grid((2, 2, 2), (3.0, 2.0, 1.0), (5.0, 6.0, 7.0)).affine_ras().diagonal().tolist()
            [-1.0, -2.0, 3.0, 1.0]
        """
        affine = np.eye(4)
        affine[:3, :3] = self.steps_mm[::-1].T
        affine[:3, 3] = self.origin_mm
        ras: npt.NDArray[np.float64] = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
        return ras

    def crop(self, start: Shape, shape: Shape) -> Self:
        """The part of the grid that begins at index `start`; may reach beyond the grid."""
        x, y, z = self.to_mm(start).tolist()
        return replace(self, shape=shape, origin_mm=(x, y, z))

    def resized(self, shape: Shape) -> Self:
        """A grid of `shape` voxels over the same field, outer face to outer face."""
        ratio = np.array(self.shape) / np.array(shape)
        x, y, z = self.to_mm((ratio - 1) / 2).tolist()
        sz, sy, sx = (np.array(self.spacing_mm) * ratio).tolist()
        return replace(self, shape=shape, spacing_mm=(sz, sy, sx), origin_mm=(x, y, z))

    def isclose(self, other: "Grid", *, tolerance_mm: float = 1e-3) -> bool:
        """Whether all corner voxels of two grids of one shape coincide within `tolerance_mm`."""
        if self.shape != other.shape:
            return False
        corners = np.array(np.meshgrid(*([0, n - 1] for n in self.shape))).reshape(3, -1).T
        return bool(np.abs(self.to_mm(corners) - other.to_mm(corners)).max() <= tolerance_mm)


def canonical(hu: npt.NDArray[np.int16], grid: Grid) -> tuple[npt.NDArray[np.int16], Grid]:
    """Order and flip the axes so that z runs to superior, y to posterior and x to left.

    No voxel changes its place in space or its value. An oblique scan keeps its small angles.

    Args:
        hu: values, shape as `grid.shape`.
        grid: where they are.

    Returns:
        The same voxels with axes ordered as in `AXIAL`, and their grid.
    """
    axes = np.array(grid.direction)
    # Assign array axes to patient axes z, y, x: the permutation with the largest total cosine.
    orders = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    order = max(orders, key=lambda o: sum(abs(axes[a, 2 - i]) for i, a in enumerate(o)))
    flips = [axes[a, 2 - i] < 0 for i, a in enumerate(order)]
    corner = [0, 0, 0]
    for i, a in enumerate(order):
        corner[a] = grid.shape[a] - 1 if flips[i] else 0
    x, y, z = grid.to_mm(corner).tolist()
    signs = [-1.0 if flip else 1.0 for flip in flips]
    # Adding zero turns -0.0 into 0.0, so that equal grids also print alike.
    rows = [tuple((axes[a] * s + 0.0).tolist()) for a, s in zip(order, signs, strict=True)]
    moved = np.transpose(hu, order)[tuple(slice(None, None, -1 if f else 1) for f in flips)]
    spacing = [grid.spacing_mm[a] for a in order]
    shape = [grid.shape[a] for a in order]
    return moved, Grid(
        shape=(shape[0], shape[1], shape[2]),
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
        origin_mm=(x, y, z),
        direction=(rows[0], rows[1], rows[2]),
    )


@dataclass(frozen=True)
class Acquisition:
    """How a scan was made, as far as its source says; nothing here identifies a patient.

    Args:
        source_format: ``dicom``, ``metaimage``, ``nifti``, ``nrrd`` or ``phantom``.
        manufacturer: maker of the scanner, "" if unknown.
        kernel: reconstruction kernel, "" if unknown.
        slice_thickness_mm: nominal thickness of a slice in mm, None if unknown.
        tube_voltage_kv: peak voltage in kV, None if unknown.
        contrast_agent: True if given, False if stated absent, None if unknown.
    """

    source_format: str = ""
    manufacturer: str = ""
    kernel: str = ""
    slice_thickness_mm: float | None = None
    tube_voltage_kv: float | None = None
    contrast_agent: bool | None = None


@dataclass(frozen=True, eq=False)
class Scan:
    """A CT in Hounsfield units on a grid.

    Args:
        hu: Hounsfield units, int16, shape [z, y, x]; outside the field of view is air, -1000 or
            the lowest value of the scanner's scale, never padding.
        grid: where the voxels are, canonical orientation (see `canonical`).
        acquisition: how it was made.
        findings: what reading found worth saying.
        identity: a pseudonym of the series, stable over formats only where the format keeps UIDs;
            of some voxels and the grid where there is no UID.

    Raises:
        GeometryError: `bad-grid`, if array and grid do not match.
    """

    hu: npt.NDArray[np.int16]
    grid: Grid
    acquisition: Acquisition = field(default_factory=Acquisition)
    findings: tuple[Finding, ...] = ()
    identity: str = ""

    def __post_init__(self) -> None:
        if self.hu.shape != self.grid.shape or self.hu.dtype != np.int16:
            raise GeometryError(
                BAD_GRID,
                f"values {self.hu.shape} {self.hu.dtype} do not fit a grid {self.grid.shape} int16",
            )
