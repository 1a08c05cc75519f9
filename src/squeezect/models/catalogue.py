"""The networks in a list, with what they cost."""

from dataclasses import asdict, dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from squeezect.models.registry import create_model, entry, model_names
from squeezect.scan import Shape


@dataclass(frozen=True)
class ModelCard:
    """One line of the list.

    Args:
        name: what to call it.
        summary: the idea.
        source: where it comes from.
        input: shape [z, y, x] that it is made for.
        smallest: smallest shape [z, y, x] that it takes.
        localises: whether it tells where its answer comes from.
        parameters: trainable ones, with two classes and default options.
        gflop: multiply-adds counted twice, forward, on one volume of `input`, in 10^9.
    """

    name: str
    summary: str
    source: str
    input: Shape
    smallest: Shape
    localises: bool
    parameters: int
    gflop: float

    def as_dict(self) -> dict[str, object]:
        """The line as plain JSON."""
        return asdict(self)

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.input))
        return (
            f"{self.name:<20} {self.parameters:>10,} parameters {self.gflop:>6.1f} GFLOP at "
            f"{shape:<15}  {self.summary} ({self.source})"
        )


def catalogue() -> list[ModelCard]:
    """All networks, counted on the meta device: nothing is computed."""
    return [describe(name) for name in model_names()]


def describe(name: str) -> ModelCard:
    """Count one network.

    Raises:
        ModelError: `unknown-model`.

    Example:
        >>> describe("squeezenet3d").parameters
        1861186
    """
    found = entry(name)
    with torch.device("meta"):
        model = create_model(name).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.empty(1, 1, *found.input))
    return ModelCard(
        name,
        found.summary,
        found.source,
        input=found.input,
        smallest=found.smallest,
        localises=model.localises,
        parameters=sum(p.numel() for p in model.parameters()),
        gflop=counter.get_total_flops() / 1e9,
    )
