"""SqueezeNet3D as its paper prints it, layer by layer.

B. B. Ahn, "The Compact 3D Convolutional Neural Network for Medical Images", 2017, figure 4; after
Iandola et al., "SqueezeNet", 2016. Every convolution has a bias and, but for the last, a ReLU;
there is no normalisation. The last has none, so the logits are the mean of the class map.
"""

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from squeezect.models.classifier import Classifier
from squeezect.models.registry import Entry, Options, register
from squeezect.scan import Shape, Triple

FIRES = {
    "fire2": (96, 16, 64),
    "fire3": (128, 16, 64),
    "fire4": (128, 32, 128),
    "fire5": (256, 32, 128),
    "fire6": (256, 48, 192),
    "fire7": (384, 48, 192),
    "fire8": (384, 64, 256),
    "fire9": (512, 64, 256),
}
"""Input, squeeze and expand channels of each fire module."""


class SqueezeNet3DOptions(Options):
    """Options of the paper's network.

    Args:
        dropout: probability of dropping a value before the last convolution.
    """

    dropout: float = Field(default=0.9, ge=0, lt=1)


class SameConv3d(nn.Conv3d):
    """A strided convolution padded as Keras pads "same": the odd voxel goes behind."""

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Convolve (B, C, z, y, x) to ceil(size / stride) per axis."""
        pads: list[int] = []
        for axis in (2, 1, 0):
            before, after = same_padding(
                volumes.shape[2 + axis], self.kernel_size[axis], self.stride[axis]
            )
            pads += [before, after]
        return super().forward(functional.pad(volumes, pads))


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Voxels to add before and behind an axis so that its output has ceil(size / stride)."""
    total = (-(-size // stride) - 1) * stride + kernel - size
    # A comparison on a traced size would freeze it in an export; kernels here exceed strides.
    return total // 2, total - total // 2


class Fire(nn.Module):
    """Squeeze to few channels with 1^3, expand with 1^3 and 3^3 side by side."""

    def __init__(self, channels: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv3d(channels, squeeze, 1)
        self.expand1 = nn.Conv3d(squeeze, expand, 1)
        self.expand2 = nn.Conv3d(squeeze, expand, 3, padding=1)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Features (B, 2 * expand, z, y, x)."""
        squeezed = functional.relu(self.squeeze(volumes))
        return functional.relu(torch.cat([self.expand1(squeezed), self.expand2(squeezed)], 1))


class SqueezeNet3D(Classifier):
    """The paper's network: 1,861,186 parameters with two classes.

    Args:
        options: classes, channels, dropout.
    """

    localises = True

    def __init__(self, options: SqueezeNet3DOptions) -> None:
        super().__init__()
        self.conv1 = SameConv3d(options.channels, 96, 7, stride=2)
        for name, (channels, squeeze, expand) in FIRES.items():
            self.add_module(name, Fire(channels, squeeze, expand))
        self.pool = nn.MaxPool3d(3, stride=2)
        self.dropout = nn.Dropout(options.dropout)
        self.conv10 = nn.Conv3d(512, options.classes, 1)
        self.apply(keras_init)

    def class_map(self, volumes: torch.Tensor) -> torch.Tensor:
        """Class map (B, classes, d, h, w) of volumes of 32^3 or more."""
        features = self.pool(functional.relu(self.conv1(volumes)))
        for name in FIRES:
            features = self.get_submodule(name)(features)
            if name in ("fire4", "fire8"):
                features = self.pool(features)
        result: torch.Tensor = self.conv10(self.dropout(features))
        return result

    def cells(self, shape: Shape) -> tuple[Triple, Triple]:
        """Cells are 16 voxels apart; the first sits 15 voxels in (14 on an odd side)."""
        # conv1's cell i looks at 2i + 3 - pad, and each pool's cell i at its input's cell 2i + 1:
        # after three pools that is 16i + 14 + 3 - pad.
        z, y, x = (17.0 - same_padding(size, 7, 2)[0] for size in shape)
        return (z, y, x), (16.0, 16.0, 16.0)


def keras_init(module: nn.Module) -> None:
    """Glorot-uniform weights and zero biases, as Keras starts them."""
    if isinstance(module, nn.Conv3d | nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _make(options: Options) -> SqueezeNet3D:
    return SqueezeNet3D(SqueezeNet3DOptions.model_validate(options.model_dump()))


register(
    Entry(
        name="squeezenet3d",
        summary="the paper's compact 3D network on whole scans",
        source="Ahn 2017, figure 4",
        options=SqueezeNet3DOptions,
        make=_make,
        example=(64, 64, 64),
    )
)
