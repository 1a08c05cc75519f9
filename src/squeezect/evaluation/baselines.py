"""What needs no network: guessing, and a single column such as the diameter."""

import math

from squeezect.evaluation.cases import Cases


def guessing(cases: Cases) -> dict[str, float]:
    """Scores of the best guess that looks at no scan: the share of positives, for every case.

    Decisions are those of always calling the larger class.

    Args:
        cases: only their labels are used.

    Returns:
        Scores by the names of `words.WORDS`; NaN where guessing has none.

    Example:
        >>> guessing(Cases.of([0, 0, 0, 1], [0, 0, 0, 0]))["accuracy"]
        0.75
    """
    prior = cases.positives / cases.n
    entropy = -sum(share * math.log(share) for share in (prior, 1 - prior) if share > 0)
    return {
        "roc_auc": 0.5,
        "pr_auc": prior,
        "sensitivity_at_specificity": 0.1,
        "specificity_at_sensitivity": 0.1,
        "brier": prior * (1 - prior),
        "log_loss": entropy,
        "calibration_error": 0.0,
        "accuracy": max(prior, 1 - prior),
        "balanced_accuracy": 0.5,
    }
