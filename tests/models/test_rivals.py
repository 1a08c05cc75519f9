"""Rivals answer as MONAI's own networks do, and say what to do without MONAI."""

import sys

import pytest
import torch
from monai.networks import nets

from squeezect.errors import ModelError
from squeezect.models import create_model
from squeezect.models.catalogue import catalogue

PEERS = {
    "densenet121": lambda: nets.DenseNet121(spatial_dims=3, in_channels=1, out_channels=2),
    "resnet18": lambda: nets.resnet18(spatial_dims=3, n_input_channels=1, num_classes=2),
    "efficientnet": lambda: nets.EfficientNetBN(
        "efficientnet-b0", pretrained=False, spatial_dims=3, in_channels=1, num_classes=2
    ),
}


@pytest.fixture(params=PEERS)
def name(request):
    return request.param


def test_logits_and_parameters_are_those_of_monai(name):
    torch.manual_seed(0)
    model = create_model(name).eval()
    torch.manual_seed(0)
    peer = PEERS[name]().eval()
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in peer.parameters())
    volume = torch.rand(1, 1, 40, 33, 48)
    with torch.inference_mode():
        expected = peer(volume)
        assert torch.allclose(model(volume), expected, atol=1e-4 * float(expected.abs().max() + 1))


def test_a_single_cell_leaves_the_running_statistics_alone(name):
    torch.manual_seed(0)
    model = create_model(name).train()
    before = {k: v.clone() for k, v in model.named_buffers()}
    model(torch.rand(1, 1, 32, 32, 32))
    alone = all(torch.equal(v, before[k]) for k, v in model.named_buffers())
    assert alone == (name != "resnet18"), "whose cells at 32^3 are eight"
    assert all(m.training for m in model.modules())


@pytest.fixture
def _without_monai(monkeypatch):
    for module in [m for m in sys.modules if m.split(".")[0] == "monai"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "monai", None)


@pytest.mark.usefixtures("_without_monai")
def test_without_monai_the_extra_is_named(name):
    with pytest.raises(ModelError, match=r"squeezect\[models\].*needs-monai"):
        create_model(name)


@pytest.mark.usefixtures("_without_monai")
def test_without_monai_the_catalogue_still_lists_all():
    cards = {card.name: card for card in catalogue()}
    assert cards["densenet121"].parameters is None
    assert "needs-monai" in str(cards["densenet121"])
    assert cards["squeezenet3d"].parameters == 1_861_186
