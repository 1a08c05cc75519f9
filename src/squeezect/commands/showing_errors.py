"""The verb that shows what weights get wrong."""

from pathlib import Path
from typing import Annotated

import typer

from squeezect.commands.terminal import Bars, Json, Quiet, show


def gallery(
    weights: Annotated[str, typer.Argument(help="Shipped weights, a run, or a checkpoint folder.")],
    dataset: Annotated[Path, typer.Argument(help="Patches with lists, or crops with nodules.csv.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for pictures and page.")],
    answers: Annotated[
        Path | None, typer.Option(help="probabilities.csv of squeezect evaluate --weights --out.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Instead of the weights' own.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="On crops: column of the label.")] = None,
    quiet: Quiet = False,
    json_: Json = False,
) -> None:
    """Show the most confident errors: a sheet of false positives, one of false negatives, a page.

    A finished run shows its answers for cases that its networks had not seen; other weights are
    asked about the whole data set, unless --answers has what they said. The pictures show patients:
    keep them where the data may be kept.

    Example: squeezect gallery nodule patches/ --out errors
    """
    from squeezect.publishing.gallery import make_gallery

    with Bars(quiet=quiet) as bars:
        found = make_gallery(
            weights,
            dataset,
            out,
            answers=answers,
            threshold=threshold,
            label=label,
            tell=bars,
        )
    show(found.as_dict()) if json_ else typer.echo(f"{found}\npage: {out / 'index.html'}")
