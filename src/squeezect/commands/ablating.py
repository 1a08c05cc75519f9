"""The verb that takes a recipe apart."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from squeezect.commands.terminal import Bars, Json, Positive, Quiet, Workers, refuse_given, show
from squeezect.errors import RecipeError

if TYPE_CHECKING:
    from squeezect.training import Recipe
    from squeezect.training.ablation import Switch


def ablate(
    context: typer.Context,
    dataset: Annotated[Path, typer.Argument(help="CSV of a cohort, or a data set's folder.")],
    recipe: Annotated[str, typer.Option("--recipe", "-r", help="Name, or a .toml file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for runs and tables.")],
    vary: Annotated[
        list[str] | None,
        typer.Option(help="FIELD=VALUE, one form of the recipe; repeatable. on, off or a value."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="FIELD=VALUE, changed in every form; repeatable."),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds of the recipe itself.")] = "0,1,2",
    switch_seeds: Annotated[
        str, typer.Option(help="Seeds of the forms; with several, luck is told.")
    ] = "0",
    epochs: Positive = None,
    specificity: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="At which sensitivities are told.")
    ] = 0.982,
    workers: Workers = 2,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Take a recipe apart: train it, and it with one trick switched, under the same split.

    Without --vary, every augmentation, average and regulariser that the recipe has is switched off
    in turn, and every usual one that it lacks is switched on, unless training would not use it
    or something else would go with it; the report names these. Writes ablation.md, ablation.json
    and index.html: ROC AUC with interval, the paired difference to the recipe with its p-value,
    and the spread over seeds. Finished runs are kept, so the same command goes on after a kill.

    Example: squeezect ablate patches/ -r nodule --vary mixup=on --vary turning.noise=0 -o ablation
    """
    from squeezect.training import Recipe
    from squeezect.training.ablation import Plan, learns_from_lists, parse_switch, switched
    from squeezect.training.ablation import ablate as run
    from squeezect.training.ablation.report import write_ablation

    base = Recipe.load(recipe, epochs=epochs)
    if learns_from_lists(dataset, base):
        refuse_given(context, ("workers",), because="2D patches are read as they are")
    base = switched(base, *(parse_switch(text, base) for text in set_ or ()))
    switches, skipped = _switches(base, vary or (), patches=learns_from_lists(dataset, base))
    plan = Plan(base, switches, _numbers(seeds), _numbers(switch_seeds), specificity, skipped)
    with Bars(quiet=quiet) as bars:
        result = run(dataset, plan, out, workers=workers, progress=bars)
    text = write_ablation(result, out)
    show(result.as_dict()) if json_ else typer.echo(text)


def _switches(
    recipe: "Recipe", asked: Sequence[str], *, patches: bool
) -> "tuple[Sequence[Switch], dict[str, str]]":
    """The switches asked for, or the usual ones and why some of these are left out."""
    from squeezect.training.ablation import default_switches, left_out, parse_switch

    if asked:
        return [parse_switch(text, recipe) for text in asked], {}
    return default_switches(recipe, patches=patches), left_out(recipe, patches=patches)


def _numbers(text: str) -> list[int]:
    from squeezect.training.recipe import BAD_RECIPE

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        what = f"seeds {text!r} are not whole numbers with commas between"
        raise RecipeError(BAD_RECIPE, what, remedy="say --seeds 0,1,2")
    return list(dict.fromkeys(map(int, parts)))
