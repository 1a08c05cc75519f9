"""Where in a lung a nodule can go: lung all around, up to a vessel or two, and nothing known."""

from collections.abc import Sequence

import numpy as np

from squeezect.preparation.lungs import Lungs, find_lungs
from squeezect.scan import FloatArray, Scan, Triple

AERATED_HU = (-1000, -500)
"""What counts as lung around a nodule: the lowest values are noise, above it are vessels."""
AERATED_SHARE = 0.85
ROOM_MM = 1.5
TRIES = 600


def find_place(
    scan: Scan,
    diameter_mm: float,
    *,
    random: np.random.Generator,
    lungs: Lungs | None = None,
    avoid: Sequence[tuple[Triple, float]] = (),
) -> Triple | None:
    """A point in the lungs around which there is room for a nodule.

    Args:
        scan: a chest CT.
        diameter_mm: of the room that is needed.
        random: source of all draws.
        lungs: of the scan, if they have been found already.
        avoid: LPS points in mm and the radii in mm around them to keep clear of.

    Returns:
        LPS point (x, y, z) in mm, None where no place was found.

    Example:
        >>> from squeezect.phantom import thorax
        >>> point = find_place(thorax(1)[0], 10.0, random=np.random.default_rng(0))
        >>> point is not None
        True
    """
    lungs = lungs or find_lungs(scan)
    cells = np.argwhere(lungs.mask)
    if not len(cells):
        return None
    radius = diameter_mm / 2 + ROOM_MM
    for _ in range(TRIES):
        cell = cells[random.integers(len(cells))] + random.uniform(-0.5, 0.5, 3)
        point = lungs.grid.to_mm(cell)
        clear = all(np.linalg.norm(point - p) > radius + r for p, r in avoid)
        if clear and _aerated(scan, point, radius):
            x, y, z = point.tolist()
            return (x, y, z)
    return None


def _aerated(scan: Scan, point: FloatArray, radius: float) -> bool:
    spacing = np.array(scan.grid.spacing_mm)
    centre = scan.grid.to_index(point)
    first = np.ceil(centre - radius / spacing).astype(int)
    last = np.floor(centre + radius / spacing).astype(int)
    if (first < 0).any() or (last >= scan.grid.shape).any():
        return False
    axes = [
        (np.arange(a, b + 1) - c) * s / radius
        for a, b, c, s in zip(first, last, centre, spacing, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    ball = z**2 + y**2 + x**2 <= 1
    hu = scan.hu[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))][ball]
    low, high = AERATED_HU
    # Noise of single voxels reaches below and above; their mean does not.
    return bool(((hu >= low - 24) & (hu <= high)).mean() >= AERATED_SHARE and hu.mean() < -650)
