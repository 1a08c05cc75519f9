"""Weights on a data set: scores with intervals; and one candidate's answer."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from squeezect.candidates import CandidateClassifier, patch_around, read_patches
from squeezect.checkpoint import write_atomically
from squeezect.cohorts import Cohort
from squeezect.cohorts.layouts import read_patch_lists
from squeezect.errors import Code, EvaluationError
from squeezect.evaluation import Estimate, decision_scores, pr_auc, roc_auc
from squeezect.reading import read_scan
from squeezect.scan import Triple

NO_LISTS = Code(
    "no-lists",
    "A folder of patches holds no list of lines with a path and a label.",
    "name the folder that holds train.txt, val.txt or another list",
)
PUBLISHED_SPECIFICITY = 0.982
"""Specificity at which sensitivities on LUNA16 patches are compared in print."""


@dataclass(frozen=True)
class WeightScores:
    """How good weights are on one list of a data set.

    Args:
        weights: their name.
        parts: scores by the name of the list.
    """

    weights: str
    parts: dict[str, dict[str, Estimate | float]]

    def as_dict(self) -> dict[str, object]:
        """Everything as plain JSON."""
        told = {part: {k: _plain(v) for k, v in row.items()} for part, row in self.parts.items()}
        return {"weights": self.weights, "parts": told}

    def __str__(self) -> str:
        lines = [f"weights {self.weights}"]
        for part, row in self.parts.items():
            lines.append(f"{part}: {row['cases']:.0f} candidates, {row['positives']:.0f} positive")
            for name, value in row.items():
                if isinstance(value, Estimate):
                    low, high = value.low, value.high
                    lines.append(f"  {name:<34} {value.value:.4f} ({low:.4f} to {high:.4f})")
        return "\n".join(lines)


def _plain(value: Estimate | float) -> object:
    if isinstance(value, Estimate):
        return {"value": value.value, "low": value.low, "high": value.high}
    return value


def score_weights(name: str, folder: Path, *, out: Path | None = None) -> WeightScores:
    """Score weights on every list of a folder of patches.

    Args:
        name: shipped weights, or a run of patches.
        folder: holds patches and lists (``.txt``) with lines ``path label``.
        out: folder that receives ``scores.json`` and ``probabilities.csv``.

    Raises:
        EvaluationError: `no-lists`.
        CohortError: what `read_patch_lists` says of lists, with row and file.
    """
    lists = sorted(path.name for path in folder.glob("*.txt")) if folder.is_dir() else []
    if not lists:
        raise EvaluationError(NO_LISTS, f"{folder} holds no list of patches")
    classifier = CandidateClassifier.open(name)
    parts: dict[str, dict[str, Estimate | float]] = {}
    rows = ["list,row,label,probability"]
    for entry in lists:
        cohort = read_patch_lists(folder, lists={entry: "test"})
        probability = classifier.score(read_patches(cohort.cases))
        parts[entry] = _scores(cohort, probability, threshold=classifier.threshold)
        rows += [
            f"{entry},{case.row},{case.label},{p:.9f}"
            for case, p in zip(cohort.cases, probability, strict=True)
        ]
    result = WeightScores(name, parts)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / "scores.json", json.dumps(result.as_dict(), indent=1).encode())
        write_atomically(out / "probabilities.csv", ("\n".join(rows) + "\n").encode())
    return result


def _scores(
    cohort: Cohort, probability: npt.NDArray[np.float64], *, threshold: float
) -> dict[str, Estimate | float]:
    labels = np.array([case.label for case in cohort.cases], np.int64)
    found: dict[str, Estimate | float] = {
        "cases": float(len(labels)),
        "positives": float(labels.sum()),
    }
    if len(np.unique(labels)) < 2:
        return found
    half = decision_scores(labels, probability, 0.5)
    chosen = decision_scores(labels, probability, threshold)
    negative = np.sort(probability[labels == 0])
    at = float(negative[int(np.ceil(PUBLISHED_SPECIFICITY * len(negative))) - 1])
    strict = decision_scores(labels, probability, float(np.nextafter(at, 1)))
    return found | {
        "ROC AUC": roc_auc(labels, probability),
        "PR AUC": pr_auc(labels, probability),
        "sensitivity at specificity 0.982": strict.sensitivity,
        "precision there": strict.precision,
        "sensitivity at 0.5": half.sensitivity,
        "specificity at 0.5": half.specificity,
        f"sensitivity at {threshold:.3f}": chosen.sensitivity,
        f"specificity at {threshold:.3f}": chosen.specificity,
    }


@dataclass(frozen=True)
class PointAnswer:
    """What weights say of one point of a scan."""

    weights: str
    scan: str
    point_mm: Triple
    probability: float
    threshold: float
    statement: str

    def as_dict(self) -> dict[str, object]:
        """Everything as plain JSON."""
        return {
            "weights": self.weights,
            "scan": self.scan,
            "point_mm": list(self.point_mm),
            "probability": self.probability,
            "threshold": self.threshold,
            "positive": self.probability >= self.threshold,
            "statement": self.statement,
        }

    def __str__(self) -> str:
        call = "positive" if self.probability >= self.threshold else "negative"
        x, y, z = self.point_mm
        return (
            f"point ({x:.1f}, {y:.1f}, {z:.1f}) mm: probability {self.probability:.3f}, {call} at "
            f"threshold {self.threshold:.3f} ({self.weights})\n{self.statement}"
        )


def answer_point(
    name: str, path: Path, point_mm: Triple, *, series: str | None = None
) -> PointAnswer:
    """Read a scan and ask weights about one of its points.

    Raises:
        ReadingError: if the scan cannot be read.
        PreparationError: `point-outside`.
        CheckpointError: `unknown-weights`.
    """
    classifier = CandidateClassifier.open(name)
    scan = read_scan(path, series=series)
    probability = float(classifier.score(patch_around(scan, point_mm))[0])
    return PointAnswer(
        weights=name,
        scan=scan.identity,
        point_mm=point_mm,
        probability=probability,
        threshold=classifier.threshold,
        statement=classifier.card.statement,
    )
