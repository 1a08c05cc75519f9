"""The command line: each verb builds types, calls one public function and prints."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from squeezect import __version__
from squeezect.commands.ablating import ablate
from squeezect.commands.comparing import compare
from squeezect.commands.predicting import OnePoint, candidate, predict
from squeezect.commands.searching import search
from squeezect.commands.showing_errors import gallery
from squeezect.commands.terminal import (
    Bars,
    Json,
    Out,
    Quiet,
    RunPath,
    ScanPath,
    Series,
    Workers,
    refuse_given,
    show,
)
from squeezect.commands.training import pseudo_label, train
from squeezect.errors import SqueezeCTError
from squeezect.memory import ask_for_huge_pages

INTERRUPTED = 130
"""Exit status of Ctrl-C, as shells have it."""

app = typer.Typer(
    name="squeezect",
    help="Read any chest CT safely, classify it with compact 3D networks, judge and explain the "
    "answer. Research software; not a medical device; not for clinical use.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"squeezect {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    del version  # its callback has answered
    ask_for_huge_pages()  # no verb has made a tensor yet


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for everything.")] = Path("demo"),
    patients: Annotated[int, typer.Option(min=24, help="Synthetic patients.")] = 72,
    seed: Annotated[int, typer.Option(min=0, help="Decides the patients and the training.")] = 0,
    workers: Workers = 2,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run the whole line on synthetic chest CTs: write, prepare, train, judge, predict, explain."""
    from squeezect.demo import run_demo

    with Bars(quiet=quiet) as bars:
        result = run_demo(out, patients=patients, seed=seed, workers=workers, progress=bars)
    show(result.as_dict()) if json_ else typer.echo(result.summary())


@app.command()
def inspect(
    path: ScanPath,
    series: Series = None,
    json_: Json = False,
    keep_ids: Annotated[bool, typer.Option(help="Show UIDs as they are.")] = False,
) -> None:
    """Say what is in a folder or file, which series would be read, and what speaks against it."""
    from squeezect.publishing.inspection import inspect_path

    report = inspect_path(path, series=series, keep_ids=keep_ids)
    if json_:
        show(report.as_dict())
    else:
        report.print()
    raise typer.Exit(0 if report.usable else 1)


@app.command()
def prepare(
    path: ScanPath,
    out: Annotated[Path, typer.Option("--out", "-o", help=".nii.gz, .mha or .nrrd to write.")],
    size: Annotated[int, typer.Option(min=16, help="Side of the cube in voxels.")] = 128,
    crop: Annotated[
        Literal["none", "lungs"], typer.Option(help="What of the scan becomes the cube.")
    ] = "none",
    series: Series = None,
    json_: Json = False,
) -> None:
    """Write the network's input for one scan as an image, in its place in space."""
    from squeezect.preparation import parse_preparation, prepare_file

    recipe = parse_preparation({"size": (size, size, size), "crop": crop})
    written = str(prepare_file(path, recipe, out, series=series))
    show({"written": written}) if json_ else typer.echo(f"wrote {written}")


@app.command()
def models(json_: Json = False) -> None:
    """List the networks by name, with input, parameters and operations.

    The names go into recipes and into squeezect compare.
    """
    from squeezect.models.catalogue import catalogue

    rows = catalogue()
    if json_:
        show({"models": [row.as_dict() for row in rows]})
    else:
        typer.echo("\n".join(map(str, rows)))


