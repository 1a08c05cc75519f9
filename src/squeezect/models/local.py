"""A SqueezeNet for candidates: a patch around a point, seen at full resolution first.

SqueezeNet3D halves its input twice before the first fire module, which is right for a whole scan
and wrong for a nodule of ten voxels. Here the first convolution keeps every voxel, residual fire
modules follow (He et al., "Deep residual learning", 2016; Iandola et al. 2016, section 6, where the
widths differ with a 1x1x1 convolution), and whole modules are dropped at random while training
(Huang et al., "Deep networks with stochastic depth", 2016). ``flat`` makes it a 2D network for
patches one voxel deep.
"""

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from squeezect.models.classifier import Classifier
from squeezect.models.registry import Entry, Options, register
from squeezect.models.slices import he_init
from squeezect.scan import Shape, Triple

SQUEEZES = (16, 16, 32, 32, 48, 48, 64, 64)
EXPANDS = (64, 64, 128, 128, 192, 192, 256, 256)
POOLED_BEFORE = (1, 3, 5)
MIDDLE, SPREAD = 0.4, 0.3
"""Input is brought from [0, 1] to about zero mean and unit deviation."""


class LocalOptions(Options):
    """Options of the network for candidates.

    Args:
        flat: kernels one voxel deep, for patches one voxel deep.
        width: factor on all channels.
        depth: number of fire modules.
        stochastic: probability of dropping the last fire module; earlier ones are dropped less.
        dropout: probability of dropping a channel before the last convolution.
    """

    flat: bool = False
    width: float = Field(default=1.0, gt=0, le=2)
    depth: int = Field(default=8, ge=2, le=8)
    stochastic: float = Field(default=0.1, ge=0, lt=1)
    dropout: float = Field(default=0.3, ge=0, lt=1)


class ResidualFire(nn.Module):
    """A fire module with norms and a way around it, left out at random while training."""

    def __init__(self, channels: int, squeeze: int, expand: int, *, flat: bool, drop: float):
        super().__init__()
        kernel = (1 if flat else 3, 3, 3)
        half = (0 if flat else 1, 1, 1)
        self.squeeze = nn.Conv3d(channels, squeeze, 1, bias=False)
        self.squeeze_norm = nn.BatchNorm3d(squeeze)
        self.expand1 = nn.Conv3d(squeeze, expand, 1, bias=False)
        self.expand2 = nn.Conv3d(squeeze, expand, kernel, padding=half, bias=False)
        self.expand_norm = nn.BatchNorm3d(2 * expand)
        self.drop = drop
        self.around: nn.Module = nn.Identity()
        if channels != 2 * expand:
            projection = nn.Conv3d(channels, 2 * expand, 1, bias=False)
            self.around = nn.Sequential(projection, nn.BatchNorm3d(2 * expand))

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Features (B, 2 * expand, z, y, x)."""
        squeezed = functional.relu(self.squeeze_norm(self.squeeze(volumes)))
        expanded = torch.cat([self.expand1(squeezed), self.expand2(squeezed)], 1)
        features: torch.Tensor = self.expand_norm(expanded)
        if self.training and self.drop:
            kept = torch.rand(len(features), 1, 1, 1, 1, device=features.device) >= self.drop
            features = features * (kept / (1 - self.drop)).to(features.dtype)
        return functional.relu(features + self.around(volumes))


class LocalSqueezeNet(Classifier):
    """The network for candidates; about 1.1 million parameters flat, 2.2 million in 3D.

    Args:
        options: see `LocalOptions`.
    """

    localises = True

    def __init__(self, options: LocalOptions) -> None:
        super().__init__()
        self.options = options
        stem = max(8, int(64 * options.width))
        kernel, half = ((1, 5, 5), (0, 2, 2)) if options.flat else ((5, 5, 5), (2, 2, 2))
        self.stem = nn.Conv3d(options.channels, stem, kernel, padding=half, bias=False)
        self.stem_norm = nn.BatchNorm3d(stem)
        pool = (1 if options.flat else 3, 3, 3)
        stride = (1 if options.flat else 2, 2, 2)
        self.pool = nn.MaxPool3d(pool, stride, (pool[0] // 2, 1, 1))
        self.fires = nn.ModuleList()
        width = stem
        for number in range(options.depth):
            squeeze = max(4, int(SQUEEZES[number] * options.width))
            expand = max(8, int(EXPANDS[number] * options.width))
            drop = options.stochastic * number / max(1, options.depth - 1)
            self.fires.append(ResidualFire(width, squeeze, expand, flat=options.flat, drop=drop))
            width = 2 * expand
        self.dropout = nn.Dropout(options.dropout)
        self.head = nn.Conv3d(width, options.classes, 1)
        self.apply(he_init)

    def class_map(self, volumes: torch.Tensor) -> torch.Tensor:
        """Class map (B, classes, d, h, w); its mean is the logits."""
        centred = (volumes - MIDDLE) / SPREAD
        features: torch.Tensor = functional.relu(self.stem_norm(self.stem(centred)))
        for number, fire in enumerate(self.fires):
            if number in POOLED_BEFORE:
                features = self.pool(features)
            features = fire(features)
        scores: torch.Tensor = self.head(self.dropout(features))
        return scores

    def cells(self, shape: Shape) -> tuple[Triple, Triple]:  # noqa: ARG002 - alike for all sizes
        """Cells are 2 to 8 voxels apart, with the depth; the first sits on the first voxel."""
        step = float(2 ** sum(number < self.options.depth for number in POOLED_BEFORE))
        return (0.0, 0.0, 0.0), (1.0 if self.options.flat else step, step, step)


def _make(options: Options) -> LocalSqueezeNet:
    return LocalSqueezeNet(LocalOptions.model_validate(options.model_dump()))


register(
    Entry(
        name="squeezenet-local",
        summary="residual fire modules at full resolution, for patches around a point",
        source="after Iandola et al. 2016; He et al. 2016; Huang et al. 2016",
        options=LocalOptions,
        make=_make,
        example=(16, 16, 16),
        input=(32, 32, 32),
        smallest=(1, 16, 16),
    )
)
