"""Weights asked about every case of a data set: patches on lists, crops, whole scans."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from squeezect.candidates import CandidateClassifier, find_weights, read_patches
from squeezect.checkpoint import Card
from squeezect.cohorts import Case
from squeezect.cohorts.layouts import read_dataset
from squeezect.cohorts.layouts.crops import LABEL
from squeezect.cohorts.layouts.list_lines import picture_columns
from squeezect.cohorts.problems import SHOWN
from squeezect.errors import CheckpointError, Code, EvaluationError, Finding, SqueezeCTError
from squeezect.kinds import OTHER_KIND, judges_cuts, judges_slices
from squeezect.points import PointClassifier
from squeezect.preparation import Volume
from squeezect.publishing.datasets import UNUSED_LABEL, Dataset, cases_of, find_dataset
from squeezect.publishing.taught import taught_by
from squeezect.reading import read_scan
from squeezect.scan import Scan
from squeezect.session import Session

NO_LABEL = Code(
    "no-label",
    "Cases that weights are to be scored on have no label.",
    "fill in the labels, 0 or 1, or name their column with --label (of ratings 1 to 5 make a "
    "column of 0 for 1 and 2, of 1 for 4 and 5, and leave it empty for 3)",
)
UNANSWERED = Code(
    "unanswered-case",
    "Weights could not answer for a case.",
    "mend the case or take its row out of the table",
)
TIGHT = {"too-few-slices", "short-coverage"}
"""Findings that are no news of a crop."""
KEPT = 2000
"""Patches that are kept between looking and judging; 83 kB each as `malignancy` cuts them."""

Tell = Callable[[str, int, int, str], None]


@dataclass(frozen=True, eq=False)
class Judged:
    """Answers for the cases of one list or table.

    Args:
        name: of the list or table.
        cases: in the order of its rows.
        probability: of class 1, shape (n,).
        threshold: the weights' operating point.
        column: of the label; "" where lines have no columns.
        notes: what was passed over, in words.
        warnings: cases by the warning that reading or checking gave them, with what to do.
    """

    name: str
    cases: Sequence[Case]
    probability: npt.NDArray[np.float64]
    threshold: float
    column: str = ""
    notes: Sequence[str] = ()
    warnings: Mapping[str, int] = field(default_factory=dict)

    @property
    def doubts(self) -> list[str]:
        """Warnings and what was passed over, a sentence each."""
        told = [f"{self.name}: {n} of {len(self.cases)}: {w}" for w, n in self.warnings.items()]
        return [*self.notes, *told]

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Class of each case, -1 where it is unknown, shape (n,)."""
        return np.array([-1 if case.label is None else case.label for case in self.cases], np.int64)


def judge_dataset(name: str, data: Path, *, label: str | None, tell: Tell) -> list[Judged]:
    """Ask weights about a data set, whatever its kind.

    Args:
        name: shipped weights, a run, or a checkpoint folder.
        data: a folder of patches with lists, a folder of crops with ``nodules.csv``, one of these
            lists or tables, or a cohort of whole scans.
        label: column of the label in a table of crops; ``Diagnosis_value`` by default.
        tell: who is told of progress.

    Raises:
        EvaluationError: `no-such-data`, `no-lists`, `no-label`, `contradicting-labels`,
            `unused-label-column` or `unanswered-case`.
        CheckpointError: `unknown-weights` or `weights-of-another-kind`.
        CohortError: what the data set's reader says, with row and file.
    """
    card = card_of(name)
    dataset = find_dataset(data, points=judges_cuts(card))
    if dataset.kind == "patches":
        return _patches(name, card, dataset, label, tell)
    if dataset.kind == "crops":
        return [_crops(name, dataset, label=label, tell=tell)]
    if label is not None:
        what = f"{data.name} is a cohort of scans, whose label is in the column label"
        raise EvaluationError(UNUSED_LABEL, what, remedy="leave --label out")
    return [_scans(name, card, dataset, tell)]


def card_of(name: str) -> Card:
    """The card of shipped weights, of a run's networks, or of a checkpoint folder."""
    return find_weights(name).card


def _patches(
    name: str, card: Card, dataset: Dataset, label: str | None, tell: Tell
) -> list[Judged]:
    if not judges_slices(card):
        raise _other_kind(name, card, "patches of one slice")
    classifier = CandidateClassifier.open(name)
    notes = list(dataset.notes)
    parts = []
    for entry in dataset.names:
        cases, copies = cases_of(dataset, entry, label)
        _require_labels(entry, cases)
        # All pictures are looked at before the first is judged.
        parts.append((entry, cases, copies, read_patches(cases, source=entry)))
    found: list[Judged] = []
    total = sum(len(cases) for _, cases, _, _ in parts)
    for entry, cases, copies, patches in parts:
        before = sum(len(part.cases) for part in found)
        answers = classifier.score(patches, progress=partial(_tell, tell, entry, before, total))
        told = tuple(note for note in (*notes, copies) if note)
        column = (picture_columns(dataset.root / entry, label=label or "") or ("", ""))[1]
        found.append(Judged(entry, cases, answers, classifier.threshold, column, told))
        notes = []
    return found


