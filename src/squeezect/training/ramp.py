"""How much pseudo-labels weigh, epoch by epoch.

Source: D.-H. Lee, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep
Neural Networks", ICML workshop on challenges in representation learning, 2013.
"""

from typing import Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator


class Ramp(BaseModel):
    """Lee's weight alpha(t) of the loss over pseudo-labels: zero, then a ramp, then constant.

    Args:
        start_epoch: T1, the epoch until which pseudo-labels do not count.
        full_epoch: T2, the epoch from which they count in full.
        weight: alpha_f, the full weight; Lee took 3 on handwritten digits.

    Example:
        >>> lee = Ramp(start_epoch=100, full_epoch=600, weight=3.0)
        >>> [lee.alpha(epoch) for epoch in (99, 100, 350, 600, 999)]
        [0.0, 0.0, 1.5, 3.0, 3.0]
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    start_epoch: int = Field(default=0, ge=0)
    full_epoch: int = Field(default=10, ge=0)
    weight: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _goes_up(self) -> Self:
        if self.full_epoch < self.start_epoch:
            raise ValueError("full_epoch must not be before start_epoch")
        return self

    @classmethod
    def over(cls, epochs: int) -> Self:
        """A ramp from a tenth of the epochs to six tenths, flat on either side."""
        return cls(start_epoch=epochs // 10, full_epoch=6 * epochs // 10)

    def alpha(self, epoch: int) -> float:
        """The weight in an epoch, counted from 0."""
        if epoch < self.start_epoch:
            return 0.0
        if epoch >= self.full_epoch:
            return self.weight
        return self.weight * (epoch - self.start_epoch) / (self.full_epoch - self.start_epoch)


def two_part_loss(losses: torch.Tensor, weights: torch.Tensor, alpha: float) -> torch.Tensor:
    """Lee's objective: the mean loss over true labels plus alpha times that over pseudo-labels.

    Args:
        losses: of each case, shape (B,).
        weights: how much each case counts among true labels and among pseudo-labels, (B, 2).
        alpha: see `Ramp`.

    Returns:
        A scalar; a part without cases adds nothing.
    """
    sure, guessed = weights.to(losses.dtype).unbind(1)
    return _mean(losses, sure) + alpha * _mean(losses, guessed)


def _mean(losses: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    total = weights.sum()
    return (losses * weights).sum() / torch.where(total > 0, total, torch.ones_like(total))
