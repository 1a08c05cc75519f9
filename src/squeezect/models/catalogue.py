"""The networks in a list, with what they cost."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from squeezect.errors import ModelError
from squeezect.models.classifier import Classifier
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
        localises: whether it tells where its answer comes from; None if it cannot be made here.
        parameters: trainable ones, with two classes and default options; None likewise.
        with_statistics: parameters and the running statistics of norms, as Keras and the paper
            count them; None likewise.
        gflop: multiply-adds counted twice, forward, on one volume of `input`, in 10^9; None
            likewise.
        problem: why it cannot be made here, with the remedy; empty if it can.
    """

    name: str
    summary: str
    source: str
    input: Shape
    smallest: Shape
    localises: bool | None = None
    parameters: int | None = None
    with_statistics: int | None = None
    gflop: float | None = None
    problem: str = ""

    def as_dict(self) -> dict[str, object]:
        """The line as plain JSON."""
        return asdict(self)

    def __str__(self) -> str:
        idea = f"{self.summary} ({self.source})"
        if self.parameters is None:
            return f"{self.name:<20} {idea}: {self.problem}"
        shape = " x ".join(map(str, self.input))
        cost = f"{self.parameters:>10,} parameters {self.gflop:>6.1f} GFLOP at {shape:<15}"
        if self.with_statistics != self.parameters:
            idea += f"; {self.with_statistics:,} parameters counted as Keras does"
        return f"{self.name:<20} {cost}  {idea}"


def catalogue() -> list[ModelCard]:
    """All networks, counted on the meta device: nothing is computed."""
    return [_describe_if_possible(name) for name in model_names()]


def describe(name: str) -> ModelCard:
    """Count one network.

    Raises:
        ModelError: `unknown-model`, or `needs-monai` for a network of MONAI's without MONAI.

    Example:
        >>> describe("squeezenet3d").parameters
        1861186
    """
    card = _uncounted(name)
    model, gflop = _counted(name, card.input, {})
    running = [v for k, v in model.named_buffers() if k.endswith(("running_mean", "running_var"))]
    trained = sum(p.numel() for p in model.parameters())
    return replace(
        card,
        localises=model.localises,
        parameters=trained,
        with_statistics=trained + sum(v.numel() for v in running),
        gflop=gflop,
    )


def count(name: str, size: Shape, *, options: Mapping[str, object]) -> tuple[int, float]:
    """Trainable parameters of a network, and its operations on one volume in 10^9.

    Args:
        name: of the network.
        size: of the volume, [z, y, x].
        options: of the network.

    Raises:
        ModelError: `unknown-model`, `bad-model-option` or `needs-monai`.
    """
    model, gflop = _counted(name, size, options)
    return sum(p.numel() for p in model.parameters()), gflop


def _counted(name: str, size: Shape, options: Mapping[str, object]) -> tuple[Classifier, float]:
    with torch.device("meta"):
        model = create_model(name, options=options).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.empty(1, 1, *size))
    return model, counter.get_total_flops() / 1e9


def _describe_if_possible(name: str) -> ModelCard:
    try:
        return describe(name)
    except ModelError as error:
        return replace(_uncounted(name), problem=str(error))


def _uncounted(name: str) -> ModelCard:
    found = entry(name)
    return ModelCard(name, found.summary, found.source, found.input, found.smallest)
