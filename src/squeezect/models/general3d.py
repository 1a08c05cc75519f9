"""The general 3D network that the paper judges nodule candidates with, as its figure prints it.

B. B. Ahn, "The Compact 3D Convolutional Neural Network for Medical Images", 2017, figure 3.

The figure's first row, a batch norm with 256 parameters, can only be one over 64 columns: Keras
normalises the last axis, which here is x, and counts scale, shift, running mean and running
variance. Two of these four are trained, so the paper's total of 51,707,010 is 128 more than
PyTorch counts as parameters.

What the figure leaves open, and what was chosen:

- every layer but the last has a ReLU;
- dropout 0.5 after both dense layers: 0.9 twice would leave a hundredth of the paths;
- planes of another size than 64 x 64 are averaged (or repeated) to it, and features of another
  depth than 3 are averaged (or repeated) to that, so that the dense layers fit any input. On the
  figure's own input both do nothing.
"""

import math

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from squeezect.models.area import area_resize
from squeezect.models.classifier import Classifier
from squeezect.models.registry import Entry, Options, register
from squeezect.models.squeezenet3d import keras_init
from squeezect.scan import Shape

PATCH: Shape = (3, 64, 64)


class General3DOptions(Options):
    """Options of the general network.

    Args:
        depth: slices of features that the dense layers see.
        side: rows and columns of the patch, a multiple of 8.
        dense: width of the first dense layer.
        dropout: probability of dropping a value after each dense layer.
    """

    depth: int = Field(default=PATCH[0], ge=1)
    side: int = Field(default=PATCH[1], ge=8, multiple_of=8)
    dense: int = Field(default=1024, ge=1)
    dropout: float = Field(default=0.5, ge=0, lt=1)


class ColumnNorm(nn.BatchNorm1d):
    """Batch norm over the columns of a volume, as Keras does on its last axis."""

    def __init__(self, columns: int) -> None:
        # Keras' own epsilon; its momentum of 0.99 is 0.01 here, too slow for a short training.
        super().__init__(columns, eps=1e-3)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Normalise (B, C, z, y, x) over x."""
        columns = volumes.movedim(-1, 1)
        normalised = super().forward(columns.flatten(2)).reshape(columns.shape)
        return normalised.movedim(1, -1)


class General3D(Classifier):
    """The general network: 51,706,882 trained parameters, or 51,707,010 as the paper counts.

    The dense layers mix all places, so it cannot tell where its answer comes from.

    Args:
        options: see `General3DOptions`.
    """

    def __init__(self, options: General3DOptions) -> None:
        super().__init__()
        self.side = options.side
        self.norm = ColumnNorm(options.side)
        self.conv1 = nn.Conv3d(options.channels, 64, (3, 5, 5), padding=(1, 2, 2))
        self.conv2 = nn.Conv3d(64, 128, 3, padding=1)
        self.conv3 = nn.Conv3d(128, 256, 3, padding=1)
        self.pool = nn.MaxPool3d((1, 2, 2))
        self.cell_shape = (options.depth, options.side // 8, options.side // 8)
        self.dense1 = nn.Linear(256 * math.prod(self.cell_shape), options.dense)
        self.dense2 = nn.Linear(options.dense, 256)
        self.dense3 = nn.Linear(256, options.classes)
        self.dropout = nn.Dropout(options.dropout)
        self.apply(keras_init)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Logits (B, classes) of volumes (B, channels, z, y, x), of 1 x 8 x 8 or more."""
        features = self.norm(area_resize(volumes, (self.side, self.side)))
        for conv in (self.conv1, self.conv2, self.conv3):
            features = self.pool(functional.relu(conv(features)))
        # Channels first, whatever the memory format, so that weights mean the same everywhere.
        flat = area_resize(features, self.cell_shape).flatten(1)
        hidden = self.dropout(functional.relu(self.dense1(flat)))
        hidden = self.dropout(functional.relu(self.dense2(hidden)))
        logits: torch.Tensor = self.dense3(hidden)
        return logits


def _make(options: Options) -> General3D:
    return General3D(General3DOptions.model_validate(options.model_dump()))


register(
    Entry(
        name="general3d",
        summary="the paper's plain 3D network with dense layers, on slabs around a candidate",
        source="Ahn 2017, figure 3",
        options=General3DOptions,
        make=_make,
        example=PATCH,
        input=PATCH,
        smallest=(1, 8, 8),
    )
)
