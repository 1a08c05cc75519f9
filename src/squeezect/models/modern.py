"""SqueezeNet3D as one would train it today: normalised, with bypasses and a map that can point.

The fire modules are the paper's. What differs, and why:

- a batch norm after each convolution pair: without it the paper's learning rate has to be tiny;
- simple bypass (Iandola et al. 2016, section 6) where a fire module keeps its width;
- a 5^3 first convolution with fewer channels: the paper's 7^3 takes half of its arithmetic;
- pooling earlier and less often, so that cells of the class map are 4, 8 or 16 voxels apart;
- peak pooling, a softmax over the cells by their own scores (McFee et al., "Adaptive pooling
  operators for weakly labeled sound event detection", 2018): a nodule fills a thousandth of the
  scan, and a plain mean divides its evidence by a thousand. The weights are folded into the class
  map, so the logits are still exactly its mean.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from squeezect.models.classifier import Classifier
from squeezect.models.registry import Entry, Options, register
from squeezect.scan import Shape, Triple

EXPANDS = (64, 64, 128, 128, 192, 192, 256, 256)
SQUEEZES = (16, 16, 32, 32, 48, 48, 64, 64)
POOLED_BEFORE = {2: (), 4: (0,), 8: (0, 2), 16: (0, 2, 4)}
"""Numbers of the fire modules that a pool comes before, by the voxels between cells."""


class ModernOptions(Options):
    """Options of the modern network.

    Args:
        norm: ``batch``, ``instance``, or ``none``.
        bypass: add a fire module's input to its output where they have one width.
        head: how cells are pooled: by ``peak``, or by their ``mean`` as in the paper.
        sharpness: of the peak: 0 is the mean, and towards infinity only the strongest cell counts.
        cell: voxels between cells of the class map; fewer if `depth` ends before the last pool.
        width: factor on all channels.
        stem: channels of the first convolution, before `width`.
        depth: number of fire modules.
        dropout: probability of dropping a channel before the last convolution.
        flat: kernels of depth 1, for input that is one voxel deep.
    """

    norm: Literal["batch", "instance", "none"] = "batch"
    bypass: bool = True
    head: Literal["peak", "mean"] = "peak"
    sharpness: float = Field(default=2.0, ge=0, le=20)
    cell: Literal[2, 4, 8, 16] = 8
    width: float = Field(default=1.0, gt=0, le=4)
    stem: int = Field(default=32, ge=4)
    depth: int = Field(default=8, ge=2, le=8)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    flat: bool = False


class NormalisedFire(nn.Module):
    """A fire module with norms, and a bypass where its input is as wide as its output."""

    def __init__(self, channels: int, squeeze: int, expand: int, *, options: ModernOptions) -> None:
        super().__init__()
        kernel = _kernel(3, options)
        bias = options.norm == "none"
        self.squeeze = nn.Conv3d(channels, squeeze, 1, bias=bias)
        self.squeeze_norm = _norm(squeeze, options)
        self.expand1 = nn.Conv3d(squeeze, expand, 1, bias=bias)
        self.expand2 = nn.Conv3d(squeeze, expand, kernel, padding=_half(kernel), bias=bias)
        self.expand_norm = _norm(2 * expand, options)
        self.bypass = options.bypass and channels == 2 * expand

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Features (B, 2 * expand, z, y, x)."""
        squeezed = functional.relu(self.squeeze_norm(self.squeeze(volumes)))
        expanded = torch.cat([self.expand1(squeezed), self.expand2(squeezed)], 1)
        features: torch.Tensor = self.expand_norm(expanded)
        return functional.relu(features + volumes if self.bypass else features)


