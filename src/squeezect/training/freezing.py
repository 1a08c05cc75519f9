"""Layers that stay as they are while the others learn."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from squeezect.errors import Code, RecipeError

UNKNOWN_LAYER = Code(
    "unknown-layer",
    "A layer that is to be frozen is not in the network.",
    "name a layer of the list, one inside it such as fire2.squeeze, or a pattern such as fire*",
)
ALL_FROZEN = Code(
    "all-frozen",
    "Every layer of the network is frozen, so nothing can be learnt.",
    "freeze fewer layers",
)


def freeze(model: nn.Module, names: Sequence[str]) -> tuple[str, ...]:
    """Keep layers from learning; the others are left as they are.

    Args:
        model: the network.
        names: layers, with all that is inside them (``fire2`` freezes ``fire2.squeeze.weight``), or
            patterns (``fire*``, ``*.norm``).

    Returns:
        Names of the frozen parameters.

    Raises:
        RecipeError: `unknown-layer`, `all-frozen`.

    Example:
        >>> from squeezect.models import create_model
        >>> len(freeze(create_model("squeezenet3d"), ["conv1", "fire2.expand*"]))
        6
    """
    known = {name for name, _ in model.named_modules() if name}
    known |= {name for name, _ in model.named_parameters()}
    for pattern in names:
        if not any(_covers(pattern, name) for name in known):
            layers = ", ".join(_layers(model))
            what = f"no layer {pattern!r} in the network; its layers are {layers}"
            raise RecipeError(UNKNOWN_LAYER, what)
    frozen = []
    for name, parameter in model.named_parameters():
        if any(_covers(pattern, name) for pattern in names):
            parameter.requires_grad = False
            frozen.append(name)
    if names and not _learns(model):
        raise RecipeError(ALL_FROZEN, f"{', '.join(names)} freeze all of the network")
    return tuple(frozen)


def still(model: nn.Module, names: Sequence[str]) -> Iterator[nn.Module]:
    """Norms in frozen layers: they have to keep their statistics, so they stay in eval mode."""
    for name, module in model.named_modules():
        if isinstance(module, _NormBase) and any(_covers(pattern, name) for pattern in names):
            yield module


def _layers(model: nn.Module, prefix: str = "") -> Iterator[str]:
    """Names of the layers that learn; those of a list one by one."""
    for name, child in model.named_children():
        if isinstance(child, nn.ModuleList | nn.Sequential):
            yield from _layers(child, f"{prefix}{name}.")
        elif _learns(child):
            yield prefix + name


def _covers(pattern: str, name: str) -> bool:
    """Whether a pattern means a name, or a layer that it is inside of."""
    parts = name.split(".")
    return any(fnmatchcase(".".join(parts[:end]), pattern) for end in range(1, len(parts) + 1))


def _learns(model: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in model.parameters())
