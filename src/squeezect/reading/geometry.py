"""Order slices in space and judge their spacing; straighten what can be straightened.

Order is by projection of the positions on the slices' normal, spacing is from positions; neither
file names, instance numbers, SliceLocation nor SliceThickness have a say.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from squeezect.errors import Finding, ReadingError
from squeezect.reading import codes
from squeezect.reading.header import Header
from squeezect.reading.hounsfield import FLOOR_HU, Hu
from squeezect.scan import Direction, Grid, Triple

Floats = npt.NDArray[np.float64]

SAME_PLACE_MM = 0.01
"""Slices nearer than this claim one position."""
EVEN_SHARE = 0.05
"""Slices this share of the spacing off their even place are taken as being there."""
GAP_FACTOR = 1.5
"""A distance beyond this many usual ones is a gap; below, slices are interpolated."""
PARALLEL = 1e-3
"""Slices whose direction cosines differ by more are not parallel."""
STRAIGHT_MM = 0.1
"""Slices this far off the straight line through the stack are taken as being on it."""
STEEPEST_DEG = 35.0
"""No gantry tilts further than about 30 degrees."""
FEWEST = 3


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices of a series in order along their normal.

    Args:
        headers: one per position, lowest projection first.
        repeats: further slices at positions taken already: index into `headers`, and the slice.
        grid: of the volume after straightening.
        depths_mm: of the slices along the normal, from the first one.
        shifts: how far slice contents move in plane (rows, columns) when straightened, in voxels.
        findings: what is worth saying.
    """

    headers: tuple[Header, ...]
    repeats: tuple[tuple[int, Header], ...]
    grid: Grid
    depths_mm: Floats
    shifts: Floats
    findings: tuple[Finding, ...]

    @property
    def even(self) -> bool:
        """Whether slices already are where the grid has them along the normal."""
        return len(self.headers) == self.grid.shape[0] and not self._uneven

    @property
    def _uneven(self) -> bool:
        return any(f.code is codes.UNEVEN for f in self.findings)


def stack(headers: Sequence[Header]) -> Stack:
    """Put slices in order.

    Args:
        headers: of one series, at least one.

    Raises:
        ReadingError: `no-geometry`, `mixed-size`, `mixed-orientation`, `too-few-slices`,
            `conflicting-slices`, `slice-gap`, `scattered-positions`, `steep-tilt`.
    """
    _check_alike(headers)
    axes = _axes(headers)
    positions = np.array([h.position_mm for h in headers], float)
    along = positions @ axes[0]
    order = np.argsort(along, kind="stable")
    first, repeats = _split_repeats(order, along)
    if len(first) < FEWEST:
        what = f"{len(first)} slice positions in {len(headers)} files"
        raise ReadingError(codes.TOO_FEW, what)
    kept = [headers[i] for i in first]
    _check_unmixed(kept, {k for k, _ in repeats})
    spacing, findings, count = _spacing(kept, along[first])
    rows, columns = kept[0].spacing_mm or (1.0, 1.0)
    shifts, tilt = _shifts(kept, positions[first], axes)
    findings = [*findings, *tilt, *_thickness(kept, spacing)]
    x, y, z = positions[first[0]].tolist()
    grid = Grid(
        (count, headers[0].pixels.rows, headers[0].pixels.columns),
        (spacing, rows, columns),
        (x, y, z),
        _direction(axes),
    )
    depths = along[first] - along[first[0]]
    return Stack(
        tuple(kept),
        tuple((k, headers[i]) for k, i in repeats),
        grid,
        depths,
        shifts / np.array([rows, columns]),
        tuple(findings),
    )


