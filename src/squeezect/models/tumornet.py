"""A 2D network on three projections of a volume; its features can feed a Gaussian process.

After Hussein et al., "TumorNet: Lung Nodule Characterization Using Multi-View Convolutional Neural
Network with Gaussian Process", 2017: the medians of a nodule's patch along its three axes are the
three channels of one image, a 2D network learns from such images, and Gaussian-process regression
on the network's features gives the malignancy.

The network here answers by itself, as every classifier does. `describe` gives the features, and
`squeezect.models.gaussian` is the regression on them, to be fitted after training.

What was chosen: projections are averaged (or repeated) to one square image, since those of a
volume with unequal sides differ in shape; the network is a small one trained from the start, where
Hussein et al. take one with five convolutions and 4096 features for photographs.
"""

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from squeezect.models.area import area_resize
from squeezect.models.classifier import Classifier
from squeezect.models.registry import Entry, Options, register
from squeezect.models.slices import SliceFeatures, he_init


class TumorNetOptions(Options):
    """Options of the projection network.

    Args:
        size: rows and columns of the projections.
        width: channels of the image's features.
        features: numbers that describe a volume, for the last layer and for the regression.
        dropout: probability of dropping one of them before the last layer.
    """

    size: int = Field(default=64, ge=16)
    width: int = Field(default=128, ge=4)
    features: int = Field(default=64, ge=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)


class TumorNet(Classifier):
    """The projection network; about 0.3 million parameters.

    A projection forgets where along its axis something lies, so there is no class map.

    Args:
        options: see `TumorNetOptions`.
    """

    def __init__(self, options: TumorNetOptions) -> None:
        super().__init__()
        self.size = options.size
        self.features = SliceFeatures(3 * options.channels, options.width)
        self.fusion = nn.Linear(options.width, options.features)
        self.dropout = nn.Dropout(options.dropout)
        self.head = nn.Linear(options.features, options.classes)
        self.fusion.apply(he_init)
        self.head.apply(he_init)

    def describe(self, volumes: torch.Tensor) -> torch.Tensor:
        """Features (B, features) of volumes (B, channels, z, y, x), none negative."""
        image = median_projections(volumes, self.size)
        return functional.relu(self.fusion(self.features(image).mean((2, 3, 4))))

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Logits (B, classes) of volumes (B, channels, z, y, x), of any size."""
        logits: torch.Tensor = self.head(self.dropout(self.describe(volumes)))
        return logits


def median_projections(volumes: torch.Tensor, size: int) -> torch.Tensor:
    """Medians of volumes (B, C, z, y, x) along z, y and x as channels; (B, 3 C, 1, size, size).

    Of an even number of voxels the lower middle one counts.
    """
    images = []
    for axis in (2, 3, 4):
        # Sorted, because exported graphs know no median.
        middle = (volumes.shape[axis] - 1) // 2
        flat = volumes.sort(axis).values.narrow(axis, middle, 1).squeeze(axis)
        images.append(area_resize(flat, (size, size)))
    return torch.cat(images, 1).unsqueeze(2)


def _make(options: Options) -> TumorNet:
    return TumorNet(TumorNetOptions.model_validate(options.model_dump()))


register(
    Entry(
        name="tumornet",
        summary="a 2D network on median projections, for a Gaussian process on its features",
        source="after Hussein et al. 2017",
        options=TumorNetOptions,
        make=_make,
        input=(64, 64, 64),
        smallest=(1, 1, 1),
    )
)
