"""Laws of what is published: pictures in their place, a page that needs nothing, whole or not."""

import io
import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from squeezect.errors import Finding
from squeezect.explanation import explain
from squeezect.preparation import Preparation
from squeezect.publishing import publish
from squeezect.publishing.pictures import VIEWS, captions, picture
from squeezect.publishing.slices import slices
from squeezect.reading.codes import CONTRAST
from squeezect.scan import Acquisition, Grid, Scan
from squeezect.session import Prediction

GRID = Grid((40, 60, 80), (5.0, 3.0, 2.0), (-80.0, -90.0, -200.0))
CELLS = (8, 8, 8)
FIELD = Grid((64, 64, 64), (200 / 64, 180 / 64, 160 / 64), (-79.75, -90.1, -200.9))
HOSTILE = "<script>alert('x')</script>"


def scan_with_spot(index=(30, 15, 60)):
    hu = np.full(GRID.shape, -1000, np.int16)
    z, y, x = index
    hu[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2] = 400
    acquisition = Acquisition(source_format="dicom", manufacturer=HOSTILE, kernel="B31f")
    return Scan(hu, GRID, acquisition, identity="0123456789ab")


def heatmap_at(index):
    """Evidence with its summit on a voxel of the scan."""
    cell = (FIELD.to_index(GRID.to_mm(np.array(index, float))) - 4) / 8
    at = np.stack(np.meshgrid(*[np.arange(8)] * 3, indexing="ij"), -1)
    evidence = 10 * np.exp(-((at - cell) ** 2).sum(-1) / 2).astype(np.float32)
    pair = np.stack([np.zeros_like(evidence), evidence])
    return explain(pair, field=FIELD, grid=GRID, first=(4.0, 4.0, 4.0), step=(8.0, 8.0, 8.0))


def prediction(heatmap):
    return Prediction(
        probability=0.9,
        fold_probabilities=(0.85, 0.95),
        threshold=0.5,
        heatmap=heatmap,
        findings=(Finding(CONTRAST, HOSTILE),),
        scan_identity="0123456789ab",
        model="squeezenet3d-modern",
        engine="torch",
        run="run",
        preparation=Preparation(size=(64, 64, 64)),
        lungs=None,
        seconds={"network": 0.1},
    )


def bright_spot(png):
    """Middle of what is white in a picture, as shares of its height and width."""
    image = np.asarray(Image.open(io.BytesIO(png)).convert("L"), float)
    rows, columns = np.nonzero(image > 250)
    # The bar and its label are white too, in the lower left corner.
    label = (rows > 0.88 * image.shape[0]) & (columns < 0.6 * image.shape[1])
    rows, columns = rows[~label], columns[~label]
    return rows.mean() / image.shape[0], columns.mean() / image.shape[1]


@pytest.mark.parametrize("index", [(30, 15, 60), (12, 40, 22)])
@pytest.mark.parametrize("view", VIEWS)
def test_a_voxel_is_drawn_where_radiologists_look_for_it(monkeypatch, view, index):
    scan = scan_with_spot(index)
    monkeypatch.setattr("squeezect.publishing.pictures._middle", lambda _: index)
    down, across = bright_spot(picture(scan, None, view))
    z, y, x = (np.array(index) + 0.5) / GRID.shape
    expected = {"axial": (y, x), "coronal": (1 - z, x), "sagittal": (1 - z, y)}[view]
    # x grows to the patient's left, drawn on the right; y to the back, drawn below or right.
    assert (down, across) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("view", VIEWS)
def test_pictures_have_the_shape_of_the_body_in_millimetres(view):
    image = Image.open(io.BytesIO(picture(scan_with_spot(), None, view)))
    z, y, x = GRID.size_mm
    width, height = {"axial": (x, y), "coronal": (x, z), "sagittal": (y, z)}[view]
    assert image.width / image.height == pytest.approx(width / height, rel=0.01)


@pytest.mark.parametrize("view", VIEWS)
def test_evidence_is_coloured_at_its_summit_and_nowhere_far_away(view):
    index = (20, 30, 40)
    scan = scan_with_spot((5, 5, 5))
    plain, painted = (
        np.asarray(Image.open(io.BytesIO(picture(scan, heatmap, view))).convert("RGB"), int)
        for heatmap in (None, heatmap_at(index))
    )
    changed = np.argwhere(np.abs(plain - painted).sum(-1) > 60)
    middle = changed.mean(0) / plain.shape[:2]
    z, y, x = (np.array(index) + 0.5) / GRID.shape
    expected = {"axial": (y, x), "coronal": (1 - z, x), "sagittal": (1 - z, y)}[view]
    assert middle == pytest.approx(expected, abs=0.03)


