"""What networks made of a patch turns with it, and measures are those of known shapes."""

import json

import numpy as np
import pytest
import SimpleITK
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from squeezect.checkpoint import Card, Checkpoint
from squeezect.models import create_model
from squeezect.phantom import chest_grid, thorax, write_dicom
from squeezect.points import PointClassifier
from squeezect.preparation import Preparation
from squeezect.publishing.point_pictures import LINE, patch_picture, place_picture
from squeezect.reading import read_scan
from squeezect.scan import Grid, Scan
from squeezect.sight import Sight, look

WINDOW = (-1000, 400)
SHAPE = (8, 20, 20)
NETWORKS = {
    "squeezenet-local": {"width": 0.125, "depth": 2, "stochastic": 0.0, "dropout": 0.0},
    "squeezenet-nodule": {"width": 0.5, "members": 2, "outlines": True, "inside": True},
}


def network(name, seed=0):
    torch.manual_seed(seed)
    return create_model(name, options=NETWORKS[name]).eval()


def patch(seed=0, shape=SHAPE):
    return np.random.default_rng(seed).random(shape, np.float32)


def seen(model, values, views=8):
    grid = Grid(values.shape, (1.0, 1.0, 1.0))
    return look([model], values, grid, window_hu=WINDOW, views=views)


def of(sight):
    return sight.evidence if sight.outline is None else sight.outline


