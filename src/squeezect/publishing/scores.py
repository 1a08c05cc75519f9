"""Weights on a data set: scores with intervals, as text, JSON, Markdown and a table of answers."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from squeezect.checkpoint import write_atomically
from squeezect.evaluation import Comparison, TableBlock
from squeezect.evaluation.markdown import markdown
from squeezect.publishing.datasets import opened
from squeezect.publishing.document import STATEMENT
from squeezect.publishing.judged import Judged, Tell, judge_dataset
from squeezect.publishing.places import probe, writing
from squeezect.publishing.rows import Row, one_class, score_rows
from squeezect.scan import pseudonym


@dataclass(frozen=True)
class WeightScores:
    """How good weights are on the lists or tables of a data set.

    Args:
        weights: their name.
        parts: scores by the name of the list or table.
        warnings: what speaks against them, in words.
        columns: of the label, by the name of the table.
    """

    weights: str
    parts: Mapping[str, Mapping[str, Row]]
    warnings: Sequence[str] = ()
    columns: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """Everything as plain JSON."""
        told = {part: {k: _plain(v) for k, v in row.items()} for part, row in self.parts.items()}
        return {
            "weights": self.weights,
            "parts": told,
            "label_columns": dict(self.columns),
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        lines = [f"weights {self.weights}"]
        for part, row in self.parts.items():
            lines.append(self._lead(part, row))
            told = _told(row)
            width = max([50, *(len(name) for name, _ in told)])
            lines += [f"  {name:<{width}} {value}" for name, value in told]
        return "\n".join(lines)

    def _lead(self, part: str, row: Mapping[str, Row]) -> str:
        text = f"{part}: {row['cases']:.0f} cases, {row['positives']:.0f} positive"
        text += f" in the column {self.columns[part]}" if self.columns.get(part) else ""
        if row["patients"] != row["cases"]:
            text += f", {row['patients']:.0f} patients"
        text += f"; {row['unlabelled']:.0f} more have no label" if row["unlabelled"] else ""
        return text + ("; one class only: no ROC AUC" if one_class(row) else "")

    def markdown(self) -> str:
        """A table for each list."""
        blocks = [
            TableBlock(
                title="",
                text=self._lead(part, row) + ".",
                columns=(f"{self.weights} on {part}", "value (95 % interval)"),
                rows=_told(row),
            )
            for part, row in self.parts.items()
        ]
        doubts = "".join(f"- {warning}.\n" for warning in self.warnings)
        told = markdown(blocks) + (f"\nWarnings:\n\n{doubts}" if doubts else "")
        return f"{told}\n{STATEMENT}\n"


def _told(row: Mapping[str, Row]) -> list[list[str]]:
    counts = {"cases", "positives", "patients", "unlabelled"}
    return [[name, _said(value)] for name, value in row.items() if name not in counts]


def _said(value: Row) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, Comparison) and not value.difference.defined:
        return "undefined"
    if isinstance(value, Comparison):
        p = "p < 0.0001" if value.p_value < 1e-4 else f"p = {value.p_value:.4f}"
        gap = value.difference
        return f"{gap.value:+.4f} ({gap.low:+.4f} to {gap.high:+.4f}), {p}"
    if not value.defined:
        return "undefined"
    return f"{value.value:.4f} ({value.low:.4f} to {value.high:.4f})"


def _plain(value: Row) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    told = dict(value.as_dict())
    return {name: _plain(part) if isinstance(part, float) else part for name, part in told.items()}


def _silent(stage: str, done: int, total: int, note: str) -> None:
    """Nobody is told."""


def score_weights(
    name: str,
    data: Path,
    *,
    label: str | None = None,
    out: Path | None = None,
    tell: Tell = _silent,
) -> WeightScores:
    """Score weights on a data set of the kind that they are made for.

    Args:
        name: shipped weights, a run (its networks are averaged), or a checkpoint folder.
        data: patches with lists (``.txt``) of lines ``path label``, crops with ``nodules.csv``,
            one of these lists or tables, a zip of such a folder, or a cohort of whole scans.
        label: column of the label in a table of crops; ``Diagnosis_value`` by default.
        out: folder that receives ``scores.json``, ``scores.md`` and ``probabilities.csv``.
        tell: who is told of progress.

    Raises:
        EvaluationError: `no-such-data`, `no-lists`, `no-label`, `contradicting-labels`,
            `unused-label-column`, `unanswered-case` or `unwritable-folder`.
        CheckpointError: `unknown-weights` or `weights-of-another-kind`.
        CohortError: what the data set's reader says, with row and file.
    """
    if out is not None:
        probe(out)
    with opened(data) as place:
        judged = judge_dataset(name, place, label=label, tell=tell)
    rows = {part.name: score_rows(part) for part in judged}
    doubts = [doubt for part in judged for doubt in part.doubts]
    columns = {part.name: part.column for part in judged if part.column}
    result = WeightScores(name, rows, doubts, columns)
    if out is not None:
        with writing(out):
            text = json.dumps(result.as_dict(), indent=1, allow_nan=False)
            write_atomically(out / "scores.json", text.encode())
            write_atomically(out / "scores.md", result.markdown().encode())
            write_atomically(out / "probabilities.csv", _answers(name, judged).encode())
    return result


def _answers(weights: str, judged: Sequence[Judged]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["weights", "list", "row", "patient", "label", "probability"])
    for part in judged:
        for case, probability in zip(part.cases, part.probability, strict=True):
            label = "" if case.label is None else case.label
            cells = [part.name, case.row, pseudonym(case.patient), label, f"{probability:.9f}"]
            writer.writerow([Path(weights).name, *cells])
    return text.getvalue()
