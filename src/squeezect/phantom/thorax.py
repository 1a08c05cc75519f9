"""A synthetic chest CT with known truth: anatomy sampled on a grid, with noise and nodules."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from squeezect.phantom.anatomy import (
    EDGE_MM,
    Anatomy,
    Array,
    Nodule,
    Vessel,
    draw_anatomy,
)
from squeezect.scan import Acquisition, Grid, Scan, Shape, Triple, pseudonym

AIR_HU = -1000.0


@dataclass(frozen=True)
class Truth:
    """What is known of a synthetic scan.

    Args:
        nodules: where they are.
        lung_volume_l: air-containing lung in litres.
    """

    nodules: tuple[Nodule, ...]
    lung_volume_l: float


def chest_grid(
    seed: int, *, spacing_mm: float = 2.0, thickness_mm: float = 2.0, field_mm: float = 350.0
) -> Grid:
    """A grid that holds the lungs of a patient.

    Args:
        seed: the patient.
        spacing_mm: in plane.
        thickness_mm: of the slices, which touch each other.
        field_mm: width of the square field of view.
    """
    anatomy = draw_anatomy(seed)
    side = round(field_mm / spacing_mm)
    count = int((anatomy.lung[2] + 40) / thickness_mm)
    corner = -(side - 1) / 2 * spacing_mm
    shape = (count, side, side)
    origin = (corner, corner, anatomy.bottom - 20.0)
    return Grid(shape, (thickness_mm, spacing_mm, spacing_mm), origin)


def thorax(
    seed: int,
    *,
    grid: Grid | None = None,
    nodules: int | Sequence[Nodule] = 0,
    noise_hu: float = 20.0,
    sharpness: float = 0.6,
) -> tuple[Scan, Truth]:
    """A chest CT of a synthetic patient.

    The same seed is the same patient, on whatever grid; nodules given as a number are drawn from
    the seed too and do not change anything else.

    Args:
        seed: the patient.
        grid: axial grid (canonical orientation); `chest_grid` of the patient by default.
        nodules: how many, 8-30 mm, or which.
        noise_hu: standard deviation of the noise.
        sharpness: width of the noise's grain in voxels; larger is a softer kernel.

    Returns:
        The scan, and what is true of it.

    Example:
        >>> scan, truth = thorax(1, nodules=2)
        >>> len(truth.nodules)
        2
    """
    anatomy = draw_anatomy(seed)
    grid = grid or chest_grid(seed)
    found = draw_nodules(anatomy, seed, nodules) if isinstance(nodules, int) else tuple(nodules)
    # Thick slices average what they pass through: sample them finely, then take the mean.
    fold = max(1, min(4, round(grid.spacing_mm[0] / 1.6)))
    fine = grid.resized((grid.shape[0] * fold, *grid.shape[1:]))
    values, lung = _paint(anatomy, fine, found)
    values = values.reshape(grid.shape[0], fold, *grid.shape[1:]).mean(1)
    random = np.random.default_rng((seed, 2))
    values += _noise(random, grid.shape, noise_hu, sharpness)
    _cut_circle(values, grid)
    hu = np.rint(values).clip(-1024, 3071).astype(np.int16)
    acquisition = Acquisition(
        source_format="phantom",
        manufacturer="SqueezeCT phantom",
        kernel="SOFT" if sharpness > 0.8 else "STANDARD",
        slice_thickness_mm=grid.spacing_mm[0],
        tube_voltage_kv=120.0,
        contrast_agent=False,
    )
    scan = Scan(hu, grid, acquisition, identity=pseudonym(f"phantom {seed} {grid}"))
    return scan, Truth(found, lung)


def draw_nodules(anatomy: Anatomy, seed: int, count: int) -> tuple[Nodule, ...]:
    """Nodules of 8-30 mm inside the lungs, clear of heart, spine and each other."""
    random = np.random.default_rng((seed, 3))
    nodules: list[Nodule] = []
    while len(nodules) < count:
        diameter = float(random.uniform(8, 30))
        side = random.choice([-1.0, 1.0])
        point = (
            float(side * (anatomy.gap + random.uniform(-1, 1) * anatomy.lung[0])),
            float(random.uniform(-1, 1) * anatomy.lung[1]),
            float(anatomy.bottom + random.uniform(0.1, 0.92) * anatomy.lung[2]),
        )
        if _clear(anatomy, point, diameter) and not any(
            np.linalg.norm(np.subtract(point, n.centre_mm)) < diameter + n.diameter_mm
            for n in nodules
        ):
            nodules.append(Nodule(point, diameter, hu=float(random.uniform(10, 60))))
    return tuple(nodules)


def _clear(anatomy: Anatomy, point: Triple, diameter: float) -> bool:
    x, y, z = (np.float32(v).reshape(1, 1, 1) for v in point)
    wall = float(anatomy.lungs(x, y, z).item())
    heart = float(anatomy.heart_distance(x, y, z).item())
    return wall < -0.6 * diameter - 2 and heart > 0.6 * diameter + 2


def _paint(anatomy: Anatomy, grid: Grid, nodules: Sequence[Nodule]) -> tuple[Array, float]:
    """Density of every voxel, and the volume of the lungs in litres."""
    z, y, x = _axes(grid)
    values = np.full(grid.shape, AIR_HU, np.float32)
    half_x, half_y = anatomy.body
    trunk = (np.sqrt((x / half_x) ** 2 + (y / half_y) ** 2) - 1) * half_y
    _fill(values, trunk, -95.0)
    _fill(values, trunk + anatomy.fat, 48.0)
    _ribs(values, anatomy, (x, y, z))
    lungs = anatomy.lungs(x, y, z)
    _fill(values, lungs, anatomy.density + 25.0 * y / anatomy.lung[1])
    lung_l = float((lungs < 0).mean()) * float(np.prod(grid.size_mm)) / 1e6
    for vessel in anatomy.vessels:
        _vessel(values, anatomy, grid, vessel)
    for nodule in nodules:
        _nodule(values, grid, nodule)
    _fill(values, anatomy.heart_distance(x, y, z), 45.0)
    _spine(values, anatomy, (x, y, z))
    _airways(values, anatomy, (x, y, z))
    _fill(values, np.abs(np.sqrt(x**2 + (y - half_y + 300) ** 2) - 306) - 2 + 0 * z, -250.0)
    return values, lung_l


def _axes(grid: Grid) -> tuple[Array, Array, Array]:
    """World coordinates of the voxels along each array axis, ready to broadcast."""
    z, y, x = (
        (grid.origin_mm[2 - axis] + np.arange(n) * s).astype(np.float32)
        for axis, (n, s) in enumerate(zip(grid.shape, grid.spacing_mm, strict=True))
    )
    return z[:, None, None], y[None, :, None], x[None, None, :]


def _fill(
    values: Array, distance: npt.NDArray[np.floating], hu: float | npt.NDArray[np.floating]
) -> None:
    share = np.clip(0.5 - distance / EDGE_MM, 0, 1)
    values += share * (hu - values)


def _ribs(values: Array, anatomy: Anatomy, at: tuple[Array, Array, Array]) -> None:
    x, y, z = at
    ring_x, ring_y = anatomy.gap + anatomy.lung[0] + 5, anatomy.lung[1] + 7
    ring = (np.sqrt((x / ring_x) ** 2 + (y / ring_y) ** 2) - 1) * ring_y
    # Ribs fall from the spine to the front.
    height = (z - 0.45 * y + 1000.0) % anatomy.rib_step - anatomy.rib_step / 2
    _fill(values, np.sqrt(ring**2 + (0.7 * height) ** 2) - 4.5, 420.0)


def _spine(values: Array, anatomy: Anatomy, at: tuple[Array, Array, Array]) -> None:
    x, y, z = at
    axis = np.sqrt(x**2 + (y - anatomy.spine) ** 2)
    disc = np.abs((z + 1000.0) % 28.0 - 14.0) > 11.0
    _fill(values, axis - 19.0, np.where(disc, np.float32(90), np.float32(230)))
    _fill(values, np.sqrt(x**2 + (y - anatomy.spine - 22) ** 2) - 8.0 + 0 * z, 25.0)


def _airways(values: Array, anatomy: Anatomy, at: tuple[Array, Array, Array]) -> None:
    x, y, z = at
    fork = -0.36 * anatomy.lung[2]
    trachea = np.maximum(np.sqrt(x**2 + (y - 8) ** 2) - 8.5, fork - z)
    _fill(values, trachea, AIR_HU)
    for side in (-1.0, 1.0):
        along = (x * side) * 0.78 - (z - fork) * 0.62
        across = np.sqrt((x * side * 0.62 + (z - fork) * 0.78) ** 2 + (y - 8) ** 2)
        _fill(values, np.maximum(across - 5.5, np.abs(along - 22) - 24), AIR_HU)


def _vessel(values: Array, anatomy: Anatomy, grid: Grid, vessel: Vessel) -> None:
    start, stop = np.array(vessel.start_mm), np.array(vessel.stop_mm)
    reach = max(vessel.radii_mm) + 1.5
    box = _box(grid, np.minimum(start, stop) - reach, np.maximum(start, stop) + reach)
    if box is None:
        return
    z, y, x = (a[s] for a, s in zip(_axes(grid), _sliced(box), strict=True))
    line = stop - start
    along = ((x - start[0]) * line[0] + (y - start[1]) * line[1] + (z - start[2]) * line[2]) / (
        line @ line
    )
    along = np.clip(along, 0, 1).astype(np.float32)
    away = np.sqrt(
        sum((v - a - along * d) ** 2 for v, a, d in zip((x, y, z), start, line, strict=True))
    )
    thick, thin = vessel.radii_mm
    distance = away - (thick + (thin - thick) * along)
    # Vessels end at the pleura.
    distance = np.maximum(distance, anatomy.lungs(x, y, z) + 2.0).astype(np.float32)
    _fill(values[box], distance, 40.0)


def _nodule(values: Array, grid: Grid, nodule: Nodule) -> None:
    centre, radius = np.array(nodule.centre_mm), nodule.diameter_mm / 2
    reach = radius * (1 + nodule.lobes) + 2
    box = _box(grid, centre - reach, centre + reach)
    if box is None:
        return
    z, y, x = (a[s] for a, s in zip(_axes(grid), _sliced(box), strict=True))
    dx, dy, dz = x - centre[0], y - centre[1], z - centre[2]
    away = np.sqrt(dx**2 + dy**2 + dz**2) + 1e-6
    lobes = 1 + nodule.lobes * np.sin(3 * np.arctan2(dy, dx)) * np.cos(2.5 * np.arcsin(dz / away))
    _fill(values[box], (away - radius * lobes).astype(np.float32), nodule.hu)


def _box(
    grid: Grid, low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]
) -> tuple[slice, slice, slice] | None:
    """Index slices that hold an axis-aligned box of world points; None outside the grid."""
    first = np.floor(grid.to_index(low)).astype(int).clip(0)
    last = np.ceil(grid.to_index(high)).astype(int) + 1
    stop = np.minimum(last, grid.shape)
    if (first >= stop).any():
        return None
    a, b, c = (slice(int(i), int(j)) for i, j in zip(first, stop, strict=True))
    return (a, b, c)


def _sliced(box: tuple[slice, slice, slice]) -> list[tuple[slice, slice, slice]]:
    every = slice(None)
    return [(box[0], every, every), (every, box[1], every), (every, every, box[2])]


def _noise(random: np.random.Generator, shape: Shape, noise_hu: float, sharpness: float) -> Array:
    grain = random.standard_normal(shape, dtype=np.float32)
    if sharpness > 0:
        ndimage.gaussian_filter(grain, (0, sharpness, sharpness), output=grain)
    scale: Array = grain * np.float32(noise_hu / max(float(grain.std()), 1e-6))
    return scale


def _cut_circle(values: Array, grid: Grid) -> None:
    """Outside of the scanner's circular field there is nothing: air."""
    _, y, x = _axes(grid)
    middle_y, middle_x = (y[0, 0, 0] + y[0, -1, 0]) / 2, (x[0, 0, 0] + x[0, 0, -1]) / 2
    radius = min(grid.size_mm[1:]) / 2
    outside = (np.sqrt((x - middle_x) ** 2 + (y - middle_y) ** 2) > radius)[0]
    values[:, outside] = AIR_HU
