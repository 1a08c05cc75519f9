"""The recurrent network reads across slices, and only across slices."""

import torch

from squeezect.models import create_model


def changed(where):
    """Cells of the class map that change with one block of voxels."""
    torch.manual_seed(0)
    model = create_model("recurrent", options={"width": 16, "memory": 8}).eval()
    volume = torch.rand(1, 1, 6, 64, 64)
    other = volume.clone()
    z, y, x = where
    other[0, 0, z, y, x] += 1
    with torch.inference_mode():
        return (model.class_map(volume) - model.class_map(other)).abs().sum((0, 1)) > 1e-9


def test_a_slice_is_remembered_in_all_others():
    moved = changed((2, 8, 8))
    assert moved[:, 1, 1].all()


def test_columns_of_cells_are_read_apart():
    moved = changed((2, 8, 8))
    assert not moved[:, 6:, 6:].any()
