"""What each score is called and what it says, in plain words."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Word:
    """A score in words.

    Args:
        title: its name.
        meaning: what it says, in a sentence that needs no statistics.
        better: whether larger or smaller is better.
    """

    title: str
    meaning: str
    better: Literal["higher", "lower"] = "higher"


WORDS = {
    "roc_auc": Word(
        "ROC AUC",
        "How often a positive scan gets a higher probability than a negative one, over all pairs.",
    ),
    "within_folds": Word(
        "ROC AUC within folds",
        "The same over pairs of one fold only, which one network ranked.",
    ),
    "pr_auc": Word(
        "PR AUC",
        "Share of right calls on the way from the most suspicious scan down to the last positive.",
    ),
    "sensitivity_at_specificity": Word(
        "Sensitivity at 90 % specificity",
        "Share of positives found by the best threshold that alarms at most 10 % of the negatives.",
    ),
    "specificity_at_sensitivity": Word(
        "Specificity at 90 % sensitivity",
        "Share of negatives left alone by the best threshold that finds 90 % of the positives.",
    ),
    "brier": Word(
        "Brier score", "Mean squared distance of the probability from the truth.", "lower"
    ),
    "log_loss": Word(
        "Log loss",
        "Punishes confident mistakes hardest; counted as in the Data Science Bowl 2017.",
        "lower",
    ),
    "calibration_error": Word(
        "Calibration error",
        "How far the predicted share of positives is from the observed one, on average.",
        "lower",
    ),
    "sensitivity": Word("Sensitivity", "Of all positive scans, the share that is called positive."),
    "specificity": Word("Specificity", "Of all negative scans, the share that is called negative."),
    "accuracy": Word("Accuracy", "Share of all scans that are called right."),
    "precision": Word("Precision", "Of the scans called positive, the share that is positive."),
    "negative_predictive_value": Word(
        "Negative predictive value", "Of the scans called negative, the share that is negative."
    ),
    "f1": Word("F1", "Harmonic mean of precision and sensitivity."),
    "balanced_accuracy": Word(
        "Balanced accuracy", "Mean of sensitivity and specificity; 0.5 is guessing."
    ),
}
"""Every score of an evaluation, by its name in ``evaluation.json``."""


def percent(share: float) -> str:
    """A share as whole percent.

    Example:
        >>> percent(0.9)
        '90 %'
    """
    return f"{100 * share:.0f} %"
