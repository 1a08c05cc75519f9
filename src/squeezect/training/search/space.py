"""What a search may change: fields of a recipe by dotted name, and the values each may take.

Shipped spaces are the TOML files in ``squeezect/training/search/spaces``; `Space.load` takes their
names or the path of a file of your own.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    Tag,
    ValidationError,
    model_validator,
)

from squeezect.errors import Code, ModelError, RecipeError
from squeezect.models import create_model
from squeezect.training.recipe import Recipe
from squeezect.training.shipped import Shelf
from squeezect.training.turning import require_flat

Scalar = StrictBool | StrictInt | StrictFloat | StrictStr
Value = Scalar | tuple[Scalar, ...]
"""What a field of a recipe can be set to."""

FIXED = ("name", "description", "seed", "folds", "tune_fraction")
"""Fields that decide who is judged, or nothing; a search must not choose them."""

UNKNOWN_SPACE = Code(
    "unknown-space",
    "There is no shipped search space of this name and no file at this path.",
    "name a shipped space or the path of a .toml file",
)
BAD_SPACE = Code(
    "bad-space",
    "A search space names a field that recipes do not have, or values that it cannot take.",
    "give each field low and high (and log = true), or choices, that the recipe accepts",
)

SHELF = Shelf("space", "squeezect.training.search", "spaces", UNKNOWN_SPACE, BAD_SPACE)


class Range(BaseModel):
    """Numbers from `low` to `high`: whole ones if both ends are written without a point.

    Args:
        low: smallest value.
        high: largest value.
        log: whether to draw evenly on a logarithmic scale, for what spans powers of ten.
        step: distance of neighbouring values; without it any number (or whole number) in between.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: StrictInt | StrictFloat
    high: StrictInt | StrictFloat
    log: bool = False
    step: StrictInt | StrictFloat | None = Field(default=None, gt=0)

    @property
    def whole(self) -> bool:
        """Whether its values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[Value, ...]:
        """Its smallest and largest value."""
        return self.low, self.high

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if not self.low < self.high:
            raise ValueError("low must be below high")
        if self.log and self.low <= 0:
            raise ValueError("a logarithmic scale needs low above 0")
        if self.log and self.step is not None:
            raise ValueError("a logarithmic scale takes no step")
        if self.whole and isinstance(self.step, float):
            raise ValueError("whole numbers take a whole step")
        return self


class Choices(BaseModel):
    """One of several values.

    Args:
        choices: the values: text, numbers, true or false, or lists of these.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    choices: tuple[Value, ...] = Field(min_length=2)

    @property
    def ends(self) -> tuple[Value, ...]:
        """All values."""
        return self.choices

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len({json.dumps(choice) for choice in self.choices}) < len(self.choices):
            raise ValueError("a choice is there twice")
        return self


def _kind(axis: object) -> str:
    return "choices" if isinstance(axis, Choices) or _has(axis, "choices") else "range"


def _has(axis: object, key: str) -> bool:
    return isinstance(axis, Mapping) and key in axis


Axis = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices")], Discriminator(_kind)
]


class Space(BaseModel):
    """Fields of a recipe and what each may be.

    Args:
        name: what reports call it.
        axes: by dotted name, such as ``learning_rate`` or ``augmentation.scale``.

    Example:
        >>> sorted(Space.load("default").axes)[:2]
        ['augmentation.noise', 'augmentation.scale']
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    axes: dict[str, Axis] = Field(min_length=1)

    @classmethod
    def load(cls, name: str | Path) -> Self:
        """A shipped space by name, or a TOML file by path.

        Raises:
            RecipeError: `unknown-space` or `bad-space`.
        """
        axes = _flat(SHELF.read(name))
        if not axes:
            raise RecipeError(BAD_SPACE, f"space {name} has no axes")
        try:
            return cls.model_validate({"name": Path(name).stem, "axes": axes})
        except ValidationError as error:
            raise RecipeError(BAD_SPACE, f"space {name}: {_first_problem(error)}") from error

    def check(self, base: Recipe) -> None:
        """Make sure that a recipe takes each value at the ends of its range, one at a time.

        Raises:
            RecipeError: `bad-space`, naming the field and the value.
        """
        for field, axis in self.axes.items():
            if field in FIXED:
                what = f"space {self.name}: {field} decides who is judged, not how well"
                raise RecipeError(BAD_SPACE, what, remedy=f"leave {field} to the recipe")
            for value in axis.ends:
                try:
                    recipe = changed(base, {field: value})
                    require_flat(recipe)
                    with torch.device("meta"):
                        create_model(recipe.model, options=recipe.model_options)
                except (RecipeError, ModelError) as error:
                    what = f"space {self.name}: {field} = {value!r}: {error.what}"
                    raise RecipeError(BAD_SPACE, what) from error

    def longest(self, base: Recipe) -> int:
        """Epochs of the longest training that the space allows."""
        axis = self.axes.get("epochs")
        return max(int(str(end)) for end in axis.ends) if axis else base.epochs


def space_names() -> tuple[str, ...]:
    """Names of the shipped spaces, sorted."""
    return SHELF.names()


def changed(base: Recipe, values: Mapping[str, Value]) -> Recipe:
    """A recipe with fields set by dotted name.

    Args:
        base: the recipe to change.
        values: what to set; a table that the base leaves out begins with its defaults.

    Raises:
        RecipeError: `bad-recipe`, if the result is none.

    Example:
        >>> changed(Recipe.load("paper"), {"augmentation.scale": 0.2}).augmentation.scale
        0.2
    """
    from squeezect.training.recipe import BAD_RECIPE

    data = base.model_dump(mode="json")
    for field, value in values.items():
        *tables, last = field.split(".")
        place = data
        for table in tables:
            if not isinstance(place.get(table), dict):
                place[table] = {}
            place = place[table]
        place[last] = list(value) if isinstance(value, tuple) else value
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise RecipeError(BAD_RECIPE, _first_problem(error)) from error


def value_in(recipe: Recipe, field: str) -> object:
    """What a recipe says of a field by dotted name; None if nothing."""
    place: object = recipe.model_dump(mode="json")
    for part in field.split("."):
        place = place.get(part) if isinstance(place, dict) else None
    return place


def _flat(table: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested tables as dotted names; a table with low, high or choices is a leaf."""
    flat: dict[str, object] = {}
    for key, value in table.items():
        leaf = not isinstance(value, Mapping) or {"low", "high", "choices"} & set(value)
        if leaf or not isinstance(value, Mapping):
            flat[prefix + key] = value
        else:
            flat |= _flat(value, f"{prefix}{key}.")
    return flat


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = [str(part) for part in first["loc"] if part not in ("axes", "range", "choices")]
    return f"{'.'.join(place)} = {first['input']!r}: {first['msg']}" if place else first["msg"]
