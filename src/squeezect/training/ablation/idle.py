"""Switches that say nothing of what they name: it is not used, or something else goes with it."""

from collections.abc import Mapping

from squeezect.training.recipe import Recipe

NOWHERE = {
    "name": "it is only a name",
    "description": "it is only a text",
    "seed": "seeds are those that the ablation is given",
    "pseudo": "an ablation has no pseudo-labels",
}
"""Fields that no training of an ablation depends on."""
ON_LISTS = (
    "folds",
    "tune_fraction",
    "patience",
    "balanced_sampling",
    "augmentation",
    "insertion",
    "views",
    "preparation",
)
"""Fields that learning from lists of 2D patches does without; see `train_on_patches`."""
FOLLOWS: Mapping[str, tuple[str, ...]] = {
    "schedule": ("warm_up",),
    "model": ("model_options", "insertion.pointing"),
    "insertion.bank": ("insertion.bank_share",),
}
"""What belongs to a field, so that it may change with it."""


def why_idle(recipe: Recipe, form: Recipe, field: str, *, patches: bool) -> str:
    """Why a form of a recipe would say nothing of the field that was switched; "" if it would.

    A form that is the recipe itself is a control, and says how far two such trainings lie apart.

    Args:
        recipe: before.
        form: after.
        field: what was switched, by dotted name.
        patches: whether lists of 2D patches are learned from.
    """
    if form == recipe:
        return ""
    before, after = (_used(one, patches=patches) for one in (recipe, form))
    missing = object()
    names = before.keys() | after.keys()
    changed = {n for n in names if before.get(n, missing) != after.get(n, missing)}
    if not changed:
        unused = _unused(recipe, patches=patches) | _unused(form, patches=patches)
        reasons = [why for name, why in unused.items() if _within(field, name)]
        return reasons[0] if reasons else "nothing depends on it here"
    group = field.partition(".")[0]
    # A part of a group that was off brings the group in, and is named by it.
    own = (group if getattr(recipe, group) is None else field, *FOLLOWS.get(field, ()))
    others = sorted(name for name in changed if not any(_within(name, mine) for mine in own))
    return f"it switches {' and '.join(others)} as well" if others else ""


def _unused(recipe: Recipe, *, patches: bool) -> dict[str, str]:
    """Fields of a recipe that its training does not use, and why."""
    found = dict(NOWHERE)
    if patches:
        found |= dict.fromkeys(ON_LISTS, "lists of 2D patches are learned from without it")
    if recipe.schedule == "constant":
        found["warm_up"] = "a constant learning rate does not warm up"
    if recipe.insertion is None:
        return found
    if not recipe.insertion.bank:
        found["insertion.bank_share"] = "there is no bank of nodules"
    if not _localises(recipe):
        found["insertion.pointing"] = f"the network {recipe.model} has no map"
    return found


def _localises(recipe: Recipe) -> bool:
    import torch

    from squeezect.models import create_model

    with torch.device("meta"):
        return create_model(recipe.model, options=recipe.model_options).localises


def _used(recipe: Recipe, *, patches: bool) -> dict[str, object]:
    """What training makes of a recipe, by dotted name; what is off is as good as not there.

    Options of networks stay: without one, the network has a value of its own.
    """
    unused = _unused(recipe, patches=patches)
    flat = _flat(recipe.model_dump(mode="json"))
    on = {n: v for n, v in flat.items() if v or _within(n, "model_options")}
    return {n: v for n, v in on.items() if not any(_within(n, name) for name in unused)}


def _flat(data: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _within(name: str, group: str) -> bool:
    """Whether a dotted name is a field, or a part of it."""
    return name == group or name.startswith(f"{group}.")
