"""What an export carries, and that one which answers otherwise is never kept."""

import json

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
    exact = open_engine(folder, engine="torch")(volume).probability
    assert open_engine(folder, engine=form)(volume).probability == pytest.approx(exact, abs=1e-4)
