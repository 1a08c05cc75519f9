"""Switches of a recipe: one field set to another value, and which ones are worth trying."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from squeezect.errors import Code, RecipeError
from squeezect.models.registry import entry
from squeezect.training.ablation.idle import why_idle
from squeezect.training.recipe import BAD_RECIPE, Recipe

IDLE = Code(
    "idle-switch",
    "A switch of an ablation changes nothing in training, or more than it names.",
    "leave it out, or change with --set what it depends on",
)

ON = {
    "label_smoothing": 0.05,
    "mixup": 0.2,
    "average_weights": 0.998,
    "weight_decay": 0.05,
    "gradient_clip": 1.0,
}
"""What a number becomes when it is switched on; switched off, it is 0."""
MODEL_SWITCHES = ("dropout", "stochastic")
"""Options of networks that are switched off where they are on."""


@dataclass(frozen=True)
class Switch:
    """One field of a recipe set to another value.

    Args:
        field: its name, with dots into groups, e.g. ``turning.noise``.
        value: what it becomes; None takes a whole group out.
    """

    field: str
    value: object

    @property
    def name(self) -> str:
        """How tables call it."""
        return f"{self.field} = {_said(self.value)}"

    @property
    def slug(self) -> str:
        """How folders call it."""
        return re.sub(r"[^A-Za-z0-9.]+", "-", f"{self.field}={_said(self.value)}").strip("-")


def _said(value: object) -> str:
    if value is None or value is False:
        return "off"
    if value is True or value == {}:
        return "on"
    return f"{value:g}" if isinstance(value, float) else str(value)


def parse_switch(text: str, recipe: Recipe) -> Switch:
    """A switch from ``FIELD=VALUE``.

    Args:
        text: VALUE is a number, a word, a list, or ``on`` or ``off``: a group with its defaults or
            none, a number with a usual value or 0, a choice true or false.
        recipe: says what kind of field it is.

    Raises:
        RecipeError: `bad-recipe`.

    Example:
        >>> parse_switch("mixup=on", Recipe.load("nodule")).value
        0.2
    """
    field, equals, said = (part.strip() for part in text.partition("="))
    if not (field and equals and said):
        raise RecipeError(BAD_RECIPE, f"{text!r} is not FIELD=VALUE", remedy="say mixup=0.2")
    now = _value_of(recipe, field)
    if said in {"on", "off"}:
        return Switch(field, _turned(field, now, on=said == "on"))
    return Switch(field, _literal(said))


def _literal(said: str) -> object:
    try:
        return tomllib.loads(f"value = {said}")["value"]
    except tomllib.TOMLDecodeError:
        return said


def _turned(field: str, now: object, *, on: bool) -> object:
    if isinstance(now, bool):
        return on
    if isinstance(now, (int, float)):
        return ON.get(field, 1) if on else type(now)(0)
    return {} if on else None


def _value_of(recipe: Recipe, field: str) -> object:
    """What a recipe has at a dotted place; None where it has nothing."""
    found: object = recipe
    if field.startswith("model_options."):
        # Options that the recipe leaves to the network have the network's own value.
        options = entry(recipe.model).options.model_validate({**recipe.model_options})
        return getattr(options, field.partition(".")[2], None)
    for part in field.split("."):
        if isinstance(found, BaseModel):
            found = getattr(found, part, None)
        else:
            found = found.get(part) if isinstance(found, dict) else None
    return found


def switched(recipe: Recipe, *switches: Switch) -> Recipe:
    """A recipe with some fields changed.

    Args:
        recipe: stays as it is.
        switches: applied in order; a part of a group that is off brings the group in.

    Raises:
        RecipeError: `bad-recipe`, if there is no such field or it cannot take the value.
        ModelError: `bad-model-option` or `unknown-model`.

    Example:
        >>> switched(Recipe.load("nodule"), Switch("turning.noise", 0.0)).turning.noise
        0.0
    """
    data = recipe.model_dump(mode="json")
    for switch in switches:
        place = data
        *groups, last = switch.field.split(".")
        for group in groups:
            if not isinstance(place.get(group), dict):
                place[group] = {}
            place = place[group]
        place[last] = switch.value
    try:
        changed = Recipe.model_validate(data)
        # The network's own options are checked now, not hours later.
        entry(changed.model).options.model_validate({**changed.model_options})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "recipe"
        names = " and ".join(switch.name for switch in switches)
        raise RecipeError(
            BAD_RECIPE, f"recipe {recipe.name} with {names}: {where}: {first['msg']}"
        ) from error
    return changed


def why_not(recipe: Recipe, switch: Switch, *, patches: bool = False) -> str:
    """Why a switched form would say nothing of what is switched; "" if it would.

    Args:
        recipe: what is taken apart.
        switch: of one of its fields.
        patches: whether lists of 2D patches are learned from, which takes less of a recipe.

    Raises:
        RecipeError, ModelError: see `switched`.

    Example:
        >>> why_not(Recipe.load("malignancy"), Switch("mixup", 0.2))
        '[teaching] leaves mixup undone: take out one or the other'
    """
    try:
        form = switched(recipe, switch)
    except RecipeError as error:
        why = _contradiction(error)
        if not why:
            raise
        return why
    return why_idle(recipe, form, switch.field, patches=patches)


def _contradiction(error: RecipeError) -> str:
    """What of a recipe does not go together; "" if one field alone is wrong."""
    cause = error.__cause__
    first = cause.errors(include_url=False)[0] if isinstance(cause, ValidationError) else None
    return first["msg"].removeprefix("Value error, ") if first and not first["loc"] else ""


def forms_of(
    recipe: Recipe, switches: Sequence[Switch], *, patches: bool = False
) -> list[tuple[Switch, Recipe]]:
    """Every switched form of a recipe; see `why_not` for what is refused.

    Raises:
        RecipeError: `idle-switch`; else see `switched`.
    """
    for switch in switches:
        why = why_not(recipe, switch, patches=patches)
        if why:
            raise RecipeError(IDLE, f"recipe {recipe.name} with {switch.name}: {why}")
    return [(switch, switched(recipe, switch)) for switch in switches]


def default_switches(recipe: Recipe, *, patches: bool = False) -> Sequence[Switch]:
    """The switches that a recipe invites: what it does, left out; what it does not, tried.

    Groups (augmentation of any kind) and numbers that are on are switched off, numbers of `ON`
    that are off are switched on, a schedule becomes constant, and dropout and stochastic depth of
    the network are switched off. Those that would say nothing are left out, see `why_not`.

    Args:
        recipe: what is taken apart.
        patches: whether lists of 2D patches are learned from.

    Example:
        >>> [switch.name for switch in default_switches(Recipe.load("nodule"))][:2]
        ['schedule = constant', 'turning = off']
    """
    return [switch for switch in _invited(recipe) if not why_not(recipe, switch, patches=patches)]


def left_out(recipe: Recipe, *, patches: bool = False) -> dict[str, str]:
    """Why switches of the usual kinds are not among `default_switches`, by their names."""
    reasons = {s.name: why_not(recipe, s, patches=patches) for s in _invited(recipe)}
    return {name: why for name, why in reasons.items() if why}


def _invited(recipe: Recipe) -> list[Switch]:
    found = []
    if recipe.schedule != "constant":
        found.append(Switch("schedule", "constant"))
    for name, info in Recipe.model_fields.items():
        value = getattr(recipe, name)
        if isinstance(value, BaseModel) and info.default is None:
            found.append(Switch(name, None))
        elif value is True:
            found.append(Switch(name, value=False))
    found += [Switch(name, 0.0 if getattr(recipe, name) else on) for name, on in ON.items()]
    options = entry(recipe.model).options.model_validate({**recipe.model_options})
    found += [
        Switch(f"model_options.{name}", 0.0) for name in MODEL_SWITCHES if getattr(options, name, 0)
    ]
    return found
