"""Make the shipped weights ``nodule`` from a run, with their card.

    squeezect train PATCHES --recipe nodule --out runs/nodule
    python scripts/ship_nodule.py runs/nodule PATCHES

PATCHES is the folder of LUNA16 candidate patches (``train.txt``, ``val.txt``). The run learns from
the first list and is judged on the second, which chooses nothing. Weights are rounded to float16;
the scores of the card are those of the rounded weights, computed here.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from squeezect.candidates import read_patches, score_patches
from squeezect.checkpoint import Checkpoint
from squeezect.cohorts.layouts import read_patch_lists
from squeezect.evaluation import (
    pr_auc,
    roc_auc,
    sensitivity_at_specificity,
    threshold_at_sensitivity,
)

DATA = (
    "5,187 axial patches (845 nodules) around candidates of LUNA16, list train.txt of the 2D split "
    "published by S. Subramanian (2017); judged on 1,297 (224) of val.txt. LUNA16 (Setio et al. "
    "2017, CC BY 4.0) is made of LIDC-IDRI (Armato et al. 2011, CC BY 3.0); patches MIT."
)
LIMITS = (
    "Judges a candidate that something else has found; run over whole slices it is not calibrated.",
    "Sees one axial patch of 50 x 50 voxels at the scan's own spacing, 8 bit over -1000 to 400 HU, "
    "in eight mirrored and turned views; the card's fields on preparation, which are about "
    "volumes, say nothing of it.",
    "Candidates of one nodule lie on both sides of the split, so the scores flatter it a little.",
    "The recipe (length, views, no stochastic depth) was chosen looking at the scores of the "
    "validation list; there was no third list, so they flatter a little.",
    "Patches are at the scan's own spacing (0.5 to 0.9 mm); other spacings were not seen.",
    "One axial slice: vessels cut across, scars and pleural plaques are its usual false alarms.",
    "Nodules below 3 mm, ground glass and masses above 30 mm are rare in the data or absent.",
    "Adults in American hospitals before 2011; no statement for anyone else.",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("patches", type=Path)
    parser.add_argument("--out", type=Path, default=Path("src/squeezect/weights/nodule"))
    options = parser.parse_args()
    trained = Checkpoint.load(options.run / "fold-0")
    weights = {
        name: value.half() if value.is_floating_point() else value
        for name, value in trained.weights.items()
    }
    rounded = Checkpoint(trained.card, weights)
    cohort = read_patch_lists(options.patches, lists={"val.txt": "test"})
    judged = read_patches(cohort.cases)
    probability = score_patches(rounded.build(), judged)
    labels = judged.labels
    auc, precision_recall = roc_auc(labels, probability), pr_auc(labels, probability)
    negative = np.sort(probability[labels == 0])
    strictest = np.nextafter(negative[int(np.ceil(0.982 * len(negative))) - 1], np.inf)
    strict = sensitivity_at_specificity(labels, probability, 0.982)
    # Calibrated against the truth: how far the mean probability is from the share of nodules.
    scores = {
        "validation_auc": auc.value,
        "validation_auc_low": auc.low,
        "validation_auc_high": auc.high,
        "validation_pr_auc": precision_recall.value,
        "validation_sensitivity_at_specificity_0.982": strict.value,
        "validation_sensitivity_low": strict.low,
        "validation_sensitivity_high": strict.high,
        "validation_brier": float(np.mean((probability - labels) ** 2)),
        "validation_mean_probability": float(probability.mean()),
        "validation_share_positive": float(labels.mean()),
    }
    thresholds = {
        "half": 0.5,
        "sensitivity-90": midway(probability, threshold_at_sensitivity(labels, probability, 0.9)),
        "specificity-982": midway(probability, strictest),
    }
    card = trained.card.model_copy(
        update={
            "scores": {name: round(value, 5) for name, value in scores.items()},
            "thresholds": thresholds,
            "data": DATA,
            "limits": LIMITS,
        }
    )
    Checkpoint(card, weights).save(options.out)
    size = sum(t.numel() for t in weights.values())
    print(f"{size:,} numbers; {torch.__version__}; AUC {auc.value:.4f}")


def midway(scores: np.ndarray, threshold: float) -> float:
    """A threshold that calls these scores as `threshold` does, and as far from them as can be.

    On another machine a score differs in its last digits, and may not fall off the edge by that.
    """
    called = scores >= threshold
    return round(float((scores[called].min() + scores[~called].max()) / 2), 7)


if __name__ == "__main__":
    main()