def straighten(hu: Hu, stack: Stack) -> Hu:
    """Undo tilt and uneven spacing, linearly; what moves in from outside is air.

    Args:
        hu: slices as stored, in the order of `stack.headers`; overwritten.
        stack: how they lie.

    Returns:
        Values on `stack.grid`.
    """
    if np.abs(stack.shifts).max() > 0:
        for plane, shift in zip(hu, stack.shifts, strict=True):
            _move(plane, shift)
    if stack.even:
        return hu
    count, spacing = stack.grid.shape[0], stack.grid.spacing_mm[0]
    place = np.interp(np.arange(count) * spacing, stack.depths_mm, np.arange(len(hu)))
    out = np.empty((count, *hu.shape[1:]), np.int16)
    for plane, at in zip(out, place.tolist(), strict=True):
        low = min(int(at), len(hu) - 2)
        weight = np.float32(at - low)
        mixed = hu[low] * (1 - weight) + hu[low + 1] * weight
        np.rint(mixed, out=plane, casting="unsafe")
    return out


def _move(plane: Hu, shift: Floats) -> None:
    """Move the contents of a slice by (rows, columns) voxels, in place."""
    from scipy import ndimage

    moved = ndimage.shift(plane.astype(np.float32), shift, order=1, cval=FLOOR_HU)
    np.rint(moved, out=plane, casting="unsafe")


def _check_alike(headers: Sequence[Header]) -> None:
    first = headers[0]
    for header in headers:
        lacking = [
            label
            for label, value in (
                ("position", header.position_mm),
                ("orientation", header.orientation),
                ("pixel spacing", header.spacing_mm),
            )
            if value is None
        ]
        if lacking:
            raise ReadingError(codes.NO_GEOMETRY, f"{header.name} lacks {', '.join(lacking)}")
        size = (header.pixels.rows, header.pixels.columns)
        other = (first.pixels.rows, first.pixels.columns)
        near = np.allclose(header.spacing_mm or 0, first.spacing_mm or 0, rtol=1e-3)
        if size != other or not near:
            what = f"{header.name} has {size[0]} x {size[1]} pixels of {header.spacing_mm} mm, "
            what += f"{first.name} {other[0]} x {other[1]} of {first.spacing_mm} mm"
            raise ReadingError(codes.MIXED_SIZE, what)


def _check_unmixed(headers: Sequence[Header], repeated: Collection[int]) -> None:
    """Refuse slices of several acquisitions or reconstructions that lie among each other.

    One behind the other is common: a scan in two breath-holds, or shot by shot. Where places
    are taken twice, the pixels decide later.
    """
    slices = [h for k, h in enumerate(headers) if k not in repeated]
    for label, values in (
        ("acquisition", [h.acquisition for h in slices]),
        ("kernel", [h.kernel or None for h in slices]),
        ("tube voltage", [h.voltage_kv for h in slices]),
    ):
        told = [(h, v) for h, v in zip(slices, values, strict=True) if v is not None]
        left = set()
        for (_, before), (header, value) in pairwise(told):
            if value == before:
                continue
            left.add(before)
            if value in left:
                what = f"slices of {label} {value} lie on both sides of {label} {before}"
                raise ReadingError(codes.CONFLICT, f"{what}, again from {header.name} on")


def _axes(headers: Sequence[Header]) -> Floats:
    """Unit vectors of the normal, along a column (next row) and along a row (next column)."""
    orientations = np.array([h.orientation for h in headers], float)
    apart = np.abs(orientations - orientations[0]).max(axis=1)
    worst = int(apart.argmax())
    if apart[worst] > PARALLEL:
        what = f"direction cosines differ by {apart[worst]:.3f}"
        names = f"{headers[0].name} and {headers[worst].name}"
        raise ReadingError(codes.MIXED_ORIENTATION, f"{what} between {names}")
    along_row, along_column = orientations[0].reshape(2, 3)
    lengths = np.array([np.linalg.norm(along_row), np.linalg.norm(along_column)])
    if np.abs(lengths - 1).max() > 0.02 or abs(along_row @ along_column) > 0.02:
        what = f"orientation {orientations[0].tolist()} of {headers[0].name}"
        raise ReadingError(codes.NO_GEOMETRY, f"{what} is not two perpendicular unit vectors")
    along_row = along_row / lengths[0]
    along_column = along_column - along_row * (along_row @ along_column)
    along_column = along_column / np.linalg.norm(along_column)
    return np.array([np.cross(along_row, along_column), along_column, along_row])


