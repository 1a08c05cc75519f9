"""Random changes of 2D patches: any angle, mirrored, scaled, shifted; a whole batch at once.

What the rotation brings in from beyond the patch is mirrored from inside, so that no corner of air
betrays that a patch was turned.
"""

import math

import torch
from torch.nn import functional

from squeezect.errors import RecipeError
from squeezect.training.recipe import BAD_RECIPE, Recipe, Turning


def require_flat(recipe: Recipe) -> None:
    """Refuse to turn volumes of many slices, of which turning sees the first alone.

    Raises:
        RecipeError: `bad-recipe`.
    """
    size = recipe.preparation.size
    if recipe.turning and size[0] > 1:
        what = f"recipe {recipe.name} has [turning] for volumes of {size} voxels [z, y, x]"
        raise RecipeError(BAD_RECIPE, what, remedy="use [tumbling], or prepare one slice")


def turn(patches: torch.Tensor, how: Turning) -> torch.Tensor:
    """A changed copy of a batch; draws from PyTorch's generator.

    Args:
        patches: (B, channels, 1, y, x), values in [0, 1].
        how: how much.

    Returns:
        The same shape.
    """
    flat = patches[:, :, 0]
    batch, device = len(flat), flat.device

    def symmetric(*shape: int) -> torch.Tensor:
        return torch.rand(batch, *shape, device=device) * 2 - 1

    angle = math.pi * symmetric()
    size = torch.exp(symmetric() * how.scale)
    aside = size * torch.exp(symmetric() * how.stretch)
    mirror = torch.where(symmetric() < 0, -1.0, 1.0)
    pose = torch.zeros(batch, 2, 3, device=device)
    pose[:, 0, 0] = angle.cos() * size * mirror
    pose[:, 0, 1] = -angle.sin() * aside
    pose[:, 1, 0] = angle.sin() * size * mirror
    pose[:, 1, 1] = angle.cos() * aside
    half = torch.tensor([flat.shape[3] / 2, flat.shape[2] / 2], device=device)
    pose[:, :, 2] = symmetric(2) * how.shift / half
    points = functional.affine_grid(pose, list(flat.shape), align_corners=False)
    turned = functional.grid_sample(flat, points, padding_mode="reflection", align_corners=False)
    turned = turned * (1 + how.gain * symmetric(1, 1, 1)) + how.offset * symmetric(1, 1, 1)
    amount = how.noise * torch.rand(batch, 1, 1, 1, device=device)
    return (turned + amount * torch.randn_like(turned)).clamp(0, 1)[:, :, None]
