"""SqueezeNet3D in the v1.1 layout, counted by hand and against the 2D original."""

import torch

from squeezect.models import create_model
from squeezect.models.catalogue import describe
from squeezect.models.squeezenet3d_v11 import FIRES


def test_parameters_are_those_of_the_layout_made_cubic():
    model = create_model("squeezenet3d-v11")
    total = 27 * 64 + 64 + 512 * 2 + 2
    for channels, squeeze, expand in FIRES.values():
        total += channels * squeeze + squeeze
        total += squeeze * expand + expand + 27 * squeeze * expand + expand
    assert sum(p.numel() for p in model.parameters()) == total == 1_829_442


def test_kernels_made_flat_count_as_the_original_does():
    # 722,496 without its last layer of 1,000 classes, and with one channel in place of three.
    count = 0
    for name, parameter in create_model("squeezenet3d-v11").named_parameters():
        if not name.startswith("conv10"):
            count += parameter.numel() // (3 if parameter.shape[-1] == 3 else 1)
    assert count == 722_496 - 2 * 64 * 9


def test_sizes_of_the_layout():
    with torch.device("meta"):
        model = create_model("squeezenet3d-v11").eval()
    shapes = {}
    for name in ("conv1", "fire2", "fire4", "fire6", "conv10"):
        layer = model.get_submodule(name)
        layer.register_forward_hook(lambda _m, _i, o, n=name: shapes.update({n: o.shape[1:3]}))
    with torch.no_grad():
        model(torch.empty(1, 1, 128, 128, 128, device="meta"))
    assert {n: tuple(s) for n, s in shapes.items()} == {
        "conv1": (64, 64),
        "fire2": (128, 31),
        "fire4": (256, 15),
        "fire6": (384, 7),
        "conv10": (2, 7),
    }


def test_it_is_cheaper_than_the_paper_layout():
    assert describe("squeezenet3d-v11").gflop < 0.21 * describe("squeezenet3d").gflop
