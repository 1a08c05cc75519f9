"""The window network scores windows one by one and lets the strongest decide."""

import pytest
import torch

from squeezect.models import create_model
from squeezect.models.voxel64 import WINDOW, overhang


def make(**options):
    torch.manual_seed(0)
    return create_model("voxel64", options=options).eval()


def test_a_cell_is_the_score_of_its_window_alone():
    model = make(step=32)
    volume = torch.rand(1, 1, 64, 96, 64)
    with torch.inference_mode():
        scores = model.cell_scores(volume)
        first = model.cell_scores(volume[:, :, :, :64])
        second = model.cell_scores(volume[:, :, :, 32:])
    assert scores.shape == (1, 2, 1, 2, 1)
    assert torch.allclose(scores, torch.cat([first, second], 3), atol=1e-5)


def test_cells_are_the_middles_of_windows():
    model = make(step=32)
    volume = torch.rand(1, 1, 100, 64, 64)
    with torch.inference_mode():
        scores = model.cell_scores(volume)
        second = model.cell_scores(volume[:, :, 18:82])
    assert torch.allclose(scores[:, :, 1:2], second, atol=1e-5)
    first, step = model.cells((100, 64, 64))
    assert first == (17.5, 31.5, 31.5)
    assert first[0] + step[0] == (18 + 81) / 2


def test_one_window_is_a_volume_of_its_size():
    model = make()
    window = torch.rand(2, 1, 64, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(model(window), model.cell_scores(window).flatten(1), atol=1e-6)


def test_sharpness_goes_from_mean_to_maximum():
    scores = torch.tensor([0.0, 3.0, -1.0]).reshape(1, 1, 1, 1, 3)
    scores = torch.cat([torch.zeros_like(scores), scores], 1)
    logits = [float(make(sharpness=s).pooled(scores).mean((2, 3, 4))[0, 1]) for s in (0, 1, 2, 20)]
    assert logits[0] == pytest.approx(2 / 3)
    assert logits == sorted(logits)
    assert logits[-1] == pytest.approx(3, abs=1e-6)


@pytest.mark.parametrize("size", [1, 40, 63, 64, 65, 96, 100, 128, 129])
@pytest.mark.parametrize("step", [32, 48, 64])
def test_windows_cover_every_voxel_and_overhang_alike(size, step):
    before, after = overhang(size, step)
    assert (size + before + after - WINDOW) % step == 0
    assert 0 <= after - before <= 1
    assert before + after < max(step, WINDOW)


def test_stages_have_the_channels_of_the_source():
    convolutions = [m for m in make().modules() if isinstance(m, torch.nn.Conv3d)]
    assert [c.out_channels for c in convolutions] == [8, 24, 36, 48, 64]
    assert [c.in_channels for c in convolutions] == [1, 9, 25, 37, 49]
