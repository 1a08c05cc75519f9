"""SqueezeNet3D against the paper's figure, row by row, and against Keras."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from squeezect.errors import ModelError
from squeezect.models import create_model
from squeezect.models.keras import from_keras
from squeezect.models.squeezenet3d import same_padding

GOLDEN = Path(__file__).parent / "golden"

# Parameters per layer and output (channels, z, y, x) for a 1 x 256 x 512 x 512 input.
FIGURE = {
    "conv1": (33_024, (96, 128, 256, 256)),
    "fire2.squeeze": (1_552, (16, 63, 127, 127)),
    "fire2.expand1": (1_088, (64, 63, 127, 127)),
    "fire2.expand2": (27_712, (64, 63, 127, 127)),
    "fire3.squeeze": (2_064, (16, 63, 127, 127)),
    "fire3.expand1": (1_088, (64, 63, 127, 127)),
    "fire3.expand2": (27_712, (64, 63, 127, 127)),
    "fire4.squeeze": (4_128, (32, 63, 127, 127)),
    "fire4.expand1": (4_224, (128, 63, 127, 127)),
    "fire4.expand2": (110_720, (128, 63, 127, 127)),
    "fire5.squeeze": (8_224, (32, 31, 63, 63)),
    "fire5.expand1": (4_224, (128, 31, 63, 63)),
    "fire5.expand2": (110_720, (128, 31, 63, 63)),
    "fire6.squeeze": (12_336, (48, 31, 63, 63)),
    "fire6.expand1": (9_408, (192, 31, 63, 63)),
    "fire6.expand2": (249_024, (192, 31, 63, 63)),
    "fire7.squeeze": (18_480, (48, 31, 63, 63)),
    "fire7.expand1": (9_408, (192, 31, 63, 63)),
    "fire7.expand2": (249_024, (192, 31, 63, 63)),
    "fire8.squeeze": (24_640, (64, 31, 63, 63)),
    "fire8.expand1": (16_640, (256, 31, 63, 63)),
    "fire8.expand2": (442_624, (256, 31, 63, 63)),
    "fire9.squeeze": (32_832, (64, 15, 31, 31)),
    "fire9.expand1": (16_640, (256, 15, 31, 31)),
    "fire9.expand2": (442_624, (256, 15, 31, 31)),
}


@pytest.mark.parametrize(
    ("classes", "head", "total"), [(2, 1_026, 1_861_186), (3, 1_539, 1_861_699)]
)
def test_parameters_and_shapes_are_those_of_the_figure(classes, head, total):
    with torch.device("meta"):
        model = create_model("squeezenet3d", classes=classes).eval()
    expected = {**FIGURE, "conv10": (head, (classes, 15, 31, 31))}
    shapes = {}
    for name in expected:
        layer = model.get_submodule(name)
        layer.register_forward_hook(lambda _m, _i, out, n=name: shapes.update({n: out.shape[1:]}))
    with torch.no_grad():
        logits = model(torch.empty(1, 1, 256, 512, 512, device="meta"))
    assert logits.shape == (1, classes)
    for name, (count, shape) in expected.items():
        found = sum(p.numel() for p in model.get_submodule(name).parameters())
        assert (name, found, tuple(shapes[name])) == (name, count, shape)
    assert sum(p.numel() for p in model.parameters()) == total


def test_same_padding_is_that_of_keras():
    assert same_padding(128, 7, 2) == (2, 3)
    assert same_padding(127, 7, 2) == (3, 3)


def golden_script():
    spec = importlib.util.spec_from_file_location("golden", GOLDEN / "make_keras_golden.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("row", json.loads((GOLDEN / "keras.json").read_text())["rows"])
def test_weights_from_keras_give_the_logits_of_keras(row):
    script = golden_script()
    model = create_model("squeezenet3d").eval()
    model.load_state_dict(from_keras(script.draw_weights()))
    assert sum(p.numel() for p in model.parameters()) == row["parameters"]
    volume = torch.from_numpy(script.draw_volume(tuple(row["size"])))
    with torch.inference_mode():
        logits = model(volume[None, None])[0].numpy()
    assert np.abs(logits - row["logits"]).max() < 1e-4


def test_arrays_that_are_no_weights_are_named():
    with pytest.raises(ModelError, match="conv1/gamma"):
        from_keras({"conv1/gamma": np.zeros(3)})
    with pytest.raises(ModelError, match="2 dimensions"):
        from_keras({"conv1/kernel": np.zeros((3, 3))})


def test_the_paper_network_takes_36_gflop_at_its_input_size():
    from squeezect.models.catalogue import describe

    assert describe("squeezenet3d").gflop == pytest.approx(36.1, abs=0.2)