def _split_repeats(
    order: npt.NDArray[np.intp], along: Floats
) -> tuple[list[int], list[tuple[int, int]]]:
    first: list[int] = []
    repeats: list[tuple[int, int]] = []
    for i in order.tolist():
        if first and along[i] - along[first[-1]] < SAME_PLACE_MM:
            repeats.append((len(first) - 1, i))
        else:
            first.append(i)
    return first, repeats


def _spacing(headers: Sequence[Header], along: Floats) -> tuple[float, list[Finding], int]:
    """Spacing of the even grid, findings, and its number of slices."""
    steps = np.diff(along)
    # The lower quartile: where slices are missing in half of the stack, the median misses it.
    usual = float(np.quantile(steps, 0.25, method="lower"))
    count = len(along)
    mean = float((along[-1] - along[0]) / (count - 1))
    off = np.abs(along - along[0] - mean * np.arange(count)).max()
    if off <= max(EVEN_SHARE * mean, SAME_PLACE_MM) and steps.max() <= GAP_FACTOR * usual:
        return mean, [], count
    worst = int(steps.argmax())
    place = f"after {along[worst]:.2f} mm along the normal ({headers[worst].name})"
    if steps[worst] > GAP_FACTOR * usual:
        what = f"slice gap {steps[worst]:.2f} mm {place}, expected {usual:.2f} mm"
        raise ReadingError(codes.GAP, what)
    count = max(FEWEST, round((along[-1] - along[0]) / usual) + 1)
    value = f"{steps.min():.2f} to {steps.max():.2f} mm"
    finding = Finding(codes.UNEVEN, value, f"widest {place}")
    return float((along[-1] - along[0]) / (count - 1)), [finding], count


def _shifts(
    headers: Sequence[Header], positions: Floats, axes: Floats
) -> tuple[Floats, list[Finding]]:
    """How far contents have to move along rows and columns, in mm, and a finding of the tilt."""
    offset = positions - positions[0]
    lateral = offset @ axes[1:].T
    depth = offset @ axes[0]
    slope = lateral[-1] / depth[-1]
    stray = np.linalg.norm(lateral - depth[:, None] * slope, axis=1)
    worst = int(stray.argmax())
    if stray[worst] > max(STRAIGHT_MM, 0.25 * float(min(headers[0].spacing_mm or (0,)))):
        what = f"{headers[worst].name} lies {stray[worst]:.1f} mm beside the stack"
        raise ReadingError(codes.SCATTERED, what)
    angle = float(np.degrees(np.arctan(np.linalg.norm(slope))))
    if angle > STEEPEST_DEG:
        raise ReadingError(codes.STEEP_TILT, f"slices are sheared by {angle:.1f} degrees")
    if np.abs(lateral).max() <= STRAIGHT_MM:
        return np.zeros_like(lateral), []
    return lateral, [Finding(codes.TILT, f"{angle:.1f} degrees")]


def _thickness(headers: Sequence[Header], spacing: float) -> list[Finding]:
    thickness = headers[len(headers) // 2].thickness_mm
    if not thickness or thickness <= 0:
        return []
    value = f"{thickness:.2f} mm thick, {spacing:.2f} mm apart"
    if thickness > 1.05 * spacing:
        return [Finding(codes.OVERLAPPING, value)]
    return [Finding(codes.SPARSE, value)] if thickness < 0.67 * spacing else []


def _direction(axes: Floats) -> Direction:
    def triple(row: Floats) -> Triple:
        x, y, z = row.tolist()
        return x, y, z

    return triple(axes[0]), triple(axes[1]), triple(axes[2])
