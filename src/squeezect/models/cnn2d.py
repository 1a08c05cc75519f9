"""A 2D network on axial slices: what the paper's 3D networks are compared with.

After the paper's description of Ramaswamy and Truong, who judge a candidate by one axial slice; the
layers are this project's choice. A volume one voxel deep is one slice. Of a deeper volume every
slice is judged alone and the mean of the answers counts, or only the middle slice is looked at.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from squeezect.models.classifier import Classifier
from squeezect.models.registry import Entry, Options, register
from squeezect.models.slices import PLANE_STEP, SliceFeatures, he_init
from squeezect.scan import Shape, Triple


class CNN2DOptions(Options):
    """Options of the 2D network.

    Args:
        slices: ``all`` of a volume, or only its ``middle``, where a candidate's patch has it.
        width: channels of the features.
        dropout: probability of dropping a channel before the last convolution.
    """

    slices: Literal["all", "middle"] = "all"
    width: int = Field(default=128, ge=4)
    dropout: float = Field(default=0.2, ge=0, lt=1)


class CNN2D(Classifier):
    """The 2D network; 0.25 million parameters.

    Args:
        options: see `CNN2DOptions`.
    """

    localises = True

    def __init__(self, options: CNN2DOptions) -> None:
        super().__init__()
        self.middle = options.slices == "middle"
        self.features = SliceFeatures(options.channels, options.width)
        self.dropout = nn.Dropout3d(options.dropout)
        self.head = nn.Conv3d(options.width, options.classes, 1)
        he_init(self.head)

    def class_map(self, volumes: torch.Tensor) -> torch.Tensor:
        """Class map (B, classes, slices, h, w); one slice if only the middle counts."""
        if self.middle:
            middle = volumes.shape[2] // 2
            volumes = volumes[:, :, middle : middle + 1]
        scores: torch.Tensor = self.head(self.dropout(self.features(volumes)))
        return scores

    def cells(self, shape: Shape) -> tuple[Triple, Triple]:
        """Cells are 8 voxels apart in plane, and a slice apart along z."""
        first = float(shape[0] // 2) if self.middle else 0.0
        return (first, 0.0, 0.0), (1.0, PLANE_STEP, PLANE_STEP)


def _make(options: Options) -> CNN2D:
    return CNN2D(CNN2DOptions.model_validate(options.model_dump()))


register(
    Entry(
        name="cnn2d",
        summary="a 2D network on axial slices, each judged alone",
        source="after Ramaswamy and Truong, as Ahn 2017 describes them",
        options=CNN2DOptions,
        make=_make,
        example=(1, 64, 64),
        input=(1, 64, 64),
        smallest=(1, 16, 16),
    )
)
