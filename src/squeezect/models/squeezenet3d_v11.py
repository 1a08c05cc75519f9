"""SqueezeNet3D in the layout of SqueezeNet v1.1: the same fire modules, pooled earlier.

F. N. Iandola's SqueezeNet v1.1, 2016, made cubic in the way the paper makes v1.0: a first
convolution of 64 channels and 3^3 kernels in place of 96 and 7^3, and pools before the second, the
fourth and the sixth fire module. The class map has the same cells as the paper's.

Padding, biases, ReLUs, first weights and dropout are those of `squeezenet3d`.
"""

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from squeezect.models.classifier import Classifier
from squeezect.models.registry import Entry, Options, register
from squeezect.models.squeezenet3d import Fire, SameConv3d, keras_init, same_padding
from squeezect.scan import Shape, Triple

FIRES = {
    "fire2": (64, 16, 64),
    "fire3": (128, 16, 64),
    "fire4": (128, 32, 128),
    "fire5": (256, 32, 128),
    "fire6": (256, 48, 192),
    "fire7": (384, 48, 192),
    "fire8": (384, 64, 256),
    "fire9": (512, 64, 256),
}
"""Input, squeeze and expand channels of each fire module."""

POOLED_BEFORE = ("fire2", "fire4", "fire6")


class SqueezeNet3DV11Options(Options):
    """Options of the network.

    Args:
        dropout: probability of dropping a value before the last convolution.
    """

    dropout: float = Field(default=0.9, ge=0, lt=1)


class SqueezeNet3DV11(Classifier):
    """The v1.1 layout: 1,829,442 parameters with two classes.

    Args:
        options: classes, channels, dropout.
    """

    localises = True

    def __init__(self, options: SqueezeNet3DV11Options) -> None:
        super().__init__()
        self.conv1 = SameConv3d(options.channels, 64, 3, stride=2)
        for name, (channels, squeeze, expand) in FIRES.items():
            self.add_module(name, Fire(channels, squeeze, expand))
        self.pool = nn.MaxPool3d(3, stride=2)
        self.dropout = nn.Dropout(options.dropout)
        self.conv10 = nn.Conv3d(512, options.classes, 1)
        self.apply(keras_init)

    def class_map(self, volumes: torch.Tensor) -> torch.Tensor:
        """Class map (B, classes, d, h, w) of volumes of 32^3 or more."""
        features = functional.relu(self.conv1(volumes))
        for name in FIRES:
            if name in POOLED_BEFORE:
                features = self.pool(features)
            features = self.get_submodule(name)(features)
        result: torch.Tensor = self.conv10(self.dropout(features))
        return result

    def cells(self, shape: Shape) -> tuple[Triple, Triple]:
        """Cells are 16 voxels apart; the first sits 15 voxels in (14 on an odd side)."""
        # conv1's cell i looks at 2i + 1 - pad, and each pool's cell i at its input's cell 2i + 1.
        z, y, x = (15.0 - same_padding(size, 3, 2)[0] for size in shape)
        return (z, y, x), (16.0, 16.0, 16.0)


def _make(options: Options) -> SqueezeNet3DV11:
    return SqueezeNet3DV11(SqueezeNet3DV11Options.model_validate(options.model_dump()))


register(
    Entry(
        name="squeezenet3d-v11",
        summary="SqueezeNet3D in the layout of SqueezeNet v1.1, a fifth of the arithmetic",
        source="after Ahn 2017; Iandola 2016",
        options=SqueezeNet3DV11Options,
        make=_make,
    )
)
