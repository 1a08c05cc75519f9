"""What needs no network: guessing, and a single column such as the diameter."""

import math

import numpy as np
import numpy.typing as npt

from squeezect.errors import EvaluationError
from squeezect.evaluation.calibration import fit_logistic, fold_numbers
from squeezect.evaluation.cases import BAD_SCORES, Cases, FloatArray


def guessing(cases: Cases) -> dict[str, float]:
    """Scores of the best guess that looks at no scan: the share of positives, for every case.

    Decisions are those of always calling the larger class.

    Args:
        cases: only their labels are used.

    Returns:
        Scores by the names of `words.WORDS`; those that guessing does not have are left out.

    Example:
        >>> guessing(Cases.of([0, 0, 0, 1], [0, 0, 0, 0]))["accuracy"]
        0.75
    """
    prior = cases.positives / cases.n
    entropy = -sum(share * math.log(share) for share in (prior, 1 - prior) if share > 0)
    return {
        "roc_auc": 0.5,
        "within_folds": 0.5,
        "pr_auc": prior,
        "sensitivity_at_specificity": 0.1,
        "specificity_at_sensitivity": 0.1,
        "brier": prior * (1 - prior),
        "log_loss": entropy,
        "accuracy": max(prior, 1 - prior),
        "balanced_accuracy": 0.5,
    }


def prior_probabilities(labels: npt.ArrayLike, folds: npt.ArrayLike) -> FloatArray:
    """Out-of-fold probabilities of the simplest model: the share of positives in other folds.

    Args:
        labels: true classes, 0 or 1, shape (n,).
        folds: whole numbers of the folds, two or more of them, shape (n,).

    Raises:
        EvaluationError: `bad-scores`.

    Example:
        >>> prior_probabilities([0, 1, 1], [0, 1, 1]).tolist()
        [1.0, 0.0, 0.0]
    """
    label = np.asarray(labels, dtype=float)
    return column_probabilities(labels, np.zeros(label.shape), folds)


def column_probabilities(
    labels: npt.ArrayLike, column: npt.ArrayLike, folds: npt.ArrayLike
) -> FloatArray:
    """Out-of-fold probabilities of a logistic curve over one column, such as the diameter.

    Args:
        labels: true classes, 0 or 1, shape (n,).
        column: numbers, shape (n,); NaN where unknown, which counts as the mean.
        folds: whole numbers of the folds, two or more of them, shape (n,).

    Returns:
        Probabilities of class 1, each from the curve fitted to the other folds, shape (n,).

    Raises:
        EvaluationError: `bad-scores`.

    Example:
        >>> found = column_probabilities([0, 1, 0, 1], [3, 9, 4, 8], [0, 0, 1, 1])
        >>> bool(found[1] > found[0])
        True
    """
    label = Cases.of(labels, np.zeros(np.shape(labels))).label
    values, fold = np.asarray(column, dtype=float), fold_numbers(folds)
    if values.shape != label.shape or fold.shape != label.shape or np.unique(fold).size < 2:
        raise EvaluationError(
            BAD_SCORES,
            f"column {values.shape}, {np.unique(fold).size} folds, {label.size} cases do not fit",
        )
    probabilities = np.empty(label.size)
    for k in np.unique(fold):
        here = fold == k
        probabilities[here] = _fitted(values[~here], label[~here], values[here])
    return probabilities


def column_probabilities_of_test(
    labels: npt.ArrayLike, column: npt.ArrayLike, test_column: npt.ArrayLike
) -> FloatArray:
    """Probabilities of test cases, from a logistic curve fitted to all out-of-fold cases.

    Args:
        labels: true classes of the out-of-fold cases, shape (n,).
        column: their numbers, NaN where unknown, shape (n,).
        test_column: the numbers of the test cases, shape (m,).

    Returns:
        Probabilities of class 1, shape (m,).
    """
    label = Cases.of(labels, np.zeros(np.shape(labels))).label
    return _fitted(np.asarray(column, float), label, np.asarray(test_column, float))


def _fitted(known: FloatArray, label: npt.NDArray[np.bool_], asked: FloatArray) -> FloatArray:
    finite = np.isfinite(known)
    middle = float(known[finite].mean()) if finite.any() else 0.0
    share = float(label.mean())
    known, asked = (np.where(np.isfinite(part), part, middle) for part in (known, asked))
    if share in (0.0, 1.0) or not known.std():
        return np.full(asked.shape, share)
    # Targets a little inside 0 and 1 keep the curve finite where the column separates the classes.
    target = np.where(label, 1 - 1 / (2 * known.size), 1 / (2 * known.size))
    factor, offset = fit_logistic(known, target, rising=False)
    with np.errstate(over="ignore"):
        probability: FloatArray = 1 / (1 + np.exp(-(factor * asked + offset)))
    return probability
