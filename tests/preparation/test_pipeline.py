"""Laws of the preparation as data, and of doing it."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from squeezect.errors import PreparationError
from squeezect.phantom import chest_grid, thorax
from squeezect.preparation import (
    Preparation,
    cut_patch,
    find_lungs,
    parse_preparation,
    prepare,
)
from squeezect.scan import Grid, Scan

PAPER_DIGEST = "40248e888811"
"""Golden value: if it changes without a reason, every store of every user is made anew."""


@pytest.fixture(scope="module")
def chest():
    grid = chest_grid(3, spacing_mm=2.5, thickness_mm=3.0)
    return thorax(3, grid=grid, nodules=2)


def test_the_defaults_are_the_papers():
    paper = Preparation()
    assert (paper.size, paper.spacing_mm, paper.window_hu) == ((128,) * 3, 1.0, (-1000, 400))
    assert (paper.crop, paper.pad, paper.fill) == ("none", "cube", 0.0)


@given(
    st.fixed_dictionaries(
        {
            "size": st.tuples(*[st.integers(8, 1024)] * 3),
            "spacing_mm": st.none() | st.floats(0.1, 20),
            "crop": st.sampled_from(["none", "lungs"]),
            "pad": st.sampled_from(["cube", "none"]),
            "fill_hu": st.integers(-2000, 2000),
        }
    )
)
def test_a_preparation_survives_json_with_its_digest(fields):
    made = Preparation.model_validate(fields)
    again = Preparation.model_validate_json(made.model_dump_json())
    assert again == made
    assert again.digest == made.digest
    assert 0 <= made.fill <= 1


def test_every_field_changes_the_digest():
    others = {
        "size": (64, 64, 64),
        "spacing_mm": None,
        "window_hu": (-1000, 500),
        "crop": "lungs",
        "crop_margin_mm": 5.0,
        "pad": "none",
        "fill_hu": 0,
    }
    assert {*others, "outside"} == set(Preparation.model_fields)
    digests = {Preparation(**{name: value}).digest for name, value in others.items()}
    assert len(digests | {Preparation().digest}) == len(others) + 1


def test_what_lies_outside_counts_for_patches_only():
    assert Preparation(outside="edge").digest == Preparation().digest
    patch = Preparation(crop="point")
    assert patch.digest != Preparation(crop="point", outside="edge").digest


def test_a_patch_is_cut_around_its_point_and_may_be_one_voxel_deep():
    scan, truth = thorax(1, nodules=1)
    centre = truth.nodules[0].centre_mm
    how = Preparation(crop="point", size=(1, 50, 48), spacing_mm=1.25)
    volume = prepare(scan, how, point_mm=centre)
    patch = cut_patch(scan, centre, shape=how.size, spacing_mm=1.25)
    assert np.array_equal(volume.values, patch.values)
    np.testing.assert_allclose(volume.grid.centre_mm, centre, atol=1e-6)
    own = prepare(scan, Preparation(crop="point", size=(8, 8, 8), spacing_mm=None), point_mm=centre)
    np.testing.assert_allclose(own.grid.spacing_mm, scan.grid.spacing_mm)


def test_edges_go_on_where_air_does_not():
    scan, _ = thorax(1, nodules=1)
    corner = scan.grid.to_mm((0, 100, 100))
    air, edge = (
        prepare(scan, Preparation(crop="point", size=(9, 9, 9), outside=outside), point_mm=corner)
        for outside in ("air", "edge")
    )
    assert not air.values[:3].any()
    assert np.allclose(edge.values[:3], edge.values[3], atol=1e-6)


def test_a_patch_needs_a_point_in_the_scan():
    scan, _ = thorax(1)
    how = Preparation(crop="point", size=(8, 8, 8))
    with pytest.raises(PreparationError) as missing:
        prepare(scan, how)
    assert missing.value.code == "no-point"
    x, y, z = scan.grid.to_mm((-0.5, 10, 10)).tolist()
    prepare(scan, how, point_mm=(x, y, z - 4.9))
    with pytest.raises(PreparationError) as outside:
        prepare(scan, how, point_mm=(x, y, z - 5.1))
    assert outside.value.code == "point-outside"


def printed_by(code):
    """What a fresh interpreter prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603


