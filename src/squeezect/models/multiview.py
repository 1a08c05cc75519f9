"""A 2D network on the axial, the coronal and the sagittal plane through the middle of a volume.

After the paper's description of Liu and Kang, "Multiview convolutional neural networks for lung
nodule classification", 2017: views of one candidate, each through a 2D network, fused for one
answer. Their own views are patches cut in several sizes, which here is `multiscale`.

What was chosen: the three views share one network, because with cubic voxels they show the same
tissue and small cohorts need few weights; they are fused by joining their features, so the dense
layers know which view says what. A candidate lies in the middle of its patch. For a whole scan,
where nothing lies in the middle, `planes` takes several parallel planes, evenly spaced, of which
each feature's largest value counts.
"""

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from squeezect.models.classifier import Classifier
from squeezect.models.registry import Entry, Options, register
from squeezect.models.slices import SliceFeatures, he_init


class MultiviewOptions(Options):
    """Options of the multi-view network.

    Args:
        planes: parallel planes of each view, evenly spaced; a single one is the middle.
        width: channels of the planes' features.
        dense: width of the dense layer that fuses the views.
        dropout: probability of dropping a value before the last layer.
    """

    planes: int = Field(default=1, ge=1)
    width: int = Field(default=128, ge=4)
    dense: int = Field(default=128, ge=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)


class Multiview(Classifier):
    """The multi-view network; about 0.3 million parameters.

    Its dense layers mix three planes, so it cannot tell where its answer comes from.

    Args:
        options: see `MultiviewOptions`.
    """

    def __init__(self, options: MultiviewOptions) -> None:
        super().__init__()
        self.planes = options.planes
        self.features = SliceFeatures(options.channels, options.width)
        self.fusion = nn.Linear(3 * options.width, options.dense)
        self.dropout = nn.Dropout(options.dropout)
        self.head = nn.Linear(options.dense, options.classes)
        self.fusion.apply(he_init)
        self.head.apply(he_init)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Logits (B, classes) of volumes (B, channels, z, y, x), of 16^3 or more."""
        views = [
            self.features(view).mean((3, 4)).amax(2) for view in three_views(volumes, self.planes)
        ]
        hidden = functional.relu(self.fusion(torch.cat(views, 1)))
        logits: torch.Tensor = self.head(self.dropout(hidden))
        return logits


def three_views(volumes: torch.Tensor, planes: int) -> list[torch.Tensor]:
    """Planes along z, y and x of volumes (B, C, z, y, x), each view stacked along its third axis.

    Args:
        volumes: shape (B, C, z, y, x).
        planes: of each view, evenly spaced; a single one is the middle.

    Returns:
        Axial (B, C, planes, y, x), coronal (B, C, planes, z, x), sagittal (B, C, planes, z, y).

    Example:
        >>> [tuple(v.shape) for v in three_views(torch.zeros(1, 1, 4, 5, 6), 1)]
        [(1, 1, 1, 5, 6), (1, 1, 1, 4, 6), (1, 1, 1, 4, 5)]
    """
    views = []
    for axis in (2, 3, 4):
        length = volumes.shape[axis]
        places = [(2 * k + 1) * length // (2 * planes) for k in range(planes)]
        views.append(torch.stack([volumes.select(axis, place) for place in places], 2))
    return views


def _make(options: Options) -> Multiview:
    return Multiview(MultiviewOptions.model_validate(options.model_dump()))


register(
    Entry(
        name="multiview",
        summary="a 2D network on the three middle planes, fused",
        source="after Liu and Kang 2017, as Ahn 2017 describes them",
        options=MultiviewOptions,
        make=_make,
        input=(64, 64, 64),
        smallest=(16, 16, 16),
    )
)