@app.command(name="nodule-bank")
def nodule_bank(
    crops: Annotated[Path, typer.Argument(help="Folder with nodules.csv, images and masks.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")] = Path(
        "bank.safetensors"
    ),
    source: Annotated[str, typer.Option(help="Origin and licence, kept in the file.")] = "",
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Gather real nodules in one file, for a recipe's [insertion] to put into other lungs."""
    from squeezect.nodules import build_bank

    with Bars(quiet=quiet) as bars:
        bank = build_bank(crops, source=source, progress=partial(bars, "nodules"))
    file = str(bank.save(out))
    written = {"nodules": len(bank), "file": file}
    show(written) if json_ else typer.echo(f"{len(bank)} nodules in {file}")


app.command()(train)


app.command(name="pseudo-label")(pseudo_label)


app.command()(ablate)
app.command()(search)
app.command()(compare)


@app.command()
def audit(
    cohort: Annotated[Path, typer.Argument(help="CSV, or the folder of a known data set.")],
    folds: Annotated[int, typer.Option(min=2, help="Folds to look into.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Decides the folds.")] = 0,
    store: Annotated[
        Path | None, typer.Option(help="Prepared volumes; finds copies of one volume too.")
    ] = None,
    json_: Json = False,
) -> None:
    """Look for what parts of a study share and must not: patients, series, files, copies, places.

    Exit status 1 if anything is found. Training does this by itself, for its own parts.
    """
    from squeezect.training.auditing import audit_cohort

    found = audit_cohort(cohort, folds=folds, seed=seed, store=store)
    show(found.as_dict()) if json_ else typer.echo(str(found))
    raise typer.Exit(0 if found.ok else 1)


@app.command()
def evaluate(
    run: Annotated[
        Path, typer.Argument(help="Run folder; or a data set, with --weights or --froc.")
    ],
    weights: Annotated[
        str | None, typer.Option(help="Shipped weights, or a run, to score on a data set.")
    ] = None,
    froc: Annotated[
        Path | None, typer.Option(help="Marks to score by the rules of LUNA16; a CSV.")
    ] = None,
    out: Out = None,
    sensitivity: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Sensitivity the threshold has to reach.")
    ] = 0.9,
    label: Annotated[
        str | None, typer.Option(help="With --weights on a table: column of the label.")
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge a run on cases its networks never saw: scores with intervals, curves, report.

    With --weights, RUN is a data set instead: a folder of patches with lists of lines "path label"
    (any *.txt), crops with nodules.csv (columns file, patient_id, Diagnosis_value; perhaps
    diameter_mm and coordX, coordY, coordZ), one of these lists or tables, a zip of such a folder,
    or a CSV of scans. The weights are scored on all of it; what was passed over or speaks against
    the scores is told on standard error.

    With --froc MARKS.csv (seriesuid, coordX, coordY, coordZ, probability), RUN is the folder of
    LUNA16's tables seriesuids.csv, annotations.csv and annotations_excluded.csv; the marks get
    their FROC and competition metric (CPM) by the official rules, and a page with --out.
    """
    from squeezect.evaluation import evaluate as judge
    from squeezect.evaluation import evaluate_marks

    if froc is not None:
        marks = evaluate_marks(froc, run, out=out)
        show(marks.as_dict()) if json_ else typer.echo(str(marks))
        return
    if weights is not None:
        from squeezect.publishing.scores import score_weights

        with Bars(quiet=quiet) as bars:
            scores = score_weights(weights, run, label=label, out=out, tell=bars)
        for warning in scores.warnings:
            typer.echo(f"warning: {warning}", err=True)
        show(scores.as_dict()) if json_ else typer.echo(str(scores))
        return
    evaluation = judge(run, target_sensitivity=sensitivity, out=out)
    if json_:
        show(evaluation.as_dict())
    else:
        typer.echo(evaluation.summary())


app.command()(gallery)
app.command(cls=OnePoint)(predict)
app.command(cls=OnePoint)(candidate)


@app.command()
def export(
    context: typer.Context,
    run: RunPath,
    form: Annotated[
        Literal["openvino", "openvino-float16", "openvino-int8", "onnx"],
        typer.Option(help="What to write."),
    ] = "openvino",
    store: Annotated[
        Path | None, typer.Option(help="Prepared volumes that 8 bits are calibrated on.")
    ] = None,
    json_: Json = False,
) -> None:
    """Write the networks of a run for another engine, checked to give the same answers.

    An export lies beside the weights it was made of; squeezect predict --engine runs it. Exports
    of float32 agree within 1e-4, those of 16 bits within 0.005, those of 8 bits within 0.01 on the
    volumes of the run's store.
    """
    from squeezect.session import export_run

    if form != "openvino-int8":
        refuse_given(context, ("store",), because="only openvino-int8 is calibrated on volumes")
    folders = [str(folder) for folder in export_run(run, form=form, store=store)]
    if json_:
        show({"form": form, "exported": folders})
    else:
        typer.echo("\n".join(f"exported {folder}" for folder in folders))


def main() -> None:
    """Run the command line; errors of ours are one line on stderr and exit status 2."""
    try:
        app()
    except SqueezeCTError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        why = error.strerror or str(error)
        advice = "check that the path is right, that it may be written, and that the disk has room"
        typer.echo(f"error: {place}{why}; {advice} [system-error]", err=True)
        sys.exit(2)
    except SystemExit as leaving:
        # Typer turns Ctrl-C into an exit without a word.
        if leaving.code == INTERRUPTED:
            typer.echo("stopped; give the same command again to go on", err=True)
        raise
