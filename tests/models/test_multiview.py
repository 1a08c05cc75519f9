"""The multi-view network sees three planes, and nothing else."""

import pytest
import torch

from squeezect.models import create_model
from squeezect.models.multiview import three_views


def test_views_are_the_middle_planes():
    volume = torch.arange(4 * 5 * 6.0).reshape(1, 1, 4, 5, 6)
    axial, coronal, sagittal = three_views(volume, 1)
    assert torch.equal(axial[0, 0, 0], volume[0, 0, 2])
    assert torch.equal(coronal[0, 0, 0], volume[0, 0, :, 2])
    assert torch.equal(sagittal[0, 0, 0], volume[0, 0, :, :, 3])


def test_several_planes_are_evenly_spaced():
    volume = torch.arange(64.0).reshape(1, 1, 64, 1, 1).expand(1, 1, 64, 4, 4)
    axial = three_views(volume, 4)[0]
    assert axial[0, 0, :, 0, 0].tolist() == [8, 24, 40, 56]


@pytest.mark.parametrize("planes", [1, 3])
def test_only_the_planes_are_seen(planes):
    torch.manual_seed(0)
    model = create_model("multiview", options={"width": 16, "planes": planes}).eval()
    volume = torch.rand(1, 1, 24, 24, 24, requires_grad=True)
    model(volume)[0, 1].backward()
    seen = torch.zeros(24, 24, 24, dtype=torch.bool)
    for place in [(2 * k + 1) * 24 // (2 * planes) for k in range(planes)]:
        seen[place] = seen[:, place] = seen[:, :, place] = True
    assert not volume.grad[0, 0][~seen].any()
    assert volume.grad[0, 0, 12, :, :].any()
