"""The fused resampler against the two steps done one after the other in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezect.preparation.resample import resample
from squeezect.preparation.weights import (
    area_matrix,
    linear_matrix,
    plan,
    resize_matrix,
)
from squeezect.scan import Grid

WINDOW = (-1000, 400)


def along(values, axis, function):
    return np.apply_along_axis(function, axis, values)


def linear_reference(line, size):
    """Linear interpolation between cell centres of one field, edges held."""
    old = (np.arange(len(line)) + 0.5) / len(line)
    new = (np.arange(size) + 0.5) / size
    return np.interp(new, old, line)


def area_reference(line, size):
    """Mean over each new cell: differences of the integral of a step function."""
    integral = np.concatenate([[0], np.cumsum(line)])
    edges = np.interp(np.arange(size + 1) / size * len(line), np.arange(len(line) + 1), integral)
    return np.diff(edges) * size / len(line)


def two_steps(hu, grid, size, spacing_mm=1.0):
    """To 1 mm, pad to a cube, resize: the volume of each step is made, in float64."""
    values = (hu.clip(*WINDOW).astype(float) - WINDOW[0]) / (WINDOW[1] - WINDOW[0])
    for axis in range(3):
        count = values.shape[axis]
        kept = max(1, round(count * grid.spacing_mm[axis] / spacing_mm))
        step = area_reference if count > 2 * kept else linear_reference
        values = along(values, axis, lambda line, s=step, k=kept: s(line, k))
    side = max(values.shape)
    pads = [((side - n) // 2, side - n - (side - n) // 2) for n in values.shape]
    values = np.pad(values, pads)
    for axis, target in enumerate(size):
        step = area_reference if target < side else linear_reference
        values = along(values, axis, lambda line, s=step, t=target: s(line, t))
    return values


@settings(max_examples=60)
@given(
    st.tuples(*[st.integers(1, 40)] * 3),
    st.tuples(*[st.floats(0.3, 5)] * 3),
    st.tuples(*[st.integers(8, 24)] * 3),
    st.integers(0, 999),
)
def test_fused_equals_two_steps(shape, spacing, size, seed):
    hu = np.random.default_rng(seed).integers(-2000, 2000, shape).astype(np.int16)
    grid = Grid(shape, spacing)
    fused = resample(hu, plan(grid, spacing_mm=1.0, size=size).matrices, window=WINDOW, threads=1)
    assert fused.dtype == np.float32
    assert np.abs(fused - two_steps(hu, grid, size)).max() < 1e-4


@pytest.mark.real
@pytest.mark.parametrize("name", ["lidc-idri-0001", "lidc-idri-0132"])
def test_fused_equals_two_steps_on_real_scans(name, real_data):
    from squeezect.reading import read_scan

    scan = read_scan(real_data(name))
    how = plan(scan.grid, spacing_mm=1.0, size=(128, 128, 128))
    fused = resample(scan.hu, how.matrices, window=WINDOW)
    assert np.abs(fused - two_steps(scan.hu, scan.grid, (128, 128, 128))).max() < 1e-4


@given(st.integers(1, 200), st.integers(1, 200))
def test_rows_are_means(size_in, size_out):
    """Constants stay constant, and averaging gives every input the same total weight."""
    for matrix in (linear_matrix(size_in, size_out), resize_matrix(size_in, size_out)):
        assert np.allclose(matrix.sum(1), 1)
        assert matrix.min() >= 0
    area = area_matrix(size_in, size_out)
    assert np.allclose(area.sum(0), size_out / size_in)


@given(st.integers(1, 64))
def test_keeping_the_size_keeps_the_values(size):
    assert np.allclose(linear_matrix(size, size), np.eye(size))
    assert np.allclose(resize_matrix(size, size), np.eye(size))


@settings(max_examples=25)
@given(
    st.tuples(*[st.integers(24, 48)] * 3),
    st.tuples(*[st.floats(0.8, 3)] * 3),
    st.tuples(*[st.floats(0.35, 0.65)] * 3),
)
def test_a_blob_stays_where_it_is_in_space(shape, spacing, place):
    """The centre of a blob, in mm, survives to within half an input voxel."""
    grid = Grid(shape, spacing, (-100.0, 50.0, -300.0))
    centre = grid.to_mm(np.array(place) * (np.array(shape) - 1))
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    distance = np.linalg.norm(grid.to_mm(index) - centre, axis=-1)
    radius = 2.5 * max(spacing)
    hu = (-1000 + 1400 * np.exp(-((distance / radius) ** 2) / 2)).astype(np.int16)
    how = plan(grid, spacing_mm=1.0, size=(32, 32, 32))
    values = resample(hu, how.matrices, window=WINDOW).astype(float)
    where = np.stack(np.meshgrid(*map(np.arange, values.shape), indexing="ij"), -1)
    found = (how.grid.to_mm(where) * values[..., None]).sum((0, 1, 2)) / values.sum()
    assert np.abs(found - centre).max() < 0.5 * max(*spacing, *how.grid.spacing_mm)


def test_the_padding_is_air_and_centred():
    hu = np.full((10, 20, 40), 400, np.int16)
    how = plan(Grid((10, 20, 40), (1.0, 1.0, 1.0)), spacing_mm=1.0, size=(40, 40, 40))
    values = resample(hu, how.matrices, window=WINDOW)
    assert (values[15:25, 10:30] == 1).all()
    assert values.sum() == hu.size
    assert np.allclose(how.grid.to_mm((15, 10, 0)), (0, 0, 0))
