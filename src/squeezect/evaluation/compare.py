"""Is one model better than another on the same cases? Paired differences, intervals, p-values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from squeezect.errors import EvaluationError
from squeezect.evaluation import weighted
from squeezect.evaluation.cases import BAD_SCORES, Cases, FloatArray
from squeezect.evaluation.estimates import (
    Z95,
    Estimate,
    Statistic,
    percentile_estimate,
    resamples,
    wilson,
)
from squeezect.evaluation.ranking import delong_variance, placements, roc_auc_of

Score = Literal["roc_auc", "pr_auc", "brier", "log_loss", "calibration_error"]

STATISTICS: dict[Score, Statistic] = {
    "roc_auc": weighted.roc_auc,
    "pr_auc": weighted.average_precision,
    "brier": weighted.brier,
    "log_loss": weighted.log_loss,
    "calibration_error": weighted.calibration_error,
}


@dataclass(frozen=True)
class Comparison:
    """Two models on the same cases.

    Args:
        first: score of the first model.
        second: score of the second model.
        difference: first minus second.
        p_value: how probable a difference this large would be if there were none.
        method: the test.
    """

    first: float
    second: float
    difference: Estimate
    p_value: float
    method: str

    def as_dict(self) -> dict[str, object]:
        """The comparison as plain JSON."""
        return {
            "first": self.first,
            "second": self.second,
            "difference": self.difference.as_dict(),
            "p_value": self.p_value,
            "method": self.method,
        }


def compare_auc(
    labels: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    patients: npt.ArrayLike | None = None,
) -> Comparison:
    """Difference of two ROC AUCs by the paired test of DeLong (Biometrics 1988).

    Where patients have several cases, the covariance is Obuchowski's. Where it is zero although
    the rankings differ (both perfect), the interval combines those of the two areas by squares and
    addition, as if they were independent, and the p-value is 1.

    Args:
        labels: true classes, 0 or 1, shape (n,).
        first: scores of the first model, shape (n,).
        second: scores of the second model, shape (n,).
        patients: names of the patients, shape (n,); without it each case is a patient.

    Raises:
        EvaluationError: `bad-scores` or `one-class`.

    Example:
        >>> compare_auc([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]).p_value
        1.0
    """
    cases, other = _paired(labels, first, second, patients)
    shares, areas = zip(*(placements(c.both_classes()) for c in (cases, other)), strict=True)
    difference = areas[0] - areas[1]
    covariance = delong_variance(cases, np.stack(shares))
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    method = "paired DeLong, allowing for patients" if cases.clustered else "paired DeLong"
    if np.array_equal(shares[0], shares[1]):
        reach, p_value = (0.0, 0.0), 1.0
        method += ", the rankings agree"
    elif variance > 1e-12:
        error = math.sqrt(variance)
        reach = Z95 * error, Z95 * error
        p_value = math.erfc(abs(difference) / error / math.sqrt(2))
    else:
        ones = roc_auc_of(cases), roc_auc_of(other)
        reach = _squares(ones[0], ones[1]), _squares(ones[1], ones[0])
        p_value = 1.0
        method += ", which has no width here: squares and addition"
    low, high = max(-1.0, difference - reach[0]), min(1.0, difference + reach[1])
    estimate = Estimate(difference, low, high, cases.n, method)
    return Comparison(areas[0], areas[1], estimate, p_value, method)


def _squares(first: Estimate, second: Estimate) -> float:
    return math.hypot(first.value - first.low, second.high - second.value)


def compare_decisions(
    labels: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    among: Literal["all", "positives", "negatives"] = "all",
) -> Comparison:
    """Difference of accuracy, sensitivity or specificity by McNemar's exact test.

    The interval is Newcombe's for paired proportions (Statistics in Medicine 1998, method 10).
    Cases count as independent: where patients have several, use `compare_scores`.

    Args:
        labels: true classes, 0 or 1, shape (n,).
        first: decisions of the first model, 0 or 1, shape (n,).
        second: decisions of the second model, 0 or 1, shape (n,).
        among: ``all`` compares accuracy, ``positives`` sensitivity, ``negatives`` specificity.

    Raises:
        EvaluationError: `bad-scores`, also if no case is left to compare on.

    Example:
        >>> compare_decisions([1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0]).difference.value
        0.25
    """
    cases, other = _paired(labels, first, second, None)
    chosen = {
        "all": np.ones(cases.n, dtype=bool),
        "positives": cases.label,
        "negatives": ~cases.label,
    }
    kept = chosen[among]
    for decisions in (cases.score, other.score):
        if not np.isin(decisions, (0, 1)).all() or not kept.any():
            raise EvaluationError(BAD_SCORES, f"no decisions of 0 or 1 to compare among {among}")
    right = [(c.score == c.label)[kept] for c in (cases, other)]
    both, only_first, only_second, neither = (
        int(found.sum())
        for found in (
            right[0] & right[1],
            right[0] & ~right[1],
            ~right[0] & right[1],
            ~right[0] & ~right[1],
        )
    )
    estimate = _paired_difference(both, only_first, only_second, neither)
    return Comparison(
        float(right[0].mean()),
        float(right[1].mean()),
        estimate,
        _sign_test(only_first, only_second),
        "McNemar, exact",
    )


def _sign_test(first: int, second: int) -> float:
    """Two-sided probability of so uneven a split of fair coin throws."""
    n = first + second
    tail = sum(math.comb(n, k) for k in range(min(first, second) + 1))
    return min(1.0, float(2 * tail / 2**n))


def _paired_difference(both: int, only_first: int, only_second: int, neither: int) -> Estimate:
    n = both + only_first + only_second + neither
    one, two = both + only_first, both + only_second
    (low1, high1), (low2, high2) = wilson(one, n), wilson(two, n)
    share1, share2 = one / n, two / n
    agreement = both * neither - only_first * only_second
    # Newcombe's correction: a small sample's correlation counts for less.
    corrected = max(0.0, agreement - n / 2) if agreement > 0 else agreement
    margins = one * (n - one) * two * (n - two)
    phi = corrected / math.sqrt(margins) if margins else 0.0

    def reach(down: float, up: float) -> float:
        return math.sqrt(max(0.0, down**2 - 2 * phi * down * up + up**2))

    value = share1 - share2
    low = value - reach(share1 - low1, high2 - share2)
    high = value + reach(high1 - share1, share2 - low2)
    return Estimate(value, max(-1.0, low), min(1.0, high), n, "Newcombe for paired proportions")


def compare_scores(
    labels: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    score: Score = "roc_auc",
    *,
    patients: npt.ArrayLike | None = None,
    replicates: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Difference of any score, with both models bootstrapped on the same patients.

    The p-value is twice the smaller share of resamples on either side of zero, each counted with
    one more, so it is never below 2 / (replicates + 1).

    Args:
        labels: true classes, 0 or 1, shape (n,).
        first: probabilities of the first model, shape (n,).
        second: probabilities of the second model, shape (n,).
        score: what to compare.
        patients: names of the patients, shape (n,); without it each case is a patient.
        replicates: number of resamples.
        seed: of the random numbers.

    Raises:
        EvaluationError: `bad-scores`, `one-class` or `bad-choice`.

    Example:
        >>> compare_scores([0, 1], [0.1, 0.9], [0.1, 0.9], "brier", replicates=20).p_value
        1.0
    """
    cases, other = _paired(labels, first, second, patients)
    if score in ("roc_auc", "pr_auc"):
        cases.both_classes()
    else:
        cases.probabilities()
        other.probabilities()
    statistic = STATISTICS[score]

    def gap(weights: FloatArray) -> FloatArray:
        return statistic(cases, weights) - statistic(other, weights)

    drawn = np.concatenate(
        [gap(weights) for weights in resamples(cases, replicates=replicates, seed=seed)]
    )
    drawn = drawn[np.isfinite(drawn)]
    every = np.ones((1, cases.n))
    values = [float(statistic(c, every)[0]) for c in (cases, other)]
    side = min((drawn <= 0).sum(), (drawn >= 0).sum())
    p_value = min(1.0, 2 * (float(side) + 1) / (drawn.size + 1))
    estimate = percentile_estimate(values[0] - values[1], drawn, n=cases.n)
    return Comparison(values[0], values[1], estimate, p_value, estimate.method)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of a family of tests, corrected by Holm (Scand. J. Statistics 1979).

    Args:
        p_values: one per test.

    Returns:
        Corrected values in the same order, at most 1.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    scaled = [min(1.0, p_values[k] * (len(order) - rank)) for rank, k in enumerate(order)]
    corrected = np.empty(len(order))
    corrected[order] = np.maximum.accumulate(scaled)
    return [float(value) for value in corrected]


def _paired(
    labels: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    patients: npt.ArrayLike | None,
) -> tuple[Cases, Cases]:
    cases = Cases.of(labels, first, patients=patients)
    return cases, cases.scored(Cases.of(labels, second).score)
