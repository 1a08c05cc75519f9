"""Nodules put into nodule-free lungs: new positives whose place is known.

Few scans hold a nodule, and a label for a whole scan says nothing of where it is. A nodule painted
into the lung of a negative training volume answers both: it balances the classes, and the network
can be told which cells of its map are to rise. The paper names the unbalanced patients as the
cause of its failure.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from squeezect.scan import Triple
from squeezect.training.augmentation import VolumeArray
from squeezect.training.recipe import Insertion

LUNG_HU = (-960.0, -500.0)
TRIES = 400
EDGE_VOXELS = 1.2
"""Width of a nodule's edge: what area averaging onto the grid leaves of a sharp one."""


@dataclass(frozen=True)
class Mark:
    """An ellipsoid in a volume, in voxels along [z, y, x].

    Args:
        centre: of the nodule.
        radii: of the nodule.
    """

    centre: Triple
    radii: Triple


UNKNOWN, NOTHING, INSERTED = -1.0, 0.0, 1.0
"""First number of a row of marks: nothing is known, nothing is there, a nodule is there."""


def row_of(mark: Mark | None, *, known: bool) -> npt.NDArray[np.float32]:
    """What training is told of a volume: (state, centre z, y, x, radii z, y, x)."""
    if mark is None:
        return np.array([NOTHING if known else UNKNOWN, *[0.0] * 6], np.float32)
    return np.array([INSERTED, *mark.centre, *mark.radii], np.float32)


def insert_nodule(
    values: VolumeArray,
    how: Insertion,
    *,
    voxel_mm: Triple,
    window_hu: tuple[float, float],
    random: np.random.Generator,
) -> tuple[VolumeArray, Mark | None]:
    """A copy of a volume with one nodule in its lungs.

    Args:
        values: float32, shape [z, y, x], the window scaled to [0, 1].
        how: sizes and densities.
        voxel_mm: spacing along [z, y, x].
        window_hu: what 0 and 1 stand for.
        random: source of all draws.

    Returns:
        The volume and where the nodule is; the volume as it was and None if no place was found.
    """
    spacing = np.array(voxel_mm)
    diameter = float(np.exp(random.uniform(*np.log(how.diameter_mm))))
    radii = diameter / 2 * random.uniform(0.85, 1.15, 3) / spacing
    centre = _place(values, radii, window_hu=window_hu, random=random)
    if centre is None:
        return values, None
    low, high = window_hu
    density = (random.uniform(*how.density_hu) - low) / (high - low)
    result = values.copy()
    _paint(result, centre, radii, density=density, random=random)
    at = tuple(float(v) for v in centre)
    size = tuple(float(v) for v in radii)
    return result, Mark((at[0], at[1], at[2]), (size[0], size[1], size[2]))


def _place(
    values: VolumeArray,
    radii: npt.NDArray[np.float64],
    *,
    window_hu: tuple[float, float],
    random: np.random.Generator,
) -> npt.NDArray[np.float64] | None:
    """A centre whose surroundings are lung, up to a vessel or two."""
    low, high = ((hu - window_hu[0]) / (window_hu[1] - window_hu[0]) for hu in LUNG_HU)
    reach = np.maximum(1, np.ceil(radii)).astype(int)
    room = np.array(values.shape) - 2 * reach - 1
    if (room <= 0).any():
        return None
    for _ in range(TRIES):
        corner = random.integers(0, room)
        z, y, x = (slice(c, c + 2 * r + 1) for c, r in zip(corner, reach, strict=True))
        box = values[z, y, x]
        if ((box > low) & (box < high)).mean() >= 0.85:
            centre: npt.NDArray[np.float64] = corner + reach + random.uniform(-0.5, 0.5, 3)
            return centre
    return None


def _paint(
    values: VolumeArray,
    centre: npt.NDArray[np.float64],
    radii: npt.NDArray[np.float64],
    *,
    density: float,
    random: np.random.Generator,
) -> None:
    reach = np.ceil(radii * 1.3 + 1).astype(int)
    start = np.maximum(np.floor(centre).astype(int) - reach, 0)
    stop = np.minimum(np.floor(centre).astype(int) + reach + 2, values.shape)
    axes = [
        (np.arange(a, b) - c) / r for a, b, c, r in zip(start, stop, centre, radii, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    radius = np.sqrt(z**2 + y**2 + x**2)
    surface = np.ones_like(radius)
    for waves in (2, 3, 4):
        # Bumps along three random directions make it lobulated rather than round.
        a, b, c = random.normal(0, 1, 3)
        along = (a * z + b * y + c * x) / (np.sqrt(a * a + b * b + c * c) * radius + 1e-6)
        amount = random.uniform(0, 0.12)
        surface += amount * np.cos(waves * np.arccos(along.clip(-1, 1)) + random.uniform(0, 6.3))
    depth = (surface - radius) * radii.mean()
    share = np.clip(0.5 + depth / EDGE_VOXELS, 0, 1)
    box = values[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    # A vessel that runs through it is not dimmed by a nodule of lower density.
    box += (share * np.maximum(density - box, 0)).astype(np.float32)
