"""Gradients in bfloat16 on maps smaller than the kernel, against float64."""

import pytest
import torch

from squeezect.models import create_model, model_names
from squeezect.models.steady import SteadyConv3d, steady


def worst_gradient(kernel, shape, groups=1):
    torch.manual_seed(0)
    worst = 0.0
    for _ in range(4):
        half = tuple(k // 2 for k in kernel)
        plain = torch.nn.Conv3d(32, 32, kernel, padding=half, groups=groups)
        exact = torch.nn.Conv3d(32, 32, kernel, padding=half, groups=groups).double()
        exact.load_state_dict({k: v.double() for k, v in plain.state_dict().items()})
        volumes, pull = torch.randn(2, 32, *shape), torch.randn(2, 32, *shape)
        with torch.autocast("cpu", torch.bfloat16):
            answer = steady(plain)(volumes)
        (answer.float() * pull).sum().backward()
        (exact(volumes.double()) * pull).sum().backward()
        gap = (plain.weight.grad - exact.weight.grad).abs().max() / exact.weight.grad.abs().max()
        worst = max(worst, float(gap.nan_to_num(torch.inf)))
    return worst


@pytest.mark.parametrize(
    ("kernel", "shape"),
    [
        ((3, 3, 3), (2, 2, 2)),
        ((3, 3, 3), (2, 8, 8)),
        ((3, 3, 3), (4, 4, 4)),
        ((5, 5, 5), (3, 3, 3)),
        ((5, 5, 5), (4, 8, 8)),
        ((1, 5, 5), (4, 1, 1)),
        ((5, 5, 5), (5, 5, 5)),
    ],
)
@pytest.mark.parametrize("groups", [1, 32])
def test_gradients_are_those_of_float64(kernel, shape, groups):
    assert worst_gradient(kernel, shape, groups) < 0.02


def test_where_there_is_room_precision_is_as_asked():
    convolution = steady(torch.nn.Conv3d(4, 4, 3, padding=1))
    with torch.autocast("cpu", torch.bfloat16):
        assert convolution(torch.zeros(1, 4, 4, 4, 4)).dtype == torch.bfloat16
        assert convolution(torch.zeros(1, 4, 2, 4, 4)).dtype == torch.float32


@pytest.mark.parametrize("name", model_names())
def test_every_network_is_made_steady(name):
    with torch.device("meta"):
        model = create_model(name)
    plain = [k for k, m in model.named_modules() if type(m) is torch.nn.Conv3d]
    assert not plain
    assert any(isinstance(m, SteadyConv3d) for m in model.modules())
