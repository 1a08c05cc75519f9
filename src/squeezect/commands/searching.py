"""squeezect search: many trials of recipes, one winner."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from squeezect.commands.terminal import (
    Bars,
    Dataset,
    Folds,
    Json,
    Natural,
    Positive,
    Quiet,
    StorePath,
    Workers,
    show,
)

Sampler = Annotated[
    Literal["tpe", "random"], typer.Option(help="tpe learns from trials; random does not.")
]
Pruner = Annotated[
    Literal["median", "hyperband", "none"], typer.Option(help="Who gives up bad trials early.")
]
Objective = Annotated[
    Literal["log-loss", "auc"], typer.Option(help="What a good trial has, out of fold.")
]
SpaceName = Annotated[
    str, typer.Option("--space", "-s", help="default, or a .toml file: what may vary.")
]
Trials = Annotated[int, typer.Option("--trials", "-n", min=1, help="Recipes to try.")]
Base = Annotated[str, typer.Option("--recipe", "-r", help="Recipe that the trials change.")]
SearchOut = Annotated[Path, typer.Option("--out", "-o", help="Search folder; resumed.")]
InnerFolds = Annotated[int, typer.Option(min=2, help="Folds that score each trial.")]
Judge = Annotated[bool, typer.Option(help="Judge winner and base on patients that no trial saw.")]


def search(
    cohort: Dataset,
    space: SpaceName = "default",
    trials: Trials = 20,
    recipe: Base = "modern",
    out: SearchOut = Path("runs/search"),
    sampler: Sampler = "tpe",
    pruner: Pruner = "median",
    objective: Objective = "log-loss",
    inner_folds: InnerFolds = 3,
    judge: Judge = True,
    folds: Folds = None,
    epochs: Positive = None,
    seed: Natural = None,
    store: StorePath = None,
    workers: Workers = 2,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find a better recipe by many trials, without touching the patients that judge it.

    A space says which fields of a recipe may vary, by dotted name, in TOML:

        learning_rate = { low = 1e-5, high = 1e-2, log = true }

        model_options.dropout = { low = 0.0, high = 0.9 }

        optimiser = { choices = ["adam", "adamw"] }

    Each trial is trained on inner folds of the patients that training's first fold learns from,
    and scored on the parts held out. The first fold's validation patients and the test part stay
    closed; winner and base are judged on the former at the end. The folder gets best.toml, for

        squeezect train COHORT --recipe runs/search/best.toml

    and a report. A killed search goes on when the same command is given again, with the very trials
    that it would have drawn; a larger --trials adds more. A trial that fails is recorded with its
    code and does not stop the others.
    """
    from squeezect.cohorts.layouts import read_dataset
    from squeezect.training import Recipe
    from squeezect.training.search import Plan, Space, search_recipes

    plan = Plan(
        space=Space.load(space),
        base=Recipe.load(recipe, folds=folds, epochs=epochs, seed=seed),
        trials=trials,
        sampler=sampler,
        pruner=pruner,
        objective=objective,
        inner_folds=inner_folds,
        judge=judge,
    )
    with Bars(quiet=quiet or json_) as bars:
        found = search_recipes(
            read_dataset(cohort), plan, out, store=store, workers=workers, progress=bars
        )
    show(found.as_dict()) if json_ else typer.echo(found.summary())
