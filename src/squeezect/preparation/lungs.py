"""Find the lungs at low resolution.

Air enclosed by the body and thicker than any airway: enough to crop to the lungs and to refuse
heads, abdomens and limbs. Not a segmentation for measuring.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from squeezect.preparation.resample import resample
from squeezect.preparation.weights import area_matrix
from squeezect.scan import Grid, Scan, Shape

Side = Literal["top", "bottom", "side"]
Mask = npt.NDArray[np.bool_]

CELL_MM = 4.0
"""Side of the cells in which lungs are looked for."""
AIR_HU = -400
"""Below this is air or lung: half way between lung and soft tissue."""
DARK_HU = -930
"""Below this is air outside the body, if it reaches the field's edge: lungs are denser."""
GAS_HU = -970
"""A thick region darker than this is gas in stomach or bowel; even emphysema is denser."""
CORE_MM = 12.0
"""Airways are thinner than twice this, lungs are thicker: what remains at this depth is lung."""
REACH_MM = 24.0
"""How far a lung goes on around its core."""
COVERED_SHARE = 0.25
"""A region less of which has body on three sides lies outside the body: a cushion, not a lung."""
SMALLEST_SHARE = 0.08
"""A core smaller than this share of the largest one is not a lung."""
LUNG_WINDOW_HU = (-1024, 400)
TOUCH_CM2 = 4.0
"""Lung on an outer face of more than this is cut there; the section of a trachea is smaller."""


@dataclass(frozen=True)
class LungFigures:
    """What was found, as numbers.

    Args:
        volume_l: air-containing lung in litres; airways outside the lungs do not count.
        left_l: of the patient's left lung.
        right_l: of the patient's right lung.
        touches: faces of the field that the lungs reach; ``side`` is any of the lateral ones.
        start: first index [z, y, x] of the box around the lungs, in the scan.
        stop: index behind the box.
    """

    volume_l: float
    left_l: float
    right_l: float
    touches: tuple[Side, ...]
    start: Shape
    stop: Shape

    def as_dict(self) -> dict[str, object]:
        """The figures as plain JSON."""
        return {
            "volume_l": round(self.volume_l, 2),
            "left_l": round(self.left_l, 2),
            "right_l": round(self.right_l, 2),
            "touches": list(self.touches),
            "start": list(self.start),
            "stop": list(self.stop),
        }

    def box(self, grid: Grid, *, margin_mm: float = 0.0) -> tuple[Shape, Shape]:
        """The box around the lungs with a margin, kept inside the scan.

        Args:
            grid: of the scan that the figures are of.
            margin_mm: added on every side, in mm.

        Returns:
            First index [z, y, x], and shape.
        """
        margins = [round(margin_mm / s) for s in grid.spacing_mm]
        first = np.maximum(np.subtract(self.start, margins), 0)
        behind = np.minimum(np.add(self.stop, margins), grid.shape)
        (z, y, x), (d, h, w) = first.tolist(), (behind - first).tolist()
        return (z, y, x), (d, h, w)


@dataclass(frozen=True, eq=False)
class Lungs:
    """Lungs at low resolution.

    Args:
        mask: True in the lungs, shape [z, y, x] of `grid`.
        grid: cells of about 4 mm over the scan's field.
        figures: summary.
    """

    mask: Mask
    grid: Grid
    figures: LungFigures


def find_lungs(scan: Scan, *, threads: int | None = None) -> Lungs:
    """Find the lungs of a scan, or what looks most like them.

    Args:
        scan: any CT.
        threads: how many share the work; the processor's cores by default.

    Returns:
        Mask and figures; volume 0 and the whole field as box where there are none.
    """
    low, grid = _reduced(scan, threads)
    outside = _outside(low < DARK_HU)
    hits = _enclosure(low >= AIR_HU)
    inner = (low < AIR_HU) & ~outside
    cores = _cores(inner, low, hits, grid)
    sides = _sides(cores, cores | (hits == 4), inner, grid)
    lungs = sides[0] | sides[1]
    if not lungs.any():
        nothing = LungFigures(0.0, 0.0, 0.0, (), (0, 0, 0), scan.grid.shape)
        return Lungs(lungs, grid, nothing)
    cell_l = float(np.prod(grid.spacing_mm)) / 1e6
    right_l, left_l = (float(side.sum()) * cell_l for side in sides)
    touches = _touches(lungs, outside, grid)
    start, stop = _box(lungs, grid, scan.grid)
    figures = LungFigures(left_l + right_l, left_l, right_l, touches, start, stop)
    return Lungs(lungs, grid, figures)


