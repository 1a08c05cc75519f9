"""Set runs of one recipe beside each other that differ by their seed only.

    squeezect train CROPS --recipe malignancy --seed 1 --out runs/malignancy-1
    python scripts/seeds.py runs/malignancy runs/malignancy-1 --out docs/results/malignancy-seeds.md

Each run judges every case by a network that did not learn from it. The seed decides the first
weights, the order and the changes of the cases, and where there are folds, those.
What ``squeezect evaluate PATCHES --weights W --out FOLDER`` wrote stands for the run of W.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from squeezect.evaluation import (
    Estimate,
    TableBlock,
    compare_auc,
    cross_fitted_thresholds,
    decision_scores,
    roc_auc,
    sensitivity_at_specificity,
)
from squeezect.evaluation.markdown import markdown

Array = npt.NDArray[np.float64]
TOGETHER = "the mean of their log-odds"
CALLED = "missed, false alarms at 90 % on other folds"
SPECIFICITY = 0.982
REACHED = f"sensitivity at specificity {SPECIFICITY}"
SURE = 1e-6
"""Probabilities are kept this far from 0 and 1, whose log-odds are not finite."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="run folders, one per seed")
    parser.add_argument("--out", type=Path, required=True, help="table as Markdown")
    options = parser.parse_args()
    tables = {seed_of(run): read(run) for run in options.runs}
    if len(tables) < len(options.runs):
        raise SystemExit("two runs have the same seed")
    options.out.write_text(report(tables), "utf-8")


def seed_of(run: Path) -> str:
    """What a run is called in the table."""
    if (run / "scores.json").is_file():
        return f"{json.loads((run / 'scores.json').read_text('utf-8'))['weights']} as shipped"
    recipe = json.loads((run / "recipe.json").read_text("utf-8"))
    return f"seed {recipe['seed']}"


def read(run: Path) -> pd.DataFrame:
    """Judged cases of a run in the order of the cohort."""
    if (run / "scores.json").is_file():
        return pd.read_csv(run / "probabilities.csv").assign(fold=0)
    return pd.read_csv(run / "predictions.csv").sort_values("row", ignore_index=True)


def report(tables: Mapping[str, pd.DataFrame]) -> str:
    """Scores of every run, how far they lie apart, and what their mean scores.

    Args:
        tables: judged cases by seed.

    Raises:
        SystemExit: the runs judged different cases.
    """
    first = next(iter(tables.values()))
    for table in tables.values():
        # Rows of one list count from where it begins, so cases are told apart by their names.
        if not table[["patient", "label"]].equals(first[["patient", "label"]]):
            raise SystemExit("the runs judged different cases")
    odds = {name: log_odds(table["probability"].to_numpy(float)) for name, table in tables.items()}
    parts = {"": np.ones(len(first), bool)}
    if "diameter_mm" in first:
        parts[", 6 to 15 mm"] = first["diameter_mm"].between(6, 15).to_numpy()
    lines: list[list[str | Estimate]] = []
    for name, scores in {**odds, TOGETHER: np.mean(list(odds.values()), axis=0)}.items():
        lines.append([name, *judged(first, scores, parts)])
    calls = CALLED if len(set(first["fold"])) > 1 else REACHED
    columns = ("", *(f"ROC AUC{part}" for part in parts), calls, "Brier score")
    text = f"{len(first)} cases ({int(first['label'].sum())} positive). {apart(first, odds, parts)}"
    return markdown([TableBlock(title="", text=text, columns=columns, rows=lines)])


def judged(
    table: pd.DataFrame, odds: Array, parts: Mapping[str, npt.NDArray[np.bool_]]
) -> list[str | Estimate]:
    """Cells of one row of the table."""
    labels, patients = table["label"].to_numpy(), table["patient"].to_numpy()
    found: list[str | Estimate] = [
        roc_auc(labels[part], odds[part], patients=patients[part]) for part in parts.values()
    ]
    p = 1 / (1 + np.exp(-odds))
    folds = table["fold"].to_numpy()
    calls: str | Estimate = (
        called(labels, p, folds)
        if len(np.unique(folds)) > 1
        else sensitivity_at_specificity(labels, odds, SPECIFICITY, patients=patients)
    )
    return [*found, calls, f"{np.mean((p - labels) ** 2):.4f}"]


def called(labels: npt.NDArray[np.int64], p: Array, folds: npt.NDArray[np.int64]) -> str:
    """Misses and false alarms, each fold at the threshold for 90 % on the other folds."""
    limit = cross_fitted_thresholds(labels, p, folds, sensitivity=0.9).of_cases(folds)
    counts = decision_scores(labels, p, limit).confusion
    missed = f"{counts.false_negatives} of {int((labels == 1).sum())}"
    return f"{missed}, {counts.false_positives} of {int((labels == 0).sum())}"


def apart(
    table: pd.DataFrame, odds: Mapping[str, Array], parts: Mapping[str, npt.NDArray[np.bool_]]
) -> str:
    """In words: mean, deviation and range over the seeds, and what chance makes of two of them."""
    labels, patients = table["label"].to_numpy(), table["patient"].to_numpy()
    told = []
    for name, part in parts.items():
        areas = [roc_auc(labels[part], scores[part]).value for scores in odds.values()]
        told.append(
            f"ROC AUC{name}: {np.mean(areas):.4f}, standard deviation over {len(areas)} seeds "
            f"{np.std(areas, ddof=1):.4f}, {min(areas):.4f} to {max(areas):.4f}."
        )
    scores = list(odds.values())
    ps = [
        compare_auc(labels, one, other, patients=patients).p_value
        for place, one in enumerate(scores)
        for other in scores[:place]
    ]
    likeness = np.corrcoef(scores)[np.triu_indices(len(scores), 1)]
    mean = compare_auc(labels, np.mean(scores, axis=0), scores[0], patients=patients)
    told.append(
        f"Log-odds of two seeds correlate with {likeness.min():.3f} to {likeness.max():.3f}; the "
        f"smallest p of a difference between two is {min(ps):.2g} (DeLong, paired, not corrected). "
        f"The mean of their log-odds is better than the first by {mean.difference.value:+.4f} "
        f"({mean.difference.low:+.4f} to {mean.difference.high:+.4f})."
    )
    return " ".join(told)


def log_odds(p: Array) -> Array:
    kept = np.clip(p, SURE, 1 - SURE)
    return np.log(kept / (1 - kept))


if __name__ == "__main__":
    main()
