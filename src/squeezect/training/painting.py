"""A nodule painted from a formula: a lobulated ellipsoid, averaged over each voxel's extent."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
FINE = 2.0
"""A nodule's half axes hold at least so many samples, or the voxels are divided until they do."""
WAVES = (2, 3, 4)
DIRECTIONS = 200


@dataclass(frozen=True, eq=False)
class Lobes:
    """Bumps that make a nodule lobulated rather than round.

    Args:
        aims: unit vectors [z, y, x] that the bumps run around, a row for each of `WAVES`.
        amounts: height of each bump as a share of the radius.
        phases: where along its circle each bump is highest, in radians.
    """

    aims: FloatArray
    amounts: FloatArray
    phases: FloatArray

    @classmethod
    def drawn(cls, random: np.random.Generator) -> Self:
        """Bumps along three random directions."""
        rows = [
            (random.normal(0, 1, 3), random.uniform(0, 0.12), random.uniform(0, 6.3)) for _ in WAVES
        ]
        aims = np.array([aim for aim, _, _ in rows])
        return cls(
            aims / np.linalg.norm(aims, axis=1, keepdims=True),
            np.array([amount for _, amount, _ in rows]),
            np.array([phase for _, _, phase in rows]),
        )

    def surface(self, z: FloatArray, y: FloatArray, x: FloatArray) -> FloatArray:
        """Distance of the surface in the directions of unit vectors; 1 is that of a ball."""
        surface = np.ones(np.broadcast_shapes(z.shape, y.shape, x.shape))
        for waves, aim, amount, phase in zip(
            WAVES, self.aims, self.amounts, self.phases, strict=True
        ):
            t = (aim[0] * z + aim[1] * y + aim[2] * x).clip(-1, 1)
            # cos(n arccos t + phase), n = 0, 1, 2, ...: much faster than cos and arccos themselves.
            before = np.cos(phase)
            now = t * before - np.sqrt(1 - t * t) * np.sin(phase)
            t *= 2
            for _ in range(waves - 1):
                before, now = now, t * now - before
            now *= amount
            surface += now
        return surface

    def growth(self) -> float:
        """How much more volume the bumps give than a ball has."""
        return float((self.surface(*_directions()) ** 3).mean())


@lru_cache(maxsize=1)
def _directions() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Unit vectors spread evenly over the sphere, along a spiral."""
    number = np.arange(DIRECTIONS) + 0.5
    z = 1 - 2 * number / DIRECTIONS
    turn = np.pi * (1 + np.sqrt(5)) * number
    return z, np.sqrt(1 - z * z) * np.sin(turn), np.sqrt(1 - z * z) * np.cos(turn)


def paint(
    values: npt.NDArray[np.float32],
    centre: FloatArray,
    radii: FloatArray,
    *,
    density: float,
    random: np.random.Generator,
) -> None:
    """Paint a nodule into a volume, in place.

    Each voxel gets the share of it that is nodule, however small the nodule is beside it: the sum
    of the shares is the ellipsoid's volume.

    Args:
        values: float32, shape [z, y, x].
        centre: index [z, y, x], between voxels too.
        radii: half axes along [z, y, x] in voxels.
        density: value of a voxel that is all nodule; none becomes lower.
        random: source of the draws of its outline.
    """
    lobes = Lobes.drawn(random)
    folds = np.maximum(1, np.ceil(FINE / radii)).astype(int)
    # A ramp over one sample spreads a sharp edge as much as the mean over the sample does.
    edge = float((1 / (radii * folds)).mean())
    size = float((lobes.growth() + edge**2 / 4) ** (-1 / 3))
    reach = radii * ((1 + lobes.amounts.sum()) * size + edge / 2) + 0.5
    first = np.maximum(np.ceil(centre - reach), 0).astype(int)
    stop = np.minimum(np.floor(centre + reach) + 1, values.shape).astype(int)
    shape = (stop - first).tolist()
    if min(shape) <= 0:
        return
    z, y, x = np.meshgrid(
        *(
            (a + (np.arange(n * f) + 0.5) / f - 0.5 - c) / r
            for a, n, f, c, r in zip(first, shape, folds, centre, radii, strict=True)
        ),
        indexing="ij",
        sparse=True,
    )
    radius = np.sqrt(z * z + y * y + x * x)
    inverse = 1 / np.maximum(radius, 1e-6)
    surface = lobes.surface(z * inverse, y * inverse, x * inverse)
    share = (0.5 + (surface * size - radius) / edge).clip(0, 1)
    parts = [v for pair in zip(shape, folds.tolist(), strict=True) for v in pair]
    if folds.max() > 1:
        share = share.reshape(parts).mean((1, 3, 5))
    box = values[tuple(slice(a, b) for a, b in zip(first, stop, strict=True))]
    # A vessel that runs through it is not dimmed by a nodule of lower density.
    box += (share * np.maximum(density - box, 0)).astype(np.float32)
