"""Where to draw the line: thresholds that reach a sensitivity, never chosen on what they judge."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from squeezect.errors import EvaluationError
from squeezect.evaluation.cases import BAD_SCORES, ONE_CLASS, Cases, FloatArray, check_fraction


def threshold_at_sensitivity(
    labels: npt.ArrayLike, scores: npt.ArrayLike, sensitivity: float = 0.9
) -> float:
    """Highest threshold at which `score >= threshold` finds at least this share of class 1.

    Args:
        labels: true classes, 0 or 1, shape (n,).
        scores: the larger, the more probably class 1, shape (n,).
        sensitivity: share of class 1 to find, above 0 and at most 1.

    Returns:
        The threshold, one of the scores of class 1.

    Raises:
        EvaluationError: `bad-scores`, `bad-choice`, or `one-class` if there is no case of class 1.

    Example:
        >>> threshold_at_sensitivity([0, 1, 1, 1], [0.1, 0.3, 0.6, 0.9], 0.6)
        0.6
    """
    cases = Cases.of(labels, scores)
    check_fraction("sensitivity", sensitivity)
    if not cases.positives:
        raise EvaluationError(ONE_CLASS, f"none of {cases.n} cases is of class 1")
    ranked = np.sort(cases.score[cases.label])[::-1]
    needed = max(1, math.ceil(sensitivity * ranked.size - 1e-9))
    return float(ranked[needed - 1])


@dataclass(frozen=True)
class Thresholds:
    """Thresholds that reach a sensitivity on cases they do not judge.

    Args:
        sensitivity: the sensitivity asked for.
        per_fold: for the cases of a fold, chosen on the cases of all other folds.
        pooled: for new cases, chosen on the cases of all folds.
    """

    sensitivity: float
    per_fold: dict[int, float]
    pooled: float

    def as_dict(self) -> dict[str, object]:
        """The thresholds as plain JSON."""
        return {
            "sensitivity": self.sensitivity,
            "per_fold": {str(fold): value for fold, value in self.per_fold.items()},
            "pooled": self.pooled,
        }

    def of_cases(self, folds: npt.ArrayLike) -> FloatArray:
        """The threshold of each case from its fold, shape (n,)."""
        return np.array([self.per_fold[int(fold)] for fold in np.asarray(folds)])


def cross_fitted_thresholds(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    folds: npt.ArrayLike,
    *,
    sensitivity: float = 0.9,
) -> Thresholds:
    """Thresholds for out-of-fold scores: each fold's from the other folds, one from all.

    Args:
        labels: true classes, 0 or 1, shape (n,).
        scores: out-of-fold scores, shape (n,).
        folds: whole numbers of the folds, shape (n,); with a single fold `per_fold` is empty.
        sensitivity: share of class 1 to find, above 0 and at most 1.

    Raises:
        EvaluationError: `bad-scores`, `bad-choice`, or `one-class` if the other folds of some fold
            have no case of class 1.

    Example:
        >>> cross_fitted_thresholds([1, 1, 0], [0.8, 0.6, 0.1], [0, 1, 1]).per_fold
        {0: 0.6, 1: 0.8}
    """
    label, score, fold = np.asarray(labels), np.asarray(scores, dtype=float), np.asarray(folds)
    if fold.shape != score.shape:
        raise EvaluationError(BAD_SCORES, f"folds {fold.shape} do not fit scores {score.shape}")
    names = np.unique(fold).tolist()
    per_fold = {
        int(k): threshold_at_sensitivity(label[fold != k], score[fold != k], sensitivity)
        for k in (names if len(names) > 1 else [])
    }
    return Thresholds(sensitivity, per_fold, threshold_at_sensitivity(label, score, sensitivity))