def _reduced(scan: Scan, threads: int | None) -> tuple[npt.NDArray[np.float32], Grid]:
    """The scan in HU on cells of about 4 mm."""
    # Two voxels per cell and axis are plenty, and far less work than all of them.
    thin = [
        max(1, min(n, int(CELL_MM / 2 / s)))
        for n, s in zip(scan.grid.shape, scan.grid.spacing_mm, strict=True)
    ]
    hu = scan.hu[tuple(slice(t // 2, None, t) for t in thin)]
    sizes = [
        max(1, min(kept, round(extent / CELL_MM)))
        for kept, extent in zip(hu.shape, scan.grid.size_mm, strict=True)
    ]
    z, y, x = (area_matrix(n, s) for n, s in zip(hu.shape, sizes, strict=True))
    values = resample(hu, (z, y, x), window=LUNG_WINDOW_HU, threads=threads)
    low, high = LUNG_WINDOW_HU
    shape = (sizes[0], sizes[1], sizes[2])
    return values * np.float32(high - low) + np.float32(low), scan.grid.resized(shape)


def _outside(dark: Mask) -> Mask:
    """Dark cells joined to the edge of their slice: air around the body, or beyond the field."""
    in_plane = np.zeros((3, 3, 3), bool)
    in_plane[1] = ndimage.generate_binary_structure(2, 1)
    labels, count = ndimage.label(dark, structure=in_plane)
    faces = (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1])
    reached = np.zeros(count + 1, bool)
    for face in faces:
        reached[np.unique(face)] = True
    reached[0] = False
    outside: Mask = reached[labels]
    return outside


def _enclosure(solid: Mask) -> npt.NDArray[np.int8]:
    """From how many of left, right, front and back a cell is covered by something solid (0-4).

    Most of a lung is covered from all four, even where the field of view cuts it; a cushion below
    the patient or the air beside an arm is not.
    """
    hits = np.zeros(solid.shape, np.int8)
    for axis in (1, 2):
        hits += np.maximum.accumulate(solid, axis=axis)
        hits += np.flip(np.maximum.accumulate(np.flip(solid, axis), axis=axis), axis)
    return hits


def _cores(
    inner: Mask, low: npt.NDArray[np.float32], hits: npt.NDArray[np.int8], grid: Grid
) -> Mask:
    """The deep parts of lungs: thicker than any airway, not gas, and inside the body."""
    shallow = ~inner
    for axes in _steps(CORE_MM, grid):
        shallow = _spread(shallow, axes)
    deep = ~shallow
    labels, count = ndimage.label(deep)
    if not count:
        return deep
    index = np.arange(1, count + 1)
    covered = ndimage.mean(hits >= 3, labels, index) > COVERED_SHARE
    is_lung = covered & (ndimage.mean(low, labels, index) > GAS_HU)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:] * is_lung
    kept = (sizes > 0) & (sizes >= SMALLEST_SHARE * sizes.max())
    cores: Mask = np.concatenate([[False], kept])[labels]
    return cores


def _sides(cores: Mask, body: Mask, inner: Mask, grid: Grid) -> tuple[Mask, Mask]:
    """The right and the left lung: each grows from its cores, through `inner`, until they meet."""
    labels, count = ndimage.label(cores)
    if not count:
        return cores, cores
    used = cores.any(axis=(1, 2))
    columns = np.flatnonzero(body[used].any(axis=(0, 1)))
    middle = (columns[0] + columns[-1]) / 2
    boxes = ndimage.find_objects(labels)
    right = np.zeros(cores.shape, bool)
    for number, box in enumerate(boxes, start=1):
        at = np.nonzero(labels[box] == number)[2] + box[2].start
        # Lungs that are one component reach far to both sides; x grows to the patient's left.
        fused = min((at < middle).mean(), (at > middle).mean()) > 0.25
        if fused:
            right |= (labels == number) & (np.arange(cores.shape[2]) < middle)
        elif at.mean() < middle:
            right |= labels == number
    left = cores & ~right
    for axes in _steps(REACH_MM, grid):
        right |= _spread(right, axes) & inner & ~left
        left |= _spread(left, axes) & inner & ~right
    return right, left


def _steps(reach_mm: float, grid: Grid) -> list[list[int]]:
    """Axes to move along, step by step, to get `reach_mm` far whatever the size of the cells."""
    return [
        [
            axis
            for axis, spacing in enumerate(grid.spacing_mm)
            if round(step * CELL_MM / spacing) > round((step - 1) * CELL_MM / spacing)
        ]
        for step in range(1, round(reach_mm / CELL_MM) + 1)
    ]


def _spread(mask: Mask, axes: Sequence[int]) -> Mask:
    """A mask and its direct neighbours along some axes; nothing comes in from beyond the field."""
    wider = mask.copy()
    for axis in axes:
        source, target = np.moveaxis(mask, axis, 0), np.moveaxis(wider, axis, 0)
        target[1:] |= source[:-1]
        target[:-1] |= source[1:]
    return wider


def _touches(lungs: Mask, outside: Mask, grid: Grid) -> tuple[Side, ...]:
    sz, sy, sx = grid.spacing_mm
    # Lateral is the edge of the image, or of the circle in it beyond which nothing was measured.
    rim = outside.copy()
    rim[:, [0, -1]] = True
    rim[:, :, [0, -1]] = True
    lateral = lungs & _spread(rim, (1, 2))
    areas_cm2: dict[Side, float] = {
        "top": float(lungs[-1].sum()) * sy * sx / 100,
        "bottom": float(lungs[0].sum()) * sy * sx / 100,
        "side": float(lateral.sum()) * sz * max(sy, sx) / 100,
    }
    return tuple(side for side, area in areas_cm2.items() if area > TOUCH_CM2)


def _box(lungs: Mask, grid: Grid, full: Grid) -> tuple[Shape, Shape]:
    starts, stops = [], []
    for axis in range(3):
        other = tuple(a for a in range(3) if a != axis)
        used = np.flatnonzero(lungs.any(axis=other))
        ratio = full.shape[axis] / grid.shape[axis]
        starts.append(int(np.floor(used[0] * ratio)))
        stops.append(min(full.shape[axis], int(np.ceil((used[-1] + 1) * ratio))))
    return (starts[0], starts[1], starts[2]), (stops[0], stops[1], stops[2])
