"""Resizing by matrix products against PyTorch's own adaptive pools."""

import pytest
import torch

from squeezect.models.area import area_resize


@pytest.mark.parametrize("size", [(4, 5, 6), (2, 9, 1), (1, 1, 1), (7, 11, 3), (8, 6, 12)])
def test_it_is_an_adaptive_average(size):
    volume = torch.rand(2, 3, 4, 6, 12, dtype=torch.float64)
    found = area_resize(volume, size)
    assert torch.allclose(found, torch.nn.functional.adaptive_avg_pool3d(volume, size))


def test_its_own_size_changes_nothing():
    volume = torch.rand(1, 5, 6)
    assert torch.equal(area_resize(volume, (5, 6)), volume)
