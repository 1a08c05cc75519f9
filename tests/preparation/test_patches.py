"""A patch's middle is its point, its values are the scan's, and beyond the scan is air or edge."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezect.errors import PreparationError
from squeezect.preparation import Preparation, cut_patch, cut_planes, cut_scales, prepare
from squeezect.scan import Grid, Scan

SHAPE = (30, 36, 40)


def blob(centre_index, spacing, radius_mm=5.0):
    """A Gaussian blob on an oblique grid, and its centre in mm."""
    turn = np.deg2rad(10)
    tilted = ((0, np.sin(turn), np.cos(turn)), (0, np.cos(turn), -np.sin(turn)), (1, 0, 0))
    grid = Grid(SHAPE, spacing, (12.0, -80.0, 200.0), tilted)
    centre = grid.to_mm(centre_index)
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    distance = np.linalg.norm(grid.to_mm(index) - centre, axis=-1)
    hu = np.rint(-1000 + 1400 * np.exp(-((distance / radius_mm) ** 2) / 2)).astype(np.int16)
    return Scan(hu, grid), centre


def centre_of_mass(patch):
    where = np.stack(np.meshgrid(*map(np.arange, patch.values.shape), indexing="ij"), -1)
    weights = patch.values.astype(float)[..., None]
    return patch.grid.to_mm((where * weights).sum((0, 1, 2)) / weights.sum())


@settings(max_examples=30)
@given(
    st.tuples(*[st.floats(0.42, 0.58)] * 3),
    st.tuples(*[st.floats(0.8, 2.5)] * 3),
    st.sampled_from([(41, 41, 41), (40, 40, 40), (30, 41, 36)]),
    st.sampled_from([0.8, 1.0]),
    st.booleans(),
)
def test_a_blob_is_in_the_middle(place, spacing, shape, spacing_mm, prepared):
    scan, centre = blob(np.array(place) * (np.array(SHAPE) - 1), spacing, radius_mm=3.0)
    source = prepare(scan, Preparation(size=(96,) * 3, spacing_mm=None)) if prepared else scan
    patch = cut_patch(source, centre, shape=shape, spacing_mm=spacing_mm)
    assert patch.values.dtype == np.float32
    assert patch.values.shape == shape
    assert np.allclose(patch.grid.centre_mm, centre)
    assert np.allclose(patch.grid.spacing_mm, spacing_mm)
    assert patch.grid.direction == scan.grid.direction
    assert np.abs(centre_of_mass(patch) - centre).max() < 0.1


@given(st.tuples(*[st.integers(2, 5)] * 3), st.integers(0, 99))
def test_at_the_scans_own_spacing_a_patch_is_a_box_of_it(half, seed):
    hu = np.random.default_rng(seed).integers(-1000, 400, (16, 16, 16)).astype(np.int16)
    scan = Scan(hu, Grid(hu.shape, (2.5, 0.7, 0.8), (5.0, 6.0, 7.0)))
    shape = tuple(2 * n + 1 for n in half)
    patch = cut_patch(scan, scan.grid.to_mm((8, 7, 8)), shape=shape, spacing_mm=(2.5, 0.7, 0.8))
    box = hu[tuple(slice(c - n, c + n + 1) for c, n in zip((8, 7, 8), half, strict=True))]
    assert np.allclose(patch.values, (box + 1000) / 1400, atol=1e-5)


@given(st.tuples(*[st.floats(0, 1)] * 3), st.sampled_from(["air", "edge"]), st.floats(0.5, 6))
def test_a_constant_stays_constant_up_to_the_edge(place, outside, spacing_mm):
    scan = Scan(np.full((9, 9, 9), 400, np.int16), Grid((9, 9, 9), (2.0, 1.0, 1.0)))
    point = scan.grid.to_mm(np.array(place) * 9 - 0.5)
    patch = cut_patch(scan, point, shape=(12, 12, 12), spacing_mm=spacing_mm, outside=outside)
    index = np.stack(np.meshgrid(*[np.arange(12)] * 3, indexing="ij"), -1)
    if outside == "edge":
        assert np.allclose(patch.values, 1)
    else:
        beyond = ~scan.grid.contains(patch.grid.to_mm(index))
        reach = max(spacing_mm, 2.0) / 2
        far = np.abs(patch.grid.to_mm(index) - scan.grid.centre_mm) > (
            np.array(scan.grid.size_mm)[::-1] / 2 + reach + 1e-6
        )
        assert (patch.values[far.any(-1)] == 0).all()
        assert (patch.values[beyond] < 1).all()


def test_beyond_a_prepared_volume_is_its_own_padding():
    scan = Scan(np.full((20, 20, 20), 400, np.int16), Grid((20, 20, 20), (2.0, 2.0, 2.0)))
    volume = prepare(scan, Preparation(size=(20, 20, 20), fill_hu=-300))
    patch = cut_patch(volume, scan.grid.to_mm((0, 0, 0)), shape=(9, 9, 9), spacing_mm=8.0)
    assert patch.values[0, 0, 0] == pytest.approx(0.5)


def test_planes_are_the_planes_of_a_cube():
    scan, centre = blob((15.3, 18.2, 20.4), (1.5, 1.0, 1.0))
    cube = cut_patch(scan, centre, shape=(33, 33, 33))
    axial, coronal, sagittal = cut_planes(scan, centre, size=33)
    assert np.allclose(axial.values[0], cube.values[16], atol=1e-6)
    assert np.allclose(coronal.values[:, 0], cube.values[:, 16], atol=1e-6)
    assert np.allclose(sagittal.values[..., 0], cube.values[..., 16], atol=1e-6)
    for plane in (axial, coronal, sagittal):
        assert np.allclose(plane.grid.centre_mm, centre)


def test_scales_are_nested_around_one_point():
    scan, centre = blob((15.3, 18.2, 20.4), (1.5, 1.0, 1.0), radius_mm=2.0)
    patches = cut_scales(scan, centre, shape=(16, 16, 16), spacings_mm=(0.5, 1.0, 2.0))
    assert [patch.grid.size_mm[0] for patch in patches] == [8.0, 16.0, 32.0]
    masses = [p.values.sum() * np.prod(p.grid.spacing_mm) for p in patches]
    assert masses[1] == pytest.approx(masses[2], rel=0.02)
    for patch in patches:
        assert np.allclose(patch.grid.centre_mm, centre)


@pytest.mark.parametrize("point", [(1000.0, 0.0, 0.0), (12.0, -80.0, 190.0)])
def test_a_point_outside_is_refused_with_its_place(point):
    scan, _ = blob((15, 18, 20), (1.5, 1.0, 1.0))
    with pytest.raises(PreparationError, match=r"is at index .* \[point-outside\]"):
        cut_patch(scan, point)


@pytest.mark.parametrize("fields", [{"shape": (0, 3, 3)}, {"spacing_mm": 0.0}])
def test_impossible_patches_are_refused(fields):
    scan, centre = blob((15, 18, 20), (1.5, 1.0, 1.0))
    with pytest.raises(PreparationError, match=r"\[bad-patch\]"):
        cut_patch(scan, centre, **fields)
