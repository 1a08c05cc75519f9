"""What decisions at a threshold get right and wrong, each share with its interval."""

import math
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from squeezect.errors import EvaluationError
from squeezect.evaluation.cases import BAD_CHOICE, BoolArray, Cases
from squeezect.evaluation.estimates import Estimate, proportion, undefined


@dataclass(frozen=True)
class Confusion:
    """How many cases of each true class were called what.

    Args:
        true_positives: class 1, called 1.
        false_negatives: class 1, called 0.
        true_negatives: class 0, called 0.
        false_positives: class 0, called 1.
    """

    true_positives: int
    false_negatives: int
    true_negatives: int
    false_positives: int

    @classmethod
    def of(cls, labels: BoolArray, called: BoolArray) -> "Confusion":
        """Count decisions, both of shape (n,)."""
        return cls(
            int((labels & called).sum()),
            int((labels & ~called).sum()),
            int((~labels & ~called).sum()),
            int((~labels & called).sum()),
        )

    def as_dict(self) -> dict[str, int]:
        """The four counts as plain JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class DecisionScores:
    """Scores of yes-or-no decisions.

    Args:
        confusion: the counts.
        sensitivity: share of class 1 that was called 1, TP / (TP + FN).
        specificity: share of class 0 that was called 0, TN / (TN + FP).
        accuracy: share of all cases that were called right.
        precision: share of the calls of 1 that were right, TP / (TP + FP).
        negative_predictive_value: share of the calls of 0 that were right, TN / (TN + FN).
        f1: harmonic mean of precision and sensitivity.
        balanced_accuracy: mean of sensitivity and specificity.
    """

    confusion: Confusion
    sensitivity: Estimate
    specificity: Estimate
    accuracy: Estimate
    precision: Estimate
    negative_predictive_value: Estimate
    f1: Estimate
    balanced_accuracy: Estimate

    def estimates(self) -> dict[str, Estimate]:
        """All scores by name."""
        names = [field.name for field in fields(self) if field.name != "confusion"]
        return {name: getattr(self, name) for name in names}

    def as_dict(self) -> dict[str, object]:
        """Counts and scores as plain JSON."""
        scores = {name: estimate.as_dict() for name, estimate in self.estimates().items()}
        return {"confusion": self.confusion.as_dict(), **scores}


def decision_scores(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    threshold: npt.ArrayLike = 0.5,
    *,
    patients: npt.ArrayLike | None = None,
) -> DecisionScores:
    """Scores of calling a case class 1 where its score is at least the threshold.

    Proportions have Wilson's interval; balanced accuracy combines two of them by squares and
    addition (Newcombe, Statistics in Medicine 1998); F1 takes Wilson's interval of
    TP / (TP + FP + FN), of which it is a monotone function. Where patients have several cases, all
    allow for it. A score that nothing bears on (precision without a call of 1) is undefined.

    Args:
        labels: true classes, 0 or 1, shape (n,).
        scores: the larger, the more probably class 1, shape (n,).
        threshold: one for all cases, or one each, shape (n,).
        patients: names of the patients, shape (n,); without it each case is a patient.

    Raises:
        EvaluationError: `bad-scores`, or `bad-choice` if a threshold is not a number.

    Example:
        >>> decision_scores([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.8]).accuracy.value
        0.5
    """
    return decision_scores_of(Cases.of(labels, scores, patients=patients), threshold)


def decision_scores_of(cases: Cases, threshold: npt.ArrayLike) -> DecisionScores:
    """`decision_scores` of packed cases."""
    limit = np.asarray(threshold, dtype=float)
    if np.isnan(limit).any() or limit.shape not in ((), (cases.n,)):
        raise EvaluationError(
            BAD_CHOICE, f"threshold of shape {limit.shape} is not a number or one per case"
        )
    label, called = cases.label, cases.score >= limit
    every = np.ones(cases.n, dtype=bool)
    sensitivity = proportion(cases, called, label)
    specificity = proportion(cases, ~called, ~label)
    return DecisionScores(
        confusion=Confusion.of(label, called),
        sensitivity=sensitivity,
        specificity=specificity,
        accuracy=proportion(cases, called == label, every),
        precision=proportion(cases, label, called),
        negative_predictive_value=proportion(cases, ~label, ~called),
        f1=_f1(cases, called),
        balanced_accuracy=_mean_of(sensitivity, specificity),
    )


def _f1(cases: Cases, called: BoolArray) -> Estimate:
    overlap = proportion(cases, cases.label & called, cases.label | called)

    def f1(share: float) -> float:
        return 2 * share / (1 + share)

    ends = f1(overlap.value), f1(overlap.low), f1(overlap.high)
    return Estimate(*ends, overlap.n, f"{overlap.method}, of TP / (TP + FP + FN)")


def _mean_of(first: Estimate, second: Estimate) -> Estimate:
    if not (first.defined and second.defined):
        return undefined("one class only")
    below = math.hypot(first.value - first.low, second.value - second.low) / 2
    above = math.hypot(first.high - first.value, second.high - second.value) / 2
    value = (first.value + second.value) / 2
    n = first.n + second.n
    return Estimate(value, value - below, value + above, n, "squares and addition of Wilson")
