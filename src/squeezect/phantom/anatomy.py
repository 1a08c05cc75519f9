"""The body of a synthetic patient: sizes and places drawn from a seed, as functions of millimetres.

Nothing here knows of voxels: the same patient can be sampled on any grid. World points are LPS mm;
x = y = 0 is the middle of the body, z = 0 the apex of the lungs.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from squeezect.scan import Triple

Array = npt.NDArray[np.float32]
EDGE_MM = 1.0
"""Width over which one tissue becomes another."""


@dataclass(frozen=True)
class Nodule:
    """A nodule in a lung.

    Args:
        centre_mm: LPS point (x, y, z).
        diameter_mm: mean diameter.
        hu: density of its inside.
        lobes: amplitude of its lobulation, as a share of the radius.
    """

    centre_mm: Triple
    diameter_mm: float
    hu: float = 40.0
    lobes: float = 0.08


@dataclass(frozen=True)
class Vessel:
    """A straight piece of a vessel that narrows from one end to the other.

    Args:
        start_mm: LPS point of the thick end.
        stop_mm: LPS point of the thin end.
        radii_mm: at both ends.
    """

    start_mm: Triple
    stop_mm: Triple
    radii_mm: tuple[float, float]


@dataclass(frozen=True)
class Anatomy:
    """Sizes and places of one patient, in mm.

    Args:
        body: half width (x) and half depth (y) of the trunk.
        fat: thickness of the fat below the skin.
        lung: half axes (x, y) of each lung, and its height (z).
        gap: from the body's middle plane to a lung's axis.
        heart: centre (x, y, height above the lung bases) and half axes.
        spine: place of the spine's axis behind the middle.
        rib_step: from rib to rib along z.
        vessels: of both lungs.
        density: of the lung tissue, in HU.
    """

    body: tuple[float, float]
    fat: float
    lung: Triple
    gap: float
    heart: tuple[Triple, Triple]
    spine: float
    rib_step: float
    vessels: tuple[Vessel, ...]
    density: float

    @property
    def top(self) -> float:
        """Height of the lungs' apices, z in mm."""
        return 0.0

    @property
    def bottom(self) -> float:
        """Height of the lungs' bases, z in mm."""
        return -self.lung[2]

    def lungs(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance to the lungs, about mm, negative inside."""
        half_x, half_y, height = self.lung
        # A lung is widest low down and closes towards the apex; its base is the diaphragm's dome.
        rise = np.clip((z + height) / height, 0.0, 1.0)
        profile = np.sqrt(np.clip(1.0 - (rise - 0.35) ** 2 / 0.4226, 0.0, 1.0))
        scale = np.maximum(profile, 0.02)
        side = np.abs(x) - self.gap
        radius = np.sqrt((side / (half_x * scale)) ** 2 + (y / (half_y * scale)) ** 2)
        wall = (radius - 1.0) * np.minimum(half_x, half_y) * scale
        dome = 45.0 * np.exp(-(side**2) / (0.9 * half_x) ** 2 - y**2 / (0.8 * half_y) ** 2)
        base = (-height + dome) - z
        distance: Array = np.maximum(np.maximum(wall, base), z - self.top)
        return distance

    def heart_distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance to the heart, about mm."""
        (cx, cy, lift), half = self.heart
        return ellipsoid(x, y, z, centre=(cx, cy, self.bottom + lift), half=half)


def ellipsoid(x: Array, y: Array, z: Array, *, centre: Triple, half: Triple) -> Array:
    """Signed distance to an ellipsoid, exact on its surface and about mm beside it."""
    parts = [((v - c) / h) ** 2 for v, c, h in zip((x, y, z), centre, half, strict=True)]
    radius = np.sqrt(parts[0] + parts[1] + parts[2])
    distance: Array = (radius - 1.0) * min(half)
    return distance


def draw_anatomy(seed: int) -> Anatomy:
    """A patient's sizes and places; the same seed is the same patient.

    Args:
        seed: any non-negative number.
    """
    random = np.random.default_rng((seed, 1))
    size = random.uniform(0.88, 1.1)
    lung = (58.0 * size, 82.0 * size, random.uniform(230, 290))
    gap = lung[0] + random.uniform(14, 22)
    body = (gap + lung[0] + random.uniform(28, 42), lung[1] + random.uniform(24, 36))
    heart = (
        (random.uniform(12, 26), random.uniform(-38, -22), random.uniform(60, 80)),
        (52.0 * size, 42.0 * size, 58.0 * size),
    )
    return Anatomy(
        body=body,
        fat=random.uniform(8, 20),
        lung=lung,
        gap=gap,
        heart=heart,
        spine=lung[1] - random.uniform(6, 14),
        rib_step=random.uniform(24, 30),
        vessels=_vessels(random, lung, gap),
        density=random.uniform(-880, -830),
    )


def _vessels(random: np.random.Generator, lung: Triple, gap: float) -> tuple[Vessel, ...]:
    """Trees from the hila: each branch ends in two thinner ones, out to the periphery."""
    vessels: list[Vessel] = []
    for side in (-1.0, 1.0):
        hilum = np.array([side * (gap - 0.75 * lung[0]), 5.0, -0.45 * lung[2]])
        for _ in range(9):
            aim = np.array([side * random.uniform(0.1, 1), *random.uniform(-1, 1, 2)])
            _grow(vessels, random, hilum, aim / np.linalg.norm(aim), radius=2.2, level=0)
    return tuple(vessels)


def _grow(
    vessels: list[Vessel],
    random: np.random.Generator,
    start: npt.NDArray[np.float64],
    aim: npt.NDArray[np.float64],
    *,
    radius: float,
    level: int,
) -> None:
    length = random.uniform(18, 34) * 0.86**level
    stop = start + aim * length
    thin = radius * 0.78
    ends = [tuple(float(v) for v in point) for point in (start, stop)]
    (x0, y0, z0), (x1, y1, z1) = ends
    vessels.append(Vessel((x0, y0, z0), (x1, y1, z1), (radius, thin)))
    if level == 4:
        return
    for _ in range(2):
        turn = aim + random.normal(0, 0.45, 3)
        _grow(
            vessels, random, stop, turn / np.linalg.norm(turn), radius=thin * 0.9, level=level + 1
        )
