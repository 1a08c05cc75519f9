"""Convolutions whose gradient is right on maps smaller than their kernels.

On processors, PyTorch 2.13 (oneDNN 3.12) computes the weights' gradient of a 3D convolution in
bfloat16 from memory it never wrote where a kernel is larger than the map, padding aside: 3^3
kernels on two slices, 5^3 kernels on two to four. The training then learns noise, or ends in NaN.
Such maps are tiny, so these convolutions go on in float32 at no cost that can be measured.
"""

from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class SteadyConv3d(nn.Conv3d):
    """A convolution that leaves bfloat16 on a processor where a side is shorter than its kernel."""

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Convolve (B, C, z, y, x)."""
        # In this order an export, which knows no mixed precision, looks at no sizes.
        if torch.is_autocast_enabled("cpu") and volumes.device.type == "cpu":
            sides = zip(volumes.shape[2:], self.kernel_size, strict=True)
            if any(side < kernel for side, kernel in sides):
                with torch.autocast("cpu", enabled=False):
                    return super().forward(volumes.float())
        return super().forward(volumes)


def steady(network: Network) -> Network:
    """Make all plain 3D convolutions of a network steady, in place; weights and names stay."""
    for module in network.modules():
        if type(module) is nn.Conv3d:
            module.__class__ = SteadyConv3d
    return network
