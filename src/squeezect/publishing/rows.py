"""Answers for cases with labels in, a table of scores with intervals out."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from squeezect.evaluation import (
    Comparison,
    Estimate,
    compare_auc,
    decision_scores,
    pr_auc,
    probability_scores,
    roc_auc,
    sensitivity_at_specificity,
)
from squeezect.publishing.judged import Judged

Row = Estimate | Comparison | float
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

PUBLISHED_SPECIFICITY = 0.982
"""Specificity at which sensitivities on LUNA16 patches are compared in print."""
HARD_MM = (6.0, 15.0)
"""Diameters between which size alone tells least."""
FEWEST = 10


def score_rows(judged: Judged) -> Mapping[str, Row]:
    """Scores of answers by name; cases without a label are counted and left out.

    Of cases of one class, what is defined is told. Where diameters are known, the diameter alone is
    scored beside the answers and compared on the same cases (DeLong, allowing for patients with
    several).
    """
    labels = judged.labels
    known = labels >= 0
    labels, probability = labels[known], judged.probability[known]
    cases = [case for case, use in zip(judged.cases, known, strict=True) if use]
    patients = np.array([case.patient for case in cases])
    found: dict[str, Row] = {
        "cases": float(len(labels)),
        "positives": float(labels.sum()),
        "patients": float(len(set(patients))),
        "unlabelled": float((~known).sum()),
    }
    if not len(labels):
        return found
    both = len(np.unique(labels)) == 2
    if both:
        found |= _ranking(labels, probability, patients)
    found |= _decisions(labels, probability, patients, judged.threshold)
    found |= _calibration(labels, probability, patients)
    if not both:
        return {name: value for name, value in found.items() if not _undefined(value)}
    diameters = np.array([np.nan if c.diameter_mm is None else c.diameter_mm for c in cases])
    return found | _beside_diameter(labels, probability, patients, diameters)


def one_class(row: Mapping[str, Row]) -> bool:
    """Whether scores are of cases of one class only."""
    return row["positives"] in (0, row["cases"])


def _undefined(value: Row) -> bool:
    return isinstance(value, Estimate) and not value.defined


def _ranking(
    labels: npt.NDArray[np.int64], probability: Floats, patients: object
) -> dict[str, Row]:
    who = np.asarray(patients)
    return {
        "ROC AUC": roc_auc(labels, probability, patients=who),
        "PR AUC": pr_auc(labels, probability, patients=who),
        **_published(labels, probability, who),
    }


def _published(
    labels: npt.NDArray[np.int64], probability: Floats, who: npt.NDArray[np.str_]
) -> dict[str, Row]:
    """Sensitivity where it is compared in print; the threshold is chosen on these very cases."""
    negative = np.sort(probability[labels == 0])
    at = negative[int(np.ceil(PUBLISHED_SPECIFICITY * len(negative))) - 1]
    called = probability >= np.nextafter(at, np.inf)
    found: dict[str, Row] = {
        f"sensitivity at specificity {PUBLISHED_SPECIFICITY}": sensitivity_at_specificity(
            labels, probability, PUBLISHED_SPECIFICITY, patients=who
        )
    }
    # Without a call of 1 there is no precision.
    return found | ({"precision there": float(labels[called].mean())} if called.any() else {})


def _decisions(
    labels: npt.NDArray[np.int64], probability: Floats, patients: object, threshold: float
) -> dict[str, Row]:
    who = np.asarray(patients)
    found: dict[str, Row] = {}
    for limit, name in ((0.5, "0.5"), (threshold, f"{threshold:.3f}")):
        scores = decision_scores(labels, probability, limit, patients=who)
        found[f"sensitivity at {name}"] = scores.sensitivity
        found[f"specificity at {name}"] = scores.specificity
        found[f"accuracy at {name}"] = scores.accuracy
    return found


def _calibration(
    labels: npt.NDArray[np.int64], probability: Floats, patients: object
) -> dict[str, Row]:
    scores = probability_scores(labels, probability, patients=np.asarray(patients))
    return {
        "Brier score": scores.brier,
        "calibration error": scores.calibration_error,
        "calibration error of honest probabilities, at most": scores.calibration_limit,
        "mean probability": float(probability.mean()),
        "share of positives": float(labels.mean()),
    }


def _beside_diameter(
    labels: npt.NDArray[np.int64],
    probability: Floats,
    patients: npt.NDArray[np.str_],
    diameters: Floats,
) -> dict[str, Row]:
    low, high = HARD_MM
    measured = np.isfinite(diameters)
    # A difference on some of the cases is not the difference on all of them.
    part = "" if measured.all() else f", {measured.sum()} of {len(measured)} measured"
    groups = {
        part: measured,
        f", {low:g} to {high:g} mm{part}": measured & (diameters >= low) & (diameters <= high),
    }
    found: dict[str, Row] = {}
    for name, chosen in groups.items():
        if min(np.bincount(labels[chosen], minlength=2)) < FEWEST:
            continue
        who = patients[chosen]
        if name:
            found[f"ROC AUC{name}"] = roc_auc(labels[chosen], probability[chosen], patients=who)
        alone = roc_auc(labels[chosen], diameters[chosen], patients=who)
        found[f"ROC AUC of the diameter alone{name}"] = alone
        found[f"ROC AUC minus that of the diameter{name}"] = compare_auc(
            labels[chosen], probability[chosen], diameters[chosen], patients=who
        )
    return found
