"""The fused resampler against its steps done one after the other in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezect.preparation.resample import resample
from squeezect.preparation.weights import (
    area_matrix,
    linear_matrix,
    mean_matrix,
    plan,
    resize_matrix,
)
from squeezect.scan import Grid

WINDOW = (-1000, 400)


def between(values, position):
    """Values at fractional positions along the first axis, held beyond the ends."""
    position = position.clip(0, len(values) - 1)
    lower = np.minimum(position.astype(int), max(len(values) - 2, 0))
    upper = np.minimum(lower + 1, len(values) - 1)
    weight = (position - lower).reshape(-1, *[1] * (values.ndim - 1))
    return values[lower] * (1 - weight) + values[upper] * weight


def linear_reference(values, size):
    """Linear interpolation between cell centres of one field, edges held."""
    return between(values, (np.arange(size) + 0.5) * len(values) / size - 0.5)


def area_reference(values, size):
    """Mean over each new cell: differences of the integral of a step function."""
    integral = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    edges = np.arange(size + 1) * len(values) / size
    return np.diff(between(integral, edges), axis=0) * size / len(values)


def along(axis, step, values, size):
    return np.moveaxis(step(np.moveaxis(values, axis, 0), size), 0, axis)


def stepwise(hu, grid, size, *, spacing_mm=1.0, pad="cube", fill=0.0, window=WINDOW):
    """To 1 mm, pad to a cube, resize: the volume of each step is made, in float64."""
    values = (hu.astype(float).clip(*window) - window[0]) / (window[1] - window[0])
    for axis in range(3):
        count = values.shape[axis]
        kept = max(1, round(count * grid.spacing_mm[axis] / spacing_mm))
        step = area_reference if count > 2 * kept else linear_reference
        values = along(axis, step, values, kept)
    if pad == "cube":
        side = max(values.shape)
        pads = [((side - n) // 2, side - n - (side - n) // 2) for n in values.shape]
        values = np.pad(values, pads, constant_values=fill)
    for axis, target in enumerate(size):
        step = area_reference if target < values.shape[axis] else linear_reference
        values = along(axis, step, values, target)
    return values


scans = st.builds(
    lambda shape, seed: np.random.default_rng(seed).integers(-2000, 2000, shape).astype(np.int16),
    st.tuples(*[st.integers(1, 40)] * 3),
    st.integers(0, 999),
)
spacings = st.tuples(*[st.floats(0.3, 5)] * 3)
sizes = st.tuples(*[st.integers(8, 40)] * 3)


@settings(max_examples=60)
@given(scans, spacings, sizes, st.sampled_from(["cube", "none"]), st.sampled_from([0.0, 0.4]))
def test_fused_equals_step_by_step(hu, spacing, size, pad, fill):
    grid = Grid(hu.shape, spacing)
    how = plan(grid, spacing_mm=1.0, size=size, pad=pad)
    fused = resample(hu, how.matrices, window=WINDOW, fill=fill)
    assert fused.dtype == np.float32
    assert fused.shape == size
    assert np.abs(fused - stepwise(hu, grid, size, pad=pad, fill=fill)).max() < 1e-4


@pytest.mark.real
@pytest.mark.parametrize("name", ["lidc-idri-0001", "lidc-idri-0132"])
def test_fused_equals_step_by_step_on_real_scans(name, real_data):
    from squeezect.reading import read_scan

    scan = read_scan(real_data(name))
    how = plan(scan.grid, spacing_mm=1.0, size=(128, 128, 128))
    fused = resample(scan.hu, how.matrices, window=WINDOW)
    assert np.abs(fused - stepwise(scan.hu, scan.grid, (128, 128, 128))).max() < 1e-4


@given(scans, spacings, sizes)
def test_without_padding_the_direct_way_is_one_resize(hu, spacing, size):
    how = plan(Grid(hu.shape, spacing), spacing_mm=None, size=size, pad="none")
    values = (hu.clip(*WINDOW) + 1000.0) / 1400
    for axis, target in enumerate(size):
        step = area_reference if target < values.shape[axis] else linear_reference
        values = along(axis, step, values, target)
    assert np.abs(resample(hu, how.matrices, window=WINDOW) - values).max() < 1e-4


@given(scans, st.integers(8, 40))
def test_the_direct_way_keeps_the_amount_of_matter(hu, size):
    """Reducing by averages over a padded cube loses and invents nothing."""
    size = min(size, max(hu.shape))
    how = plan(Grid(hu.shape, (1.0, 1.0, 1.0)), spacing_mm=None, size=(size,) * 3)
    values = resample(hu, how.matrices, window=WINDOW).astype(float)
    total = ((hu.clip(*WINDOW) + 1000.0) / 1400).sum()
    assert values.sum() * np.prod(how.grid.spacing_mm) == pytest.approx(total, rel=1e-4)


@given(scans, st.integers(1, 5))
def test_values_do_not_depend_on_threads(hu, threads):
    how = plan(Grid(hu.shape, (2.0, 1.0, 1.0)), spacing_mm=1.0, size=(70, 16, 16))
    one = resample(hu, how.matrices, window=WINDOW, threads=1)
    assert (resample(hu, how.matrices, window=WINDOW, threads=threads) == one).all()


@given(scans, st.tuples(*[st.sampled_from([-1, 1])] * 3), st.permutations(range(3)))
def test_views_are_as_good_as_copies(hu, signs, order):
    view = hu.transpose(order)[tuple(slice(None, None, s) for s in signs)]
    how = plan(Grid(view.shape, (2.0, 1.0, 1.0)), spacing_mm=1.0, size=(16, 16, 16))
    copy = resample(np.ascontiguousarray(view), how.matrices, window=WINDOW)
    assert (resample(view, how.matrices, window=WINDOW) == copy).all()


@given(scans, st.sampled_from([(-32000, 32000), (-1000, 32000), (-32000, -500), (0, 1)]))
def test_any_window_of_sixteen_bits(hu, window):
    grid = Grid(hu.shape, (1.0, 1.0, 1.0))
    how = plan(grid, spacing_mm=1.0, size=(16, 16, 16))
    expected = stepwise(hu, grid, (16, 16, 16), window=window)
    assert np.abs(resample(hu, how.matrices, window=window) - expected).max() < 1e-4


@given(scans)
def test_prepared_values_go_through_the_same_weights(hu):
    how = plan(Grid(hu.shape, (1.0, 2.0, 1.0)), spacing_mm=1.0, size=(16, 16, 16))
    floats = (hu.clip(*WINDOW) - np.float32(-1000)) / np.float32(1400)
    assert np.allclose(
        resample(floats, how.matrices, window=(0, 1)),
        resample(hu, how.matrices, window=WINDOW),
        atol=1e-6,
    )


@given(st.integers(1, 200), st.integers(1, 200))
def test_rows_are_means(size_in, size_out):
    """Constants stay constant, and averaging gives every input the same total weight."""
    for matrix in (linear_matrix(size_in, size_out), resize_matrix(size_in, size_out)):
        assert np.allclose(matrix.sum(1), 1)
        assert matrix.min() >= 0
    area = area_matrix(size_in, size_out)
    assert np.allclose(area.sum(0), size_out / size_in)


@given(st.integers(1, 60), st.lists(st.floats(-5, 65), min_size=1), st.floats(1, 9))
def test_air_is_what_edges_would_have_added(size, centres, width):
    edge = mean_matrix(size, centres, width=width)
    air = mean_matrix(size, centres, width=width, outside="air")
    assert np.allclose(edge.sum(1), 1)
    assert np.allclose(edge[:, 1:-1], air[:, 1:-1])
    assert (air <= edge + 1e-12).all()
    reach = np.minimum(np.array(centres) + width / 2, size - 0.5) - np.maximum(
        np.array(centres) - width / 2, -0.5
    )
    assert np.allclose(air.sum(1), np.maximum(reach, 0) / width)


@given(st.integers(1, 64))
def test_keeping_the_size_keeps_the_values(size):
    assert np.allclose(linear_matrix(size, size), np.eye(size))
    assert np.allclose(resize_matrix(size, size), np.eye(size))


@settings(max_examples=40)
@given(
    st.tuples(*[st.integers(24, 48)] * 3),
    st.tuples(*[st.floats(0.8, 3)] * 3),
    st.tuples(*[st.floats(0.35, 0.65)] * 3),
    st.sampled_from([1.0, 0.7, None]),
    st.sampled_from(["cube", "none"]),
)
def test_a_blob_stays_where_it_is_in_space(shape, spacing, place, spacing_mm, pad):
    """The centre of a blob, in mm, survives to a tenth of an input voxel on an oblique grid."""
    turn = np.deg2rad(8)
    tilted = ((0, np.sin(turn), np.cos(turn)), (0, np.cos(turn), -np.sin(turn)), (1, 0, 0))
    grid = Grid(shape, spacing, (-100.0, 50.0, -300.0), tilted)
    centre = grid.to_mm(np.array(place) * (np.array(shape) - 1))
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    distance = np.linalg.norm(grid.to_mm(index) - centre, axis=-1)
    radius = 2.0 * max(spacing)
    hu = np.rint(-1000 + 1400 * np.exp(-((distance / radius) ** 2) / 2)).astype(np.int16)
    # The tails that the field cuts would pull the centre of mass; only the blob itself counts.
    hu[distance > 3 * radius] = -1000
    how = plan(grid, spacing_mm=spacing_mm, size=(32, 32, 32), pad=pad)
    values = resample(hu, how.matrices, window=WINDOW).astype(float)
    where = np.stack(np.meshgrid(*map(np.arange, values.shape), indexing="ij"), -1)
    truth = (grid.to_mm(index) * (hu + 1000.0)[..., None]).sum((0, 1, 2)) / (hu + 1000.0).sum()
    found = (how.grid.to_mm(where) * values[..., None]).sum((0, 1, 2)) / values.sum()
    assert np.abs(found - truth).max() < 0.1 * max(spacing)


def test_the_padding_is_air_and_centred():
    hu = np.full((10, 20, 40), 400, np.int16)
    how = plan(Grid((10, 20, 40), (1.0, 1.0, 1.0)), spacing_mm=1.0, size=(40, 40, 40))
    values = resample(hu, how.matrices, window=WINDOW)
    assert (values[15:25, 10:30] == 1).all()
    assert values.sum() == hu.size
    assert np.allclose(how.grid.to_mm((15, 10, 0)), (0, 0, 0))


def test_an_odd_padding_has_its_extra_sample_at_the_end():
    hu = np.full((1, 4, 4), 400, np.int16)
    how = plan(Grid((1, 4, 4), (1.0, 1.0, 1.0)), spacing_mm=1.0, size=(4, 4, 4))
    values = resample(hu, how.matrices, window=WINDOW)
    assert values[:, 0, 0].tolist() == [0, 1, 0, 0]


def test_no_voxel_is_skipped_however_strong_the_reduction():
    hu = np.full((300, 40, 40), -1000, np.int16)
    hu[101] = 400
    how = plan(Grid(hu.shape, (0.1, 1.0, 1.0)), spacing_mm=1.0, size=(16, 16, 16))
    values = resample(hu, how.matrices, window=WINDOW).astype(float)
    mass = values.sum() * np.prod(how.grid.spacing_mm)
    assert mass == pytest.approx(40 * 40 * 0.1, rel=1e-3)
