"""The multi-scale network sees nested patches around the middle."""

import torch

from squeezect.models import create_model
from squeezect.models.multiscale import nested_patches


def test_patches_are_nested_around_the_middle():
    volume = torch.zeros(1, 1, 96, 96, 96)
    volume[0, 0, 16:80, 16:80, 16:80] = 1
    volume[0, 0, 32:64, 32:64, 32:64] = 2
    whole, middle, inner = nested_patches(volume, (96, 64, 32), 32)
    assert whole.shape == middle.shape == inner.shape == (1, 1, 32, 32, 32)
    assert torch.equal(inner, volume[:, :, 32:64, 32:64, 32:64])
    assert set(middle.unique().tolist()) == {1, 2}
    assert torch.isclose(whole.mean(), volume.mean())


def test_weights_are_shared_among_scales():
    few, many = (create_model("multiscale", options={"sizes": s}) for s in ((2, 1), (4, 3, 2, 1)))
    assert len(list(few.features.parameters())) == len(list(many.features.parameters()))
    assert many.fusion.in_features == 2 * few.fusion.in_features


def test_what_lies_around_the_middle_counts():
    torch.manual_seed(0)
    model = create_model("multiscale", options={"width": 16, "size": 8}).eval()
    volume = torch.rand(1, 1, 24, 24, 24)
    outer = volume.clone()
    outer[:, :, :4] = 0
    with torch.inference_mode():
        assert not torch.allclose(model(volume), model(outer), atol=1e-5)
