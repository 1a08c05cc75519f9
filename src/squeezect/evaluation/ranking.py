"""How well scores rank positives above negatives: areas with intervals."""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from squeezect.evaluation import weighted
from squeezect.evaluation.cases import Cases, FloatArray, IntArray, check_fraction
from squeezect.evaluation.estimates import (
    Z95,
    Estimate,
    bootstrap,
    on_logit_scale,
    undefined,
    wilson,
)

NO_WIDTH = 1e-12
"""A variance below this is rounding."""


@dataclass(frozen=True)
class RankingScores:
    """How well the probabilities rank class 1 above class 0.

    Args:
        roc_auc: area under the ROC curve.
        pr_auc: area under the precision-recall curve.
        sensitivity_at_specificity: best sensitivity at a specificity of at least 0.9.
        specificity_at_sensitivity: best specificity at a sensitivity of at least 0.9.
    """

    roc_auc: Estimate
    pr_auc: Estimate
    sensitivity_at_specificity: Estimate
    specificity_at_sensitivity: Estimate

    def estimates(self) -> dict[str, Estimate]:
        """All scores by name."""
        return {
            "roc_auc": self.roc_auc,
            "pr_auc": self.pr_auc,
            "sensitivity_at_specificity": self.sensitivity_at_specificity,
            "specificity_at_sensitivity": self.specificity_at_sensitivity,
        }

    def as_dict(self) -> dict[str, object]:
        """The scores as plain JSON."""
        return {name: estimate.as_dict() for name, estimate in self.estimates().items()}


def ranking_scores_of(cases: Cases, *, replicates: int = 2000, seed: int = 0) -> RankingScores:
    """All ranking scores of packed cases; undefined where there is one class only.

    Args:
        cases: labels, scores and patients.
        replicates: number of resamples.
        seed: of the random numbers.

    Raises:
        EvaluationError: `bad-choice`, if `replicates` is below 1.
    """
    if not 0 < cases.positives < cases.n:
        return RankingScores(*[undefined("one class only")] * 4)
    statistics = {
        "pr_auc": weighted.average_precision,
        "sensitivity_at_specificity": weighted.sensitivity_at(0.9),
        "specificity_at_sensitivity": weighted.specificity_at(0.9),
    }
    drawn = bootstrap(statistics, cases, replicates=replicates, seed=seed)
    return RankingScores(
        roc_auc=roc_auc_of(cases),
        pr_auc=widened(drawn["pr_auc"], cases.patient[cases.label]),
        sensitivity_at_specificity=widened(
            drawn["sensitivity_at_specificity"], cases.patient[cases.label]
        ),
        specificity_at_sensitivity=widened(
            drawn["specificity_at_sensitivity"], cases.patient[~cases.label]
        ),
    )


def placements(cases: Cases) -> tuple[FloatArray, float]:
    """Each case's share of the other class that it beats, and their mean, the ROC AUC.

    For a positive: the share of negatives that score below it. For a negative: the share of
    positives that score above it. Ties count one half.

    Args:
        cases: cases of both classes.

    Returns:
        The shares, shape (n,), and the AUC.
    """
    label, score = cases.label, cases.score
    share = np.empty(cases.n)
    share[label] = _share_below(score[label], score[~label])
    share[~label] = 1 - _share_below(score[~label], score[label])
    return share, float(share[label].mean())


def _share_below(score: FloatArray, others: FloatArray) -> FloatArray:
    ranked = np.sort(others)
    below = np.searchsorted(ranked, score, side="left")
    share: FloatArray = (below + np.searchsorted(ranked, score, side="right")) / (2 * others.size)
    return share


