"""A few small SqueezeNets that judge a nodule together, and can be taught more than its label.

For patches around a nodule from slices thicker than their pixels: the first layers look within
slices, the later ones across. Each member is a column of residual fire modules (see `local`); the
answer is the mean of the members' logits, as an ensemble would give it (Lakshminarayanan et al.,
"Simple and scalable predictive uncertainty estimation using deep ensembles", 2017). While training,
each member also draws the nodule's outline and tells what readers said of it (Caruana, "Multitask
learning", 1997): a few hundred nodules teach more through a dozen answers each than through one.
"""

from dataclasses import dataclass

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional

from squeezect.models.classifier import Classifier
from squeezect.models.local import MIDDLE, SPREAD, ResidualFire
from squeezect.models.registry import Entry, Options, register
from squeezect.models.slices import he_init
from squeezect.scan import Shape, Triple

EXPANDS = (16, 32, 32, 48, 48, 64, 64)
"""Half the output channels of each fire module; it squeezes to a third of that."""
POOLED_BEFORE = (1, 5)
OUTLINE_AFTER = 2
STEM = 16
LEAST_SHARE = 1e-4
CELL = (1, 2, 2)
"""Voxels from one cell of the outline to the next."""
DRAWN = 16
"""Channels that the outline is drawn from."""
MEASURES = 9


class NoduleOptions(Options):
    """Options of the network for nodules.

    Args:
        members: networks whose logits are averaged.
        width: factor on all channels.
        stochastic: probability of dropping the last fire module; earlier ones are dropped less.
        dropout: probability of dropping a value before the last layer.
        ratings: further numbers that each member learns to tell (see `NoduleNet.lessons`).
        outlines: whether each member learns to draw the nodule's mask; neither is needed to judge.
        inside: whether each member judges by what lies within the outline it draws, and by the
            size, shape and density of that, too; the outline is needed then.
    """

    members: int = Field(default=3, ge=1, le=16)
    width: float = Field(default=1.0, gt=0, le=4)
    stochastic: float = Field(default=0.1, ge=0, lt=1)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    ratings: int = Field(default=0, ge=0, le=64)
    outlines: bool = False
    inside: bool = False

    @model_validator(mode="after")
    def _drawn(self) -> "NoduleOptions":
        if self.inside and not self.outlines:
            raise ValueError("inside needs outlines")
        return self


@dataclass(frozen=True, eq=False)
class Lesson:
    """What one member says while it is taught.

    Args:
        logits: (B, classes).
        ratings: (B, ratings).
        outline: logits (B, 1, z, y / 2, x / 2) of the nodule's mask, rounded up; None where it is
            not taught.
    """

    logits: torch.Tensor
    ratings: torch.Tensor
    outline: torch.Tensor | None


