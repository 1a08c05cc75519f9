"""Random poses of 3D patches: turned, tilted, mirrored, scaled, shifted; a whole batch at once.

A patch around a nodule has no preferred direction in its plane, and little across it. Channels
after the first go through the same pose (a mask of the nodule, for the teacher), but keep their
values. What lies beyond the patch goes on with its outermost voxels.
"""

import math

import torch
from torch.nn import functional

from squeezect.training.recipe import Tumbling


def tumble(volumes: torch.Tensor, how: Tumbling) -> torch.Tensor:
    """A changed copy of a batch; draws from PyTorch's generator.

    Args:
        volumes: (B, channels, z, y, x) of cubic voxels; the first channel is in [0, 1].
        how: how much.

    Returns:
        The same shape.
    """
    points = functional.affine_grid(_poses(volumes, how), list(volumes.shape), align_corners=False)
    moved = functional.grid_sample(volumes, points, padding_mode="border", align_corners=False)
    seen = moved[:, :1]
    seen = seen * (1 + how.gain * _symmetric(seen, 1)) + how.offset * _symmetric(seen, 1)
    amount = how.noise * (_symmetric(seen, 1) + 1) / 2
    seen = (seen + amount * torch.randn_like(seen)).clamp(0, 1)
    return torch.cat([seen, moved[:, 1:]], 1)


def _symmetric(like: torch.Tensor, *shape: int) -> torch.Tensor:
    draws = torch.rand(len(like), *shape, device=like.device) * 2 - 1
    return draws.reshape(len(like), *shape, *[1] * (like.ndim - 1 - len(shape)))


def _poses(volumes: torch.Tensor, how: Tumbling) -> torch.Tensor:
    """Affine maps (B, 3, 4) from places of the result to places of the volume, x first."""
    batch, device = len(volumes), volumes.device

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(batch, *shape, device=device) * 2 - 1

    turned = _rotation(math.pi * draw(), 0, 1)
    tilted = _rotation(how.tilt * draw(), 1, 2)
    size = torch.exp(how.scale * draw())
    sides = size[:, None] * torch.exp(how.stretch * draw(3))
    mirrors = torch.where(draw(3) < 0, -1.0, 1.0)
    pose = turned @ tilted @ torch.diag_embed(sides * mirrors)
    half = torch.tensor([side / 2 for side in reversed(volumes.shape[2:])], device=device)
    scaled = pose * half[None, None, :] / half[None, :, None]
    shift = how.shift * draw(3) / half
    return torch.cat([scaled, shift[:, :, None]], 2)


def _rotation(angles: torch.Tensor, first: int, second: int) -> torch.Tensor:
    """Rotations (B, 3, 3) by angles (B,) in the plane of two axes."""
    result = torch.eye(3, device=angles.device).repeat(len(angles), 1, 1)
    result[:, first, first] = result[:, second, second] = angles.cos()
    result[:, first, second] = -angles.sin()
    result[:, second, first] = angles.sin()
    return result