def _tell(tell: Tell, entry: str, before: int, total: int, done: int, networks: int) -> None:
    """Tell of patches, however many networks look at each."""
    tell("scoring", before + done // networks, total, entry)


def _require_labels(entry: str, cases: Sequence[Case]) -> None:
    for case in cases:
        if case.label not in (0, 1):
            what = f"row {case.row} of {entry}: label {case.label} is not 0 or 1"
            raise EvaluationError(NO_LABEL, what)


def _crops(name: str, dataset: Dataset, *, label: str | None, tell: Tell) -> Judged:
    classifier = PointClassifier.open(name)
    (table,) = dataset.names
    cases, copies = cases_of(dataset, table, label)
    column = label or LABEL
    for case in cases:
        if case.label not in (None, 0, 1):
            what = f"row {case.row} of {table}: {column} {case.label} is not 0, 1 or empty"
            raise EvaluationError(NO_LABEL, what)
    if all(case.label is None for case in cases):
        raise EvaluationError(NO_LABEL, f"the column {column} of {table} is empty")

    cutter = _Cutter(classifier)
    _require_answers(table, cases, cutter.look, tell)

    def answer(case: Case) -> tuple[float, list[Finding]]:
        volume, findings = cutter.cut(case)
        return float(classifier.score([volume])[0]), findings

    answers, warnings = _ask(table, cases, answer, "crops", tell)
    notes = tuple(note for note in (*dataset.notes, copies, taught_by(name, cases)) if note)
    return Judged(table, cases, answers, classifier.threshold, column, notes, warnings)


@dataclass(eq=False)
class _Cutter:
    """Patches around the points of cases, with the warnings of what they were cut from.

    They are asked for twice: those of the first `KEPT` cases are kept, and rows of one scan that
    follow each other read it once.
    """

    classifier: PointClassifier
    kept: dict[int, tuple[Volume, list[Finding]]] = field(default_factory=dict)
    last: tuple[tuple[Path, str], Scan] | None = None

    def cut(self, case: Case) -> tuple[Volume, list[Finding]]:
        """The patch of a case, which is not needed again."""
        return self.kept.pop(case.row, None) or self._cut(case)

    def look(self, case: Case) -> None:
        """Cut the patch of a case in advance."""
        made = self._cut(case)
        if len(self.kept) < KEPT:
            self.kept[case.row] = made

    def _cut(self, case: Case) -> tuple[Volume, list[Finding]]:
        name = case.scan, case.dicom_series
        if self.last is None or self.last[0] != name:
            self.last = None
            # A crop around a nodule may hold two slices or one.
            found = read_scan(case.scan, series=name[1] or None, allow=("too-few-slices",))
            self.last = name, found
        scan = self.last[1]
        return self.classifier.prepare(scan, case.point_mm), serious(scan)


def _require_answers(
    table: str, cases: Sequence[Case], look: Callable[[Case], object], tell: Tell
) -> None:
    """Look at all cases before the first is answered for, which takes much longer."""
    refused = []
    for done, case in enumerate(cases, start=1):
        tell("checking", done, len(cases), table)
        try:
            look(case)
        except SqueezeCTError as error:
            refused.append(f"row {case.row} of {table}: {error.what} [{error.code}]")
    if refused:
        more = f"; and {len(refused) - SHOWN} more" if len(refused) > SHOWN else ""
        raise EvaluationError(UNANSWERED, "; ".join(refused[:SHOWN]) + more)


def _scans(name: str, card: Card, dataset: Dataset, tell: Tell) -> Judged:
    if card.preparation.cuts_patches or judges_slices(card):
        raise _other_kind(name, card, "whole scans")
    cohort = read_dataset(dataset.root)
    cases, table = cohort.cases, cohort.source.name
    session = Session.open(name)

    def answer(case: Case) -> tuple[float, list[Finding]]:
        scan = read_scan(case.scan, series=case.dicom_series or None)
        return session.predict(scan).probability, serious(scan)

    answers, warnings = _ask(table, cases, answer, "scans", tell)
    learned = taught_by(name, cases)
    notes = (learned,) if learned else ()
    return Judged(table, cases, answers, session.threshold, "label", notes, warnings)


def _ask(
    table: str,
    cases: Sequence[Case],
    answer: Callable[[Case], tuple[float, list[Finding]]],
    kind: str,
    tell: Tell,
) -> tuple[npt.NDArray[np.float64], Mapping[str, int]]:
    """Answers for all cases, and how many of them have which warning."""
    answers = []
    warnings: Counter[str] = Counter()
    for done, case in enumerate(cases):
        tell("scoring", done, len(cases), kind)
        try:
            probability, findings = answer(case)
        except SqueezeCTError as error:
            what = f"row {case.row} of {table}: {error.what} [{error.code}]"
            raise EvaluationError(UNANSWERED, what) from error
        answers.append(probability)
        warnings.update({f"{f.code.name}; {f.code.remedy}" for f in findings})
    tell("scoring", len(cases), len(cases), kind)
    return np.array(answers), dict(sorted(warnings.items()))


def serious(scan: Scan, *, crop: bool = True) -> list[Finding]:
    """Warnings of a scan, without those that any crop gets."""
    passed = TIGHT if crop else set()
    return [f for f in scan.findings if f.severity == "warn" and f.code.name not in passed]


def _other_kind(name: str, card: Card, held: str) -> CheckpointError:
    made = "points of scans" if card.preparation.cuts_patches else "whole scans"
    made = "patches of one slice" if judges_slices(card) else made
    what = f"weights {name!r} are made for {made}, and this data set holds {held}"
    if card.preparation.cuts_patches and not judges_slices(card):
        remedy = "crops need a table of their files: name the folder that holds it, or the table"
        return CheckpointError(OTHER_KIND, what, remedy=remedy)
    return CheckpointError(OTHER_KIND, what)
