"""squeezect train: a recipe on a cohort."""

from pathlib import Path
from typing import Annotated

import typer

from squeezect.commands.terminal import Bars, Json, Quiet, Workers, show


def train(
    cohort: Annotated[
        Path, typer.Argument(help="CSV with scan, patient, label[, split], or a data set's folder.")
    ],
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", help="modern, paper, nodule, or a .toml file.")
    ] = "modern",
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder; resumed if there.")] = Path(
        "runs/latest"
    ),
    folds: Annotated[int | None, typer.Option(min=2, help="Instead of the recipe's.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the recipe's.")] = None,
    lr: Annotated[
        float | None, typer.Option(min=1e-12, help="Learning rate, instead of the recipe's.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    patience: Annotated[int | None, typer.Option(min=0, help="Instead of the recipe's.")] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", help="Fine-tune: run, checkpoint or shipped weights to start from."),
    ] = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option(help="Layer that keeps its weights, or a pattern (fire*); repeatable."),
    ] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of prepared volumes.")] = None,
    skip_unreadable: Annotated[
        bool, typer.Option(help="Leave out scans that cannot be read.")
    ] = False,
    workers: Workers = 2,
    quiet: Quiet = False,
) -> None:
    """Cross-validate a recipe on a cohort: patient-grouped folds, fresh weights in each.

    The CSV names one scan per row: its path (relative to the CSV), the patient it belongs to, and
    the label 0 or 1. A column "split" with train or test keeps the test rows untouched until the
    end. A killed run goes on where it was when the same command is given again.

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
    source = Source.open(from_) if from_ else None
    who = read_dataset(cohort)
    flat = detect_layout(cohort) == "patch-lists" and not plan.preparation.cuts_patches
    with Bars(quiet=quiet) as bars:
        if flat:
            train_on_patches(who, plan, out, source=source, progress=bars)
        else:
            cross_validate(
                who,
                plan,
                out,
                store=store,
                workers=workers,
                skip_unreadable=skip_unreadable,
                source=source,
                teachers=Teachers.beside(cohort) if cohort.is_file() else None,
                progress=bars,
            )
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
    store: Annotated[Path | None, typer.Option(help="Folder of prepared volumes.")] = None,
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
