"""Laws of fingerprints: copies keep them through storage and resampling, strangers do not share."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, zoom

from squeezect.cohorts import fingerprint, likeness
from squeezect.cohorts.fingerprints import ALIKE, BLOCK, SIDE, near_duplicates
from squeezect.errors import CohortError


def volume(seed, shape=(64, 64, 64)):
    """Smooth random tissue."""
    rough = np.random.default_rng(seed).normal(size=shape)
    smooth = gaussian_filter(rough, 2.0)
    return (smooth / np.abs(smooth).max()).astype(np.float32)


PRINTS = [fingerprint(volume(seed)) for seed in range(8)]


def test_a_fingerprint_is_short_and_repeats():
    assert len(PRINTS[0]) == SIDE**3
    assert fingerprint(volume(0)) == PRINTS[0]
    assert likeness(PRINTS[0], PRINTS[0]) == pytest.approx(1)


def test_strangers_are_not_alike():
    assert max(likeness(PRINTS[i], PRINTS[j]) for i in range(8) for j in range(i)) < 0.2


@settings(max_examples=20)
@given(st.floats(0.1, 3000), st.floats(-3000, 3000), st.integers(0, 7))
def test_brightness_contrast_and_flips_do_not_matter(scale, offset, flip):
    flips = tuple(slice(None, None, -1 if flip >> axis & 1 else 1) for axis in range(3))
    changed = fingerprint(scale * volume(0)[flips].astype(float) + offset)
    assert likeness(PRINTS[0], changed) > 0.99
    assert likeness(changed, PRINTS[0]) == pytest.approx(likeness(PRINTS[0], changed), abs=1e-4)


@pytest.mark.parametrize("shape", [(128, 64, 64), (48, 80, 100), (32, 32, 32), (40, 40, 40)])
def test_resampling_does_not_matter(shape):
    factors = np.array(shape) / 64
    other = zoom(volume(1), factors, order=1, grid_mode=True, mode="nearest")
    assert likeness(PRINTS[1], fingerprint(other)) > ALIKE


def test_noise_clipping_and_eight_bits_hardly_matter():
    base = volume(2)
    noisy = base + np.random.default_rng(0).normal(0, 0.03, base.shape)
    for other in (noisy, base.clip(-0.5, 0.5), np.rint(base * 127).astype(np.int8)):
        assert likeness(PRINTS[2], fingerprint(other)) > ALIKE


def test_order_of_axes_does_matter():
    assert likeness(PRINTS[3], fingerprint(volume(3).transpose(1, 2, 0))) < 0.5


def test_blank_volumes_are_copies_of_each_other_only():
    blank = [fingerprint(np.full((20, 30, 40), value)) for value in (0.0, -1000.0)]
    assert likeness(*blank) == pytest.approx(1)
    assert likeness(blank[0], PRINTS[0]) < 0.2


def test_flat_and_tiny_volumes_have_fingerprints():
    patch = np.random.default_rng(0).normal(size=(1, 50, 47))
    other = np.random.default_rng(1).normal(size=(1, 50, 47))
    assert likeness(fingerprint(patch), fingerprint(patch[:, ::-1])) > 0.99
    assert likeness(fingerprint(patch), fingerprint(other)) < 0.5
    assert len(fingerprint(np.zeros((1, 1, 1)))) == SIDE**3


def test_pairs_are_found_over_blocks():
    mixed = [PRINTS[i % 8] for i in (*range(8), *range(BLOCK - 8))]
    found = {(i, j) for i, j, _ in near_duplicates(mixed)}
    expected = {(i, j) for j in range(BLOCK) for i in range(j) if mixed[i] == mixed[j]}
    assert found == expected
    spread = [*PRINTS, *([PRINTS[7]] * (BLOCK - 8)), PRINTS[0]]  # the last is in a block of its own
    assert (0, BLOCK) in {(i, j) for i, j, _ in near_duplicates(spread)}


@pytest.mark.parametrize(
    "values", [np.zeros((0, 4, 4)), np.zeros((4, 4)), np.full((4, 4, 4), np.nan)]
)
def test_other_things_are_refused(values):
    with pytest.raises(CohortError, match="no-volume"):
        fingerprint(values)


def test_foreign_fingerprints_are_refused():
    with pytest.raises(CohortError, match="no-volume"):
        likeness(PRINTS[0], b"short")
