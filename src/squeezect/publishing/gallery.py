"""The most confident errors of weights as contact sheets: what fools them, at a glance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from squeezect.candidates import find_weights
from squeezect.checkpoint import write_atomically
from squeezect.cohorts import Case
from squeezect.cohorts.layouts import read_dataset
from squeezect.errors import EvaluationError
from squeezect.evaluation import (
    Page,
    Picture,
    PictureBlock,
    TableBlock,
    read_predictions,
    write_page,
)
from squeezect.evaluation.blocks import Block
from squeezect.evaluation.predictions import FILE
from squeezect.kinds import judges_cuts
from squeezect.publishing.contact_sheet import contact_sheet
from squeezect.publishing.datasets import cases_of, find_dataset, opened
from squeezect.publishing.given import OTHER_ANSWERS, read_answers
from squeezect.publishing.judged import Judged, Tell, judge_dataset
from squeezect.publishing.places import probe, writing
from squeezect.scan import pseudonym

MOST = 24
"""Errors of each kind on a sheet."""


@dataclass(frozen=True)
class Mistake:
    """A case that was called wrong.

    Args:
        case: what was judged.
        source: list or table that it stands in.
        probability: of class 1.
    """

    case: Case
    source: str
    probability: float

    @property
    def caption(self) -> str:
        """Row, probability and, where it is known, diameter."""
        size = "" if self.case.diameter_mm is None else f" {self.case.diameter_mm:.0f} mm"
        return f"row {self.case.row}{size}  p {self.probability:.3f}"

    def as_dict(self) -> dict[str, object]:
        """The mistake as plain JSON; the patient is a pseudonym."""
        return {
            "list": self.source,
            "row": self.case.row,
            "patient": pseudonym(self.case.patient),
            "label": self.case.label,
            "probability": round(self.probability, 6),
            "diameter_mm": self.case.diameter_mm,
        }


@dataclass(frozen=True)
class Gallery:
    """The errors of weights on a data set at one threshold, most confident first.

    Args:
        weights: their name.
        threshold: probability from which a case is called positive.
        cases: number of cases with a label.
        false_positives: negatives called positive.
        false_negatives: positives called negative.
    """

    weights: str
    threshold: float
    cases: int
    false_positives: Sequence[Mistake]
    false_negatives: Sequence[Mistake]

    def as_dict(self) -> dict[str, object]:
        """Everything as plain JSON."""
        return {
            "weights": self.weights,
            "threshold": self.threshold,
            "cases": self.cases,
            "false_positives": [mistake.as_dict() for mistake in self.false_positives],
            "false_negatives": [mistake.as_dict() for mistake in self.false_negatives],
        }

    def __str__(self) -> str:
        return (
            f"{self.weights}: {len(self.false_positives)} false positives and "
            f"{len(self.false_negatives)} false negatives of {self.cases} cases at threshold "
            f"{self.threshold:.3f}"
        )


def find_errors(
    weights: str, judged: Sequence[Judged], *, threshold: float | None = None
) -> Gallery:
    """Sort out what was called wrong.

    Args:
        weights: their name.
        judged: answers; cases without a label are left out.
        threshold: instead of the weights' own.
    """
    limit = judged[0].threshold if threshold is None else threshold
    every = [
        Mistake(case, part.name, float(probability))
        for part in judged
        for case, probability in zip(part.cases, part.probability, strict=True)
        if case.label in (0, 1)
    ]
    alarms = [m for m in every if m.case.label == 0 and m.probability >= limit]
    misses = [m for m in every if m.case.label == 1 and m.probability < limit]
    return Gallery(
        weights,
        limit,
        len(every),
        sorted(alarms, key=lambda m: -m.probability),
        sorted(misses, key=lambda m: m.probability),
    )


def make_gallery(
    weights: str,
    data: Path,
    out: Path,
    *,
    answers: Path | None = None,
    threshold: float | None = None,
    label: str | None = None,
    tell: Tell,
) -> Gallery:
    """Write the most confident errors: ``false-positives.png``, ``false-negatives.png``, a page.

    Args:
        weights: shipped weights or a checkpoint, which are asked now; or a finished run, whose
            answers for cases that its networks had not seen are taken as they are.
        data: the data set.
        out: folder of the gallery. The pictures show patients: keep it where the data may be.
        answers: ``probabilities.csv`` of `score_weights`, to ask nobody again.
        threshold: instead of the weights' own.
        label: column of the label in a table of crops.
        tell: who is told of progress.

    Raises:
        EvaluationError: `other-answers`, `unwritable-folder`, and what scoring says.
        CohortError: what reading the table of answers says.
    """
    probe(out)
    with opened(data) as place:
        judged = _judged(weights, place, answers=answers, label=label, tell=tell)
        gallery = find_errors(weights, judged, threshold=threshold)
        with writing(out):
            _write(gallery, data, out, tell)
    return gallery


def _write(gallery: Gallery, data: Path, out: Path, tell: Tell) -> None:
    blocks: list[Block] = []
    kinds = {"False positives": gallery.false_positives, "False negatives": gallery.false_negatives}
    for title, mistakes in kinds.items():
        blocks += _blocks(title, mistakes, out, tell)
    page = Page(
        title=f"Errors of {Path(gallery.weights).name}",
        lead=f"The most confident errors on {data.resolve().name}, at threshold "
        f"{gallery.threshold:.3f}.",
        facts={"cases": str(gallery.cases), **{t.lower(): str(len(m)) for t, m in kinds.items()}},
        cards=[],
        cautions=["The pictures are of patients: share this page only as the data may be shared."],
        blocks=blocks,
    )
    write_page(out, page, gallery.as_dict(), name="gallery")


def _blocks(title: str, mistakes: Sequence[Mistake], out: Path, tell: Tell) -> list[Block]:
    sheet = out / f"{title.lower().replace(' ', '-')}.png"
    # The sheet of an earlier gallery does not stay.
    sheet.unlink(missing_ok=True)
    if not mistakes:
        return [Block(title=title, text="None.")]
    shown = mistakes[:MOST]
    tell(title.lower(), 0, len(shown), "")
    image = contact_sheet([mistake.case for mistake in shown], [m.caption for m in shown])
    tell(title.lower(), len(shown), len(shown), "")
    write_atomically(sheet, image)
    caption = f"The {len(shown)} most confident of {len(mistakes)}."
    rows = [
        [
            f"{m.source}, row {m.case.row}",
            pseudonym(m.case.patient),
            f"{m.probability:.4f}",
            "" if m.case.diameter_mm is None else f"{m.case.diameter_mm:.1f}",
        ]
        for m in shown
    ]
    columns = ("case", "patient (pseudonym)", "probability", "diameter in mm")
    return [
        PictureBlock(title=title, pictures=[Picture(image, caption, wide=True)]),
        TableBlock(title="", columns=columns, rows=rows),
    ]


def _judged(
    weights: str, data: Path, *, answers: Path | None, label: str | None, tell: Tell
) -> Sequence[Judged]:
    run = Path(weights)
    if answers is None and (run / FILE).is_file():
        found = read_predictions(run / FILE).out_of_fold
        known = dict(zip(found.row.tolist(), found.cases.score.tolist(), strict=True))
        cases = [case for case in read_dataset(data).cases if case.row in known]
        return [_matched(weights, data.resolve().name, cases, known)]
    if answers is None:
        return judge_dataset(weights, data, label=label, tell=tell)
    asked = find_weights(weights)
    dataset = find_dataset(data, points=judges_cuts(asked.card))
    named = dataset.kind != "patches"
    parts = []
    for name, given in read_answers(answers, weights).items():
        if name not in dataset.names and dataset.kind != "scans":
            raise EvaluationError(OTHER_ANSWERS, f"{answers.name} is about {name}, not in {data}")
        held, _ = cases_of(dataset, name, label)
        parts.append(Judged(name, held, given.of(held, named=named), asked.threshold))
    return parts


def _matched(weights: str, name: str, cases: Sequence[Case], known: Mapping[int, float]) -> Judged:
    limit = find_weights(weights).threshold
    return Judged(name, cases, np.array([known[case.row] for case in cases]), limit)
