"""squeezect train: a recipe on a cohort."""

import json
from pathlib import Path
from typing import Annotated

import typer

from squeezect.commands.terminal import (
    AllowLeaks,
    Bars,
    Dataset,
    Folds,
    Json,
    Natural,
    Positive,
    Quiet,
    Skip,
    StorePath,
    Workers,
    refuse_given,
    show,
)

UNUSED_ON_PATCHES = ("folds", "patience", "store", "skip_unreadable", "workers")
ONE_SPLIT = "2D patches are read as they are, trained on once and judged on val.txt"
RECIPES = (
    "modern, paper, demo, nodule, malignancy, compare-scans, compare-points, compare-patches, "
    "or a .toml file."
)

RecipeName = Annotated[str, typer.Option("--recipe", "-r", help=RECIPES)]
LearningRate = Annotated[
    float | None, typer.Option(min=1e-12, help="Learning rate, instead of the recipe's.")
]
From = Annotated[
    str | None,
    typer.Option("--from", help="Fine-tune: run, checkpoint or shipped weights to start from."),
]
Freeze = Annotated[
    list[str] | None,
    typer.Option(help="Layer that keeps its weights, or a pattern (fire*); repeatable."),
]
RunOut = Annotated[Path, typer.Option("--out", "-o", help="Run folder; resumed if there.")]


def train(
    context: typer.Context,
    cohort: Dataset,
    recipe: RecipeName = "modern",
    out: RunOut = Path("runs/latest"),
    folds: Folds = None,
    epochs: Positive = None,
    seed: Natural = None,
    lr: LearningRate = None,
    batch_size: Positive = None,
    patience: Natural = None,
    from_: From = None,
    freeze: Freeze = None,
    store: StorePath = None,
    skip_unreadable: Skip = False,
    allow_leaks: AllowLeaks = False,
    workers: Workers = 2,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Cross-validate a recipe on a cohort: patient-grouped folds, fresh weights in each.

    The CSV names one scan per row: its path (relative to the CSV), the patient it belongs to, and
    the label 0 or 1. A column "split" with train or test keeps the test rows untouched until the
    end. A killed run goes on where it was when the same command is given again. What the parts
    share and must not is looked for first, and refused.

    A folder of 2D patches with train.txt and val.txt is trained on once and judged once instead.

    Fine-tuning: --from RUN --lr 1e-6 starts every fold from a network of RUN that has seen none of
    the patients who judge the fold, and refuses if there is none. A table that squeezect
    pseudo-label wrote is trained on with its pseudo-labels.
    """
    from squeezect.cohorts.layouts import detect_layout, read_dataset
    from squeezect.training import Recipe, cross_validate, train_on_patches
    from squeezect.training.starting import Source
    from squeezect.training.teachers import Teachers

    plan = Recipe.load(
        recipe,
        folds=folds,
        epochs=epochs,
        seed=seed,
        learning_rate=lr,
        batch_size=batch_size,
        patience=patience,
        freeze=freeze or None,
    )
    flat = detect_layout(cohort) == "patch-lists" and not plan.preparation.cuts_patches
    if flat:
        refuse_given(context, UNUSED_ON_PATCHES, because=ONE_SPLIT)
    source = Source.open(from_) if from_ else None
    who = read_dataset(cohort)
    with Bars(quiet=quiet) as bars:
        if flat:
            train_on_patches(who, plan, out, allow_leaks=allow_leaks, source=source, progress=bars)
        else:
            cross_validate(
                who,
                plan,
                out,
                store=store,
                workers=workers,
                skip_unreadable=skip_unreadable,
                allow_leaks=allow_leaks,
                source=source,
                teachers=Teachers.of(who),
                progress=bars,
            )
    if json_:
        show({"run": str(out)} | json.loads((out / "run.json").read_text("utf-8")))
    else:
        typer.echo(f"run in {out}; next: squeezect evaluate {out}")


def pseudo_label(
    run: Annotated[Path, typer.Argument(help="Run whose networks label.")],
    unlabelled: Annotated[Path, typer.Argument(help="CSV with scan, patient and empty labels.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Table to write, for train.")],
    cohort: Annotated[
        Path | None, typer.Option(help="Labelled table, if the labels are not in UNLABELLED.")
    ] = None,
    positive_from: Annotated[
        float, typer.Option(min=0.5, max=1, help="Probability from which a label is positive.")
    ] = 0.9,
    negative_to: Annotated[
        float, typer.Option(min=0, max=0.5, help="Probability up to which it is negative.")
    ] = 0.1,
    positive_share: Annotated[
        float | None,
        typer.Option(help="Share of positives to keep; that of the labelled scans if not said."),
    ] = None,
    transductive: Annotated[
        bool, typer.Option("--transductive", help="Label test scans too; reports will say so.")
    ] = False,
    store: StorePath = None,
    skip_unreadable: Annotated[
        bool, typer.Option(help="Leave scans without label that cannot be read.")
    ] = False,
    workers: Workers = 2,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Let the networks of a run label scans, and write a table that train learns from as well.

    Every network gives each scan a probability. A fold that is trained on the table learns only
    from networks that have seen none of the patients who judge it. Sure answers become labels, in
    a stated ratio of classes, and weigh more from epoch to epoch (Lee 2013). Test scans, and
    copies of them, are refused unless --transductive asks for them.
    """
    from squeezect.cohorts import Cohort
    from squeezect.training.choosing import parse_rules
    from squeezect.training.pseudo import pseudo_label as label

    who = Cohort.read(unlabelled, require_labels=False)
    labelled = Cohort.read(cohort) if cohort else None
    rules = parse_rules(positive_from, negative_to, positive_share)
    with Bars(quiet=quiet) as bars:
        result = label(
            run,
            who,
            out,
            labelled=labelled,
            rules=rules,
            transductive=transductive,
            store=store,
            workers=workers,
            skip_unreadable=skip_unreadable,
            progress=bars,
        )
    show(result.as_dict()) if json_ else typer.echo(str(result))
