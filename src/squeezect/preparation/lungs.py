"""Find the lungs at low resolution, and say whether this is a chest that can be judged.

Air inside the body, by threshold and components: enough to crop to the lungs and to refuse heads,
abdomens and limbs. Not a segmentation for measuring.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from squeezect.errors import Code, Finding
from squeezect.preparation.resample import area_matrix, resample
from squeezect.scan import Grid, Scan, Shape, Triple

Side = Literal["top", "bottom", "side"]
Mask = npt.NDArray[np.bool_]

CELL_MM = 3.0
"""Side of the voxels in which lungs are looked for."""
AIR_HU = -400
"""Below this is air or lung: half way between lung and soft tissue."""
EMPTY_HU = -940
"""Components darker than this on average are air outside the body, in airways or in bowels."""
SMALLEST_L = 0.15
"""Smaller components are not a lung."""
SMALLEST_SHARE = 0.08
"""A second component smaller than this share of the first is not the other lung."""
REFUSE_BELOW_L = 1.0
"""Less than this in total is not a chest."""
PLAUSIBLE_L = (1.8, 9.5)
"""Outside of this the volume is worth a warning."""
TOUCH_CM2 = 4.0
"""Lung on the first or last slice, or on a lateral face, of more than this is cut there."""

NO_LUNGS = Code(
    "no-lungs",
    "No two lungs of plausible volume were found: not a chest, or most of the chest is outside.",
    "give a scan of the whole chest",
)
CUT_TOP = Code(
    "lungs-cut-top",
    "The lungs reach the uppermost slice: their apices are not in the scan.",
    "look at the missing part elsewhere; the answer covers only what was scanned",
    "warn",
)
CUT_BOTTOM = Code(
    "lungs-cut-bottom",
    "The lungs reach the lowest slice: their bases are not in the scan.",
    "look at the missing part elsewhere; the answer covers only what was scanned",
    "warn",
)
CUT_SIDE = Code(
    "lungs-cut-side",
    "The lungs reach the side of the field of view.",
    "reconstruct with a larger field of view if the raw data is still there",
    "warn",
)
ONE_LUNG = Code(
    "one-lung",
    "Nearly all of the lung found lies on one side of the body.",
    "look at the scan: a lung may be removed, collapsed or filled",
    "warn",
)
ODD_VOLUME = Code(
    "lung-volume",
    "The lungs are unusually small or large.",
    "look at the scan: a child, deep disease, or a wrong spacing",
    "warn",
)


@dataclass(frozen=True)
class LungFigures:
    """What was found, as numbers.

    Args:
        volume_l: air-containing lung in litres.
        left_l: on the patient's left.
        right_l: on the patient's right.
        touches: faces of the field that the lungs reach.
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


@dataclass(frozen=True, eq=False)
class Lungs:
    """Lungs at low resolution.

    Args:
        mask: True in the lungs, shape [z, y, x] of `grid`.
        grid: cells of about 3 mm over the scan's field.
        figures: summary.
    """

    mask: Mask
    grid: Grid
    figures: LungFigures


def find_lungs(scan: Scan) -> Lungs:
    """Find the lungs of a scan, or what looks most like them.

    Args:
        scan: any CT.

    Returns:
        Mask and figures; volume 0 and the whole field as box where there are none.
    """
    low, grid = _reduced(scan)
    lungs = _two_largest(*_components(low), low, grid)
    return Lungs(lungs, grid, _figures(lungs, low, grid, scan.grid))


def check_chest(scan: Scan) -> tuple[LungFigures, tuple[Finding, ...]]:
    """Figures of the lungs, and what they say about the scan.

    Args:
        scan: any CT.

    Returns:
        Figures and findings: `no-lungs` (refuse), `lungs-cut-top`, `lungs-cut-bottom`,
        `lungs-cut-side`, `one-lung`, `lung-volume` (warn).
    """
    figures = find_lungs(scan).figures
    volume = f"{figures.volume_l:.2f} l"
    if figures.volume_l < REFUSE_BELOW_L:
        return figures, (Finding(NO_LUNGS, f"lung volume {volume}"),)
    findings = []
    cuts = {"top": CUT_TOP, "bottom": CUT_BOTTOM, "side": CUT_SIDE}
    findings += [Finding(cuts[side], f"lungs reach the {side}") for side in figures.touches]
    if min(figures.left_l, figures.right_l) < 0.12 * figures.volume_l:
        value = f"left {figures.left_l:.2f} l, right {figures.right_l:.2f} l"
        findings.append(Finding(ONE_LUNG, value))
    if not PLAUSIBLE_L[0] <= figures.volume_l <= PLAUSIBLE_L[1]:
        findings.append(Finding(ODD_VOLUME, volume))
    return figures, tuple(findings)


