"""Laws of the one geometry rule."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from squeezect.errors import GeometryError
from squeezect.scan import AXIAL, Grid, Scan, canonical, pseudonym


@st.composite
def grids(draw, max_size=9):
    """Grids of any spacing, origin and rotation, mirrored or not."""
    shape = tuple(draw(st.integers(1, max_size)) for _ in range(3))
    spacing = tuple(draw(st.floats(0.3, 7.0)) for _ in range(3))
    origin = tuple(draw(st.floats(-500, 500)) for _ in range(3))
    turn = Rotation.from_euler("zyx", [draw(st.floats(-180, 180)) for _ in range(3)], degrees=True)
    axes = turn.as_matrix() * draw(st.sampled_from([1.0, -1.0]))
    return Grid(shape, spacing, origin, tuple(map(tuple, axes.tolist())))


@given(grids(), st.lists(st.tuples(*[st.floats(-50, 50)] * 3), min_size=1, max_size=5))
def test_index_to_mm_to_index_is_the_identity(grid, index):
    assert np.allclose(grid.to_index(grid.to_mm(index)), index, atol=1e-6)


@given(grids())
def test_world_points_follow_the_axes(grid):
    step = grid.to_mm((1, 0, 0)) - grid.to_mm((0, 0, 0))
    assert np.allclose(step, np.array(grid.direction[0]) * grid.spacing_mm[0], atol=1e-9)


@given(grids(), st.tuples(*[st.integers(1, 12)] * 3))
def test_resizing_keeps_the_field(grid, shape):
    small = grid.resized(shape)
    assert np.allclose(small.size_mm, grid.size_mm)
    assert np.allclose(small.centre_mm, grid.centre_mm, atol=1e-6)
    assert small.resized(grid.shape).isclose(grid)


@given(grids(), st.tuples(*[st.integers(-4, 4)] * 3))
def test_cropping_keeps_points(grid, start):
    part = grid.crop(start, (2, 2, 2))
    assert np.allclose(part.to_mm((1, 0, 1)), grid.to_mm(np.add(start, (1, 0, 1))), atol=1e-6)


@given(grids())
def test_canonical_moves_no_voxel_in_space(grid):
    hu = np.arange(np.prod(grid.shape), dtype=np.int16).reshape(grid.shape)
    turned, new = canonical(hu, grid)
    assert turned.shape == new.shape
    old_index = np.rint(grid.to_index(new.to_mm(np.argwhere(turned >= 0)))).astype(int)
    assert (hu[tuple(old_index.T)] == turned.ravel()).all()
    again, same = canonical(turned, new)
    assert same.isclose(new)
    assert (again == turned).all()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", list(itertools.product([1.0, -1.0], repeat=3)))
def test_canonical_undoes_every_permutation_and_flip(order, signs):
    rows = tuple(tuple(s * v for v in AXIAL[o]) for o, s in zip(order, signs, strict=True))
    hu = np.zeros((2, 3, 4), np.int16)
    _, grid = canonical(hu, Grid((2, 3, 4), (1.0, 2.0, 3.0), (5.0, 6.0, 7.0), rows))
    assert grid.direction == AXIAL
    assert sorted(grid.shape) == [2, 3, 4]


@given(grids())
def test_corners_are_inside_and_beyond_them_is_not(grid):
    outer = np.array(grid.shape) - 0.5
    assert grid.contains(grid.to_mm(outer - 1e-6))
    assert grid.contains(grid.to_mm((-0.5 + 1e-6,) * 3))
    assert not grid.contains(grid.to_mm(outer + 0.01))


@pytest.mark.parametrize(
    ("shape", "spacing", "direction"),
    [
        ((0, 2, 2), (1, 1, 1), AXIAL),
        ((2, 2, 2), (1, 0, 1), AXIAL),
        ((2, 2, 2), (1, float("nan"), 1), AXIAL),
        ((2, 2, 2), (1, 1, 1), ((0, 0, 1), (0, 1, 0), (0, 1, 0))),
    ],
)
def test_impossible_grids_are_refused(shape, spacing, direction):
    with pytest.raises(GeometryError, match=r"\[bad-grid\]"):
        Grid(shape, spacing, direction=direction)


def test_a_scan_must_fit_its_grid():
    grid = Grid((2, 2, 2), (1.0, 1.0, 1.0))
    with pytest.raises(GeometryError, match="do not fit"):
        Scan(np.zeros((2, 2, 3), np.int16), grid)
    with pytest.raises(GeometryError, match="float64"):
        Scan(np.zeros((2, 2, 2)), grid)


def test_pseudonyms_are_stable_and_hide_the_text():
    assert pseudonym("1.2.3") == pseudonym("1.2.3") != pseudonym("1.2.4")
    assert "DOE" not in pseudonym("DOE^JOHN")
