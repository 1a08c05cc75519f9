"""One recipe for many networks: what each has to change so that it can take part.

Folds, epochs, batches, augmentation and seed stay those of the recipe. A network without norms
learns at a fifth of the rate, networks of planes get planes, and rivals are made narrower, so that
a comparison ends on a processor; `[teaching]` stays with the network that it is for. A report says
all of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from squeezect.cohorts import Cohort
from squeezect.cohorts.table import PICTURES
from squeezect.errors import Code, ModelError, RecipeError
from squeezect.models import model_names
from squeezect.models.catalogue import count
from squeezect.models.registry import TOO_SMALL, entry
from squeezect.preparation import Preparation
from squeezect.scan import Shape
from squeezect.training.recipe import Recipe
from squeezect.training.starting import rehearse

NO_MODELS = Code(
    "no-models",
    "A comparison names no network, or one of them twice.",
    "name networks that squeezect models lists, separated by commas, or all",
)
NO_FIT = Code(
    "recipe-does-not-fit",
    "The recipe of a comparison asks a network for what it does not have.",
    "take it out of the recipe, or leave the network out",
)
ALL = "all"


@dataclass(frozen=True)
class Plan:
    """What one network does in a comparison.

    Args:
        name: of the network.
        recipe: what is done.
        parameters: trainable ones.
        gflop: of one forward pass on one volume, in 10^9.
    """

    name: str
    recipe: Recipe
    parameters: int
    gflop: float


@dataclass(frozen=True)
class Change:
    """What a network changes in a recipe."""

    options: Mapping[str, object]
    size: Shape | None = None
    rate: float = 1.0


def _unnormalised(_how: Preparation) -> Change:
    # Nine tenths dropped at its own rate would take thousands of epochs.
    return Change({"dropout": 0.5}, rate=0.2)


def _modern(how: Preparation) -> Change:
    return Change({"flat": True, "cell": 4, "width": 0.5} if how.size[0] == 1 else {"width": 0.5})


def _local(how: Preparation) -> Change:
    return Change({"flat": True, "width": 0.25} if how.size[0] == 1 else {"width": 0.125})


def _general3d(how: Preparation) -> Change:
    size, deepest = how.size, 3 if how.cuts_patches else 8
    seen = (min(size[0], deepest), size[1], size[2])
    side = max(8, min(40 if size[0] == 1 else 32, min(size[1:]) // 8 * 8))
    return Change({"depth": min(3, seen[0]), "side": side, "dense": 256}, seen, rate=0.2)


def _cnn2d(how: Preparation) -> Change:
    return Change({"slices": "middle" if how.cuts_patches and how.size[0] > 1 else "all"})


def _recurrent(_how: Preparation) -> Change:
    return Change({"width": 64})


def _multiscale(how: Preparation) -> Change:
    side = max(how.size)
    return Change({"sizes": (side, side * 3 // 4, side // 2), "size": 16, "width": 64})


def _tumornet(how: Preparation) -> Change:
    return Change({"size": max(16, min(64, max(how.size)))})


def _densenet(_how: Preparation) -> Change:
    return Change({"blocks": (2, 4, 8, 4)})


def _resnet(_how: Preparation) -> Change:
    return Change({"width": 0.125})


CHANGES: Mapping[str, Callable[[Preparation], Change]] = {
    "squeezenet3d": _unnormalised,
    "squeezenet3d-v11": _unnormalised,
    "squeezenet3d-modern": _modern,
    "squeezenet-local": _local,
    "general3d": _general3d,
    "cnn2d": _cnn2d,
    "recurrent": _recurrent,
    "multiscale": _multiscale,
    "tumornet": _tumornet,
    "densenet121": _densenet,
    "resnet18": _resnet,
}
"""By network, from how its input is prepared."""


def recipe_for(cohort: Cohort) -> str:
    """Name of the shipped recipe that fits a data set: for scans, for points or for patches."""
    if all(case.scan.suffix.lower() in PICTURES for case in cohort.cases):
        return "compare-patches"
    around = all(case.element or case.point_mm is not None for case in cohort.cases)
    return "compare-points" if around else "compare-scans"


def plan_models(names: Sequence[str], recipe: Recipe) -> tuple[list[Plan], dict[str, str]]:
    """Fit a recipe to each network of a comparison.

    Args:
        names: networks; ``all`` stands for every one that can take the recipe's input.
        recipe: what they have in common.

    Returns:
        A plan per network, and why others of ``all`` do not take part.

    Raises:
        ModelError: `unknown-model`, `no-models`, `input-too-small`, `recipe-does-not-fit` or
            `needs-monai`, naming the network.

    Example:
        >>> plans, _ = plan_models(["cnn2d"], Recipe.load("compare-points"))
        >>> plans[0].recipe.model_options
        {'slices': 'middle'}
    """
    if list(names) != [ALL]:
        if not names or len(set(names)) < len(names):
            raise ModelError(NO_MODELS, f"networks to compare: {', '.join(names) or 'none'}")
        return [plan_model(name, recipe) for name in names], {}
    plans, left_out = [], {}
    for name in model_names():
        try:
            plans.append(plan_model(name, recipe))
        except ModelError as error:
            left_out[name] = str(error)
    return plans, left_out


def plan_model(name: str, recipe: Recipe) -> Plan:
    """Fit a recipe to one network, and count what that costs.

    Raises:
        ModelError: see `plan_models`.
    """
    found, preparation = entry(name), recipe.preparation
    change = Change({})
    if name in CHANGES:
        change = CHANGES[name](preparation)
    size = change.size or preparation.size
    # Kernels of depth one take one slice, whatever the network takes otherwise.
    least = (1, 16, 16) if change.options.get("flat") else found.smallest
    if any(side < need for side, need in zip(size, least, strict=True)):
        what = f"model {name} takes {least} voxels [z, y, x] or more, not {size}"
        raise ModelError(TOO_SMALL, what)
    # Options that the recipe gives for this network come first.
    own = recipe.model_options if recipe.model == name else {}
    options = {**change.options, **own}
    parameters, gflop = count(name, size, options=options)
    changes = {
        "name": f"{recipe.name} {name}",
        "model": name,
        "model_options": options,
        "preparation": preparation.model_copy(update={"size": size}),
        "learning_rate": recipe.learning_rate * change.rate,
        # What is taught beside the label is for the recipe's own network.
        "teaching": recipe.teaching if name == recipe.model else None,
    }
    return Plan(name, _checked(recipe.model_copy(update=changes)), parameters, gflop)


def _checked(recipe: Recipe) -> Recipe:
    """A recipe that was changed, validated again, its layers looked for in its network.

    Raises:
        ModelError: `recipe-does-not-fit`.
    """
    try:
        rehearse(recipe, None)
        return Recipe.model_validate(recipe.model_dump())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = f"{'.'.join(map(str, first['loc'])) or 'recipe'}: {first['msg']}"
        raise ModelError(NO_FIT, f"model {recipe.model}: {what}") from error
    except RecipeError as error:
        raise ModelError(NO_FIT, f"model {recipe.model}: {error.what}") from error
