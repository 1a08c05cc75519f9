"""The networks in a list, with what they cost."""

from dataclasses import asdict, dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from squeezect.models.registry import create_model, entry, model_names


@dataclass(frozen=True)
class ModelCard:
    """One line of the list.

    Args:
        name: what to call it.
        summary: the idea.
        source: where it comes from.
        parameters: with two classes and default options.
        gflop: multiply-adds counted twice, forward, on one 128^3 volume, in 10^9.
    """

    name: str
    summary: str
    source: str
    parameters: int
    gflop: float

    def as_dict(self) -> dict[str, object]:
        """The line as plain JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.name:<20} {self.parameters:>10,} parameters {self.gflop:>7.1f} GFLOP at 128^3  "
            f"{self.summary} ({self.source})"
        )


def catalogue() -> list[ModelCard]:
    """All networks, counted on the meta device: nothing is computed."""
    return [describe(name) for name in model_names()]


def describe(name: str) -> ModelCard:
    """Count one network.

    Raises:
        ModelError: `unknown-model`.
    """
    found = entry(name)
    with torch.device("meta"):
        model = create_model(name).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.empty(1, 1, 128, 128, 128))
    parameters = sum(p.numel() for p in model.parameters())
    return ModelCard(name, found.summary, found.source, parameters, counter.get_total_flops() / 1e9)
