"""A 2D network on every slice, and an LSTM that reads the stack of them.

After Ypsilantis and Montana, "Recurrent Convolutional Networks for Pulmonary Nodule Detection in CT
Imaging" (ReCTnet), 2016: convolutions within slices, recurrence across them, and an answer for
every place. Here the places are the cells of the class map, and the answer for the volume is their
mean.

What was chosen where a detector becomes a classifier: the LSTM reads every column of cells by
itself, with the same weights, up and down, because a volume is there as a whole and has no
direction; its state is scored by one dense layer for each slice. The layers' widths are this
project's.
"""

import torch
from pydantic import Field
from torch import nn

from squeezect.models.classifier import Classifier
from squeezect.models.registry import Entry, Options, register
from squeezect.models.slices import PLANE_STEP, SliceFeatures, he_init
from squeezect.scan import Shape, Triple


class RecurrentOptions(Options):
    """Options of the recurrent network.

    Args:
        width: channels of the slices' features.
        memory: width of the LSTM's state, for each of the two directions.
        dropout: probability of dropping a value before the last layer.
    """

    width: int = Field(default=128, ge=4)
    memory: int = Field(default=64, ge=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)


class Recurrent(Classifier):
    """The recurrent network; 0.35 million parameters.

    Args:
        options: see `RecurrentOptions`.
    """

    localises = True
    free_size = False  # PyTorch exports an LSTM for one number of slices

    def __init__(self, options: RecurrentOptions) -> None:
        super().__init__()
        self.features = SliceFeatures(options.channels, options.width)
        self.memory = nn.LSTM(options.width, options.memory, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(options.dropout)
        self.head = nn.Linear(2 * options.memory, options.classes)
        he_init(self.head)

    def class_map(self, volumes: torch.Tensor) -> torch.Tensor:
        """Class map (B, classes, slices, h, w)."""
        features: torch.Tensor = self.features(volumes)
        batch, width, depth, rows, columns = features.shape
        # Every column of cells is a sequence: (B * h * w, slices, width).
        stacks = features.permute(0, 3, 4, 2, 1).reshape(batch * rows * columns, depth, width)
        read, _ = self.memory(stacks)
        scores: torch.Tensor = self.head(self.dropout(read))
        return scores.reshape(batch, rows, columns, depth, -1).permute(0, 4, 3, 1, 2)

    def cells(self, shape: Shape) -> tuple[Triple, Triple]:  # noqa: ARG002 - alike for all sizes
        """Cells are 8 voxels apart in plane, and a slice apart along z."""
        return (0.0, 0.0, 0.0), (1.0, PLANE_STEP, PLANE_STEP)


def _make(options: Options) -> Recurrent:
    return Recurrent(RecurrentOptions.model_validate(options.model_dump()))


register(
    Entry(
        name="recurrent",
        summary="a 2D network per slice, and an LSTM over the stack",
        source="after Ypsilantis and Montana 2016",
        options=RecurrentOptions,
        make=_make,
        smallest=(1, 16, 16),
    )
)
