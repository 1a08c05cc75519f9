"""What preparation leaves of a nodule, before any network: contrast, voxels, and ideal observers.

Two observers that need no learning bracket a network. One is told where to look and exactly what
for: the nodule's own matched filter, with the nodule added at random places of the lung against
other places. The other is told the size only, and takes the strongest blob of this size anywhere in
the lungs.
"""

import csv
from itertools import chain, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cases import SEED, SIZES_MM, TEST_SCAN, Chest, banks, phantoms, real
from scipy import ndimage
from scoring import append, done_in, variants

from squeezect.nodules import Bank
from squeezect.preparation import Preparation, Volume, prepare

CHESTS = 6
PLACES = 400
WINDOW_HU = 1400.0
PREPARATIONS = {
    f"{size}-{crop}": Preparation(size=(size,) * 3, crop=crop)
    for size in (64, 128)
    for crop in ("none", "lungs")
}
COLUMNS = (
    *("preparation", "case", "place", "diameter_mm", "voxel_mm", "peak_hu", "voxels"),
    *("lung_sd_hu", "told_where", "blob_with", "blob_without"),
)
Array = npt.NDArray[np.float32]


def measure(out: Path, *, scans: Path, bank: Path) -> Path:
    """Measure the first test chests and the real test scan; a killed run goes on."""
    path = out / "physics.csv"
    done = {case for _, case in done_in(path, "preparation")}
    names = [f"test-{i + 1:03d}" for i in range(CHESTS)]
    _, test_bank = banks(bank)
    if {*names, TEST_SCAN} <= done:
        return path
    for chest in chain([real(TEST_SCAN, scans)], islice(phantoms("test"), CHESTS)):
        if chest.name in {*names, TEST_SCAN} - done:
            append(path, COLUMNS, _rows(chest, test_bank))
            print(f"measured {chest.name}", flush=True)
    return path


def _rows(chest: Chest, bank: Bank) -> list[list[object]]:
    rows: list[list[object]] = []
    made = variants(chest, bank)
    for name, preparation in PREPARATIONS.items():
        bare = prepare(chest.scan, preparation, lungs=chest.lungs.figures, threads=1)
        inner, box = _lung_mask(chest, bare)
        blobs = {size: _strongest_blob(bare, inner, box, size) for size in SIZES_MM}
        for place, size, scan, implant in made:
            if implant is None or place > 0:
                continue
            volume = prepare(scan, preparation, lungs=chest.lungs.figures, threads=1)
            facts = _told_where(bare, volume, inner)
            blob = _strongest_blob(volume, inner, box, size)
            spacing = round(bare.grid.spacing_mm[0], 3)
            ends = [round(v, 4) for v in (*facts, blob, blobs[size])]
            rows.append([name, chest.name, place, size, spacing, *ends])
    return rows


def _lung_mask(
    chest: Chest, volume: Volume
) -> tuple[npt.NDArray[np.bool_], tuple[slice, slice, slice]]:
    """Voxels of a volume that lie in the lungs, and the box around them."""
    lungs = chest.lungs
    grid = lungs.grid
    axes = []
    for axis in range(3):
        points = np.zeros((volume.values.shape[axis], 3))
        points[:, axis] = np.arange(volume.values.shape[axis])
        index = np.rint(grid.to_index(volume.grid.to_mm(points))[:, axis]).astype(int)
        axes.append(np.clip(index, -1, grid.shape[axis]))
    padded = np.pad(lungs.mask, 1)
    inner = padded[np.ix_(*(a + 1 for a in axes))]
    used = [np.flatnonzero(inner.any(tuple({0, 1, 2} - {a}))) for a in range(3)]
    z, y, x = (slice(max(0, int(u[0]) - 6), int(u[-1]) + 7) for u in used)
    return inner, (z, y, x)


def _told_where(
    bare: Volume, volume: Volume, inner: npt.NDArray[np.bool_]
) -> tuple[float, float, float, float]:
    """Peak of what is added (HU), its effective voxels, SD of lung (HU), and how often it wins."""
    added = volume.values - bare.values
    at = np.argwhere(added > 1e-4)
    if not len(at):
        return 0.0, 0.0, 0.0, 0.5
    first, shape = at.min(0) - 1, np.ptp(at, axis=0) + 3
    first = np.clip(first, 0, np.array(added.shape) - shape)
    template = _patch(added, first, shape)
    voxels = float(template.sum() ** 2 / (template**2).sum())
    template = template - template.mean()
    random = np.random.default_rng((SEED, 9))
    corners = np.argwhere(inner) - shape // 2
    fits = ((corners >= 0) & (corners + shape <= added.shape)).all(1)
    corners = random.permutation(corners[fits])
    answers, middles = [], []
    for corner in corners[: 4 * PLACES]:
        patch = _patch(bare.values, corner, shape)
        # Like the places of nodules, these are lung with a vessel or two.
        if patch.mean() < (1000 - 650) / WINDOW_HU and len(answers) < PLACES:
            answers.append(float((template * patch).sum()))
            middles.append(float(patch[tuple(n // 2 for n in shape)]))
    if not answers:
        return float(added.max() * WINDOW_HU), voxels, 0.0, float("nan")
    signal = float((template * _patch(added, first, shape)).sum())
    wins = float(np.mean(np.subtract.outer(answers, answers) + signal > 0))
    return float(added.max() * WINDOW_HU), voxels, float(np.std(middles) * WINDOW_HU), wins


def _patch(values: Array, first: npt.ArrayLike, shape: npt.ArrayLike) -> Array:
    z, y, x = (slice(int(a), int(a + n)) for a, n in zip(first, shape, strict=True))
    return values[z, y, x]


def _strongest_blob(
    volume: Volume,
    inner: npt.NDArray[np.bool_],
    box: tuple[slice, slice, slice],
    diameter_mm: float,
) -> float:
    """Strongest difference of Gaussians of a size anywhere in the lungs, in HU."""
    sigma = max(0.6, diameter_mm / (2 * np.sqrt(3)) / volume.grid.spacing_mm[0])
    values = volume.values[box]
    answer = ndimage.gaussian_filter(values, sigma, truncate=2.5)
    answer -= ndimage.gaussian_filter(values, 1.6 * sigma, truncate=2.5)
    return float(answer[inner[box]].max() * WINDOW_HU)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a table."""
    with path.open() as file:
        return list(csv.DictReader(file))
