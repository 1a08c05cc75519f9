"""Scores as functions of cases and weights, for all resamples of a bootstrap at once.

Each function takes cases and weights of shape (resamples, n) and returns shape (resamples,). A
weight of 2 counts a case twice, so weights of one give the plain score.
"""

from functools import partial

import numpy as np

from squeezect.evaluation.cases import Cases, FloatArray
from squeezect.evaluation.estimates import Statistic

BOWL_CLIP = 1e-15
"""Probabilities are kept this far from 0 and 1, as the Data Science Bowl 2017 did."""

SLACK = 1e-9


def counts_above(cases: Cases, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weight of positives and negatives at or above each distinct score, highest first.

    Returns:
        Two arrays of shape (resamples, groups of equal scores).
    """
    ranked = weights[:, cases.order]
    positive = np.where(cases.label[cases.order], ranked, 0.0)
    hits = np.add.reduceat(positive, cases.starts, axis=1).cumsum(axis=1)
    alarms = np.add.reduceat(ranked - positive, cases.starts, axis=1).cumsum(axis=1)
    return hits, alarms


def ratio(top: FloatArray, bottom: FloatArray) -> FloatArray:
    """Elementwise quotient, NaN where the divisor is 0."""
    quotient: FloatArray = np.full(np.broadcast(top, bottom).shape, np.nan)
    np.divide(top, bottom, out=quotient, where=bottom != 0)
    return quotient


def roc_auc(cases: Cases, weights: FloatArray) -> FloatArray:
    """Probability that a positive scores above a negative, ties counting one half."""
    hits, alarms = counts_above(cases, weights)
    here = np.diff(alarms, axis=1, prepend=0.0)
    before = np.concatenate([np.zeros((len(hits), 1)), hits[:, :-1]], axis=1)
    pairs = (here * (before + hits)).sum(axis=1) / 2
    return ratio(pairs, hits[:, -1] * alarms[:, -1])


def average_precision(cases: Cases, weights: FloatArray) -> FloatArray:
    """Area under the precision-recall steps: mean precision over the positives."""
    hits, alarms = counts_above(cases, weights)
    here = np.diff(hits, axis=1, prepend=0.0)
    precision = np.nan_to_num(ratio(hits, hits + alarms))
    return ratio((here * precision).sum(axis=1), hits[:, -1])


def brier(cases: Cases, weights: FloatArray) -> FloatArray:
    """Mean squared distance of probability and truth."""
    return ratio(weights @ (cases.score - cases.label) ** 2, weights.sum(axis=1))


def log_loss(cases: Cases, weights: FloatArray) -> FloatArray:
    """Mean negative logarithm of the probability of the truth, clipped as the bowl did."""
    clipped = np.clip(cases.score, BOWL_CLIP, 1 - BOWL_CLIP)
    losses = -np.where(cases.label, np.log(clipped), np.log1p(-clipped))
    return ratio(weights @ losses, weights.sum(axis=1))


def calibration_error(cases: Cases, weights: FloatArray, *, bins: int = 10) -> FloatArray:
    """Expected calibration error over bins of equal width."""
    place = bin_of(cases.score, bins)
    gaps = np.zeros((cases.n, bins))
    gaps[np.arange(cases.n), place] = cases.score - cases.label
    return ratio(np.abs(weights @ gaps).sum(axis=1), weights.sum(axis=1))


def bin_of(probabilities: FloatArray, bins: int) -> np.ndarray:
    """Number of the bin of equal width that each probability falls into; 1.0 is in the last."""
    return np.minimum((probabilities * bins).astype(np.int64), bins - 1)


def _sensitivity_at(cases: Cases, weights: FloatArray, specificity: float) -> FloatArray:
    hits, alarms = counts_above(cases, weights)
    allowed = (1 - specificity) * alarms[:, -1:] + SLACK
    best = np.where(alarms <= allowed, hits, 0.0).max(axis=1)
    both = np.where(alarms[:, -1] > 0, hits[:, -1], 0.0)
    return ratio(best, both)


def _specificity_at(cases: Cases, weights: FloatArray, sensitivity: float) -> FloatArray:
    hits, alarms = counts_above(cases, weights)
    needed = sensitivity * hits[:, -1:] - SLACK
    fewest = np.where(hits >= needed, alarms, np.inf).min(axis=1)
    both = np.where(hits[:, -1] > 0, alarms[:, -1], 0.0)
    return 1 - ratio(fewest, both)


def sensitivity_at(specificity: float) -> Statistic:
    """Highest sensitivity of any threshold whose specificity is at least this."""
    return partial(_sensitivity_at, specificity=specificity)


def specificity_at(sensitivity: float) -> Statistic:
    """Highest specificity of any threshold whose sensitivity is at least this."""
    return partial(_specificity_at, sensitivity=sensitivity)
