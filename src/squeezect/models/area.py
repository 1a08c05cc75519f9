"""Volumes brought to another size by averaging, one matrix product per axis.

The same numbers as PyTorch's adaptive average pools, which some formats of exported networks lack.
"""

from collections.abc import Sequence

import torch


def area_resize(volumes: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Bring the last axes of a tensor to a size: means where it shrinks, repeats where it grows.

    Args:
        volumes: any shape; its last axes, as many as `size` has, are resized.
        size: of the result along those axes.

    Example:
        >>> area_resize(torch.tensor([1.0, 3.0, 5.0, 7.0]), (2,)).tolist()
        [2.0, 6.0]
    """
    for axis, wanted in zip(range(-len(size), 0), size, strict=True):
        weights = _means(volumes.shape[axis], wanted, volumes)
        volumes = (volumes.movedim(axis, -1) @ weights).movedim(-1, axis)
    return volumes


def _means(length: int, wanted: int, like: torch.Tensor) -> torch.Tensor:
    """Weights (length, wanted): column k is the mean of the k-th of `wanted` equal parts."""
    places = torch.arange(length, device=like.device)[:, None]
    parts = torch.arange(wanted, device=like.device)
    first = parts * length // wanted
    behind = ((parts + 1) * length + wanted - 1) // wanted
    inside = (places >= first) & (places < behind)
    return inside.to(like.dtype) / (behind - first).to(like.dtype)
