"""Is one model better than another on the same cases? Paired differences, intervals, p-values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal, Self

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
from squeezect.evaluation.probabilities import HIGHEST_LOG_LOSS
from squeezect.evaluation.ranking import NO_WIDTH, delong_variance, placements, roc_auc_of

Score = Literal["roc_auc", "pr_auc", "brier", "log_loss", "calibration_error"]

STATISTICS: dict[Score, Statistic] = {
    "roc_auc": weighted.roc_auc,
    "pr_auc": weighted.average_precision,
    "brier": weighted.brier,
    "log_loss": weighted.log_loss,
    "calibration_error": weighted.calibration_error,
}


REPLICATES = 2000


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

    def reversed(self) -> Self:
        """The second model compared with the first."""
        gap = self.difference
        turned = replace(gap, value=-gap.value, low=-gap.high, high=-gap.low)
        return replace(self, first=self.second, second=self.first, difference=turned)

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

    Where patients have several cases, the covariance is Obuchowski's. Where it is zero or unknown
    although the rankings differ (both perfect, or one perfect and one constant), the interval
    combines those of the two areas by squares and addition, as if they were independent, and the
    p-value is of the normal distribution that has this interval.

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
    return _areas_compared((cases.both_classes(), other), (placements(cases), placements(other)))


def compare_all_aucs(models: Sequence[Cases]) -> dict[tuple[int, int], Comparison]:
    """Every pair of several models on the same cases by `compare_auc`.

    Args:
        models: the same cases with the scores of one model each.

    Returns:
        Comparisons by the places (i, j) of two models, i < j: the first minus the second.

    Raises:
        EvaluationError: `one-class`.
    """
    placed = [placements(model.both_classes()) for model in models]
    return {
        (i, j): _areas_compared((models[i], models[j]), (placed[i], placed[j]))
        for i, j in combinations(range(len(models)), 2)
    }


def _areas_compared(
    models: tuple[Cases, Cases], placed: tuple[tuple[FloatArray, float], tuple[FloatArray, float]]
) -> Comparison:
    """The paired test from the placements of both models."""
    cases, other = models
    (first, area), (second, other_area) = placed
    difference = area - other_area
    covariance = delong_variance(cases, np.stack([first, second]))
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    method = "paired DeLong, allowing for patients" if cases.clustered else "paired DeLong"
    if np.array_equal(first, second):
        reach = 0.0, 0.0
        method += ", the rankings agree"
    elif variance > NO_WIDTH:
        reach = Z95 * math.sqrt(variance), Z95 * math.sqrt(variance)
    else:
        ones = roc_auc_of(cases), roc_auc_of(other)
        reach = _squares(ones[0], ones[1]), _squares(ones[1], ones[0])
        method += ", which has no width here: squares and addition"
    low, high = max(-1.0, difference - reach[0]), min(1.0, difference + reach[1])
    estimate = Estimate(difference, low, high, cases.n, method)
    # How far the interval reaches towards no difference says how far that is in standard errors.
    towards = reach[0] if difference > 0 else reach[1]
    p_value = math.erfc(abs(difference) / towards * Z95 / math.sqrt(2)) if difference else 1.0
    return Comparison(area, other_area, estimate, p_value, method)


def _squares(first: Estimate, second: Estimate) -> float:
    return math.hypot(first.value - first.low, second.high - second.value)


def compare_decisions(
    labels: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    among: Literal["all", "positives", "negatives"] = "all",
    patients: npt.ArrayLike | None = None,
) -> Comparison:
    """Difference of accuracy, sensitivity or specificity by McNemar's exact test.

    The interval is Newcombe's for paired proportions (Statistics in Medicine 1998, method 10).
    Where patients have several cases, which McNemar's test would count as independent, interval
    and p-value come from resamples of patients, as in `compare_scores`.

    Args:
        labels: true classes, 0 or 1, shape (n,).
        first: decisions of the first model, 0 or 1, shape (n,).
        second: decisions of the second model, 0 or 1, shape (n,).
        among: ``all`` compares accuracy, ``positives`` sensitivity, ``negatives`` specificity.
        patients: names of the patients, shape (n,); without it each case is a patient.

    Raises:
        EvaluationError: `bad-scores`, also if no case is left to compare on.

    Example:
        >>> compare_decisions([1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0]).difference.value
        0.25
    """
    cases, other = _paired(labels, first, second, patients)
    everyone = np.ones(cases.n, dtype=bool)
    kept = {"all": everyone, "positives": cases.label, "negatives": ~cases.label}[among]
    for decisions in (cases.score, other.score):
        if not np.isin(decisions, (0, 1)).all() or not kept.any():
            raise EvaluationError(BAD_SCORES, f"no decisions of 0 or 1 to compare among {among}")
    cases, other = cases.select(kept), other.select(kept)
    if cases.clustered:
        return _resampled(
            cases, other, lambda c, weights: 1 - weighted.brier(c, weights), REPLICATES, seed=0
        )
    right = [c.score == c.label for c in (cases, other)]
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
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Comparison:
    """Difference of any score, with both models bootstrapped on the same patients.

    The p-value is twice the smaller share of resamples on either side of zero, each counted with
    one more, so it is never below 2 / (replicates + 1). Nor is it below 2 / 2 ** patients, the
    smallest that turning patients' differences around could show: few patients prove little,
    however well their resamples agree.

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
    highest = HIGHEST_LOG_LOSS if score == "log_loss" else 1.0
    return _resampled(cases, other, STATISTICS[score], replicates, seed=seed, highest=highest)


def _resampled(
    cases: Cases,
    other: Cases,
    statistic: Statistic,
    replicates: int,
    *,
    seed: int,
    highest: float = 1.0,
) -> Comparison:
    """Two models under the same resamples of patients, by a statistic from 0 to `highest`."""

    def gap(weights: FloatArray) -> FloatArray:
        return statistic(cases, weights) - statistic(other, weights)

    drawn = np.concatenate(
        [gap(weights) for weights in resamples(cases, replicates=replicates, seed=seed)]
    )
    drawn = drawn[np.isfinite(drawn)]
    every = np.ones((1, cases.n))
    values = [float(statistic(c, every)[0]) for c in (cases, other)]
    side = min((drawn <= 0).sum(), (drawn >= 0).sum())
    fewest = 2.0 ** (1 - min(cases.patients, 1000))
    p_value = min(1.0, max(fewest, 2 * (float(side) + 1) / (drawn.size + 1)))
    estimate = percentile_estimate(
        values[0] - values[1], drawn, cases, possible=(-highest, highest)
    )
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
