"""Weights asked about every case of a data set: patches on lists, crops, whole scans."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from squeezect.candidates import CandidateClassifier, read_patches, weights_folder
from squeezect.checkpoint import CARD_FILE, Card, read_card
from squeezect.cohorts import Case
from squeezect.cohorts.layouts import read_dataset, read_nodule_crops, read_patch_lists
from squeezect.cohorts.layouts.crops import LABEL
from squeezect.errors import CheckpointError, Code, EvaluationError, SqueezeCTError
from squeezect.points import OTHER_KIND, PointClassifier
from squeezect.reading import read_scan
from squeezect.session import Session

NO_LISTS = Code(
    "no-lists",
    "A folder holds no list of patches, no table of crops and no cohort.",
    "name the folder that holds train.txt, val.txt or another list, or nodules.csv, or a CSV",
)
NO_LABEL = Code(
    "no-label",
    "Cases that weights are to be scored on have no label.",
    "fill in the labels, 0 or 1, or name their column with --label",
)
UNANSWERED = Code(
    "unanswered-case",
    "Weights could not answer for a case.",
    "mend the case or take its row out of the table",
)
ANY_KIND = "patches on lists (path label), crops with nodules.csv, or a CSV of scans"

Tell = Callable[[str, int, int, str], None]


@dataclass(frozen=True, eq=False)
class Judged:
    """Answers for the cases of one list or table.

    Args:
        name: of the list or table.
        cases: in the order of its rows.
        probability: of class 1, shape (n,).
        threshold: the weights' operating point.
    """

    name: str
    cases: Sequence[Case]
    probability: npt.NDArray[np.float64]
    threshold: float

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Class of each case, -1 where it is unknown, shape (n,)."""
        return np.array([-1 if case.label is None else case.label for case in self.cases], np.int64)


def judge_dataset(name: str, data: Path, *, label: str | None, tell: Tell) -> list[Judged]:
    """Ask weights about a data set, whatever its kind.

    Args:
        name: shipped weights, a run, or a checkpoint folder.
        data: a folder of patches with lists, a folder of crops with ``nodules.csv``, the CSV of
            such crops, or a cohort of whole scans.
        label: column of the label in a table of crops; ``Diagnosis_value`` by default.
        tell: who is told of progress.

    Raises:
        EvaluationError: `no-lists`, `no-label` or `unanswered-case`.
        CheckpointError: `unknown-weights` or `weights-of-another-kind`.
        CohortError: what the data set's reader says, with row and file.
    """
    card = card_of(name)
    lists = lists_in(data)
    if lists:
        return _patches(name, card, data, lists, tell)
    table = _crop_table(data)
    if table is not None:
        return [_crops(name, table, label=label or LABEL, tell=tell)]
    if data.is_dir() and not any(data.glob("*.csv")):
        raise EvaluationError(NO_LISTS, f"{data} holds none of {ANY_KIND}")
    return [_scans(name, card, data, tell)]


def card_of(name: str) -> Card:
    """The card of shipped weights, of a run's first network, or of a checkpoint folder."""
    folds = sorted(path.parent for path in Path(name).glob(f"fold-*/{CARD_FILE}"))
    return read_card(folds[0] if folds else weights_folder(name))


def lists_in(data: Path) -> list[str]:
    """Text files of a folder whose first line names a file beside them (so no LICENSE.txt)."""
    return sorted(path.name for path in data.glob("*.txt") if _is_list(path))


def _is_list(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        first = next((line.strip() for line in file if line.strip()), "")
    names = (first, first.rpartition(" ")[0].strip(), first.split()[0] if first else "")
    return any(name and (path.parent / name).is_file() for name in names)


def _crop_table(data: Path) -> Path | None:
    """The table of crops that a path stands for, if it does."""
    if data.is_file() and data.suffix.lower() == ".csv":
        header = data.read_text("utf-8-sig", errors="replace").partition("\n")[0]
        return data if "file" in [name.strip() for name in header.split(",")] else None
    if (data / "nodules.csv").is_file():
        return data / "nodules.csv"
    tables = sorted(data.glob("*.csv")) if (data / "images").is_dir() else []
    return tables[0] if len(tables) == 1 else None


def _patches(name: str, card: Card, data: Path, lists: Sequence[str], tell: Tell) -> list[Judged]:
    if card.preparation.cuts_patches:
        raise _other_kind(name, card, "patches of one slice")
    classifier = CandidateClassifier.open(name)
    found = []
    for done, entry in enumerate(lists):
        tell("scoring", done, len(lists), entry)
        cases = read_patch_lists(data, lists={entry: "test"}).cases
        _require_labels(entry, cases)
        probability = classifier.score(read_patches(cases))
        found.append(Judged(entry, cases, probability, classifier.threshold))
    tell("scoring", len(lists), len(lists), "")
    return found


def _require_labels(entry: str, cases: Sequence[Case]) -> None:
    for row, case in enumerate(cases, start=1):
        if case.label not in (0, 1):
            raise EvaluationError(
                NO_LABEL, f"row {row} of {entry}: label {case.label} is not 0 or 1"
            )


def _crops(name: str, table: Path, *, label: str, tell: Tell) -> Judged:
    classifier = PointClassifier.open(name)
    # A centre that lies a little outside a tight crop is no reason to refuse: preparing judges it.
    cohort = read_nodule_crops(table.parent, table=table.name, label=label, check_points=False)
    for case in cohort.cases:
        if case.label not in (None, 0, 1):
            what = f"row {case.row} of {table.name}: {label} {case.label} is not 0, 1 or empty"
            raise EvaluationError(NO_LABEL, what)
    if all(case.label is None for case in cohort.cases):
        raise EvaluationError(NO_LABEL, f"the column {label} of {table.name} is empty")
    answers = []
    for done, case in enumerate(cohort.cases):
        tell("scoring", done, len(cohort.cases), "crops")
        try:
            # A crop around a nodule may hold two slices or one.
            scan = read_scan(case.scan, series=case.dicom_series or None, allow=("too-few-slices",))
            answers.append(classifier.at(scan, case.point_mm))
        except SqueezeCTError as error:
            what = f"row {case.row} of {table.name}: {error.what} [{error.code}]"
            raise EvaluationError(UNANSWERED, what) from error
    tell("scoring", len(cohort.cases), len(cohort.cases), "crops")
    return Judged(table.name, cohort.cases, np.array(answers), classifier.threshold)


def _scans(name: str, card: Card, data: Path, tell: Tell) -> Judged:
    if card.preparation.cuts_patches or card.options.get("flat"):
        raise _other_kind(name, card, "whole scans")
    cohort = read_dataset(data)
    session = Session.open(name)
    answers = []
    for done, case in enumerate(cohort.cases):
        tell("scoring", done, len(cohort.cases), "scans")
        scan = read_scan(case.scan, series=case.dicom_series or None)
        answers.append(session.predict(scan).probability)
    tell("scoring", len(cohort.cases), len(cohort.cases), "scans")
    return Judged(cohort.source.name, cohort.cases, np.array(answers), session.threshold)


def _other_kind(name: str, card: Card, held: str) -> CheckpointError:
    made = "points of scans" if card.preparation.cuts_patches else "patches of one slice"
    what = f"weights {name!r} are made for {made}, and this data set holds {held}"
    return CheckpointError(OTHER_KIND, what)
