"""Laws of insertion: nothing outside changes, the place and the volume are right on any grid."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezect.errors import PreparationError
from squeezect.nodules import (
    Pose,
    body_of,
    erase_nodule,
    find_place,
    insert_nodule_into_scan,
    random_pose,
)
from squeezect.nodules.shape import radii_mm, render
from squeezect.phantom import Nodule as Painted
from squeezect.phantom import chest_grid, thorax
from squeezect.preparation import find_lungs
from squeezect.scan import Grid, Scan

LUNG = -860
SPACINGS = st.tuples(st.floats(0.5, 5), st.floats(0.5, 2.5), st.floats(0.5, 2.5))
SEEDS = st.integers(0, 10_000)


def even(spacing, size_mm=44.0, hu=LUNG, noise=0, seed=0):
    z, y, x = (round(size_mm / s) for s in spacing)
    values = np.full((z, y, x), hu) + np.random.default_rng(seed).integers(
        -noise, noise + 1, (z, y, x)
    )
    return Scan(values.astype(np.int16), Grid((z, y, x), spacing, (-20.0, 30.0, 5.0)))


def near_middle(scan, seed):
    return scan.grid.centre_mm + np.random.default_rng(seed).uniform(-2, 2, 3)


def any_rotation(seed):
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    return Pose(q)


@settings(max_examples=25)
@given(spacing=SPACINGS, seed=SEEDS)
def test_no_voxel_outside_the_soft_mask_changes_and_none_is_dimmed(lobed, spacing, seed):
    scan = even(spacing, noise=40, seed=seed)
    nodule, pose = lobed(seed % 7), random_pose(np.random.default_rng(seed))
    point = near_middle(scan, seed)
    changed, _ = insert_nodule_into_scan(scan, nodule, point, pose=pose)
    drawn = render(
        body_of(nodule),
        pose,
        centre=scan.grid.to_index(point),
        spacing_mm=spacing,
        shape=scan.grid.shape,
    )
    outside = np.ones(scan.grid.shape, bool)
    outside[drawn.box] = drawn.share == 0
    assert np.array_equal(changed.hu[outside], scan.hu[outside])
    assert (changed.hu >= scan.hu).all()
    assert (changed.hu != scan.hu).any()
    assert changed.grid == scan.grid


@settings(max_examples=25)
@given(spacing=SPACINGS, seed=SEEDS)
def test_what_is_added_is_centred_on_the_point(lobed, spacing, seed):
    scan, nodule = even(spacing), lobed(seed % 7)
    point = near_middle(scan, seed)
    changed, _ = insert_nodule_into_scan(scan, nodule, point, pose=any_rotation(seed))
    added = changed.hu.astype(float) - scan.hu
    centre = (np.indices(added.shape) * added).sum((1, 2, 3)) / added.sum()
    assert np.abs(centre - scan.grid.to_index(point)).max() < 0.5


@settings(max_examples=25)
@given(
    spacing=SPACINGS,
    source=st.sampled_from([(2.5, 0.7, 0.7), (1.0, 0.8, 0.8), (0.6, 0.5, 0.5)]),
    diameter=st.floats(5, 24),
    scale=st.floats(0.8, 1.25),
    seed=SEEDS,
)
def test_its_volume_is_that_of_the_mask_at_any_spacing_and_rotation(
    lobed, spacing, source, diameter, scale, seed
):
    nodule = lobed(seed % 7, diameter_mm=diameter, spacing_mm=source)
    scan = even(spacing)
    pose = Pose(any_rotation(seed).rotation, scale)
    drawn = render(
        body_of(nodule),
        pose,
        centre=scan.grid.to_index(near_middle(scan, seed)),
        spacing_mm=spacing,
        shape=scan.grid.shape,
    )
    volume = drawn.share.sum() * np.prod(spacing)
    assert volume == pytest.approx(nodule.volume_mm3 * scale**3, rel=0.06)


def test_a_flat_texture_is_kept_where_the_nodule_fills_the_voxels(lobed):
    nodule = lobed(1, diameter_mm=20)
    nodule.hu[:] = 37
    scan = even((1.0, 1.0, 1.0))
    changed, implant = insert_nodule_into_scan(scan, nodule, scan.grid.centre_mm)
    middle = tuple(np.rint(scan.grid.to_index(implant.centre_mm)).astype(int))
    assert changed.hu[middle] == 37
    assert changed.hu.max() == 37


def test_a_vessel_is_not_dimmed_by_a_faint_nodule(lobed):
    nodule = lobed(2, diameter_mm=20)
    nodule.hu[:] = -600
    scan = even((1.0, 1.0, 1.0))
    scan.hu[:, 20:24, 20:24] = 60
    changed, _ = insert_nodule_into_scan(scan, nodule, scan.grid.centre_mm)
    assert (changed.hu[:, 20:24, 20:24] == 60).all()
    assert (changed.hu == -600).any()


def test_the_same_generator_gives_the_same_scan(lobed):
    scan = even((2.0, 1.0, 1.0))
    made = []
    for _ in range(2):
        pose = random_pose(np.random.default_rng(9))
        made.append(insert_nodule_into_scan(scan, lobed(3), scan.grid.centre_mm, pose=pose)[0].hu)
    assert np.array_equal(*made)


@given(seed=SEEDS)
def test_a_random_pose_is_a_rotation_that_may_mirror_and_tilts_little(seed):
    pose = random_pose(np.random.default_rng(seed))
    assert np.allclose(pose.rotation @ pose.rotation.T, np.eye(3))
    assert abs(pose.rotation[0, 0]) >= np.cos(np.radians(20)) - 1e-9


def test_radii_are_those_of_an_ellipsoid():
    z, y, x = np.meshgrid(*[np.arange(-15, 16)] * 3, indexing="ij")
    mask = (z / 10) ** 2 + (y / 7) ** 2 + (x / 5) ** 2 <= 1
    from squeezect.nodules import Nodule

    nodule = Nodule(np.where(mask, 40, -860).astype(np.int16), mask, (1.0, 1.0, 1.0))
    found = radii_mm(body_of(nodule), Pose(np.eye(3), 1.2))
    assert found == pytest.approx((12, 8.4, 6), rel=0.04)


def test_a_point_outside_the_scan_is_refused(lobed):
    with pytest.raises(PreparationError) as found:
        insert_nodule_into_scan(even((2.0, 2.0, 2.0)), lobed(0), (500.0, 0.0, 0.0))
    assert found.value.code == "point-outside"


@pytest.fixture(scope="module")
def chest():
    grid = chest_grid(5, spacing_mm=2.5, thickness_mm=3.0)
    return thorax(5, grid=grid)[0]


def test_a_place_lies_in_aerated_lung_and_clear_of_what_is_known(chest):
    lungs = find_lungs(chest)
    known = [(find_place(chest, 10.0, random=np.random.default_rng(0), lungs=lungs), 40.0)]
    for seed in range(12):
        point = find_place(
            chest, 10.0, random=np.random.default_rng(seed), lungs=lungs, avoid=known
        )
        assert point is not None
        index = np.rint(chest.grid.to_index(point)).astype(int)
        z, y, x = (slice(i - 1, i + 2) for i in index)
        assert chest.hu[z, y, x].mean() < -600
        assert np.linalg.norm(np.subtract(point, known[0][0])) > 40


def test_where_there_is_no_lung_there_is_no_place():
    scan = even((3.0, 3.0, 3.0), size_mm=120, hu=40)
    assert find_place(scan, 8.0, random=np.random.default_rng(0)) is None


def test_an_erased_nodule_is_lung_again_and_the_rest_untouched():
    grid = chest_grid(5, spacing_mm=2.5, thickness_mm=3.0)
    bare = thorax(5, grid=grid)[0]
    random = np.random.default_rng(2)
    point = find_place(bare, 16.0, random=random)
    scan = thorax(5, grid=grid, nodules=[Painted(point, 12.0)])[0]
    clean = erase_nodule(scan, point, 14.0, random=random)
    middle = tuple(np.rint(grid.to_index(point)).astype(int))
    assert scan.hu[middle] > -100
    assert clean.hu[middle] < -500
    at = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    far = np.linalg.norm(grid.to_mm(at) - point, axis=-1) > 11.0 + 1e-6
    assert np.array_equal(clean.hu[far], scan.hu[far])


def test_nothing_is_borrowed_from_where_something_is_to_be_avoided():
    grid = chest_grid(5, spacing_mm=2.5, thickness_mm=3.0)
    scan = thorax(5, grid=grid)[0]
    lungs = find_lungs(scan, threads=1)
    point, other = (find_place(scan, 40.0, random=np.random.default_rng(n)) for n in (2, 9))
    at = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    marked = (np.linalg.norm(grid.to_mm(at) - other, axis=-1) < 30) & (scan.hu < -700)
    hu = scan.hu.copy()
    hu[marked] = -777  # Lung still, but known again wherever it is put.
    hu[~marked & (hu == -777)] = -776
    scan = replace(scan, hu=hu)
    put = {True: 0, False: 0}
    for seed in range(12):
        for clear in put:
            avoid = [(other, 30.0)] if clear else []
            clean = erase_nodule(
                scan, point, 14.0, random=np.random.default_rng(seed), lungs=lungs, avoid=avoid
            )
            put[clear] += int((clean.hu[~marked] == -777).sum() > 20)
    assert put[True] == 0
    assert put[False] > 0
