"""Pictures: colours, sides, and the cross where the evidence is."""

import io

import numpy as np
import pytest
from PIL import Image

from squeezect.explanation import explain
from squeezect.phantom import chest_grid, thorax
from squeezect.publishing.pictures import INFERNO, VIEWS, WIDTH, _palette, picture
from squeezect.scan import Grid, Scan

CROSS = np.array([0x3D, 0xDB, 0xD9])


def test_colours_are_those_of_inferno():
    from matplotlib import colormaps

    known = np.array(colormaps["inferno"](np.arange(256)))[:, :3] * 255
    ours = np.array(_palette()).reshape(256, 3)
    assert len(INFERNO) < 20
    assert np.abs(ours - known).max() < 6


@pytest.fixture(scope="module")
def pointed():
    """A chest, and a map with one strong cell away from the middle on every axis."""
    scan, _ = thorax(3, grid=chest_grid(3, spacing_mm=3.0, thickness_mm=4.0))
    shape = np.array(scan.grid.shape)
    cells = np.full((2, 8, 8, 8), -0.1, np.float32)
    cells[1] = 0.0
    cells[1, 5, 2, 6] = 9.0
    size = shape * scan.grid.spacing_mm
    spacing = tuple((size / 8).tolist())
    first = scan.grid.to_mm((shape / 8 - 1) / 2)
    field = Grid((8, 8, 8), spacing, tuple(first.tolist()), scan.grid.direction)
    heatmap = explain(cells, field=field, grid=scan.grid, first=(0, 0, 0), step=(1, 1, 1))
    return scan, heatmap


@pytest.mark.parametrize("view", VIEWS)
def test_the_cross_lies_on_the_summit(pointed, view):
    scan, heatmap = pointed
    image = np.array(Image.open(io.BytesIO(picture(scan, heatmap, view))).convert("RGB")).astype(
        int
    )
    assert image.shape[1] == WIDTH
    rows, columns = np.nonzero(np.abs(image - CROSS).sum(2) < 12)
    place = (np.array(heatmap.peak_index) + 0.5) / np.array(scan.grid.shape)
    down, across = {
        "axial": (place[1], place[2]),
        "coronal": (1 - place[0], place[2]),
        "sagittal": (1 - place[0], place[1]),
    }[view]
    found = ((rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2)
    assert found == pytest.approx((down * image.shape[0], across * WIDTH), abs=2.5)


def test_evidence_colours_only_where_it_is(pointed):
    scan, heatmap = pointed
    plain = np.array(Image.open(io.BytesIO(picture(scan, None, "axial"))).convert("RGB")).astype(
        int
    )
    assert np.ptp(plain, axis=2).max() == 0
    shown = np.array(Image.open(io.BytesIO(picture(scan, heatmap, "axial"))).convert("RGB"))
    coloured = np.ptp(shown.astype(int), axis=2) > 30
    _, y, x = heatmap.peak_index
    rows, columns = np.nonzero(coloured)
    assert rows.mean() / shown.shape[0] == pytest.approx((y + 0.5) / scan.grid.shape[1], abs=0.08)
    assert columns.mean() / WIDTH == pytest.approx((x + 0.5) / scan.grid.shape[2], abs=0.08)


@pytest.mark.parametrize("hu", [-1000, 40, 400])
@pytest.mark.parametrize("view", VIEWS)
def test_letters_and_bar_stand_out_on_any_tissue(view, hu):
    """Air, soft tissue and bone: white on a dark plate at all four sides, and the bar."""
    grid = Grid((40, 40, 40), (5.0, 5.0, 5.0))
    scan = Scan(np.full(grid.shape, hu, np.int16), grid)
    image = np.array(Image.open(io.BytesIO(picture(scan, None, view))).convert("L"))
    high, wide = image.shape
    sides = ((high // 2, 16), (high // 2, wide - 16), (16, wide // 2), (high - 16, wide // 2))
    for down, across in (*sides, (high - 22, 60)):
        around = image[max(0, down - 12) : down + 12, max(0, across - 12) : across + 12]
        assert around.max() > 220
        assert around.min() < 40