def test_captions_name_slice_and_place():
    index = (20, 30, 40)
    told = captions(prediction(heatmap_at(index)), scan_with_spot())
    x, y, z = GRID.to_mm(np.array(index, float))
    assert told["axial"] == f"axial, slice 21 of 40, z = {z:.1f} mm"
    assert told["coronal"] == f"coronal, slice 31 of 60, y = {y:.1f} mm"
    assert told["sagittal"] == f"sagittal, slice 41 of 80, x = {x:.1f} mm"


def test_slices_go_down_through_the_body_and_show_the_summit():
    heatmap = heatmap_at((20, 30, 40))
    parts = list(slices(scan_with_spot(), heatmap, most=9))
    heights = [part.z_mm for part in parts]
    assert heights == sorted(heights, reverse=True)
    assert parts[0].number == 40
    assert parts[-1].number == 1
    strongest = max(parts, key=lambda part: part.share)
    assert strongest.number == 21
    assert strongest.share == pytest.approx(1, abs=0.01)
    image = Image.open(io.BytesIO(strongest.jpeg))
    assert image.width / image.height == pytest.approx(160 / 180, rel=0.03)


def test_the_page_needs_nothing_and_escapes_what_it_is_given(tmp_path):
    page = publish(prediction(heatmap_at((20, 30, 40))), scan_with_spot(), tmp_path)
    text = page.read_text("utf-8")
    assert HOSTILE not in text
    assert "&lt;script&gt;" in text
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "not a medical device" in text
    assert text.count("<img") == len(re.findall(r"<img[^>]* alt=\"[^\"]+\"", text))


def test_the_document_says_what_the_prediction_says(tmp_path):
    answer = prediction(heatmap_at((20, 30, 40)))
    page = publish(answer, scan_with_spot(), tmp_path)
    document = json.loads((page.parent / "prediction.json").read_text("utf-8"))
    assert document["probability"] == answer.probability
    assert document["fold_probabilities"] == [0.85, 0.95]
    assert document["peak_index"] == [20, 30, 40]
    assert document["peak_mm"] == pytest.approx(GRID.to_mm(np.array([20.0, 30, 40])), abs=0.05)
    assert document["findings"][0]["code"] == CONTRAST.name
    assert document["positive"] is True


def test_a_model_without_map_gets_planes_through_the_middle(tmp_path):
    page = publish(prediction(None), scan_with_spot(), tmp_path)
    names = {path.name for path in page.parent.iterdir()}
    assert names == {"index.html", "prediction.json", "axial.png", "coronal.png", "sagittal.png"}
    assert "has no map" in page.read_text("utf-8")


def test_a_failed_publication_leaves_the_older_one(tmp_path, monkeypatch):
    answer = prediction(heatmap_at((20, 30, 40)))
    page = publish(answer, scan_with_spot(), tmp_path)
    before = page.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(sys.modules["squeezect.publishing.publish"], "render", fail)
    with pytest.raises(OSError, match="disk full"):
        publish(answer, scan_with_spot(), tmp_path)
    assert page.read_bytes() == before
    assert list(tmp_path.iterdir()) == [page.parent]
    assert page.parent.name.startswith("0123456789ab-")


@pytest.mark.parametrize("identity", ["0123456789ab", ""])
def test_scans_that_claim_one_identity_do_not_replace_each_other(tmp_path, identity):
    """Voxels that no sampling may miss, or the place alone, make another scan of it."""
    scan = replace(scan_with_spot(), identity=identity)
    hu = scan.hu.copy()
    hu[1, 1, 1] += 1
    grid = replace(scan.grid, origin_mm=(-80.0, -90.0, -190.0))
    scans = [scan, replace(scan, hu=hu), replace(scan, grid=grid)]
    answers = [replace(prediction(None), probability=p) for p in (0.9, 0.5, 0.1)]
    pages = [publish(answer, scan, tmp_path) for answer, scan in zip(answers, scans, strict=True)]
    told = [json.loads((page.parent / "prediction.json").read_text("utf-8")) for page in pages]
    assert [document["probability"] for document in told] == [0.9, 0.5, 0.1]
    # The same scan again replaces its own, and only that.
    again = replace(scan, hu=scan.hu.copy())
    assert publish(answers[0], again, tmp_path) == pages[0]
    assert len(list(tmp_path.iterdir())) == 3