def delong_variance(cases: Cases, shares: FloatArray) -> FloatArray:
    """Covariance of the ROC AUCs of scores for the same cases, allowing for patients.

    DeLong's estimate (Biometrics 1988) where every case is a patient; Obuchowski's extension
    (Biometrics 1997) where patients have several cases.

    Args:
        cases: cases of both classes; their scores are not used.
        shares: what `placements` gives for each of the scores, shape (scores, n).

    Returns:
        Covariance matrix, shape (scores, scores); NaN if a class has a single patient.
    """
    label, patients = cases.label, cases.patients
    spread = []
    for chosen in (label, ~label):
        areas = shares[:, chosen].mean(axis=1, keepdims=True)
        gaps = np.where(chosen, shares - areas, 0.0)
        total = np.stack([np.bincount(cases.patient, row, patients) for row in gaps])
        seen = np.unique(cases.patient[chosen]).size
        factor = seen / (seen - 1) if seen > 1 else math.nan
        spread.append((total / chosen.sum(), factor))
    (positive, first), (negative, second) = spread
    factor = patients / (patients - 1) if patients > 1 else math.nan
    # Patients with cases of both classes tie the two sums together.
    mixed = positive @ negative.T
    covariance: FloatArray = (
        first * positive @ positive.T + second * negative @ negative.T + factor * (mixed + mixed.T)
    )
    return covariance


def roc_auc(
    labels: npt.ArrayLike, scores: npt.ArrayLike, *, patients: npt.ArrayLike | None = None
) -> Estimate:
    """Area under the ROC curve with DeLong's interval, made on the logit scale.

    Where patients have several cases, the variance is Obuchowski's. Where the variance is zero
    or unknown (perfect ranking, a single positive), the interval is Newcombe's score interval
    (Statistics in Medicine 2006, method 5), which never has zero width.

    Args:
        labels: true classes, 0 or 1, shape (n,).
        scores: the larger, the more probably class 1, shape (n,).
        patients: names of the patients, shape (n,); without it each case is a patient.

    Raises:
        EvaluationError: `bad-scores` or `one-class`.

    Example:
        >>> round(roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).value, 3)
        0.75
    """
    return roc_auc_of(Cases.of(labels, scores, patients=patients))


def roc_auc_of(cases: Cases) -> Estimate:
    """`roc_auc` of packed cases."""
    share, area = placements(cases.both_classes())
    variance = float(delong_variance(cases, share[None])[0, 0])
    if variance > NO_WIDTH and 0 < area < 1:
        method = "DeLong, allowing for patients with several scans" if cases.clustered else "DeLong"
        return Estimate(area, *on_logit_scale(area, math.sqrt(variance)), cases.n, method)
    return Estimate(area, *_newcombe(cases, area), cases.n, "Newcombe, as DeLong has no width here")


def roc_auc_within(cases: Cases, fold: IntArray) -> Estimate:
    """ROC AUC over the pairs of a positive and a negative case of one fold only.

    Every fold has its own network. A pair of two folds is ranked by two networks, one of which may
    give larger probabilities to everybody; within a fold that plays no part. The folds' areas are
    weighted by their pairs, and their DeLong variances add up.

    Args:
        cases: judged out of fold.
        fold: number of the fold of each case, shape (n,); no patient may be in two.

    Returns:
        The estimate; undefined where no fold has both classes.
    """
    pairs, areas, variances = [], [], []
    for number in np.unique(fold):
        part = cases.select(fold == number)
        if 0 < part.positives < part.n:
            share, area = placements(part)
            pairs.append(part.positives * part.negatives)
            areas.append(area)
            variances.append(float(delong_variance(part, share[None])[0, 0]))
    if not pairs:
        return undefined("no fold has both classes")
    weight = np.array(pairs) / np.sum(pairs)
    area, variance = float(weight @ areas), float(weight**2 @ variances)
    if variance > NO_WIDTH and 0 < area < 1:
        ends = on_logit_scale(area, math.sqrt(variance))
        return Estimate(area, *ends, cases.n, "DeLong within folds")
    # As if all pairs were one fold's: too few to say more (perfect, or a single positive).
    return Estimate(area, *_newcombe(cases, area), cases.n, "Newcombe, as DeLong has no width here")


def _newcombe(cases: Cases, area: float) -> tuple[float, float]:
    """Score interval of an AUC: all areas that lie within 1.96 of their own standard errors."""
    from scipy.optimize import brentq

    positives, negatives = (
        effective_number(cases.patient[chosen]) for chosen in (cases.label, ~cases.label)
    )
    middle = (positives + negatives) / 2

    def excess(guess: float) -> float:
        shape = (1 - guess) / (2 - guess) + guess / (1 + guess)
        variance = guess * (1 - guess) * (1 + (middle - 1) * shape) / (positives * negatives)
        return (guess - area) ** 2 - Z95**2 * variance

    # At an area of 0 or 1 the area itself is a root, but not the end that is sought.
    inside = min(max(area, 1e-9), 1 - 1e-9)
    low = float(brentq(excess, 0.0, inside)) if area > 0 else 0.0
    high = float(brentq(excess, inside, 1.0)) if area < 1 else 1.0
    return low, high


