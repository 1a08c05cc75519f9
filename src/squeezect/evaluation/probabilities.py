"""How far probabilities can be taken at their word."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from squeezect.errors import EvaluationError
from squeezect.evaluation import weighted
from squeezect.evaluation.cases import BAD_CHOICE, Cases, FloatArray
from squeezect.evaluation.estimates import Estimate, Statistic, bootstrap, proportion

STATISTICS: Mapping[str, Statistic] = {
    "brier": weighted.brier,
    "log_loss": weighted.log_loss,
    "calibration_error": weighted.calibration_error,
}

SIMULATIONS = 400
HIGHEST_LOG_LOSS = -math.log(weighted.BOWL_CLIP)


@dataclass(frozen=True)
class ProbabilityScores:
    """How far probabilities can be taken at their word; smaller is better.

    Args:
        brier: mean squared distance of probability and truth, 0 to 1.
        log_loss: mean negative logarithm of the probability of the truth, clipped at 1e-15.
        calibration_error: mean distance of predicted and observed share, over ten equal bins.
        calibration_limit: the calibration error that 95 of 100 sets of this size would stay below
            if the probabilities meant exactly what they say; cases of one patient are drawn with
            one number, as alike as their probabilities allow.
    """

    brier: Estimate
    log_loss: Estimate
    calibration_error: Estimate
    calibration_limit: float

    def estimates(self) -> dict[str, Estimate]:
        """All scores by name."""
        return {name: getattr(self, name) for name in STATISTICS}

    def as_dict(self) -> dict[str, object]:
        """The scores as plain JSON."""
        scores = {name: estimate.as_dict() for name, estimate in self.estimates().items()}
        return {**scores, "calibration_limit": self.calibration_limit}


def probability_scores(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    *,
    patients: npt.ArrayLike | None = None,
    replicates: int = 2000,
    seed: int = 0,
) -> ProbabilityScores:
    """Brier score, log loss and calibration error, each bootstrapped over patients.

    The log loss clips probabilities at 1e-15, as the Data Science Bowl 2017 counted it. The
    calibration error is never below zero, so a small sample makes it look larger than it is:
    compare it with `ProbabilityScores.calibration_limit`.

    Args:
        labels: true classes, 0 or 1, shape (n,).
        probabilities: of class 1, shape (n,).
        patients: names of the patients, shape (n,); without it each case is a patient.
        replicates: number of resamples.
        seed: of the random numbers.

    Raises:
        EvaluationError: `bad-scores` or `bad-choice`.

    Example:
        >>> probability_scores([0, 1], [0.5, 0.5], replicates=10).brier.value
        0.25
    """
    cases = Cases.of(labels, probabilities, patients=patients).probabilities()
    return probability_scores_of(cases, replicates=replicates, seed=seed)


def probability_scores_of(cases: Cases, *, replicates: int, seed: int) -> ProbabilityScores:
    """`probability_scores` of packed cases."""
    found = bootstrap(
        STATISTICS,
        cases,
        replicates=replicates,
        seed=seed,
        recentre=("calibration_error",),
        highest={"log_loss": HIGHEST_LOG_LOSS},
    )
    limit = _calibration_limit(cases, seed)
    return ProbabilityScores(found["brier"], found["log_loss"], found["calibration_error"], limit)


def _calibration_limit(cases: Cases, seed: int) -> float:
    # One draw per patient: cases of a patient may be right and wrong together.
    luck = np.random.default_rng(seed).random((SIMULATIONS, cases.patients))
    truths = luck[:, cases.patient] < cases.score
    every = np.ones((1, cases.n))
    errors = [
        weighted.calibration_error(Cases(truth, cases.score, cases.patient), every)[0]
        for truth in truths
    ]
    return float(np.quantile(errors, 0.95))


@dataclass(frozen=True)
class CalibrationBin:
    """Cases of similar probability: what was predicted, and what was so.

    Args:
        predicted: their mean probability.
        observed: share of class 1 among them.
    """

    predicted: float
    observed: Estimate

    def as_dict(self) -> dict[str, object]:
        """The bin as plain JSON."""
        return {"predicted": self.predicted, "observed": self.observed.as_dict()}


def calibration_curve(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    *,
    patients: npt.ArrayLike | None = None,
    bins: int = 10,
) -> tuple[CalibrationBin, ...]:
    """Predicted against observed share of class 1, in bins of as equal a number as ties allow.

    Args:
        labels: true classes, 0 or 1, shape (n,).
        probabilities: of class 1, shape (n,).
        patients: names of the patients, shape (n,); without it each case is a patient.
        bins: most bins; fewer where there are fewer cases or distinct probabilities.

    Raises:
        EvaluationError: `bad-scores`, or `bad-choice` if `bins` is below 1.

    Example:
        >>> [round(bin.predicted, 2) for bin in calibration_curve([0, 1], [0.1, 0.7], bins=2)]
        [0.1, 0.7]
    """
    if bins < 1:
        raise EvaluationError(BAD_CHOICE, f"{bins} calibration bins are fewer than 1")
    cases = Cases.of(labels, probabilities, patients=patients).probabilities()
    edges = np.quantile(cases.score, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf")
    place = np.searchsorted(np.unique(edges), cases.score, side="left")
    return tuple(
        CalibrationBin(
            float(cases.score[place == number].mean()),
            proportion(cases, cases.label, place == number),
        )
        for number in np.unique(place)
    )


@dataclass(frozen=True)
class BrierParts:
    """Murphy's parts of the Brier score: brier = reliability - resolution + uncertainty.

    Args:
        reliability: mean squared distance of probability and observed share; smaller is better.
        resolution: variance of the observed shares; larger is better.
        uncertainty: variance of the truth itself.
    """

    reliability: float
    resolution: float
    uncertainty: float


def brier_parts(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> BrierParts:
    """Split the Brier score over the distinct probabilities (Murphy, J. Appl. Meteorology 1973).

    Args:
        labels: true classes, 0 or 1, shape (n,).
        probabilities: of class 1, shape (n,).

    Raises:
        EvaluationError: `bad-scores`.

    Example:
        >>> brier_parts([0, 1], [0.5, 0.5])
        BrierParts(reliability=0.0, resolution=0.0, uncertainty=0.25)
    """
    cases = Cases.of(labels, probabilities).probabilities()
    values, place, count = np.unique(cases.score, return_inverse=True, return_counts=True)
    share: FloatArray = np.bincount(place, cases.label.astype(float)) / count
    prior = cases.positives / cases.n
    return BrierParts(
        float(count @ (values - share) ** 2 / cases.n),
        float(count @ (share - prior) ** 2 / cases.n),
        prior * (1 - prior),
    )