def _reduced(scan: Scan) -> tuple[npt.NDArray[np.float32], Grid]:
    """The scan in HU on cells of about 3 mm."""
    # Every second voxel in plane is plenty before averaging to 3 mm, and a quarter of the work.
    thin = [1] + [
        2 if s <= CELL_MM / 3 and n >= 64 else 1
        for s, n in zip(scan.grid.spacing_mm[1:], scan.grid.shape[1:], strict=True)
    ]
    hu = scan.hu[:, :: thin[1], :: thin[2]]
    sizes = [
        max(1, min(kept, round(extent / CELL_MM)))
        for kept, extent in zip(hu.shape, scan.grid.size_mm, strict=True)
    ]
    shape = (sizes[0], sizes[1], sizes[2])
    z, y, x = (area_matrix(n, s) for n, s in zip(hu.shape, shape, strict=True))
    window = (-1000, 400)
    values = resample(hu, (z, y, x), window_hu=window)
    return values * np.float32(1400) - np.float32(1000), scan.grid.resized(shape)


def _components(low: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.signedinteger], int]:
    """Components of air that lie inside the body."""
    air = low < AIR_HU
    labels, count = ndimage.label(air)
    if not count:
        return labels, 0
    index = np.arange(1, count + 1)
    dark = ndimage.mean(low, labels, index) < EMPTY_HU
    border = np.zeros(count + 1, bool)
    for face in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        border[np.unique(face)] = True
    # Air around the body reaches the border and is dark; a lung cut by the field is not dark.
    outside = dark | (border[1:] & (ndimage.mean(low, labels, index) < -900))
    labels[np.concatenate([[True], outside])[labels]] = 0
    return labels, count


def _two_largest(
    labels: npt.NDArray[np.signedinteger], count: int, low: npt.NDArray[np.float32], grid: Grid
) -> Mask:
    voxel_l = float(np.prod(grid.spacing_mm)) / 1e6
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:] * voxel_l
    lungs = np.zeros(low.shape, bool)
    if not count or sizes.max() < SMALLEST_L:
        return lungs
    order = np.argsort(sizes)[::-1][:2]
    for component in order:
        if sizes[component] >= max(SMALLEST_L, SMALLEST_SHARE * sizes[order[0]]):
            lungs |= labels == component + 1
    return lungs


def _figures(lungs: Mask, low: npt.NDArray[np.float32], grid: Grid, full: Grid) -> LungFigures:
    voxel_l = float(np.prod(grid.spacing_mm)) / 1e6
    if not lungs.any():
        return LungFigures(0.0, 0.0, 0.0, (), (0, 0, 0), full.shape)
    body_x = np.flatnonzero((low > -200).any(axis=(0, 1)))
    middle = body_x.mean() if len(body_x) else (low.shape[2] - 1) / 2
    left = float(lungs[:, :, int(np.ceil(middle)) :].sum()) * voxel_l
    volume = float(lungs.sum()) * voxel_l
    # LPS: x grows to the patient's left. A component is not two lungs by itself, so sides count.
    start, stop = _box(lungs, grid, full)
    return LungFigures(volume, left, volume - left, _touches(lungs, grid), start, stop)


def _touches(lungs: Mask, grid: Grid) -> tuple[Side, ...]:
    sz, sy, sx = grid.spacing_mm
    slice_cm2, coronal_cm2, sagittal_cm2 = sy * sx / 100, sz * sx / 100, sz * sy / 100
    lateral = max(
        float(lungs[:, 0].sum()) * coronal_cm2,
        float(lungs[:, -1].sum()) * coronal_cm2,
        float(lungs[:, :, 0].sum()) * sagittal_cm2,
        float(lungs[:, :, -1].sum()) * sagittal_cm2,
    )
    areas: dict[Side, float] = {
        "top": float(lungs[-1].sum()) * slice_cm2,
        "bottom": float(lungs[0].sum()) * slice_cm2,
        "side": lateral,
    }
    return tuple(side for side, area in areas.items() if area > TOUCH_CM2)


def _box(lungs: Mask, grid: Grid, full: Grid) -> tuple[Shape, Shape]:
    starts, stops = [], []
    for axis in range(3):
        other = tuple(a for a in range(3) if a != axis)
        used = np.flatnonzero(lungs.any(axis=other))
        ratio = full.shape[axis] / grid.shape[axis]
        starts.append(int(np.floor(used[0] * ratio)))
        stops.append(min(full.shape[axis], int(np.ceil((used[-1] + 1) * ratio))))
    return (starts[0], starts[1], starts[2]), (stops[0], stops[1], stops[2])


def grown(figures: LungFigures, grid: Grid, *, margin_mm: float) -> tuple[Shape, Shape]:
    """The lungs' box with a margin, kept inside the scan; (start, stop) indices [z, y, x]."""
    margins = [round(margin_mm / s) for s in grid.spacing_mm]
    start = [max(0, a - m) for a, m in zip(figures.start, margins, strict=True)]
    stop = [min(n, b + m) for n, b, m in zip(grid.shape, figures.stop, margins, strict=True)]
    return (start[0], start[1], start[2]), (stop[0], stop[1], stop[2])


def centre_of(figures: LungFigures, grid: Grid) -> Triple:
    """LPS point (x, y, z) of the middle of the lungs' box, in mm."""
    middle = (np.array(figures.start) + np.array(figures.stop) - 1) / 2
    x, y, z = grid.to_mm(middle).tolist()
    return (x, y, z)
