"""A plain 3D network on windows of 64^3 voxels, moved over a scan; the strongest windows decide.

After D. Hammack's part of the second place in the Data Science Bowl 2017 ("2nd Place Solution to
2017 DSB", with J. de Wit): five convolutions of 8, 24, 36, 48 and 64 channels, each normalised,
with leaky ReLUs and a pool; each stage also gets its input, averaged to its size; the largest value
of each feature is scored. A scan's answer comes from its most malignant windows.

What was chosen: Hammack first finds candidates, trains on rated nodules, and scores scans with a
second model on maxima and deviations. Here windows cover the whole volume, and a scan's logits are
the mean of its windows' scores, weighted by a softmax of their own evidence (McFee et al. 2018):
a smooth maximum, which can be trained from scan labels alone. The weights are folded into the class
map, one cell per window, so its mean is the logits. Beyond the volume windows see air.

His norm after the last pool is left out: a batch of one window has nothing to normalise by.
"""

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from squeezect.models.classifier import Classifier
from squeezect.models.registry import Entry, Options, register
from squeezect.models.slices import he_init
from squeezect.scan import Shape, Triple

WINDOW = 64
"""Voxels per side of a window."""

WIDTHS = (8, 24, 36, 48, 64)
"""Channels of each stage."""


class Voxel64Options(Options):
    """Options of the window network.

    Args:
        step: voxels between windows; half a window lets every nodule lie well inside one.
        sharpness: of the maximum over windows: 0 is their mean, and towards infinity only the
            strongest counts.
        dropout: probability of dropping a feature before the last layer.
    """

    step: int = Field(default=32, ge=8, le=WINDOW)
    sharpness: float = Field(default=2.0, ge=0, le=20)
    dropout: float = Field(default=0.2, ge=0, lt=1)


class WindowNet(nn.Module):
    """Features (N, 64) of windows (N, channels, 64, 64, 64)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        width = channels
        for wanted in WIDTHS:
            self.stages.append(
                nn.Sequential(
                    nn.Conv3d(width, wanted, 3, padding=1, bias=False),
                    nn.BatchNorm3d(wanted),
                    nn.LeakyReLU(0.01, inplace=True),
                    nn.MaxPool3d(2),
                )
            )
            width = wanted + channels

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Largest value of each feature."""
        features = self.stages[0](windows)
        for stage in self.stages[1:]:
            windows = functional.avg_pool3d(windows, 2)
            features = stage(torch.cat([features, windows], 1))
        largest: torch.Tensor = features.amax((2, 3, 4))
        return largest


class Voxel64(Classifier):
    """The window network; 0.16 million parameters.

    Args:
        options: see `Voxel64Options`.
    """

    localises = True

    def __init__(self, options: Voxel64Options) -> None:
        super().__init__()
        self.step = options.step
        self.sharpness = options.sharpness
        self.window = WindowNet(options.channels)
        self.dropout = nn.Dropout(options.dropout)
        self.head = nn.Linear(WIDTHS[-1], options.classes)
        self.apply(he_init)

    def cell_scores(self, volumes: torch.Tensor) -> torch.Tensor:
        """Score of every window for every class; shape (B, classes, windows along z, y, x)."""
        windows = self._windows(volumes)
        batch, nz, ny, nx = windows.shape[:4]
        scores = self.head(self.dropout(self.window(windows.flatten(0, 3))))
        classes = scores.shape[1]
        ordered: torch.Tensor = scores.reshape(batch, nz, ny, nx, classes).permute(0, 4, 1, 2, 3)
        return ordered

    def pooled(self, scores: torch.Tensor) -> torch.Tensor:
        """Class map (B, classes, d, h, w) of window scores: each with its weight."""
        # Float32 from here: a softmax over many windows loses too much in half precision.
        scores = scores.float()
        evidence = (scores[:, 1:].amax(1, keepdim=True) - scores[:, :1]).flatten(2)
        share = (self.sharpness * evidence).softmax(-1) * evidence.shape[-1]
        return scores * share.reshape(scores[:, :1].shape)

    def class_map(self, volumes: torch.Tensor) -> torch.Tensor:
        """Class map (B, classes, d, h, w), one cell per window; its mean is the logits."""
        return self.pooled(self.cell_scores(volumes))

    def cells(self, shape: Shape) -> tuple[Triple, Triple]:
        """Windows are `step` voxels apart; where they overhang, they do so alike on both sides."""
        z, y, x = ((WINDOW - 1) / 2 - overhang(size, self.step)[0] for size in shape)
        return (z, y, x), (float(self.step),) * 3

    def _windows(self, volumes: torch.Tensor) -> torch.Tensor:
        """Windows (B, nz, ny, nx, C, 64, 64, 64) of volumes (B, C, z, y, x)."""
        pads = [pad for size in reversed(volumes.shape[2:]) for pad in overhang(size, self.step)]
        windows = functional.pad(volumes, pads)
        for axis in (2, 3, 4):
            windows = windows.unfold(axis, WINDOW, self.step)
        return windows.permute(0, 2, 3, 4, 1, 5, 6, 7)


def overhang(size: int, step: int) -> tuple[int, int]:
    """Voxels of air before and behind an axis, so that windows end where it ends.

    Example:
        >>> overhang(128, 32), overhang(100, 32), overhang(40, 32)
        ((0, 0), (14, 14), (12, 12))
    """
    # A comparison on a traced size would freeze it in an export, and exported graphs do not agree
    # on how to round negative numbers: below one window the steps are multiplied by zero instead.
    full = size // WINDOW
    some = 2 * full // (full + 1)  # 0 or 1
    steps = some * ((size - WINDOW + step - 1) // step)
    total = step * steps + WINDOW - size
    return total // 2, total - total // 2


def _make(options: Options) -> Voxel64:
    return Voxel64(Voxel64Options.model_validate(options.model_dump()))


register(
    Entry(
        name="voxel64",
        summary="a plain 3D network on windows of 64^3; the strongest windows decide",
        source="after Hammack 2017, second place of the Data Science Bowl",
        options=Voxel64Options,
        make=_make,
        smallest=(1, 1, 1),
    )
)
