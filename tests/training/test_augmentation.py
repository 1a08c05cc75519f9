"""Laws of augmentation: repeatable, bounded, and geometry that does what it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezect.training.augmentation import augment, axis_matrix
from squeezect.training.recipe import Augmentation

STILL = Augmentation(flip=False, scale=0, shift=0, intensity=0, noise=0)


def volume(seed=0, size=12):
    return np.random.default_rng(seed).random((size, size, size), np.float32)


def test_the_same_draws_give_the_same_volume():
    first, second = (
        augment(volume(), Augmentation(), random=np.random.default_rng(5)) for _ in range(2)
    )
    assert (first == second).all()
    other = augment(volume(), Augmentation(), random=np.random.default_rng(6))
    assert not np.allclose(first, other)


def test_nothing_asked_changes_nothing():
    assert np.allclose(augment(volume(), STILL, random=np.random.default_rng(0)), volume())


def test_the_original_is_left_alone():
    values = volume()
    augment(values, Augmentation(), random=np.random.default_rng(0))
    assert (values == volume()).all()


@given(st.integers(0, 10**6))
def test_values_stay_in_the_window_and_air_stays_air(seed):
    strong = Augmentation(intensity=0.5, noise=0, scale=0.3, shift=0.3)
    result = augment(volume(seed), strong, random=np.random.default_rng(seed))
    assert result.dtype == np.float32
    assert result.min() >= 0
    assert result.max() <= 1
    air = augment(np.zeros((8, 8, 8), np.float32), strong, random=np.random.default_rng(seed))
    assert (air == 0).all()


@given(st.integers(2, 30), st.floats(0.7, 1.4), st.floats(-5, 5), st.booleans())
def test_axis_matrix_moves_a_line_as_stated(size, stretch, shift, mirror):
    """Interpolation of a straight line is exact, so positions can be read off it."""
    matrix = axis_matrix(size, stretch=stretch, shift=shift, mirror=mirror)
    centre = (size - 1) / 2
    source = (np.arange(size) - centre - shift) / stretch + centre
    if mirror:
        source = size - 1 - source
    inside = (source >= 0) & (source <= size - 1)
    assert np.allclose((matrix @ np.arange(size))[inside], source[inside], atol=1e-4)
    assert (matrix.sum(1) <= 1 + 1e-5).all()


@pytest.mark.parametrize("size", [1, 2, 9])
def test_mirroring_twice_is_the_identity(size):
    flip = axis_matrix(size, stretch=1, shift=0, mirror=True)
    assert (flip @ flip == np.eye(size)).all()
