"""What the verbs share: their common options, progress bars, results as JSON."""

import json
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from squeezect.errors import Code, CommandError

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

NO_USE = Code(
    "option-does-not-apply",
    "An option was given that the command has no use for here.",
    "leave it out",
)
UNKNOWN_CODE = Code(
    "unknown-code",
    "What should be gone on in spite of is not the code of a refusal.",
    "give a code as the refusal shows it in brackets, and as docs/reading.md lists it",
)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]
ScanPath = Annotated[Path, typer.Argument(help="DICOM folder, zip, .mhd, .mha, .nii.gz or .nrrd.")]
RunPath = Annotated[Path, typer.Argument(help="Run folder written by squeezect train.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the result.")]
Series = Annotated[str | None, typer.Option(help="Series to read, as squeezect inspect names it.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes that read and prepare scans.")]
Dataset = Annotated[
    Path, typer.Argument(help="CSV with scan, patient, label[, split], or a data set's folder.")
]
Folds = Annotated[int | None, typer.Option(min=2, help="Instead of the recipe's.")]
Positive = Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")]
Natural = Annotated[int | None, typer.Option(min=0, help="Instead of the recipe's.")]
StorePath = Annotated[Path | None, typer.Option(help="Folder of prepared volumes.")]
Skip = Annotated[bool, typer.Option(help="Leave out scans that cannot be read.")]
AllowLeaks = Annotated[bool, typer.Option(help="Go on although parts share something (recorded).")]


class Bars:
    """Progress bars by stage; made on first use, silent when asked or not on a terminal."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self._bars: RichProgress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._told: dict[str, int] = {}

    def __enter__(self) -> "Bars":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` of a stage are done."""
        if self.quiet:
            return
        if not sys.stderr.isatty():
            self._line(stage, done, total, note)
            return
        bars = self._open()
        if stage not in self._tasks:
            self._tasks[stage] = bars.add_task(stage, total=total, note=note)
        bars.update(self._tasks[stage], completed=done, total=total, note=note)

    def _line(self, stage: str, done: int, total: int, note: str) -> None:
        """Without a terminal: one line per tenth of a stage, so that logs stay short."""
        tenth = 10 * done // max(total, 1)
        if self._told.get(stage) != tenth:
            self._told[stage] = tenth
            print(f"{stage}: {10 * tenth} % {note}", file=sys.stderr, flush=True)  # noqa: T201

    def _open(self) -> "RichProgress":
        from rich import progress as rich
        from rich.console import Console

        if self._bars is None:
            self._bars = rich.Progress(
                rich.TextColumn("{task.description:<16}"),
                rich.BarColumn(),
                rich.TaskProgressColumn(),
                rich.TimeRemainingColumn(),
                rich.TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
            )
            self._bars.start()
        return self._bars


def refuse_given(context: typer.Context, names: Collection[str], *, because: str) -> None:
    """Refuse options that were given on the command line and would do nothing.

    Args:
        context: of the command.
        names: parameters that do not apply here.
        because: why, as a whole sentence without its stop.

    Raises:
        CommandError: `option-does-not-apply`, with the first of them.
    """
    for parameter in context.command.params:
        if parameter.name not in names:
            continue
        source = context.get_parameter_source(parameter.name)
        if source is not None and source.name == "COMMANDLINE":
            option = max(parameter.opts, key=len)
            raise CommandError(NO_USE, f"{option} does nothing: {because}")


def known_codes(allow: Collection[str] | None) -> Collection[str]:
    """The codes of refusals to go on in spite of.

    Raises:
        CommandError: `unknown-code`.
    """
    from squeezect.publishing.codes import scan_codes

    if not allow:
        return ()
    known = {code.name for code in scan_codes() if code.severity == "refuse"}
    for name in allow:
        if name not in known:
            raise CommandError(UNKNOWN_CODE, f"--allow {name}: no refusal of scans has this code")
    return allow


def show(data: Mapping[str, object]) -> None:
    """Print a result as JSON."""
    typer.echo(json.dumps(data, indent=1))
