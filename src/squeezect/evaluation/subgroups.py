"""Scores of parts of the cases: small and large nodules, thin and thick slices, each hospital."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from squeezect.errors import EvaluationError
from squeezect.evaluation.cases import BAD_SCORES, Cases, FloatArray
from squeezect.evaluation.decisions import decision_scores_of
from squeezect.evaluation.estimates import Estimate, undefined
from squeezect.evaluation.ranking import roc_auc_of

MOST_LEVELS = 6
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Subgroup:
    """Scores of the cases of one level of a column.

    Args:
        level: name of the level, such as ``6 to 10`` or ``hospital A``.
        cases: number of cases.
        patients: number of patients.
        positives: number of cases of class 1.
        roc_auc: area under the ROC curve; undefined with one class only.
        sensitivity: at the threshold.
        specificity: at the threshold.
    """

    level: str
    cases: int
    patients: int
    positives: int
    roc_auc: Estimate
    sensitivity: Estimate
    specificity: Estimate

    def as_dict(self) -> dict[str, object]:
        """The scores as plain JSON."""
        return {
            "level": self.level,
            "cases": self.cases,
            "patients": self.patients,
            "positives": self.positives,
            "roc_auc": self.roc_auc.as_dict(),
            "sensitivity": self.sensitivity.as_dict(),
            "specificity": self.specificity.as_dict(),
        }


def subgroups(
    cases: Cases,
    column: npt.ArrayLike,
    *,
    threshold: npt.ArrayLike = 0.5,
    edges: tuple[float, ...] = (),
) -> tuple[Subgroup, ...]:
    """Scores for every level of a column.

    Numbers with more than six distinct values are cut at `edges`, or into thirds without; other
    columns have a level per value, the six most frequent and ``other``. Empty cells are
    ``unknown``. Levels are described, not tested: with many of them, some look bad by chance.

    Args:
        cases: labels, probabilities and patients.
        column: a value per case, shape (n,); text or numbers.
        threshold: for decisions, one for all cases, or one each.
        edges: where to cut numbers; a level holds its lower edge.

    Raises:
        EvaluationError: `bad-scores`, if the column does not fit the cases.

    Example:
        >>> cases = Cases.of([0, 1, 0, 1], [0.1, 0.9, 0.6, 0.7])
        >>> [group.level for group in subgroups(cases, ["A", "A", "B", "B"])]
        ['A', 'B']
    """
    names, order = levels(np.asarray(column).astype(str), edges=edges)
    if names.shape != cases.label.shape:
        raise EvaluationError(BAD_SCORES, f"column of {names.shape} does not fit {cases.n} cases")
    limit = np.broadcast_to(np.asarray(threshold, dtype=float), cases.label.shape)
    return tuple(
        _subgroup(level, cases.select(names == level), limit[names == level]) for level in order
    )


def _subgroup(level: str, cases: Cases, limit: FloatArray) -> Subgroup:
    two = 0 < cases.positives < cases.n
    decisions = decision_scores_of(cases, limit)
    return Subgroup(
        level=level,
        cases=cases.n,
        patients=cases.patients,
        positives=cases.positives,
        roc_auc=roc_auc_of(cases) if two else undefined("one class only"),
        sensitivity=decisions.sensitivity,
        specificity=decisions.specificity,
    )


def levels(
    column: npt.NDArray[np.str_], *, edges: tuple[float, ...] = ()
) -> tuple[npt.NDArray[np.str_], list[str]]:
    """Name of each value's level, and the levels that occur, in reading order."""
    text = np.char.strip(column)
    empty = is_empty(text)
    numbers = as_numbers(text, empty)
    if numbers is not None and (edges or np.unique(numbers[~empty]).size > MOST_LEVELS):
        return _cut(numbers, empty, edges)
    values, counts = np.unique(text[~empty], return_counts=True)
    frequent = values[np.argsort(-counts, kind="stable")[:MOST_LEVELS]]
    names = np.where(np.isin(text, frequent), text, "other").astype(object)
    names[empty] = UNKNOWN
    order = sorted(frequent.tolist(), key=_in_reading_order)
    return names.astype(str), [n for n in [*order, "other", UNKNOWN] if n in set(names)]


def tells_groups_apart(column: npt.NDArray[np.str_]) -> bool:
    """Whether a column is numbers or a few words, not names or remarks that may identify."""
    empty = is_empty(column)
    few = np.unique(column[~empty]).size <= MOST_LEVELS
    return bool(not empty.all() and (few or as_numbers(column, empty) is not None))


def is_empty(text: npt.NDArray[np.str_]) -> npt.NDArray[np.bool_]:
    """Which cells of a column hold nothing."""
    return np.isin(np.char.lower(np.char.strip(text)), ("", "nan", "none"))


def as_numbers(text: npt.NDArray[np.str_], empty: npt.NDArray[np.bool_]) -> FloatArray | None:
    """A column of text as numbers, NaN where empty; None if some cell is no finite number."""
    try:
        numbers = np.where(empty, "nan", text).astype(float)
    except ValueError:
        return None
    return numbers if np.isfinite(numbers[~empty]).all() and not empty.all() else None


def _in_reading_order(value: str) -> tuple[float, str]:
    try:
        return float(value), value
    except ValueError:
        return float("inf"), value


def _cut(
    numbers: FloatArray, empty: npt.NDArray[np.bool_], edges: tuple[float, ...]
) -> tuple[npt.NDArray[np.str_], list[str]]:
    cuts = np.unique(edges or np.quantile(numbers[~empty], (1 / 3, 2 / 3)))
    ends = [f"{cut:.3g}" for cut in cuts]
    order = [f"below {ends[0]}"]
    order += [f"{low} to {high}" for low, high in pairwise(ends)]
    order += [f"{ends[-1]} and above"]
    place = np.searchsorted(cuts, np.where(empty, 0.0, numbers), side="right")
    names = np.where(empty, UNKNOWN, np.array(order)[place])
    return names, [name for name in [*order, UNKNOWN] if name in set(names.tolist())]
