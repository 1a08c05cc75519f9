"""One network under one recipe: loss, optimiser, schedule and the weights that are kept."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from squeezect.models import Classifier, create_model
from squeezect.models.nodule import NoduleNet
from squeezect.training.freezing import freeze, still
from squeezect.training.lightning import lightning
from squeezect.training.pointing import pointing_loss, shape_of
from squeezect.training.ramp import two_part_loss
from squeezect.training.recipe import Recipe
from squeezect.training.teaching import taught_loss
from squeezect.training.tumbling import tumble
from squeezect.training.turning import turn

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""Volumes (B, 1, z, y, x), labels (B,), marks (B, 7), weights (B, 2); see `teaching` for what
is taught besides."""


class Task(lightning.LightningModule):
    """Trains a classifier on (volume, label) batches as a recipe says.

    The loss is the cross-entropy over the softmax; with two classes that is the binary
    cross-entropy of the paper.

    Args:
        recipe: what to do.
        seed: decides the initial weights and, with the epoch, dropout.
        steps: optimiser steps of the whole training, for the schedule.
        prime: gives the fresh network the weights to start from, or None to start afresh.

    Raises:
        RecipeError: `unknown-layer`, `all-frozen`.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        seed: int,
        steps: int,
        prime: Callable[[Classifier], object] | None = None,
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.seed = seed
        self.steps = steps
        torch.manual_seed(seed)
        self.model: Classifier = create_model(recipe.model, options=recipe.model_options)
        if prime is not None:
            prime(self.model)
        freeze(self.model, recipe.freeze)
        self.model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.average: nn.Module | None = None
        if recipe.average_weights:
            self.average = AveragedModel(
                self.model,
                multi_avg_fn=get_ema_multi_avg_fn(recipe.average_weights),  # type: ignore[no-untyped-call]
                use_buffers=True,
            )
        self.loss = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)

    @property
    def kept(self) -> nn.Module:
        """The network that is evaluated and kept: the moving average where there is one."""
        if self.average is None:
            return self.model
        inner = self.average.module
        return inner if isinstance(inner, nn.Module) else self.model

    def on_train_batch_start(self, _batch: object, batch_idx: int) -> None:
        """Seed dropout by the epoch, so that a resumed run repeats an uninterrupted one.

        Only here is nothing random left between the seed and the first batch: in the trainer's
        first epoch, resumed or not, the loader has started before the epoch does, later on after.
        """
        if batch_idx:
            return
        torch.manual_seed(self.seed * 1_000_003 + self.current_epoch)
        if self.current_epoch:
            # What the loader used to take after the seed: runs of before repeat to the bit.
            torch.empty((), dtype=torch.int64).random_()
        for norm in still(self.model, self.recipe.freeze):
            norm.eval()

    def training_step(self, batch: Batch, _index: int) -> dict[str, torch.Tensor]:
        """Loss and number of right answers of one batch."""
        volumes, labels, marks, weights = batch
        if self.recipe.turning:
            volumes = turn(volumes, self.recipe.turning)
        if self.recipe.tumbling:
            volumes = tumble(volumes, self.recipe.tumbling)
        if self.recipe.teaching and isinstance(self.model, NoduleNet):
            return self._taught_step(batch, volumes)
        if self.recipe.mixup:
            return self._mixed_step(volumes, labels, weights)
        volumes = volumes.contiguous(memory_format=torch.channels_last_3d)
        weight = self.recipe.insertion.pointing if self.recipe.insertion else 0.0
        if weight and self.model.localises:
            scores = self.model.cell_scores(volumes).float()
            logits = self.model.pooled(scores).mean((2, 3, 4))
            aside = pointing_loss(scores, marks, *self.model.cells(shape_of(volumes)))
            loss = self._loss(logits, labels, weights) + weight * aside
        else:
            logits = self.model(volumes)
            loss = self._loss(logits.float(), labels, weights)
        return {"loss": loss, **_right(logits, labels, weights)}

    def _loss(
        self, logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """Cross-entropy over true labels, plus that over pseudo-labels at the epoch's weight."""
        result: torch.Tensor
        if not weights[:, 1].any():
            result = self.loss(logits, labels)
            return result
        smoothing = self.recipe.label_smoothing
        losses = nn.functional.cross_entropy(
            logits, labels, reduction="none", label_smoothing=smoothing
        )
        return two_part_loss(losses, weights, self.recipe.ramp.alpha(self.current_epoch))

    def _taught_step(self, batch: Batch, volumes: torch.Tensor) -> dict[str, torch.Tensor]:
        _, labels, rows, weights = batch
        model, how = self.model, self.recipe.teaching
        if how is None or not isinstance(model, NoduleNet):
            raise AssertionError("only nodule networks are taught")
        seen = volumes[:, :1].contiguous(memory_format=torch.channels_last_3d)
        lessons = model.lessons(seen)
        smoothing = self.recipe.label_smoothing
        outlines = volumes[:, 1:]
        loss = taught_loss(
            lessons, how, labels=labels, rows=rows, outlines=outlines, smoothing=smoothing
        )
        logits = torch.stack([lesson.logits.detach() for lesson in lessons]).mean(0)
        return {"loss": loss, **_right(logits, labels, weights)}

    def _mixed_step(
        self, volumes: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        share = float(torch.distributions.Beta(self.recipe.mixup, self.recipe.mixup).sample())
        share = max(share, 1 - share)
        partner = torch.randperm(len(volumes), device=volumes.device)
        mixed = share * volumes + (1 - share) * volumes[partner]
        logits = self.model(mixed.contiguous(memory_format=torch.channels_last_3d)).float()
        # Each half of a mixture counts as the case that it comes from.
        own = self._loss(logits, labels, weights)
        other = self._loss(logits, labels[partner], weights[partner])
        return {"loss": share * own + (1 - share) * other, **_right(logits, labels, weights)}

    def on_before_optimizer_step(self, _optimizer: object) -> None:
        """Limit the gradient; the trainer's own clipping does not know fused optimisers."""
        if self.recipe.gradient_clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.gradient_clip)

    def on_train_batch_end(self, *_: object) -> None:
        """Move the average towards the new weights."""
        if isinstance(self.average, AveragedModel):
            self.average.update_parameters(self.model)

    def validation_step(self, batch: Batch, _index: int) -> torch.Tensor:
        """Logits (B, classes) of the kept network."""
        volumes = batch[0]
        logits: torch.Tensor = self.kept(volumes.contiguous(memory_format=torch.channels_last_3d))
        return logits.float()

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser, and its schedule by step."""
        recipe = self.recipe
        learning = [p for p in self.model.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in learning if p.ndim > 1]},
            # Biases and norms are not decayed: shrinking them does not limit the network.
            {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
        ]
        if recipe.optimiser == "adam":
            optimiser: torch.optim.Optimizer = torch.optim.Adam(
                learning,
                lr=recipe.learning_rate,
                weight_decay=recipe.weight_decay,
                fused=True,
            )
        else:
            optimiser = torch.optim.AdamW(
                groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
            )
        if recipe.schedule == "constant":
            return optimiser
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self._one_cycle)
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _one_cycle(self, step: int) -> float:
        warm = max(1, round(self.recipe.warm_up * self.steps))
        if step < warm:
            return (step + 1) / warm
        done = min(1.0, (step - warm) / max(1, self.steps - warm))
        return 0.5 * (1 + math.cos(math.pi * done)) + 1e-3


def _right(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Number of right answers, and of cases with true labels, which alone can be right."""
    sure = weights[:, 0] > 0
    right = (logits.detach().argmax(1) == labels) & sure
    return {"right": right.sum(), "sure": sure.sum()}
