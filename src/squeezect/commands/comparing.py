"""squeezect compare: many networks on one data set."""

from pathlib import Path
from typing import Annotated

import typer

from squeezect.commands.terminal import (
    AllowLeaks,
    Bars,
    Folds,
    Json,
    Natural,
    Positive,
    Quiet,
    Workers,
    show,
)


def compare(
    dataset: Annotated[Path, typer.Argument(help="CSV, npz, or the folder of a known data set.")],
    models: Annotated[
        str,
        typer.Option("--models", "-m", help="Names from squeezect models, with commas; or all."),
    ] = "all",
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            "-r",
            help="Budget: a shipped recipe or .toml; chosen by the data if absent.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder; resumed by network and fold if there.")
    ] = Path("runs/compare"),
    folds: Folds = None,
    epochs: Positive = None,
    seed: Natural = None,
    skip_unreadable: Annotated[
        bool, typer.Option(help="Leave out cases that cannot be read.")
    ] = False,
    allow_leaks: AllowLeaks = False,
    workers: Workers = 2,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train networks under one budget and one set of folds; say which wins, and by how much.

    Works on whole scans, on points in scans (nodule crops, candidates), on 2D patches and on npz
    archives. Writes index.html, compare.json and compare.md: scores with intervals, paired tests
    against the best, ROC curves, costs, and baselines that look at no voxel.

    squeezect compare crops/ --models cnn2d,squeezenet3d-modern,densenet121 --epochs 5
    """
    from squeezect.cohorts.layouts import read_dataset
    from squeezect.training import Recipe
    from squeezect.training.comparing import compare_models
    from squeezect.training.plans import recipe_for

    cohort = read_dataset(dataset)
    plan = Recipe.load(recipe or recipe_for(cohort), folds=folds, epochs=epochs, seed=seed)
    names = [name.strip() for name in models.split(",") if name.strip()]
    with Bars(quiet=quiet) as bars:
        found = compare_models(
            cohort,
            names,
            plan,
            out,
            workers=workers,
            skip_unreadable=skip_unreadable,
            allow_leaks=allow_leaks,
            progress=bars,
        )
    show(found.as_dict()) if json_ else typer.echo(str(found))
