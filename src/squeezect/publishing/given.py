"""Answers that were given before, read from ``probabilities.csv`` and held to the cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from squeezect.cohorts import Case
from squeezect.cohorts.sheet import Sheet
from squeezect.errors import Code, EvaluationError
from squeezect.scan import pseudonym

OTHER_ANSWERS = Code(
    "other-answers",
    "Answers do not belong to the cases of the data set, or are not those of the weights.",
    "give the answers that these weights gave for this very data set",
)
COLUMNS = ("list", "row", "patient", "label", "probability")


@dataclass(frozen=True)
class Given:
    """Answers for one list or table.

    Args:
        name: of the list or table.
        rows: patient (a pseudonym), label as text and probability, by row.
    """

    name: str
    rows: Mapping[int, tuple[str, str, float]]

    def of(self, cases: Sequence[Case], *, named: bool = True) -> npt.NDArray[np.float64]:
        """The probabilities of some cases, shape (n,).

        Args:
            cases: of the list or table.
            named: whether their patients are known; patches on lists have none.

        Raises:
            EvaluationError: `other-answers`, if a row, a patient or a label is another one.
        """
        if {case.row for case in cases} != set(self.rows):
            what = f"there are {len(self.rows)} answers for {self.name}, with {len(cases)} cases"
            raise EvaluationError(OTHER_ANSWERS, f"{what}, or their rows differ")
        for case in cases:
            patient, label, _ = self.rows[case.row]
            now = "" if case.label is None else str(case.label)
            if label != now:
                what = f"row {case.row} of {self.name} is labelled {now or 'not at all'}"
                raise EvaluationError(OTHER_ANSWERS, f"{what}, and {label or 'not'} in the answers")
            if named and patient != pseudonym(case.patient):
                what = f"row {case.row} of {self.name} is of another patient than in the answers"
                raise EvaluationError(OTHER_ANSWERS, what)
        return np.array([self.rows[case.row][2] for case in cases])


def read_answers(path: Path, weights: str) -> dict[str, Given]:
    """The answers of a table by list.

    Args:
        path: ``probabilities.csv``.
        weights: whose answers they have to be, where the table says whose they are.

    Raises:
        EvaluationError: `other-answers`.
        CohortError: `unreadable-table`, `empty-table` or `missing-column`.
    """
    sheet = Sheet.read(path, needs=COLUMNS)
    found: dict[str, dict[int, tuple[str, str, float]]] = {}
    for number, cells in sheet.rows():
        whose = cells.get("weights", "")
        if whose and whose != Path(weights).name:
            what = f"{path.name} holds answers of {whose}, not of {Path(weights).name}"
            raise EvaluationError(OTHER_ANSWERS, what)
        rows = found.setdefault(cells["list"], {})
        row, probability = cells["row"], _number(cells["probability"])
        if not row.isdecimal() or int(row) in rows or not 0 <= probability <= 1:
            what = f"{sheet.at(number)}: row {row[:20]} with probability "
            what += f"{cells['probability'][:20]} is there twice or no answer"
            raise EvaluationError(OTHER_ANSWERS, what)
        rows[int(row)] = (cells["patient"], cells["label"], probability)
    return {name: Given(name, rows) for name, rows in found.items()}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