class Member(nn.Module):
    """One network of the ensemble."""

    def __init__(self, options: NoduleOptions) -> None:
        super().__init__()
        stem = _wide(STEM, options)
        self.stem = nn.Conv3d(
            options.channels, stem, (3, 5, 5), (1, 2, 2), padding=(1, 2, 2), bias=False
        )
        self.stem_norm = nn.BatchNorm3d(stem)
        self.pool = nn.MaxPool3d(3, 2, 1)
        self.fires = nn.ModuleList()
        width = stem
        for number, count in enumerate(EXPANDS):
            expand = _wide(count, options)
            drop = options.stochastic * number / (len(EXPANDS) - 1)
            fire = ResidualFire(width, max(4, expand // 3), expand, flat=number == 0, drop=drop)
            self.fires.append(fire)
            width = 2 * expand
        self.dropout = nn.Dropout(options.dropout)
        self.inner_dropout = nn.Dropout3d(options.dropout)
        near = 2 * _wide(EXPANDS[OUTLINE_AFTER], options)
        self.inner_norm = nn.BatchNorm3d(near) if options.inside else None
        self.measures_norm = LoneNorm(MEASURES) if options.inside else None
        width += (near + MEASURES) * options.inside
        self.head = nn.Conv3d(width, options.classes, 1)
        self.ratings = nn.Linear(width, options.ratings) if options.ratings else None
        self.lateral: nn.Module | None = None
        self.outline: nn.Module | None = None
        if options.outlines:
            self.lateral = nn.Conv3d(2 * _wide(EXPANDS[POOLED_BEFORE[1] - 1], options), near, 1)
            self.outline = Outline(2 * _wide(EXPANDS[0], options), near, _wide(DRAWN, options))

    def features(self, volumes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features of every cell, and those near by and fine that the outline is drawn from."""
        centred = (volumes - MIDDLE) / SPREAD
        features: torch.Tensor = functional.relu(self.stem_norm(self.stem(centred)))
        near = fine = features
        for number, fire in enumerate(self.fires):
            if number == POOLED_BEFORE[1] and self.lateral is not None:
                near = functional.relu(near + self.lateral(features))
            if number in POOLED_BEFORE:
                features = self.pool(features)
            features = fire(features)
            if number == 0:
                fine = features
            if number == OUTLINE_AFTER:
                near = features
        return features, near, fine

    def evidence(
        self,
        volumes: torch.Tensor,
        features: torch.Tensor,
        near: torch.Tensor,
        drawn: torch.Tensor | None,
    ) -> torch.Tensor:
        """What cells are judged by; the mean over cells is what the whole patch is judged by.

        Beside the features of a cell, if the member looks inside: its share of the mean feature
        within the outline, and what is measured of the outline as a whole.
        """
        features = self.dropout(features)
        if self.inner_norm is None or self.measures_norm is None or drawn is None:
            return features
        share = torch.sigmoid(drawn)
        within = _halved(share)
        cells = _halved(within)
        total = cells.mean((2, 3, 4), keepdim=True).clamp(min=LEAST_SHARE)
        inner = _halved(within * self.inner_norm(near)) / total
        known = self.measures_norm(measured(share, (volumes - MIDDLE) / SPREAD))
        known = known[:, :, None, None, None].expand(-1, -1, *cells.shape[2:])
        return torch.cat([features, self.inner_dropout(inner), known], 1)

    def judged(
        self, volumes: torch.Tensor, *, taught: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What cells are judged by, and the outline, if it is judged by or taught."""
        features, near, fine = self.features(volumes)
        drawn = None
        if self.outline is not None and (taught or self.inner_norm is not None):
            drawn = self.outline(fine, near)
        return self.evidence(volumes, features, near, drawn), drawn

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Class map (B, classes, d, h, w)."""
        scores: torch.Tensor = self.head(self.judged(volumes)[0])
        return scores

    def lesson(self, volumes: torch.Tensor) -> Lesson:
        """Logits, ratings and outline of a batch."""
        features, drawn = self.judged(volumes, taught=True)
        logits = self.head(features).mean((2, 3, 4))
        ratings = logits[:, :0] if self.ratings is None else self.ratings(features.mean((2, 3, 4)))
        return Lesson(logits, ratings, drawn)


class LoneNorm(nn.BatchNorm1d):
    """Batch norm that judges a lone case by its running statistics, and leaves these as they are.

    One number per feature has no deviation to learn by; an epoch's last batch may hold one case.
    """

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Normalise (B, features)."""
        if not self.training or len(values) > 1:
            return super().forward(values)
        return functional.batch_norm(
            values, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )


class Outline(nn.Module):
    """Draws a nodule's outline from what is fine and what is known of its surroundings.

    Args:
        fine: channels of the features of pixels.
        near: channels of the features of cells of two slices and two such pixels.
        width: channels to draw from.
    """

    def __init__(self, fine: int, near: int, width: int) -> None:
        super().__init__()
        self.fine = nn.Conv3d(fine, width, 1, bias=False)
        self.near = nn.Conv3d(near, width, 1, bias=False)
        self.norm = nn.BatchNorm3d(width)
        self.look = nn.Conv3d(width, width, 3, padding=1)
        self.draw = nn.Conv3d(width, 1, 1)

    def forward(self, fine: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
        """Logits (B, 1, z, y, x) on the grid of the fine features."""
        spread = functional.interpolate(self.near(near), size=fine.shape[2:])
        seen = functional.relu(self.norm(self.fine(fine) + spread))
        outline: torch.Tensor = self.draw(functional.relu(self.look(seen)))
        return outline


class NoduleNet(Classifier):
    """The ensemble: about 0.18 million parameters per member.

    Args:
        options: see `NoduleOptions`.
    """

    localises = True

    def __init__(self, options: NoduleOptions) -> None:
        super().__init__()
        self.options = options
        self.draws = options.outlines
        self.members = nn.ModuleList(Member(options) for _ in range(options.members))
        self.apply(he_init)

    def class_map(self, volumes: torch.Tensor) -> torch.Tensor:
        """Class map (B, classes, d, h, w), the mean of the members'; its mean is the logits."""
        maps: torch.Tensor = torch.stack([member(volumes) for member in self.members]).mean(0)
        return maps

    def outline(self, volumes: torch.Tensor) -> torch.Tensor:
        """Share of every voxel that is nodule, (B, 1, z, y, x), the mean of the members'."""
        drawn = [lesson.outline for lesson in self.lessons(volumes) if lesson.outline is not None]
        if not drawn:
            raise NotImplementedError("members that were made without outlines draw none")
        share = torch.stack([torch.sigmoid(outline) for outline in drawn]).mean(0)
        return functional.interpolate(share, size=volumes.shape[2:], mode="trilinear")

    def lessons(self, volumes: torch.Tensor) -> list[Lesson]:
        """What each member says of a batch while it is taught."""
        return [member.lesson(volumes) for member in self.members if isinstance(member, Member)]

    def cells(self, shape: Shape) -> tuple[Triple, Triple]:  # noqa: ARG002 - alike for all sizes
        """Cells are 4 slices and 8 pixels apart; the first sits on the first voxel."""
        return (0.0, 0.0, 0.0), (4.0, 8.0, 8.0)


def measured(share: torch.Tensor, volumes: torch.Tensor) -> torch.Tensor:
    """Size, shape and density of what an outline encloses, (B, MEASURES).

    In order, the logarithms of the enclosed share of the patch and of its largest slice's, of the
    variance along z, within slices, and of its difference between the longest and the shortest
    direction there (each of the place of enclosed voxels, in squared voxels); the share that is
    rim; mean and deviation of the values within, and the mean just outside.

    Args:
        share: of each cell that is enclosed, (B, 1, z, y / 2, x / 2).
        volumes: (B, 1, z, y, x).
    """
    share = share[:, 0].clamp(min=LEAST_SHARE)
    total = share.sum((1, 2, 3))
    z, y, x = (
        torch.arange(n, device=share.device, dtype=share.dtype) * step
        for n, step in zip(share.shape[1:], CELL, strict=True)
    )
    along, down, across = share.sum((2, 3)), share.sum(1).sum(2), share.sum(1).sum(1)

    def moment(weights: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        middle = (weights * places).sum(1) / total
        return middle, (weights * (places - middle[:, None]) ** 2).sum(1) / total

    (_, zz), (my, yy), (mx, xx) = moment(along, z), moment(down, y), moment(across, x)
    offsets = (y - my[:, None])[:, :, None] * (x - mx[:, None])[:, None, :]
    yx = (share.sum(1) * offsets).sum((1, 2)) / total
    longer = torch.sqrt((yy - xx) ** 2 + 4 * yx**2 + 1e-3)
    kernel = tuple(step // 2 * 2 + 1 for step in CELL)
    pad = tuple(step // 2 for step in CELL)
    first = functional.avg_pool3d(volumes, kernel, CELL, pad, count_include_pad=False)[:, 0]
    second = functional.avg_pool3d(volumes**2, kernel, CELL, pad, count_include_pad=False)[:, 0]
    mean = (share * first).sum((1, 2, 3)) / total
    square = (share * second).sum((1, 2, 3)) / total
    ring = functional.max_pool3d(share[:, None], 3, 1, 1)[:, 0] - share + LEAST_SHARE
    around = (ring * first).sum((1, 2, 3)) / ring.sum((1, 2, 3))
    cells = share[0].numel()
    return torch.stack(
        [
            torch.log(total / cells),
            torch.log(along.amax(1) / cells * share.shape[1]),
            torch.log(zz + 1),
            torch.log(yy + xx + 1),
            torch.log(longer + 1),
            (share * (1 - share)).sum((1, 2, 3)) / total,
            mean,
            torch.sqrt((square - mean**2).clamp(min=1e-4)),
            around,
        ],
        1,
    )


def _halved(values: torch.Tensor) -> torch.Tensor:
    """Means of 3^3 values, every second along each axis; beyond the ends values are zero."""
    if min(values.shape[2:]) < 3:
        # PyTorch does not count its own padding when it asks for as many values as the kernel has.
        return functional.avg_pool3d(functional.pad(values, (1,) * 6), 3, 2)
    return functional.avg_pool3d(values, 3, 2, 1)


def _wide(count: int, options: NoduleOptions) -> int:
    return max(8, round(count * options.width / 8) * 8)


def _make(options: Options) -> NoduleNet:
    return NoduleNet(NoduleOptions.model_validate(options.model_dump()))


register(
    Entry(
        name="squeezenet-nodule",
        summary="small residual SqueezeNets in one, for patches around a nodule",
        source="after Iandola et al. 2016; He et al. 2016; Lakshminarayanan et al. 2017",
        options=NoduleOptions,
        make=_make,
        example=(8, 16, 16),
        input=(16, 36, 36),
        smallest=(2, 16, 16),
    )
)
