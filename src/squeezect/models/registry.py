"""Networks by name: one dictionary, filled by a decorator.

Names are known without importing PyTorch; a network's module is imported when it is made.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from squeezect.errors import Code, ModelError
from squeezect.scan import Shape

if TYPE_CHECKING:
    from squeezect.models.classifier import Classifier

UNKNOWN_MODEL = Code(
    "unknown-model",
    "There is no network of this name.",
    "choose one that squeezect models lists",
)
BAD_OPTION = Code(
    "bad-model-option",
    "A network has no such option, or the option has a value it cannot take.",
    "correct the option; squeezect models lists the options of each network",
)
TWICE = Code("model-twice", "Two networks ask for one name.", "give one of them another name")
TOO_SMALL = Code(
    "input-too-small",
    "A network cannot take input as small as this.",
    "prepare larger volumes, or choose a network whose smallest input is smaller",
)

HOMES: dict[str, str] = {
    "squeezenet3d": "squeezect.models.squeezenet3d",
    "squeezenet3d-v11": "squeezect.models.squeezenet3d_v11",
    "squeezenet3d-modern": "squeezect.models.modern",
    "squeezenet-local": "squeezect.models.local",
    "squeezenet-nodule": "squeezect.models.nodule",
    "general3d": "squeezect.models.general3d",
    "cnn2d": "squeezect.models.cnn2d",
    "recurrent": "squeezect.models.recurrent",
    "multiview": "squeezect.models.multiview",
    "multiscale": "squeezect.models.multiscale",
    "voxel64": "squeezect.models.voxel64",
    "tumornet": "squeezect.models.tumornet",
    "densenet121": "squeezect.models.rivals",
    "resnet18": "squeezect.models.rivals",
    "efficientnet": "squeezect.models.rivals",
}
"""Module that registers each name."""


class Options(BaseModel):
    """What a network can be asked for; each network extends it.

    Args:
        classes: number of classes; class 1 is the finding that is looked for.
        channels: of the input.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    classes: int = Field(default=2, ge=2)
    channels: int = Field(default=1, ge=1)


@dataclass(frozen=True)
class Entry:
    """A registered network.

    Args:
        name: what users call it.
        summary: one line on the idea.
        source: the paper it comes from.
        options: the type of its options.
        make: from options to the network.
        example: a small input shape [z, y, x] for trials and exports.
        input: the shape [z, y, x] that the network is made for; operations are counted on it.
        smallest: the smallest shape [z, y, x] that it takes.
    """

    name: str
    summary: str
    source: str
    options: type[Options]
    make: "Callable[[Options], Classifier]"
    example: Shape = (64, 64, 64)
    input: Shape = (128, 128, 128)
    smallest: Shape = (32, 32, 32)


REGISTRY: dict[str, Entry] = {}


def register(entry: Entry) -> None:
    """Make a network known by its name.

    Raises:
        ModelError: `model-twice`.
    """
    if entry.name in REGISTRY:
        raise ModelError(TWICE, f"model {entry.name!r} is registered already")
    REGISTRY[entry.name] = entry


def model_names() -> tuple[str, ...]:
    """Names of all networks."""
    return tuple(HOMES)


def entry(name: str) -> Entry:
    """The registered network of a name.

    Raises:
        ModelError: `unknown-model`.
    """
    if name not in HOMES:
        raise ModelError(UNKNOWN_MODEL, f"no model {name!r}; there are {', '.join(HOMES)}")
    import_module(HOMES[name])
    return REGISTRY[name]


def check_size(name: str, size: Shape) -> None:
    """Make sure that a network can take volumes of a size.

    Args:
        name: see `model_names`.
        size: of the volumes, [z, y, x].

    Raises:
        ModelError: `unknown-model` or `input-too-small`.

    Example:
        >>> check_size("squeezenet3d", (64, 128, 128))
    """
    smallest = entry(name).smallest
    if any(side < least for side, least in zip(size, smallest, strict=True)):
        raise ModelError(
            TOO_SMALL, f"model {name} takes {smallest} voxels [z, y, x] or more, not {tuple(size)}"
        )


def create_model(
    name: str,
    *,
    classes: int = 2,
    channels: int = 1,
    options: Mapping[str, object] | None = None,
) -> "Classifier":
    """A network with fresh weights.

    Args:
        name: see `model_names`.
        classes: number of classes.
        channels: of the input.
        options: further options of this network.

    Raises:
        ModelError: `unknown-model` or `bad-model-option`.

    Example:
        >>> sum(p.numel() for p in create_model("squeezenet3d").parameters())
        1861186
    """
    from squeezect.models.steady import steady

    found = entry(name)
    asked = {"classes": classes, "channels": channels, **(options or {})}
    try:
        return steady(found.make(found.options.model_validate(asked)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        known = ", ".join(found.options.model_fields)
        raise ModelError(
            BAD_OPTION,
            f"model {name}: option {field} = {first['input']!r}: {first['msg']}; it has {known}",
        ) from error
