"""The verbs that answer: for whole scans, for points of scans, for crops."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from squeezect.commands.terminal import Json, ScanPath, Series, known_codes, refuse_given, show
from squeezect.errors import CheckpointError, Code

if TYPE_CHECKING:
    from squeezect.publishing.answers import Answer
    from squeezect.publishing.point_answers import PointAnswer, PointRefusal

NO_SCAN = Code(
    "no-scan-named",
    "The command names a run but no scan.",
    "say squeezect predict RUN SCAN, or squeezect predict --weights NAME SCAN",
)

SEVERAL_POINTS = Code(
    "several-points",
    "The command names several points.",
    "ask about one point at a time",
)


class OnePoint(TyperCommand):
    """A verb that refuses a second --point, of which the parser would keep the last only."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Arguments that are left after the options.

        Raises:
            CheckpointError: `several-points`.
        """
        given = sum(arg == "--point" or arg.startswith("--point=") for arg in args)
        if given > 1:
            raise CheckpointError(SEVERAL_POINTS, f"{given} points are given")
        return super().parse_args(ctx, args)


Point = Annotated[
    tuple[float, float, float] | None,
    typer.Option(
        metavar="X Y Z",
        help="LPS point in mm, three numbers apart by blanks, for weights that judge points.",
    ),
]

Engine = Annotated[
    Literal[
        "auto",
        "openvino",
        "openvino-bfloat16",
        "openvino-float16",
        "openvino-int8",
        "onnx",
        "torch",
    ],
    typer.Option(help="What computes; for whole scans."),
]


def predict(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[RUN] SCAN...", help="Run folder, then scans; with --weights, scans only."
        ),
    ],
    weights: Annotated[
        str | None,
        typer.Option(help="Shipped weights (nodule, malignancy), a run or a checkpoint folder."),
    ] = None,
    point: Point = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for pages and maps.")] = Path(
        "predictions"
    ),
    series: Series = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="Go on in spite of this refusal; repeatable.")
    ] = None,
    engine: Engine = "auto",
    json_: Json = False,
) -> None:
    """Answer for scans: probability, heat map, pictures and a page for each.

    Weights that judge points answer for --point of a scan, and those made for crops around nodules
    for the middle of a crop too; their page shows what they saw, and what they outlined in it.
    Patches of one slice, kept as pictures, are for squeezect evaluate.

    Example: squeezect predict runs/mine patient01/

    Example: squeezect predict --weights nodule patient01/ --point 56.2 86.3 -115.9
    """
    from squeezect.publishing.answers import answer_scans
    from squeezect.publishing.point_answers import answer_points, judges_points

    run, scans = (weights, paths) if weights is not None else (str(paths[0]), paths[1:])
    if not scans:
        raise CheckpointError(NO_SCAN, f"no scan is named beside {run}")
    passed = known_codes(allow)
    answers: Sequence[Answer | PointAnswer | PointRefusal]
    if point is not None or judges_points(run):
        if engine not in {"auto", "torch"}:
            refuse_given(context, ("engine",), because="points are judged by PyTorch")
        answers = answer_points(run, scans, point, out=out, series=series, allow=passed)
    else:
        answers = answer_scans(Path(run), scans, out, series=series, allow=passed, engine=engine)
    if json_:
        show({"predictions": [answer.as_dict() for answer in answers]})
    else:
        for answer in answers:
            typer.echo(str(answer), err=answer.error is not None)
    raise typer.Exit(2 if any(answer.error for answer in answers) else 0)


def candidate(
    scan: ScanPath,
    point: Annotated[
        tuple[float, float, float],
        typer.Option(metavar="X Y Z", help="LPS point in mm, apart by blanks."),
    ],
    weights: Annotated[
        str, typer.Option(help="Shipped weights (nodule, malignancy), or a run.")
    ] = "nodule",
    series: Series = None,
    json_: Json = False,
) -> None:
    """Answer for one point of a scan, in one line: a nodule or not, malignant or not.

    What is asked is decided by the weights. Writes nothing; squeezect predict writes a page.

    Works right after install: squeezect candidate patient01/ --point 56.2 86.3 -115.9
    """
    from squeezect.publishing.point_answers import answer_point

    answer = answer_point(weights, scan, point, series=series)
    show(answer.as_dict()) if json_ else typer.echo(str(answer))
