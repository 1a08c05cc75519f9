"""Make probabilities mean what they say, with a map learnt on validation cases only."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from squeezect.errors import EvaluationError
from squeezect.evaluation.cases import BAD_CHOICE, BAD_SCORES, Cases, FloatArray, IntArray

Method = Literal["temperature", "platt", "isotonic"]
METHODS: tuple[Method, ...] = get_args(Method)

LOGIT_LIMIT = 30.0
HOTTEST = 100.0


@dataclass(frozen=True)
class Calibrator:
    """A map from probability to probability that never turns a ranking around.

    Args:
        method: ``temperature`` divides the logit by one number (Guo, ICML 2017); ``platt`` scales
            and shifts it (Platt 1999); ``isotonic`` is a rising staircase with ramps (Zadrozny and
            Elkan, KDD 2002).
        x: ``temperature``: the temperature. ``platt``: factor and offset of the logit.
            ``isotonic``: probabilities where the staircase bends.
        y: ``isotonic``: its values there. ``platt``: least and largest probability that it gives,
            or empty, if it has no such ends. ``temperature``: empty.
    """

    method: Method
    x: tuple[float, ...]
    y: tuple[float, ...] = ()

    def apply(self, probabilities: npt.ArrayLike) -> FloatArray:
        """Calibrated probabilities, any shape."""
        given = np.asarray(probabilities, dtype=float)
        if self.method == "isotonic":
            steps: FloatArray = np.interp(given, self.x, self.y)
            return steps
        if self.method == "temperature":
            return _expit(_logit(given) / self.x[0])
        scaled = _expit(_logit(given) * self.x[0] + self.x[1])
        if not self.y:
            return scaled
        low, high = self.y
        return np.clip(scaled, low, high)

    def as_dict(self) -> dict[str, object]:
        """The map as plain JSON."""
        return {"method": self.method, "x": list(self.x), "y": list(self.y)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The map that `as_dict` described.

        Args:
            data: ``method``, ``x`` and ``y``, as read from JSON.

        Raises:
            EvaluationError: `bad-choice`, if this describes no map.
        """
        try:
            x, y = (tuple(float(number) for number in data[name]) for name in "xy")
            method = data["method"]
        except (KeyError, TypeError, ValueError) as error:
            raise EvaluationError(BAD_CHOICE, f"{data} describes no calibration") from error
        lengths = {
            "temperature": {(1, 0)},
            "platt": {(2, 0), (2, 2)},
            "isotonic": {(len(x), len(x))},
        }
        if not x or (len(x), len(y)) not in lengths.get(method, set()):
            raise EvaluationError(BAD_CHOICE, f"{data} describes no calibration")
        return cls(method, x, y)


def fit_calibrator(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, method: Method
) -> Calibrator:
    """Learn how to correct probabilities.

    Platt's targets are drawn in by one imagined case per class, as he advised, and his curve gives
    nothing beyond them; isotonic values stay 1 / (n + 2) away from 0 and 1. So neither becomes
    surer than its cases allow.

    Args:
        labels: true classes, 0 or 1, shape (n,).
        probabilities: of class 1, shape (n,).
        method: ``temperature``, ``platt`` or ``isotonic``.

    Raises:
        EvaluationError: `bad-scores`, `one-class`, or `bad-choice` if the method is unknown.

    Example:
        >>> fit_calibrator([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4], "isotonic").method
        'isotonic'
    """
    cases = Cases.of(labels, probabilities).probabilities().both_classes()
    if method == "temperature":
        return _temperature(cases)
    if method == "platt":
        return _platt(cases)
    if method == "isotonic":
        return _isotonic(cases)
    raise EvaluationError(BAD_CHOICE, f"calibration {method!r} is not one of {', '.join(METHODS)}")


