"""Lobed nodules of any size on any voxels, made from formulas."""

import numpy as np
import pytest

from squeezect.nodules import Nodule


@pytest.fixture(scope="session")
def lobed():
    """Function from a number, a diameter and a spacing to a nodule with lobes and a texture."""

    def make(number, diameter_mm=12.0, spacing_mm=(1.5, 0.7, 0.7), patient="p"):
        random = np.random.default_rng(number)
        radii = diameter_mm / 2 * random.uniform(0.8, 1.2, 3)
        reach = np.ceil(1.4 * radii.max() / np.array(spacing_mm)).astype(int)
        z, y, x = (
            np.arange(-n, n + 1) * s / r for n, s, r in zip(reach, spacing_mm, radii, strict=True)
        )
        at = np.stack(np.meshgrid(z, y, x, indexing="ij"), -1)
        away = np.linalg.norm(at, axis=-1)
        aim = random.normal(size=3)
        lobes = 1 + 0.15 * np.cos(3 * np.arccos((at @ aim / (away + 1e-6)).clip(-4, 4) / 4))
        mask = away < lobes
        hu = np.where(mask, 40 - 60 * away, -860) + random.normal(0, 15, mask.shape)
        names = (f"n{number}", f"{patient}{number}", f"s{number}")
        return Nodule(hu.astype(np.int16), mask, spacing_mm, *names)

    return make
