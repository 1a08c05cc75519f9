"""Features of slices, each seen alone: what the 2D networks have in common.

A slice is a volume one voxel deep, and a 2D network is a 3D network whose kernels are. So slices
need no folding into the batch, and all networks share one input and one memory format.
"""

import torch
from torch import nn

PLANE_STEP = 8
"""Voxels between the features of a slice."""


class SliceFeatures(nn.Module):
    """A plain 2D network over every slice along z: five convolutions, each normalised.

    Features are `PLANE_STEP` voxels apart, the first on the first voxel.

    Args:
        channels: of the input.
        width: channels of the features; earlier layers have a quarter and a half of it.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        narrow, middle = max(1, width // 4), max(1, width // 2)
        self.layers = nn.Sequential(
            flat_convolution(channels, narrow, kernel=5, stride=2),
            flat_convolution(narrow, narrow),
            flat_pool(),
            flat_convolution(narrow, middle),
            flat_pool(),
            flat_convolution(middle, width),
            flat_convolution(width, width),
        )
        self.apply(he_init)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Features (B, width, z, h, w) of volumes (B, channels, z, y, x)."""
        features: torch.Tensor = self.layers(volumes)
        return features


def flat_convolution(channels: int, width: int, *, kernel: int = 3, stride: int = 1) -> nn.Module:
    """A convolution within slices, batch norm and ReLU."""
    half = (0, kernel // 2, kernel // 2)
    return nn.Sequential(
        nn.Conv3d(channels, width, (1, kernel, kernel), (1, stride, stride), half, bias=False),
        nn.BatchNorm3d(width),
        nn.ReLU(inplace=True),
    )


def flat_pool() -> nn.Module:
    """A maximum within slices that halves rows and columns; one row stays one."""
    return nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))


def he_init(module: nn.Module) -> None:
    """Weights for ReLU networks: He et al., "Delving deep into rectifiers", 2015."""
    if isinstance(module, nn.Conv3d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