def effective_number(patient: IntArray) -> float:
    """Number of independent cases, if all cases of a patient were alike (Kish)."""
    size = np.bincount(patient)
    return float(size.sum() ** 2 / (size**2).sum())


def pr_auc(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    patients: npt.ArrayLike | None = None,
    replicates: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Area under the precision-recall curve (average precision), bootstrapped over patients.

    Where all resamples agree (perfect ranking), the lower end is Wilson's for the positives.

    Args:
        labels: true classes, 0 or 1, shape (n,).
        scores: the larger, the more probably class 1, shape (n,).
        patients: names of the patients, shape (n,); without it each case is a patient.
        replicates: number of resamples.
        seed: of the random numbers.

    Raises:
        EvaluationError: `bad-scores`, `one-class` or `bad-choice`.

    Example:
        >>> round(pr_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], replicates=50).value, 3)
        0.833
    """
    cases = Cases.of(labels, scores, patients=patients).both_classes()
    statistics = {"": weighted.average_precision}
    estimate = bootstrap(statistics, cases, replicates=replicates, seed=seed)[""]
    return widened(estimate, cases.patient[cases.label])


def widened(estimate: Estimate, group: IntArray) -> Estimate:
    """An estimate of a share of 0 or 1 with the end that no resample could show.

    Args:
        estimate: of a bootstrap; it comes back as it is if its resamples differ.
        group: patient (or scan) of each case that the share is one of, shape (n,).
    """
    if estimate.low < estimate.high or estimate.value not in (0, 1):
        return estimate
    n = effective_number(group)
    ends = wilson(estimate.value * n, n)
    return replace(estimate, low=ends[0], high=ends[1], method="Wilson, all resamples alike")


def sensitivity_at_specificity(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    specificity: float,
    *,
    patients: npt.ArrayLike | None = None,
    replicates: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Highest sensitivity that the ROC curve offers at a specificity of at least `specificity`.

    The threshold is chosen anew in every resample. It is chosen on the very cases that are scored,
    so this describes the ranking; it does not promise what a fixed threshold will do.

    Args:
        labels: true classes, 0 or 1, shape (n,).
        scores: the larger, the more probably class 1, shape (n,).
        specificity: the least specificity allowed, above 0 and at most 1.
        patients: names of the patients, shape (n,); without it each case is a patient.
        replicates: number of resamples.
        seed: of the random numbers.

    Raises:
        EvaluationError: `bad-scores`, `one-class` or `bad-choice`.

    Example:
        >>> sensitivity_at_specificity([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 1.0).value
        0.5
    """
    cases = Cases.of(labels, scores, patients=patients).both_classes()
    statistic = weighted.sensitivity_at(check_fraction("specificity", specificity))
    estimate = bootstrap({"": statistic}, cases, replicates=replicates, seed=seed)[""]
    return widened(estimate, cases.patient[cases.label])


def specificity_at_sensitivity(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    sensitivity: float,
    *,
    patients: npt.ArrayLike | None = None,
    replicates: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Highest specificity that the ROC curve offers at a sensitivity of at least `sensitivity`.

    Args:
        labels: true classes, 0 or 1, shape (n,).
        scores: the larger, the more probably class 1, shape (n,).
        sensitivity: the least sensitivity allowed, above 0 and at most 1.
        patients: names of the patients, shape (n,); without it each case is a patient.
        replicates: number of resamples.
        seed: of the random numbers.

    Raises:
        EvaluationError: `bad-scores`, `one-class` or `bad-choice`.

    Example:
        >>> specificity_at_sensitivity([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 1.0).value
        0.5
    """
    # Specificity is sensitivity of the mirrored problem: other class, opposite scores.
    flipped = 1 - np.asarray(labels), -np.asarray(scores, dtype=float)
    return sensitivity_at_specificity(
        *flipped, sensitivity, patients=patients, replicates=replicates, seed=seed
    )
