"""Recipes judged on the patients that no trial of a search saw."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from squeezect.cohorts import Cohort, Folds
from squeezect.evaluation import (
    Comparison,
    Estimate,
    cautions_of_choice,
    compare_auc,
    compare_scores,
    probability_scores,
    roc_auc,
)
from squeezect.models import create_model
from squeezect.scan import pseudonym
from squeezect.training.fold import RESUME_FILE, predict_part, train_fold
from squeezect.training.prepared import Prepared
from squeezect.training.progress import Progress
from squeezect.training.recipe import Recipe
from squeezect.training.run import Run
from squeezect.training.run_folder import write_csv

FILE = "predictions.csv"


@dataclass(frozen=True)
class Judged:
    """Base recipe and winner on the same unseen patients.

    Args:
        patients: how many.
        positives: scans of class 1.
        auc: ROC AUC by recipe.
        log_loss: log loss by recipe.
        auc_gain: winner minus base, by DeLong's paired test; None if they are one.
        log_loss_gain: winner minus base, by paired bootstrap; None likewise.
    """

    patients: int
    positives: int
    auc: Mapping[str, Estimate]
    log_loss: Mapping[str, Estimate]
    auc_gain: Comparison | None
    log_loss_gain: Comparison | None

    def cautions(self) -> list[str]:
        """Whether the winner is worse than the base recipe, or cannot be told from it."""
        if self.auc_gain is None or self.log_loss_gain is None:
            return []
        return cautions_of_choice(auc=self.auc_gain, log_loss=self.log_loss_gain)

    def as_dict(self) -> dict[str, object]:
        """Everything as plain JSON."""
        gains = {"auc_gain": self.auc_gain, "log_loss_gain": self.log_loss_gain}
        return {
            "patients": self.patients,
            "positives": self.positives,
            "auc": {name: value.as_dict() for name, value in self.auc.items()},
            "log_loss": {name: value.as_dict() for name, value in self.log_loss.items()},
            **{name: gain.as_dict() if gain else None for name, gain in gains.items()},
            "cautions": self.cautions(),
        }

    def __str__(self) -> str:
        told = [f"{name} AUC {self.auc[name]}, log loss {self.log_loss[name]}" for name in self.auc]
        if self.auc_gain:
            told.append(
                f"difference in AUC {self.auc_gain.difference}, p {self.auc_gain.p_value:.2g}"
            )
        return "; ".join(told)


def judge_recipes(
    cohort: Cohort,
    folds: Folds,
    recipes: Mapping[str, Recipe],
    folder: Path,
    *,
    volumes: Callable[[Recipe], Prepared],
    progress: Progress,
) -> Judged:
    """Train each recipe once on the first fold's training part, score it on its validation part.

    Args:
        cohort: everyone.
        folds: the recipes must have been chosen without the validation part of the first.
        recipes: by name, the base recipe first; what was trained before is not trained again.
        folder: one folder per recipe goes here.
        volumes: gives the prepared volumes for a recipe.
        progress: who is told.
    """
    rows = folds.folds[0].validation
    patients = [pseudonym(cohort.case(row).patient) for row in rows]
    labels = [int(cohort.case(row).label or 0) for row in rows]
    found: dict[str, np.ndarray] = {}
    for name, recipe in recipes.items():
        place = folder / name
        if not (place / FILE).exists():
            run = Run(cohort, recipe, place, volumes(recipe), folds)
            probability = _probabilities(run, f"judging {name}", progress)
            columns = {"row": rows, "patient": patients, "label": labels}
            write_csv(place / FILE, pd.DataFrame({**columns, "probability": probability}))
            (place / RESUME_FILE).unlink(missing_ok=True)
        found[name] = pd.read_csv(place / FILE)["probability"].to_numpy()
    return _compared(labels, found, patients)


def _probabilities(run: Run, stage: str, progress: Progress) -> np.ndarray:
    """Of the first fold's validation part, by a network that its other parts trained."""
    fold, recipe = run.folds.folds[0], run.recipe
    weights, _ = train_fold(
        recipe,
        run.volumes,
        run.folder,
        train=run.learning(fold.train),
        tune=run.part(fold.tune),
        seed=recipe.seed * 1000,
        stage=stage,
        progress=progress,
    )
    model = create_model(recipe.model, options=recipe.model_options)
    model.load_state_dict(weights)
    held = run.part(fold.validation)
    return np.round(predict_part(model, run.volumes, held, views=recipe.views), 9)


def _compared(
    labels: Sequence[int], found: Mapping[str, np.ndarray], patients: Sequence[str]
) -> Judged:
    names = list(found)
    auc_gain = log_loss_gain = None
    if len(names) == 2:
        base, best = (found[name] for name in names)
        auc_gain = compare_auc(labels, best, base, patients=patients)
        log_loss_gain = compare_scores(labels, best, base, "log_loss", patients=patients)
    return Judged(
        patients=len(set(patients)),
        positives=sum(labels),
        auc={n: roc_auc(labels, p, patients=patients) for n, p in found.items()},
        log_loss={
            n: probability_scores(labels, p, patients=patients).log_loss for n, p in found.items()
        },
        auc_gain=auc_gain,
        log_loss_gain=log_loss_gain,
    )