def test_the_digest_is_stable_over_processes():
    code = "from squeezect.preparation import Preparation; print(Preparation().digest)"
    assert printed_by(code) == Preparation().digest == PAPER_DIGEST


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"size": (4, 128, 128)}, "size"),
        ({"size": (128, 128)}, "size"),
        ({"spacing_mm": 0}, "spacing_mm"),
        ({"spacing_mm": float("nan")}, "spacing_mm"),
        ({"window_hu": (400, -1000)}, "window_hu"),
        ({"window_hu": (-1000, 40000)}, "window_hu"),
        ({"crop": "heart"}, "crop"),
        ({"crop_margin_mm": -1}, "crop_margin_mm"),
        ({"pad": "sphere"}, "pad"),
        ({"fill_hu": 99999}, "fill_hu"),
        ({"sise": (64, 64, 64)}, "sise"),
    ],
)
def test_bad_fields_are_refused_by_name(fields, named):
    with pytest.raises(ValidationError, match=named):
        Preparation.model_validate(fields)
    with pytest.raises(PreparationError, match=rf"{named}.*\[bad-preparation\]"):
        parse_preparation(fields)


def test_preparing_keeps_the_scan(chest):
    scan, _ = chest
    before = scan.hu.copy()
    volume = prepare(scan, Preparation(size=(48, 48, 48)))
    assert (scan.hu == before).all()
    assert volume.values.dtype == np.float32
    assert volume.values.flags.c_contiguous
    assert 0 <= volume.values.min() < volume.values.max() <= 1
    assert volume.grid.shape == volume.values.shape == (48, 48, 48)
    assert volume.identity == scan.identity
    assert volume.lungs is None


@pytest.mark.parametrize("crop", ["none", "lungs"])
@pytest.mark.parametrize("pad", ["cube", "none"])
@pytest.mark.parametrize("spacing_mm", [1.0, None])
def test_nodules_are_found_where_the_truth_says(chest, crop, pad, spacing_mm):
    """Within half an input voxel of a network's, around each nodule, soft tissue in lung."""
    scan, truth = chest
    how = Preparation(size=(96, 96, 96), crop=crop, pad=pad, spacing_mm=spacing_mm)
    volume = prepare(scan, how)
    for nodule in truth.nodules:
        z, y, x = np.rint(volume.grid.to_index(nodule.centre_mm)).astype(int)
        assert volume.values[z, y, x] > 0.6


def test_a_crop_to_the_lungs_is_their_box_and_a_margin(chest):
    scan, _ = chest
    figures = find_lungs(scan).figures
    volume = prepare(scan, Preparation(size=(64,) * 3, crop="lungs", crop_margin_mm=15, pad="none"))
    assert volume.lungs == figures
    first, shape = figures.box(scan.grid, margin_mm=15)
    assert np.allclose(volume.grid.size_mm, scan.grid.crop(first, shape).size_mm, rtol=0.01)
    assert np.allclose(volume.grid.centre_mm, scan.grid.crop(first, shape).centre_mm)
    mine = prepare(scan, volume.preparation, lungs=figures)
    assert (mine.values == volume.values).all()


def test_a_crop_needs_lungs():
    nothing = Scan(np.zeros((20, 20, 20), np.int16), Grid((20, 20, 20), (5.0, 5.0, 5.0)))
    with pytest.raises(PreparationError, match=r"\[no-lungs-to-crop\]"):
        prepare(nothing, Preparation(crop="lungs"))


def test_the_padding_has_the_asked_density():
    wide = Scan(np.full((4, 40, 40), 400, np.int16), Grid((4, 40, 40), (1.0, 1.0, 1.0)))
    for fill_hu, value in [(-1000, 0.0), (-300, 0.5), (5000, 1.0)]:
        volume = prepare(wide, Preparation(size=(40, 40, 40), fill_hu=fill_hu))
        assert volume.values[0].max() == volume.values[0].min() == pytest.approx(value)
        assert (volume.values[18:22] == 1).all()


def test_importing_needs_no_heavy_library():
    """The cold start of an answer must not pay for libraries that preparing does not use."""
    code = (
        "import sys, squeezect.preparation\n"
        "heavy = {'torch', 'pandas', 'zarr', 'SimpleITK', 'matplotlib', 'sklearn'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert printed_by(code) == "[]"


@pytest.mark.real
def test_the_known_nodule_is_a_bright_spot(real_data):
    """Malignancy 5 by four readers, 23.4 mm: its centre in mm is soft tissue amid lung."""
    from squeezect.reading import read_scan

    volume = prepare(read_scan(real_data("lidc-idri-0001")))
    index = volume.grid.to_index((56.2, 86.3, -115.9))
    z, y, x = np.rint(index).astype(int)
    assert volume.values[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2].mean() > 0.6
    around = volume.values[z, y - 8 : y + 9, x - 8 : x + 9]
    assert np.median(around) < 0.3
    blob = around > 0.4
    rows, columns = np.nonzero(blob & (np.hypot(*np.mgrid[-8:9, -8:9]) < 6))
    assert np.hypot(rows.mean() - 8, columns.mean() - 8) < 1.5
