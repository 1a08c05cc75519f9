"""Nodules as several readers outlined them, and the one nodule that their outlines mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from squeezect.scan import FloatArray, Grid, Triple

RATINGS = (
    "subtlety",
    "internalStructure",
    "calcification",
    "sphericity",
    "margin",
    "lobulation",
    "spiculation",
    "texture",
    "malignancy",
)
READERS = 4
"""Readers of one scan in LIDC-IDRI; more outlines than this are not of one nodule."""

CLOSEST_MM = 0.1
"""Outlines closer than this are not told apart any more."""


@dataclass(frozen=True)
class Outline:
    """A closed line around (or a hole in) a nodule in one slice.

    Args:
        z_mm: position of the slice.
        pixels: points as (column, row), 0 for the centre of the first pixel.
        hole: True if the line leaves out what it surrounds.
    """

    z_mm: float
    pixels: tuple[tuple[float, float], ...]
    hole: bool = False


@dataclass(frozen=True)
class Reading:
    """What one reader drew and said of one nodule.

    Args:
        outlines: one or more per slice.
        ratings: characteristics by name, 1 to 5 or 6.
    """

    outlines: tuple[Outline, ...]
    ratings: Mapping[str, int]


@dataclass(frozen=True)
class Consensus:
    """One nodule from its readings.

    Args:
        centre_mm: LPS point (x, y, z) in mm, mean of the readings' centres of area.
        diameter_mm: of the sphere of the drawn volume in mm, mean over the readings. This is what
            LUNA16's annotations give.
        readings: how many it was made from.
        ratings: mean of each characteristic over the readings that have it.
    """

    centre_mm: Triple
    diameter_mm: float
    readings: int
    ratings: Mapping[str, float]


def consensus(readings: Sequence[Reading], grid: Grid) -> list[Consensus]:
    """Nodules of a scan: readings whose outlines come within a slice of each other are one.

    Where that joins more readings than there were readers, the distance is cut until it does not.

    Args:
        readings: of all readers of the scan.
        grid: where the scan's slices lie.

    Returns:
        Nodules from the lowest z up.
    """
    drawn = [r for r in readings if any(not o.hole for o in r.outlines)]
    points = [np.concatenate([_points_mm(o, grid) for o in _solid(r)]) for r in drawn]
    groups = _groups(_distances_mm(points), list(range(len(drawn))), grid.spacing_mm[0])
    nodules = [_agreed([drawn[i] for i in group], grid) for group in groups]
    return sorted(nodules, key=lambda nodule: nodule.centre_mm[::-1])


def _solid(reading: Reading) -> list[Outline]:
    return [outline for outline in reading.outlines if not outline.hole]


def _points_mm(outline: Outline, grid: Grid) -> FloatArray:
    """World points of an outline, shape (n, 3)."""
    columns, rows = np.array(outline.pixels, float).T
    step_mm = grid.steps_mm[0][2]
    slices = np.full(len(rows), (outline.z_mm - grid.origin_mm[2]) / step_mm)
    return grid.to_mm(np.stack([slices, rows, columns], axis=1))


def _distances_mm(points: Sequence[FloatArray]) -> FloatArray:
    """Shortest distance between the points of every two readings, shape (n, n)."""
    from scipy.spatial.distance import cdist

    distances = np.zeros((len(points), len(points)))
    for i, one in enumerate(points):
        for j in range(i):
            distances[i, j] = distances[j, i] = cdist(one, points[j]).min()
    return distances


def _groups(distances_mm: FloatArray, members: list[int], reach_mm: float) -> list[list[int]]:
    """Members linked by steps of `reach_mm`, which shrinks within groups that are too large."""
    from scipy.sparse.csgraph import connected_components

    if not members:
        return []
    near = distances_mm[np.ix_(members, members)] <= reach_mm
    count, group_of = connected_components(near, directed=False)
    groups = []
    for group in range(count):
        inside = [m for m, g in zip(members, group_of, strict=True) if g == group]
        if len(inside) > READERS and reach_mm > CLOSEST_MM:
            groups += _groups(distances_mm, inside, reach_mm * 0.9)
        else:
            groups.append(inside)
    return groups


def _agreed(readings: Sequence[Reading], grid: Grid) -> Consensus:
    x, y, z = np.mean([_centre_mm(r, grid) for r in readings], axis=0).tolist()
    given = {name: [r.ratings[name] for r in readings if name in r.ratings] for name in RATINGS}
    return Consensus(
        centre_mm=(x, y, z),
        diameter_mm=float(np.mean([_diameter_mm(r, grid) for r in readings])),
        readings=len(readings),
        ratings={name: float(np.mean(values)) for name, values in given.items() if values},
    )


def _centre_mm(reading: Reading, grid: Grid) -> FloatArray:
    """Centre of area of a reading's outlines, each slice weighted by its area."""
    parts = [_area_and_centre(_points_mm(outline, grid)) for outline in _solid(reading)]
    areas = np.array([area for area, _ in parts])
    centres = np.array([centre for _, centre in parts])
    weights = areas if areas.sum() > 0 else np.ones_like(areas)
    centre: FloatArray = np.average(centres, axis=0, weights=weights)
    return centre


def _area_and_centre(points_mm: FloatArray) -> tuple[float, FloatArray]:
    """Area and centre of a polygon in a slice; of its points, where it has no area."""
    middle = points_mm.mean(axis=0)
    x, y, _ = (points_mm - middle).T
    x_next, y_next = np.roll(x, -1), np.roll(y, -1)
    cross = x * y_next - x_next * y
    area = cross.sum() / 2
    if abs(area) < 1e-6:
        return 0.0, middle
    offset = [((x + x_next) * cross).sum(), ((y + y_next) * cross).sum(), 0.0]
    return abs(float(area)), middle + np.array(offset) / (6 * area)


def _diameter_mm(reading: Reading, grid: Grid) -> float:
    """Diameter of the sphere whose volume is that of the pixels inside the outlines."""
    pixels = sum(_inside(o) * (-1 if o.hole else 1) for o in reading.outlines)
    volume_mm3 = max(pixels, 0.0) * float(np.prod(grid.spacing_mm))
    return float((6 * volume_mm3 / np.pi) ** (1 / 3))


def _inside(outline: Outline) -> float:
    """Pixels strictly inside an outline through pixel centres, by Pick's theorem.

    The readers were told to draw through the pixels just outside of the nodule.
    """
    corners = np.rint(outline.pixels).astype(int)
    steps = np.roll(corners, -1, axis=0) - corners
    on_line = int(np.gcd(*np.abs(steps).T).sum())
    flat = np.column_stack([corners, np.zeros(len(corners))]).astype(float)
    return max(_area_and_centre(flat)[0] - on_line / 2 + 1, 0.0)
