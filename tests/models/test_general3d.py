"""The general 3D network against the paper's figure, row by row."""

import pytest
import torch

from squeezect.models import create_model
from squeezect.models.catalogue import describe

# Numbers of the layer as Keras counts them, and output (channels, z, y, x) on a 3 x 64 x 64 patch.
FIGURE = {
    "norm": (256, (1, 3, 64, 64)),
    "conv1": (4_864, (64, 3, 64, 64)),
    "conv2": (221_312, (128, 3, 32, 32)),
    "conv3": (884_992, (256, 3, 16, 16)),
    "dense1": (50_332_672, (1_024,)),
    "dense2": (262_400, (256,)),
    "dense3": (514, (2,)),
}


def counted(layer):
    """Parameters and running statistics, as Keras counts them."""
    running = [v for k, v in layer.named_buffers() if not k.endswith("num_batches_tracked")]
    return sum(p.numel() for p in [*layer.parameters(), *running])


def test_parameters_and_shapes_are_those_of_the_figure():
    with torch.device("meta"):
        model = create_model("general3d").eval()
    shapes, flat = {}, []
    for name in FIGURE:
        layer = model.get_submodule(name)
        layer.register_forward_hook(lambda _m, _i, out, n=name: shapes.update({n: out.shape[1:]}))
    pools = []
    model.pool.register_forward_hook(lambda _m, _i, out: pools.append(tuple(out.shape[1:])))
    model.dense1.register_forward_pre_hook(lambda _m, given: flat.append(given[0].shape[1]))
    with torch.no_grad():
        model(torch.empty(1, 1, 3, 64, 64, device="meta"))
    for name, (count, shape) in FIGURE.items():
        found = (counted(model.get_submodule(name)), tuple(shapes[name]))
        assert (name, *found) == (name, count, shape)
    assert pools == [(64, 3, 32, 32), (128, 3, 16, 16), (256, 3, 8, 8)]
    assert flat == [49_152]
    assert counted(model) == 51_707_010
    card = describe("general3d")
    assert card.parameters == 51_707_010 - 128
    assert card.with_statistics == 51_707_010
    assert "51,707,010 parameters counted as Keras does" in str(card)
    paper = describe("squeezenet3d")
    assert paper.with_statistics == paper.parameters


def test_the_norm_is_over_columns():
    norm = create_model("general3d", options={"side": 8, "dense": 4}).norm.train()
    volumes = torch.rand(5, 1, 3, 8, 8) * torch.arange(1.0, 9.0)
    columns = norm(volumes).movedim(-1, 0).flatten(1)
    assert torch.allclose(columns.mean(1), torch.zeros(8), atol=1e-5)
    assert torch.allclose(columns.std(1, correction=0), torch.ones(8), atol=0.02)


def test_a_plane_of_another_size_is_averaged_to_the_patch():
    model = create_model("general3d", options={"side": 16, "dense": 8}).eval()
    patch = torch.rand(2, 1, 3, 16, 16)
    larger = patch.repeat_interleave(3, 3).repeat_interleave(3, 4)
    with torch.inference_mode():
        assert torch.allclose(model(patch), model(larger), atol=1e-5)


@pytest.mark.parametrize("format_", [torch.contiguous_format, torch.channels_last_3d])
def test_memory_format_does_not_change_the_answer(format_):
    torch.manual_seed(0)
    model = create_model("general3d", options={"side": 16, "dense": 8}).eval()
    patch = torch.rand(2, 1, 3, 16, 16)
    with torch.inference_mode():
        expected = model(patch)
        found = model.to(memory_format=format_)(patch.contiguous(memory_format=format_))
    assert torch.allclose(found, expected, atol=1e-5)
