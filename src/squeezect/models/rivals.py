"""The networks a user would otherwise take, from MONAI: DenseNet-121, ResNet-18, EfficientNet-B0.

Each is MONAI's own network in 3D with fresh weights. Its last two layers, the global average and
the dense layer, change places: a dense layer on a mean is the mean of a 1^3 convolution, so the
logits are the same, and the convolution is a class map (Zhou et al. 2016).

What differs from MONAI's defaults: running statistics of EfficientNet's norms move by a tenth each
step, not a hundredth, which small cohorts would never bring anywhere; and when a batch is a single
volume of a single cell, norms use their running statistics, where MONAI stops.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from pydantic import Field, PositiveInt
from torch import nn

from squeezect.errors import Code, ModelError
from squeezect.models.classifier import Classifier
from squeezect.models.registry import Entry, Options, register
from squeezect.scan import Shape, Triple

NEEDS_MONAI = Code(
    "needs-monai",
    "A network comes from MONAI, which is not installed.",
    "install the extra: pip install 'squeezect[models]'",
)


class RivalOptions(Options):
    """Options of a rival network.

    Args:
        dropout: probability of dropping a channel before the last layer.
    """

    dropout: float = Field(default=0.2, ge=0, lt=1)


class DenseNetOptions(RivalOptions):
    """Options of DenseNet.

    Args:
        blocks: layers of its four dense blocks.
    """

    blocks: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (6, 12, 24, 16)


class ResNetOptions(RivalOptions):
    """Options of ResNet.

    Args:
        width: factor on all channels.
    """

    width: float = Field(default=1.0, ge=0.05, le=4)


class Rival(Classifier):
    """A network from MONAI as a classifier with a class map.

    Args:
        trunk: features (B, width, d, h, w) of volumes (B, channels, z, y, x).
        head: MONAI's last dense layer.
        dropout: probability of dropping a channel before it.
        first: centre of the first cell in input voxels, along each axis.
        step: voxels between cells.
    """

    localises = True

    def __init__(
        self, trunk: nn.Module, head: nn.Linear, *, dropout: float, first: float, step: float
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.dropout = nn.Dropout3d(dropout)
        self.head = nn.Conv3d(head.in_features, head.out_features, 1)
        self.head.load_state_dict(
            {"weight": head.weight.detach()[:, :, None, None, None], "bias": head.bias.detach()}
        )
        self.first = first
        self.step = step

    def class_map(self, volumes: torch.Tensor) -> torch.Tensor:
        """Class map (B, classes, d, h, w) of volumes of 32^3 or more."""
        alone = self.training and len(volumes) == 1 and max(volumes.shape[2:]) < 2 * self.step
        if alone:
            with norms_at_rest(self.trunk):
                features = self.trunk(volumes)
        else:
            features = self.trunk(volumes)
        scores: torch.Tensor = self.head(self.dropout(features))
        return scores

    def cells(self, shape: Shape) -> tuple[Triple, Triple]:  # noqa: ARG002 - alike for all sizes
        """Cells are `step` voxels apart along every axis."""
        return (self.first,) * 3, (self.step,) * 3


@contextmanager
def norms_at_rest(network: nn.Module) -> Iterator[None]:
    """Let batch norms use their running statistics, and leave these as they are."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm3d) and m.training]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()


def densenet121(options: DenseNetOptions) -> Rival:
    """DenseNet-121 (Huang et al., "Densely Connected Convolutional Networks", 2017)."""
    nets = _monai("densenet121")
    network = nets.DenseNet121(
        spatial_dims=3,
        in_channels=options.channels,
        out_channels=options.classes,
        block_config=options.blocks,
    )
    trunk = nn.Sequential(network.features, nn.ReLU(inplace=True))
    # Two strides centred on even voxels, then three means of two neighbours.
    return Rival(trunk, network.class_layers.out, dropout=options.dropout, first=14, step=32)


def resnet18(options: ResNetOptions) -> Rival:
    """ResNet-18 (He et al., "Deep residual learning", 2016); its first convolution has stride 1."""
    nets = _monai("resnet18")
    network = nets.resnet18(
        spatial_dims=3,
        n_input_channels=options.channels,
        num_classes=options.classes,
        widen_factor=options.width,
    )
    parts = ("conv1", "bn1", "act", "maxpool", "layer1", "layer2", "layer3", "layer4")
    trunk = nn.Sequential(*(network.get_submodule(part) for part in parts))
    return Rival(trunk, network.fc, dropout=options.dropout, first=0, step=16)


def efficientnet(options: RivalOptions) -> Rival:
    """EfficientNet-B0 (Tan and Le, "EfficientNet", 2019)."""
    nets = _monai("efficientnet")
    network = nets.EfficientNetBN(
        "efficientnet-b0",
        pretrained=False,
        spatial_dims=3,
        in_channels=options.channels,
        num_classes=options.classes,
        norm=("batch", {"eps": 1e-3, "momentum": 0.1}),
    )
    # The other swish has a backward pass of its own, which cannot be exported.
    network.set_swish(memory_efficient=False)
    stem = ("_conv_stem_padding", "_conv_stem", "_bn0", "_swish")
    rest = ("_blocks", "_conv_head_padding", "_conv_head", "_bn1", "_swish")
    trunk = nn.Sequential(*(network.get_submodule(part) for part in (*stem, *rest)))
    # Five strides, each padded behind more than before: 1 + 2 + 4 + 8 + 16.
    return Rival(trunk, network._fc, dropout=options.dropout, first=31, step=32)


def _monai(name: str) -> Any:
    try:
        from monai.networks import nets
    except ImportError as error:
        raise ModelError(NEEDS_MONAI, f"model {name} cannot be made: {error}") from error
    return nets


Given = TypeVar("Given", bound=RivalOptions)


def _add(name: str, paper: str, options: type[Given], make: Callable[[Given], Rival]) -> None:
    def from_options(given: Options) -> Rival:
        return make(options.model_validate(given.model_dump()))

    summary = "MONAI's, with a class map in place of the dense layer"
    register(Entry(name, summary, paper, options, from_options))


_add("densenet121", "Huang et al. 2017", DenseNetOptions, densenet121)
_add("resnet18", "He et al. 2016", ResNetOptions, resnet18)
_add("efficientnet", "Tan and Le 2019, B0", RivalOptions, efficientnet)
