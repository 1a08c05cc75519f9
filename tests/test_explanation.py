"""Laws of the heat map: it adds up to the answer, and points where the evidence is."""

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezect.errors import PreparationError
from squeezect.explanation import explain
from squeezect.scan import Grid

FIELD = Grid((64, 64, 64), (4.0, 4.0, 4.0), (-120.0, -120.0, -300.0))
SCAN = Grid((90, 120, 110), (2.5, 2.0, 2.2), (-121.0, -119.0, -290.0))


def heatmap(evidence, *, grid=SCAN, first=(7.0, 7.0, 7.0), step=(8.0, 8.0, 8.0)):
    pair = np.stack([np.zeros_like(evidence), evidence])
    return explain(pair, field=FIELD, grid=grid, first=first, step=step)


def test_the_evidence_adds_up_to_the_log_odds():
    maps = np.random.default_rng(0).normal(size=(2, 7, 7, 7))
    result = explain(maps, field=FIELD, grid=SCAN, first=(7, 7, 7), step=(8, 8, 8))
    logits = maps.mean((1, 2, 3))
    assert result.logit == pytest.approx(logits[1] - logits[0], abs=1e-6)


@given(st.tuples(*[st.floats(1.6, 5.4)] * 3))
def test_the_peak_lies_where_a_smooth_blob_was_put(centre):
    """A Gaussian between cells is found to a hundredth of a cell (32 mm here)."""
    index = np.stack(np.meshgrid(*[np.arange(7)] * 3, indexing="ij"), -1)
    blob = np.exp(-((index - np.array(centre)) ** 2).sum(-1) / 2).astype(np.float32)
    result = heatmap(blob)
    expected = FIELD.to_mm(7 + 8 * np.array(centre))
    assert np.abs(np.array(result.peak_mm) - expected).max() < 0.32
    voxel = SCAN.to_index(expected) - result.peak_index
    assert np.abs(voxel).max() < 0.5 + 0.32 / 2


def test_the_peak_stays_within_half_a_cell_of_the_strongest_cell():
    evidence = np.random.default_rng(1).normal(size=(7, 7, 7)).astype(np.float32)
    result = heatmap(evidence)
    strongest = np.array(np.unravel_index(evidence.argmax(), evidence.shape))
    assert np.abs(result.cells.to_index(np.array(result.peak_mm)) - strongest).max() <= 0.5


def test_without_evidence_the_peak_is_the_cell_that_speaks_least_against():
    evidence = -1 - np.random.default_rng(4).random((7, 7, 7), np.float32)
    result = heatmap(evidence)
    strongest = np.array(np.unravel_index(evidence.argmax(), evidence.shape))
    assert np.allclose(result.cells.to_index(np.array(result.peak_mm)), strongest)


def test_values_cover_the_scan_and_are_never_negative():
    values = heatmap(np.random.default_rng(1).normal(size=(7, 7, 7)).astype(np.float32)).values
    assert values.shape == SCAN.shape
    assert values.dtype == np.float32
    assert values.min() >= 0


def test_slabs_are_parts_of_the_whole():
    result = heatmap(np.random.default_rng(2).random((7, 7, 7), np.float32))
    assert np.allclose(result.slab(20, 31), result.values[20:31], atol=1e-6)


def test_constant_evidence_is_constant_inside_the_field_and_absent_beyond():
    far = Grid((200, 120, 110), (2.5, 2.0, 2.2), (-121.0, -119.0, -420.0))
    values = heatmap(np.full((7, 7, 7), 3.0, np.float32), grid=far).values
    inside = FIELD.contains(far.to_mm(np.argwhere(np.ones(far.shape)))).reshape(far.shape)
    assert np.allclose(values[inside], 3.0, atol=1e-4)
    assert (values[~inside] == 0).all()
    assert 0 < inside.mean() < 1


@pytest.mark.filterwarnings("default")
def test_saved_maps_read_back_in_place(tmp_path):
    result = heatmap(np.random.default_rng(3).random((7, 7, 7), np.float32))
    image = nibabel.load(result.save(tmp_path / "heat.nii.gz"))
    data = np.asarray(image.get_fdata()).T
    assert np.abs(data - result.values).max() < 0.01
    z, y, x = result.peak_index
    ras = image.affine @ (x, y, z, 1)
    # Half a voxel at most: the peak itself is finer than the scan.
    gap = np.abs(ras[:3] * (-1, -1, 1) - result.peak_mm)
    assert (gap <= np.array(SCAN.spacing_mm)[::-1] / 2 + 1e-3).all()


@pytest.mark.parametrize("name", ["a.txt", "a.mha", "nowhere/a.nii.gz", "folder.nii"])
def test_where_no_map_can_be_written_the_refusal_says_so(tmp_path, name):
    (tmp_path / "folder.nii").mkdir()
    result = heatmap(np.zeros((7, 7, 7), np.float32))
    with pytest.raises(PreparationError, match="nii") as caught:
        result.save(tmp_path / name)
    assert caught.value.code == "bad-output"
    assert [path.name for path in tmp_path.iterdir()] == ["folder.nii"]
