"""The 2D network sees slices one by one."""

import torch

from squeezect.models import create_model


def make(**options):
    torch.manual_seed(0)
    return create_model("cnn2d", options={"width": 16} | options).eval()


def test_slices_do_not_see_each_other():
    model = make()
    volume = torch.rand(1, 1, 5, 32, 32)
    with torch.inference_mode():
        alone = torch.stack([model(volume[:, :, k : k + 1]) for k in range(5)])
        assert torch.allclose(model(volume), alone.mean(0), atol=1e-5)


def test_the_middle_slice_is_the_only_one_if_so_asked():
    model = make(slices="middle")
    volume = torch.rand(1, 1, 6, 32, 32)
    with torch.inference_mode():
        assert torch.equal(model(volume), model(volume[:, :, 3:4]))
    assert model.cells((6, 32, 32)) == ((3.0, 0.0, 0.0), (1.0, 8.0, 8.0))