def cross_fitted_calibration(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, folds: npt.ArrayLike, method: Method
) -> FloatArray:
    """Calibrate out-of-fold probabilities: each fold by the map learnt on all other folds.

    Args:
        labels: true classes, 0 or 1, shape (n,).
        probabilities: of class 1, out of fold, shape (n,).
        folds: whole numbers of the folds, two or more of them, shape (n,).
        method: ``temperature``, ``platt`` or ``isotonic``.

    Returns:
        Calibrated probabilities, shape (n,).

    Raises:
        EvaluationError: `bad-scores` or `bad-choice`; `one-class` if the other folds of some fold
            lack a class.

    Example:
        >>> calibrated = cross_fitted_calibration([0, 1] * 2, [0.1, 0.7] * 2, [0, 0, 1, 1], "platt")
        >>> calibrated.shape
        (4,)
    """
    cases, fold = Cases.of(labels, probabilities), fold_numbers(folds)
    if fold.shape != cases.label.shape or np.unique(fold).size < 2:
        raise EvaluationError(
            BAD_SCORES, f"{np.unique(fold).size} folds of {fold.size} cases cannot cross-fit"
        )
    calibrated = np.empty(cases.n)
    for k in np.unique(fold):
        here = fold == k
        calibrator = fit_calibrator(cases.label[~here], cases.score[~here], method)
        calibrated[here] = calibrator.apply(cases.score[here])
    return calibrated


def fold_numbers(folds: npt.ArrayLike) -> IntArray:
    """Folds as whole numbers, shape (n,)."""
    return np.asarray(folds).astype(np.int64)


def fit_logistic(values: FloatArray, target: FloatArray, *, rising: bool) -> tuple[float, float]:
    """Factor and offset of the logistic curve that fits targets best, by likelihood.

    Args:
        values: shape (n,).
        target: shares between 0 and 1, shape (n,).
        rising: whether the factor must not be negative.
    """
    from scipy.optimize import minimize

    middle, scale = float(values.mean()), float(values.std()) or 1.0
    scaled = (values - middle) / scale

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        line = parameters[0] * scaled + parameters[1]
        gap = _expit(line) - target
        cost = (np.logaddexp(0, line) - target * line).mean()
        return float(cost), np.array([(gap * scaled).mean(), gap.mean()])

    bounds = [(0.0 if rising else None, None), (None, None)]
    found = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=bounds).x
    factor = float(found[0]) / scale
    return factor, float(found[1]) - factor * middle


def _temperature(cases: Cases) -> Calibrator:
    from scipy.optimize import minimize_scalar

    sign = np.where(cases.label, 1.0, -1.0)
    logits = _logit(cases.score)

    def loss(log_temperature: float) -> float:
        return float(np.logaddexp(0, -sign * logits / math.exp(log_temperature)).mean())

    reach = math.log(HOTTEST)
    found = minimize_scalar(loss, bounds=(-reach, reach), method="bounded").x
    return Calibrator("temperature", (math.exp(float(found)),))


def _platt(cases: Cases) -> Calibrator:
    high = (cases.positives + 1) / (cases.positives + 2)
    low = 1 / (cases.negatives + 2)
    target = np.where(cases.label, high, low)
    # Where the classes do not overlap the curve is a step, sure of everything beyond it.
    return Calibrator("platt", fit_logistic(_logit(cases.score), target, rising=True), (low, high))


def _isotonic(cases: Cases) -> Calibrator:
    from sklearn.isotonic import IsotonicRegression

    edge = 1 / (cases.n + 2)
    fitted = IsotonicRegression(y_min=edge, y_max=1 - edge).fit(
        cases.score, cases.label.astype(float)
    )
    x, y = fitted.X_thresholds_.tolist(), fitted.y_thresholds_.tolist()
    return Calibrator("isotonic", tuple(x), tuple(y))


def _logit(probabilities: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore"):
        logit = np.log(probabilities) - np.log1p(-probabilities)
    # A network's 0 or 1 is a rounded number, not certainty.
    clipped: FloatArray = np.clip(logit, -LOGIT_LIMIT, LOGIT_LIMIT)
    return clipped


def _expit(values: FloatArray) -> FloatArray:
    with np.errstate(over="ignore"):
        answer: FloatArray = 1 / (1 + np.exp(-values))
    return answer