def ball(radius_mm, grid):
    axes = [
        (np.arange(n) - (n - 1) / 2) * s for n, s in zip(grid.shape, grid.spacing_mm, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return (z**2 + y**2 + x**2 <= radius_mm**2).astype(np.float32)


def outlined(share, grid, values=None):
    values = np.zeros(share.shape, np.float32) if values is None else values
    return Sight(values, grid, WINDOW, None, share)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_it_turns_with_the_patch(name, quarters, mirrored):
    def turn(volume):
        volume = np.rot90(volume, quarters, (1, 2))
        return np.ascontiguousarray(volume[:, :, ::-1] if mirrored else volume)

    model, values = network(name), patch()
    np.testing.assert_allclose(
        of(seen(model, turn(values))), turn(of(seen(model, values))), atol=1e-5
    )


def test_one_view_of_a_drawing_network_is_what_it_draws():
    model, values = network("squeezenet-nodule"), patch()
    with torch.inference_mode():
        drawn = model.outline(torch.from_numpy(values)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(seen(model, values, views=1).outline, drawn, atol=1e-6)
    assert drawn.shape == SHAPE
    assert 0 <= drawn.min() <= drawn.max() <= 1


def test_several_networks_are_averaged_and_both_kinds_have_their_picture():
    values = patch()
    for name in NETWORKS:
        both = [network(name, seed) for seed in (0, 1)]
        together = look(both, values, Grid(SHAPE, (1.0,) * 3), window_hu=WINDOW, views=2)
        alone = [of(seen(model, values, views=2)) for model in both]
        np.testing.assert_allclose(of(together), np.mean(alone, axis=0), atol=1e-5)
        assert (together.outline is None) != (together.evidence is None)


def test_networks_that_draw_nothing_say_so():
    model = create_model("squeezenet-nodule", options={"width": 0.5, "members": 1})
    assert not model.draws
    with pytest.raises(NotImplementedError, match="outlines"):
        model.outline(torch.zeros(1, 1, *SHAPE))
    with pytest.raises(NotImplementedError, match="LocalSqueezeNet"):
        network("squeezenet-local").outline(torch.zeros(1, 1, *SHAPE))


@settings(max_examples=25, deadline=None)
@given(
    radius=st.floats(4, 9),
    spacing=st.tuples(*[st.floats(0.5, 1.5)] * 3),
    hu=st.integers(-900, 300),
)
def test_a_ball_is_measured_as_what_it_is(radius, spacing, hu):
    grid = Grid(tuple(int(2 * radius / step) + 5 for step in spacing), spacing)
    share = ball(radius, grid)
    values = np.full(share.shape, (hu + 1000) / 1400, np.float32)
    drawn = outlined(share, grid, values).drawn
    assert drawn.volume_mm3 == pytest.approx(share.sum() * np.prod(spacing), rel=1e-5)
    assert drawn.diameter_mm == pytest.approx(2 * radius, rel=0.1)
    assert drawn.section_mm == pytest.approx(2 * radius, rel=0.1)
    assert drawn.mean_hu == pytest.approx(hu, abs=1)
    assert not drawn.touches
    assert outlined(np.roll(share, grid.shape[0] // 2, 0), grid).drawn.touches


def test_halves_of_voxels_count_half():
    grid = Grid((3, 4, 4), (2.0, 1.0, 1.0))
    share = np.zeros(grid.shape, np.float32)
    share[1, 1:3, 1:3] = 0.5
    drawn = outlined(share, grid).drawn
    assert drawn.volume_mm3 == pytest.approx(4.0)
    assert np.pi * (drawn.section_mm / 2) ** 2 == pytest.approx(2.0)
    assert json.loads(json.dumps(drawn.as_dict()))["volume_mm3"] == 4.0


def test_an_outline_lies_where_it_was_drawn(tmp_path):
    direction = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    grid = Grid((4, 6, 5), (2.5, 0.7, 0.8), (10.0, -20.0, 30.0), direction)
    share = patch(1, grid.shape)
    image = SimpleITK.ReadImage(str(outlined(share, grid).save_outline(tmp_path / "o.nii.gz")))
    np.testing.assert_allclose(SimpleITK.GetArrayFromImage(image), share, atol=1e-6)
    for index in ((0, 0, 0), (3, 5, 4), (1, 2, 3)):
        place = image.TransformIndexToPhysicalPoint(index[::-1])
        np.testing.assert_allclose(place, grid.to_mm(np.array(index)), atol=1e-3)
    with pytest.raises(ValueError, match="no outline"):
        Sight(share, grid, WINDOW, None, None).save_outline(tmp_path / "p.nii.gz")


def pixels(data, tmp_path):
    (tmp_path / "picture.png").write_bytes(data)
    with Image.open(tmp_path / "picture.png") as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_the_line_goes_around_the_nodule_and_not_along_the_end_of_the_patch(tmp_path):
    grid = Grid((9, 40, 40), (1.0, 1.0, 1.0))
    share = ball(10.0, grid)
    picture = pixels(patch_picture(outlined(share, grid), "axial"), tmp_path)
    y, x = np.nonzero((np.abs(picture - LINE) < 3).all(-1))
    away = np.hypot(y + 0.5 - 200, x + 0.5 - 200) / 10
    assert len(away) > 500
    assert 9 < away.min() <= away.max() < 11
    # Along z the ball is cut off by the patch.
    coronal = pixels(patch_picture(outlined(share, grid), "coronal"), tmp_path)
    _, x = np.nonzero((np.abs(coronal - LINE) < 3).all(-1))
    assert np.abs(x + 0.5 - 200).min() > 80
    plain = pixels(patch_picture(outlined(share, grid), "axial", plain=True), tmp_path)
    assert not (np.abs(plain - LINE) < 3).all(-1).any()


def test_the_frame_is_around_the_point(tmp_path):
    scan = Scan(np.zeros((10, 110, 110), np.int16), Grid((10, 110, 110), (3.0, 2.0, 2.0)))
    point = (60.0, 150.0, 12.0)
    centre = Grid((4, 20, 20), (1.0, 1.0, 1.0))
    start = tuple(np.array(point) - centre.centre_mm)
    grid = Grid(centre.shape, centre.spacing_mm, start)
    sight = Sight(np.zeros(grid.shape, np.float32), grid, WINDOW, None, None)
    picture = pixels(place_picture(scan, sight, point), tmp_path)
    y, x = np.nonzero((picture == LINE).all(-1))
    # 5 pixels are 2 mm; voxels of the scan begin half a voxel before their middle.
    assert (x.min() + x.max()) / 2 == pytest.approx((60 / 2 + 0.5) * 5, abs=2)
    assert (y.min() + y.max()) / 2 == pytest.approx((150 / 2 + 0.5) * 5, abs=2)
    assert x.max() - x.min() == pytest.approx(50, abs=3)


@pytest.fixture
def drawing(tmp_path):
    """Weights that draw, and have learned nothing."""
    name = "squeezenet-nodule"
    card = Card(
        model=name,
        options=NETWORKS[name],
        preparation=Preparation(crop="point", size=SHAPE, spacing_mm=1.0, outside="edge"),
        recipe={"views": 2},
        thresholds={"sensitivity-90": 0.3},
        scores={"validation_auc": 0.5},
        limits=("Has learned nothing.",),
    )
    return Checkpoint(card, network(name).state_dict()).save(tmp_path / "drawing")


def test_a_crop_gets_a_page(run_cli, drawing, crop_folder, tmp_path):
    crop, out = crop_folder / "images" / "crop_1.nii.gz", tmp_path / "out"
    arguments = ("predict", "--weights", drawing, crop, "--out", out)
    code, text, _ = run_cli(*arguments)
    assert code == 0
    assert "outlined: " in text
    (folder,) = out.iterdir()
    assert folder.name.startswith("drawing-")
    assert folder.name.endswith("-middle")
    names = {path.name for path in folder.iterdir()}
    views = {
        f"{view}{kind}.png" for view in ("axial", "coronal", "sagittal") for kind in ("", "-plain")
    }
    assert names == {"index.html", "prediction.json", "outline.nii.gz", *views}
    document = json.loads((folder / "prediction.json").read_text("utf-8"))
    (answer,) = json.loads(run_cli(*arguments, "--json")[1])["predictions"]
    assert document["outline"] == answer["outline"]
    assert document["probability"] == answer["probability"]
    assert [finding["code"] for finding in document["findings"]] == []
    page = (folder / "index.html").read_text("utf-8")
    assert "Has learned nothing." in page
    assert "crop_1" not in page + json.dumps(document)
    classifier, scan = PointClassifier.open(drawing), read_scan(crop)
    sight = classifier.look(classifier.prepare(scan))
    assert sight.drawn.as_dict() == answer["outline"]
    assert [path.name for path in out.iterdir()] == [folder.name]


def test_a_point_gets_a_page_with_its_place(run_cli, tmp_path):
    scan, truth = thorax(1, grid=chest_grid(1, spacing_mm=2.5, thickness_mm=5.0), nodules=1)
    write_dicom(scan, tmp_path / "chest")
    out = tmp_path / "out"
    point = truth.nodules[0].centre_mm
    code, text, _ = run_cli(
        "predict", "--weights", "nodule", tmp_path / "chest", "--point", *point, "--out", out
    )
    assert code == 0
    assert "page: " in text
    (folder,) = out.iterdir()
    names = {path.name for path in folder.iterdir()}
    assert names == {"index.html", "prediction.json", "axial.png", "axial-plain.png", "place.png"}
    assert folder.name.startswith("nodule-")
    assert folder.name.endswith("_".join(str(round(value, 3)) for value in point))
    assert "raises the probability" in (folder / "index.html").read_text("utf-8")


def test_a_refusal_writes_nothing(run_cli, drawing, crop_folder, tmp_path):
    crop, out = crop_folder / "images" / "crop_1.nii.gz", tmp_path / "out"
    code, _, err = run_cli(
        "predict", "--weights", drawing, crop, "--point", 0, 0, 900, "--out", out
    )
    assert code == 2
    assert "[point-outside]" in err
    assert not out.exists()
