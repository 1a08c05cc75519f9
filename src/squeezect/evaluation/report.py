"""From a run folder to its scores, as a JSON file and a page to read."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from squeezect.evaluation.evaluation import Evaluation, judge
from squeezect.evaluation.predictions import FILE, read_predictions


@dataclass(frozen=True)
class Block:
    """An extra section of a report.

    Args:
        title: its heading.
        text: plain text, a paragraph per blank line.
        data: numbers to put into the JSON file beside the page.
    """

    title: str
    text: str = ""
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TableBlock(Block):
    """A section with a table.

    Args:
        columns: headings.
        rows: cells, as many in each row as there are headings.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def evaluate(
    run: Path,
    *,
    target_sensitivity: float = 0.9,
    bootstrap: int = 2000,
    seed: int = 0,
    out: Path | None = None,
    extras: Sequence[Block] = (),
) -> Evaluation:
    """Score a run, and write ``index.html`` and ``evaluation.json``.

    Args:
        run: folder of a finished run; ``predictions.csv`` is read from it.
        target_sensitivity: the sensitivity that the second threshold is chosen for.
        bootstrap: number of resamples of patients.
        seed: of the resampling.
        out: folder to write into, ``report`` inside the run by default.
        extras: further sections of the page.

    Raises:
        EvaluationError: if the predictions are missing, wrong, leaking or of one class only.
    """
    evaluation = judge(
        read_predictions(Path(run) / FILE),
        run=Path(run).resolve().name,
        target_sensitivity=target_sensitivity,
        replicates=bootstrap,
        seed=seed,
    )
    evaluation = replace(evaluation)
    folder = Path(out) if out else Path(run) / "report"
    data = evaluation.as_dict() | {"extras": {block.title: dict(block.data) for block in extras}}
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "evaluation.json", json.dumps(data, indent=1, allow_nan=False))
    return evaluation


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that it is either there whole or not at all."""
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(scratch).chmod(0o644)
        Path(scratch).replace(path)
    except OSError:
        Path(scratch).unlink(missing_ok=True)
        raise
