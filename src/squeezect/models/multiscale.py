"""One 3D network on nested patches around the middle of a volume, their features joined.

After Shen et al., "Multi-scale Convolutional Neural Networks for Lung Nodule Classification", 2015:
patches of 96, 64 and 32 voxels around one candidate, brought to one size, through one network with
shared weights; the joined features are classified. The small patch shows the nodule's texture, the
large one what it hangs on.

What was chosen: sizes are parts of the input's side, so the whole input is the largest patch;
patches are brought to `size` by averaging; two convolutions with many 5^3 kernels are four with
3^3; the joined features go through one dense layer, where Shen et al. train another classifier.
"""

import torch
from pydantic import Field, PositiveInt
from torch import nn
from torch.nn import functional

from squeezect.models.area import area_resize
from squeezect.models.classifier import Classifier
from squeezect.models.registry import Entry, Options, register
from squeezect.models.slices import he_init


class MultiscaleOptions(Options):
    """Options of the multi-scale network.

    Args:
        sizes: sides of the nested patches, as parts of the largest, which is the whole input.
        size: voxels per side that every patch is brought to.
        width: channels of each patch's features.
        dense: width of the dense layer that joins them.
        dropout: probability of dropping a value before the last layer.
    """

    sizes: tuple[PositiveInt, ...] = Field(default=(96, 64, 32), min_length=1)
    size: int = Field(default=32, ge=8)
    width: int = Field(default=128, ge=4)
    dense: int = Field(default=128, ge=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)


class Multiscale(Classifier):
    """The multi-scale network; about 0.8 million parameters.

    Its dense layers mix all places, so it cannot tell where its answer comes from.

    Args:
        options: see `MultiscaleOptions`.
    """

    def __init__(self, options: MultiscaleOptions) -> None:
        super().__init__()
        self.sizes = options.sizes
        self.size = options.size
        narrow, middle = max(1, options.width // 4), max(1, options.width // 2)
        self.features = nn.Sequential(
            _convolution(options.channels, narrow),
            nn.MaxPool3d(2),
            _convolution(narrow, middle),
            nn.MaxPool3d(2),
            _convolution(middle, options.width),
            _convolution(options.width, options.width),
        )
        self.fusion = nn.Linear(len(options.sizes) * options.width, options.dense)
        self.dropout = nn.Dropout(options.dropout)
        self.head = nn.Linear(options.dense, options.classes)
        self.apply(he_init)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Logits (B, classes) of volumes (B, channels, z, y, x), of any size."""
        patches = nested_patches(volumes, self.sizes, self.size)
        features = [self.features(patch).mean((2, 3, 4)) for patch in patches]
        hidden = functional.relu(self.fusion(torch.cat(features, 1)))
        logits: torch.Tensor = self.head(self.dropout(hidden))
        return logits


def nested_patches(volumes: torch.Tensor, sizes: tuple[int, ...], size: int) -> list[torch.Tensor]:
    """Patches around the middle of volumes (B, C, z, y, x), each (B, C, size, size, size).

    Args:
        volumes: shape (B, C, z, y, x).
        sizes: sides of the patches, as parts of the largest, which is the whole volume.
        size: voxels per side of the results; larger patches are averaged, smaller ones repeated.
    """
    patches = []
    for part in sizes:
        patch = volumes
        for axis in (2, 3, 4):
            length = volumes.shape[axis]
            # Rounded up, so that a volume one voxel deep keeps its voxel; in positive numbers,
            # because exported graphs round negative ones towards zero.
            side = (length * part + max(sizes) - 1) // max(sizes)
            patch = patch.narrow(axis, (length - side) // 2, side)
        patches.append(area_resize(patch, (size, size, size)))
    return patches


def _convolution(channels: int, width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(channels, width, 3, padding=1, bias=False),
        nn.BatchNorm3d(width),
        nn.ReLU(inplace=True),
    )


def _make(options: Options) -> Multiscale:
    return Multiscale(MultiscaleOptions.model_validate(options.model_dump()))


register(
    Entry(
        name="multiscale",
        summary="one 3D network on nested patches, their features joined",
        source="after Shen et al. 2015",
        options=MultiscaleOptions,
        make=_make,
        input=(96, 96, 96),
        smallest=(1, 1, 1),
    )
)
