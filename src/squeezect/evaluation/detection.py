"""Judge marks on scans as LUNA16 does: a submission against the challenge's own tables."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from squeezect.errors import EvaluationError
from squeezect.evaluation import plots
from squeezect.evaluation.blocks import Picture, PictureBlock, TableBlock
from squeezect.evaluation.froc import RATES, Froc, score_froc
from squeezect.evaluation.marks import BAD_MARKS, Points, read_points
from squeezect.evaluation.page import Card, Page, write_page

SCANS, ANNOTATIONS, EXCLUDED = "seriesuids.csv", "annotations.csv", "annotations_excluded.csv"


@dataclass(frozen=True)
class Detection:
    """The score of a submission.

    Args:
        froc: its FROC and competition metric.
        marks: rows of the submission.
        unlisted: of these, rows whose series is not in ``seriesuids.csv``; they do not count.
        excluded: whether there was a table of findings to ignore.
    """

    froc: Froc
    marks: int
    unlisted: int
    excluded: bool

    def as_dict(self) -> dict[str, object]:
        """The score as plain JSON."""
        facts = {"marks": self.marks, "unlisted": self.unlisted, "excluded": self.excluded}
        return {**self.froc.as_dict(), **facts}

    def __str__(self) -> str:
        froc = self.froc
        rates = ", ".join(
            f"{found:.3f} at {rate_name(rate)}"
            for rate, found in zip(RATES, froc.sensitivities, strict=True)
        )
        lines = [
            f"CPM {froc.cpm}; of the mean bootstrap curve {froc.bootstrap_cpm:.3f}",
            f"sensitivity {rates} false marks per scan",
            f"{froc.found} of {froc.nodules} nodules found in {froc.scans} scans, "
            f"{froc.false_marks} false marks",
        ]
        return "\n".join([*lines, *self.cautions()])

    def cautions(self) -> list[str]:
        """What a reader must know before believing the numbers."""
        told = []
        if self.unlisted:
            told.append(f"{self.unlisted} of {self.marks} marks are in scans that are not listed.")
        if not self.excluded:
            told.append(
                "There is no annotations_excluded.csv, so marks on findings that the challenge"
                " ignores count as false: this is not the official score."
            )
        return told


def evaluate_marks(
    submission: Path | str,
    tables: Path | str,
    *,
    out: Path | str | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> Detection:
    """Score a submission by the official rules of LUNA16; write a page if asked.

    Args:
        submission: CSV with the columns seriesuid, coordX, coordY, coordZ (world mm), probability.
        tables: folder of ``seriesuids.csv``, ``annotations.csv`` and ``annotations_excluded.csv``,
            perhaps in its folder ``CSVFILES``; without the last nothing is ignored.
        out: folder for ``index.html`` and ``froc.json``; nothing is written by default.
        replicates: resamples of scans.
        seed: of the resampling.

    Raises:
        EvaluationError: `bad-marks`, naming file and line; `no-nodules`; `bad-choice`.
    """
    scans = listed_scans(Path(tables))
    marks = read_points(Path(submission), "probability")
    found = score_marks(marks, Path(tables), scans=scans, replicates=replicates, seed=seed)
    if out is not None:
        annotated = read_points(_table(Path(tables), ANNOTATIONS), "diameter_mm").series.size
        write_page(
            Path(out), _page(found, Path(submission), annotated), found.as_dict(), name="froc"
        )
    return found


def score_marks(
    marks: Points, tables: Path, *, scans: Sequence[str], replicates: int = 1000, seed: int = 0
) -> Detection:
    """Score marks by the official rules of LUNA16.

    Args:
        marks: points with a probability.
        tables: folder of LUNA16's tables, as for `evaluate_marks`.
        scans: names of the series that are scored.
        replicates: resamples of scans.
        seed: of the resampling.

    Raises:
        EvaluationError: `bad-marks`, naming file and line; `no-nodules`; `bad-choice`.
    """
    ignored = _table(tables, EXCLUDED)
    excluded = read_points(ignored, "diameter_mm") if ignored.is_file() else None
    nodules = read_points(_table(tables, ANNOTATIONS), "diameter_mm")
    return Detection(
        froc=score_froc(scans, marks, nodules, excluded, replicates=replicates, seed=seed),
        marks=marks.series.size,
        unlisted=int((~np.isin(marks.series, scans)).sum()),
        excluded=excluded is not None,
    )


def has_tables(folder: Path) -> bool:
    """Whether a folder holds what the score needs: the list of scans, and their annotations."""
    return all(_table(folder, name).is_file() for name in (SCANS, ANNOTATIONS))


def _table(folder: Path, name: str) -> Path:
    inner = folder / "CSVFILES" / name
    return inner if inner.is_file() else folder / name


def listed_scans(tables: Path) -> list[str]:
    """Names of the scans that are scored: the first column, with or without a heading.

    Args:
        tables: folder of LUNA16's tables, as for `evaluate_marks`.

    Raises:
        EvaluationError: `bad-marks`, if the list is not there.
    """
    path = _table(tables, SCANS)
    if not path.is_file():
        raise EvaluationError(
            BAD_MARKS,
            f"{path.name} does not exist in {path.parent.name}",
            remedy="put LUNA16's tables into one folder, which names the scans that are scored",
        )
    with path.open(encoding="utf-8-sig", newline="") as file:
        names = [row[0].strip() for row in csv.reader(file) if row and row[0].strip()]
    return names[1:] if names[:1] == ["seriesuid"] else names


def _page(found: Detection, submission: Path, annotated: int) -> Page:
    froc = found.froc
    figure = plots.froc_figure({f"CPM {froc.cpm}": froc.curve}, at=RATES)
    rows = [
        (rate_name(rate), f"{sensitivity:.4f}")
        for rate, sensitivity in zip(RATES, froc.sensitivities, strict=True)
    ]
    return Page(
        title=f"Detection: {submission.stem}",
        lead="Marks on scans, scored by the rules of the LUNA16 challenge.",
        facts={
            "scans": str(froc.scans),
            "nodules": str(froc.nodules),
            "marks": str(found.marks),
            "annotated in all": str(annotated),
        },
        cards=[
            Card(
                "CPM",
                "mean sensitivity at seven rates",
                froc.cpm,
                f"{froc.found} of {froc.nodules} nodules found, {froc.false_marks} false marks;"
                f" the mean bootstrap curve gives {froc.bootstrap_cpm:.3f}.",
            )
        ],
        cautions=found.cautions(),
        blocks=[
            PictureBlock(
                title="FROC",
                text="Share of the nodules found against false marks per scan. Shaded: 95 % band"
                " of a bootstrap of scans.",
                pictures=[Picture(plots.image(figure), "FROC curve; dots: rates of the CPM.")],
            ),
            TableBlock(title="", columns=("False marks per scan", "Sensitivity"), rows=rows),
        ],
    )


def rate_name(rate: float) -> str:
    """A rate of false marks per scan in words: ``1/8`` to ``8``."""
    return f"1/{1 / rate:g}" if rate < 1 else f"{rate:g}"