class ModernSqueezeNet3D(Classifier):
    """The modern network; about 1.8 million parameters at full width.

    Args:
        options: see `ModernOptions`.
    """

    localises = True

    def __init__(self, options: ModernOptions) -> None:
        super().__init__()
        self.options = options
        kernel = _kernel(5, options)
        stem = _channels(options.stem, options)
        self.stem = nn.Conv3d(
            options.channels, stem, kernel, _strides(options), _half(kernel), bias=False
        )
        self.stem_norm = _norm(stem, options)
        pool = _kernel(3, options)
        self.pool = nn.MaxPool3d(pool, _strides(options), _half(pool))
        self.fires = nn.ModuleList()
        width = stem
        for squeeze, expand in list(zip(SQUEEZES, EXPANDS, strict=True))[: options.depth]:
            s, e = _channels(squeeze, options), _channels(expand, options)
            self.fires.append(NormalisedFire(width, s, e, options=options))
            width = 2 * e
        self.dropout = nn.Dropout3d(options.dropout)
        self.head = nn.Conv3d(width, options.classes, 1)
        self.apply(_he_init)

    def features(self, volumes: torch.Tensor) -> torch.Tensor:
        """Features (B, channels, d, h, w) of every cell."""
        features: torch.Tensor = functional.relu(self.stem_norm(self.stem(volumes)))
        for number, fire in enumerate(self.fires):
            if number in POOLED_BEFORE[self.options.cell]:
                features = self.pool(features)
            features = fire(features)
        return features

    def cell_scores(self, volumes: torch.Tensor) -> torch.Tensor:
        """Score of every cell for every class, before pooling; shape (B, classes, d, h, w)."""
        scores: torch.Tensor = self.head(self.dropout(self.features(volumes)))
        return scores

    def pooled(self, scores: torch.Tensor) -> torch.Tensor:
        """Class map (B, classes, d, h, w) of cell scores; its mean is the logits."""
        if self.options.head == "mean":
            return scores
        # Float32 from here: a softmax over thousands of cells loses too much in half precision.
        scores = scores.float()
        evidence = (scores[:, 1:].amax(1, keepdim=True) - scores[:, :1]).flatten(2)
        share = (self.options.sharpness * evidence).softmax(-1) * evidence.shape[-1]
        weighted: torch.Tensor = scores * share.reshape(scores[:, :1].shape)
        return weighted

    def class_map(self, volumes: torch.Tensor) -> torch.Tensor:
        """Class map (B, classes, d, h, w); its mean is the logits, peak pooling included."""
        return self.pooled(self.cell_scores(volumes))

    def cells(self, shape: Shape) -> tuple[Triple, Triple]:  # noqa: ARG002 - alike for all sizes
        """Cells are `cell` voxels apart, fewer if shallow; the first sits on the first voxel."""
        pools = POOLED_BEFORE[self.options.cell]
        step = float(2 ** (1 + sum(number < self.options.depth for number in pools)))
        return (0.0, 0.0, 0.0), (1.0 if self.options.flat else step, step, step)


def _kernel(size: int, options: ModernOptions) -> tuple[int, int, int]:
    return (1 if options.flat else size, size, size)


def _half(kernel: tuple[int, int, int]) -> tuple[int, int, int]:
    return (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)


def _strides(options: ModernOptions) -> tuple[int, int, int]:
    return (1 if options.flat else 2, 2, 2)


def _channels(count: int, options: ModernOptions) -> int:
    # Multiples of eight keep vector units full.
    return max(8, round(count * options.width / 8) * 8)


def _norm(channels: int, options: ModernOptions) -> nn.Module:
    if options.norm == "batch":
        return nn.BatchNorm3d(channels)
    if options.norm == "instance":
        return nn.InstanceNorm3d(channels, affine=True)
    return nn.Identity()


def _he_init(module: nn.Module) -> None:
    if isinstance(module, nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _make(options: Options) -> ModernSqueezeNet3D:
    return ModernSqueezeNet3D(ModernOptions.model_validate(options.model_dump()))


register(
    Entry(
        name="squeezenet3d-modern",
        summary="SqueezeNet3D with norms, bypasses, a finer map and peak pooling",
        source="after Ahn 2017; Iandola et al. 2016; McFee et al. 2018",
        options=ModernOptions,
        make=_make,
        example=(64, 64, 64),
    )
)
