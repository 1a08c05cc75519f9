"""What an export carries, and that one which answers otherwise is never kept."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openvino
import pytest
import torch

from squeezect import Preparation
from squeezect.checkpoint import Card, Checkpoint
from squeezect.errors import CheckpointError
from squeezect.models import create_model
from squeezect.runtime import exporting, is_exported, open_engine
from squeezect.runtime.exporting import export, openvino_graph
from squeezect.runtime.facts import Facts

OPTIONS = {"width": 0.25, "depth": 2}
NAME = "squeezenet3d-modern"
THRESHOLDS = {"sensitivity-90": 0.31}


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    how = Preparation(size=(32, 32, 32), window_hu=(-1200, 300))
    card = Card(model=NAME, options=OPTIONS, preparation=how, thresholds=THRESHOLDS)
    model = create_model(NAME, options=OPTIONS)
    return Checkpoint(card, model.state_dict()).save(tmp_path / "network")


@pytest.fixture
def values():
    return np.random.default_rng(0).random((32, 32, 32), dtype=np.float32)


def test_another_answer_is_refused_and_leaves_nothing_behind(folder, monkeypatch):
    torch.manual_seed(1)
    other = create_model(NAME, options=OPTIONS).eval()
    monkeypatch.setattr(exporting, "openvino_graph", lambda *_: openvino_graph(other))
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(CheckpointError, match="no-parity"):
        export(folder)
    assert sorted(path.name for path in folder.iterdir()) == before
    assert not is_exported(folder)


def test_the_model_itself_carries_preparation_thresholds_and_card(folder):
    graph = openvino.Core().read_model(export(folder) / "model.xml")
    card = Card.model_validate(json.loads(graph.get_rt_info("squeezect_card").value))
    assert card.thresholds == THRESHOLDS
    assert card.preparation.window_hu == (-1200, 300)
    assert card.model == NAME


def test_the_graph_takes_any_size_and_gives_the_class_map(folder):
    graph = openvino.Core().read_model(export(folder) / "model.xml")
    assert all(side.is_dynamic for side in list(graph.input(0).partial_shape)[2:])
    logits, class_map = graph.outputs
    assert list(logits.partial_shape)[1].get_length() == 2
    assert len(class_map.partial_shape) == 5


def test_the_export_is_chosen_by_itself_and_named(folder):
    assert open_engine(folder).name.startswith("torch")
    export(folder)
    chosen = open_engine(folder).name
    assert chosen.startswith("torch" if torch.cuda.is_available() else "openvino")


def test_weights_of_sixteen_bits_take_half_the_room_and_answer_alike(folder, values):
    places = [export(folder), export(folder, form="openvino-float16")]
    whole, half = ((place / "model.bin").stat().st_size for place in places)
    assert half < 0.6 * whole
    engine = open_engine(folder, engine="openvino-float16")
    assert "16 bits" in engine.name
    exact = open_engine(folder, engine="torch")(values).probability
    assert engine(values).probability == pytest.approx(exact, abs=0.005)


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("general3d", {"side": 24, "dense": 64}, (3, 24, 24)),
        ("multiview", {}, (32, 32, 32)),
        ("multiscale", {}, (24, 24, 24)),
        ("tumornet", {}, (24, 24, 24)),
        ("squeezenet-nodule", {"members": 1, "width": 0.5}, (16, 36, 36)),
        (
            "squeezenet-nodule",
            {"members": 1, "width": 0.5, "outlines": True, "inside": True},
            (16, 36, 36),
        ),
        ("cnn2d", {}, (1, 48, 48)),
        ("cnn2d", {"slices": "middle"}, (3, 32, 32)),
        ("recurrent", {"width": 16, "memory": 8}, (12, 32, 40)),
        ("voxel64", {}, (20, 24, 48)),
    ],
)
@pytest.mark.parametrize("form", ["openvino", "onnx"])
def test_networks_are_exported_at_the_size_that_they_are_fed(name, options, size, form, tmp_path):
    torch.manual_seed(0)
    how = Preparation(crop="point", size=size)
    card = Card(model=name, options=options, preparation=how)
    weights = create_model(name, options=options).state_dict()
    folder = Checkpoint(card, weights).save(tmp_path / "network")
    export(folder, form=form)
    volume = np.random.default_rng(0).random(size, dtype=np.float32)
    engine, reference = (open_engine(folder, engine=e) for e in (form, "torch"))
    answer, expected = engine(volume), reference(volume)
    assert answer.probability == pytest.approx(expected.probability, abs=1e-4)
    assert engine.cells(size) == reference.cells(size)
    if expected.class_map is not None:
        assert np.abs(answer.class_map - expected.class_map).max() < 1e-3


def test_another_size_than_that_of_a_fixed_graph_is_refused(tmp_path):
    options, size = {"width": 8, "memory": 4}, (8, 16, 24)
    card = Card(model="recurrent", options=options, preparation=Preparation(size=size))
    weights = create_model("recurrent", options=options).state_dict()
    folder = Checkpoint(card, weights).save(tmp_path / "network")
    for form in ("openvino", "onnx"):
        export(folder, form=form)
        with pytest.raises(CheckpointError, match=r"8, 16, 24.*9, 16, 24.*no-engine"):
            open_engine(folder, engine=form)(np.zeros((9, 16, 24), np.float32))


def test_threads_that_share_an_engine_get_their_own_answers(folder):
    volumes = np.random.default_rng(0).random((4, 32, 32, 32), dtype=np.float32)
    volumes *= np.arange(1, 5, dtype=np.float32)[:, None, None, None]
    for form in ("openvino", "onnx"):
        export(folder, form=form)
    for name in ("openvino", "onnx", "torch"):
        engine = open_engine(folder, engine=name)
        expected = [engine(values).logits for values in volumes]
        assert len({round(float(logits[1]), 3) for logits in expected}) == 4
        with ThreadPoolExecutor(4) as pool:
            outputs = list(pool.map(lambda k, e=engine: e(volumes[k % 4]), range(80)))
        for k, output in enumerate(outputs):
            np.testing.assert_allclose(output.logits, expected[k % 4], atol=1e-5)
            np.testing.assert_allclose(output.class_map.mean((1, 2, 3)), output.logits, atol=1e-4)


def test_an_export_whose_cells_are_elsewhere_is_refused(folder, monkeypatch):
    monkeypatch.setattr(Facts, "cells_of", lambda *_: ((0.0, 0.0, 0.0), (9.0, 9.0, 9.0)))
    with pytest.raises(CheckpointError, match=r"cells at .*9.0.*no-parity"):
        export(folder)
    assert not is_exported(folder)


def damage(path, how):
    data = bytearray(path.read_bytes())
    if how == "zeroed":
        middle = len(data) // 2
        data[middle : middle + 400] = bytes(400)
    path.write_bytes(data[: len(data) // 3] if how == "truncated" else data)


@pytest.mark.parametrize("how", ["zeroed", "truncated", "gone"])
@pytest.mark.parametrize(("form", "file"), [("openvino", "model.bin"), ("onnx", "model.onnx")])
def test_a_damaged_export_does_not_answer(folder, form, file, how):
    path = export(folder, form=form) / file
    if how == "gone":
        path.unlink()
    else:
        damage(path, how)
    with pytest.raises(CheckpointError, match=rf"network/{form}.*squeezect export.*damaged\]"):
        open_engine(folder, engine=form)


def make_old(place):
    """Facts as they were before checksums, with cells of two sizes."""
    facts = json.loads((place / "facts.json").read_text("utf-8"))
    del facts["sha256"]
    facts["cells"] = {n: [[9.0, 9.0, 9.0], [9.0, 9.0, 9.0]] for n in ("even", "odd")}
    (place / "facts.json").write_text(json.dumps(facts), "utf-8")


def test_exports_of_before_open_and_their_cells_are_computed(folder, values):
    make_old(export(folder))
    engine, reference = (open_engine(folder, engine=e) for e in ("openvino", "torch"))
    assert engine(values).probability == pytest.approx(reference(values).probability, abs=1e-4)
    for size in ((32, 32, 32), (33, 48, 40)):
        assert engine.cells(size) == reference.cells(size)


@pytest.mark.parametrize(("form", "file"), [("openvino", "model.bin"), ("onnx", "model.onnx")])
def test_a_truncated_export_of_before_is_called_damaged(folder, form, file):
    place = export(folder, form=form)
    make_old(place)
    damage(place / file, "truncated")
    with pytest.raises(CheckpointError, match="checkpoint-damaged"):
        open_engine(folder, engine=form)


@pytest.mark.parametrize("content", ["[]", "3", "{", '{"weights_sha256": 1}'])
def test_what_are_no_facts_is_no_export(folder, content):
    (export(folder) / "facts.json").write_text(content)
    assert not is_exported(folder)
    assert open_engine(folder).name.startswith("torch")
