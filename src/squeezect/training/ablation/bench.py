"""Where the forms of a recipe are trained and scored, all on the same cases."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from squeezect.cohorts import Cohort
from squeezect.evaluation import (
    Cases,
    Estimate,
    read_predictions,
    roc_auc,
    sensitivity_at_specificity,
)
from squeezect.evaluation.predictions import FILE
from squeezect.preparation import Preparation
from squeezect.training.ablation.views import folds_in_one_view, patches_in_one_view
from squeezect.training.candidates import rehearse_patches, train_on_patches
from squeezect.training.crossval import cross_validate, rehearse_run
from squeezect.training.prepared import prepare_cohort
from squeezect.training.progress import Progress
from squeezect.training.recipe import Recipe
from squeezect.training.run import stamp_of


@dataclass(frozen=True, eq=False)
class Scored:
    """One trained form of a recipe under one seed.

    Args:
        cases: what it was judged on, none of them seen in training.
        roc_auc: its area.
        sensitivity: at the ablation's specificity.
        seconds: of training; 0 where nothing was trained.
    """

    cases: Cases
    roc_auc: Estimate
    sensitivity: Estimate
    seconds: float

    @classmethod
    def of(cls, cases: Cases, *, specificity: float, seconds: float) -> "Scored":
        """Score probabilities."""
        told = (cases.label, cases.score)
        return cls(
            cases,
            roc_auc(*told, patients=cases.patient),
            sensitivity_at_specificity(*told, specificity, patients=cases.patient),
            seconds,
        )

    def as_dict(self) -> dict[str, object]:
        """The scores as plain JSON."""
        return {
            "roc_auc": self.roc_auc.as_dict(),
            "sensitivity": self.sensitivity.as_dict(),
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True)
class Bench:
    """What all forms share: cases, place, and how to train.

    Args:
        cohort: who is learned from and judged.
        apart: the test part of the data set, which is not opened; None for lists of patches.
        out: holds a run for each form and seed.
        specificity: at which sensitivities are told.
        patches: whether lists of 2D patches are learned from.
        workers: processes that prepare scans.
        progress: who is told.
    """

    cohort: Cohort
    apart: Cohort | None
    out: Path
    specificity: float
    patches: bool
    workers: int
    progress: Progress

    def rehearse(self, recipe: Recipe) -> None:
        """Refuse a form that could not be trained, before hours go into the others."""
        if self.patches:
            rehearse_patches(self.cohort, recipe)
        else:
            rehearse_run(self.cohort, recipe, apart=self.apart)

    def score(self, recipe: Recipe, name: str, seed: int) -> Scored:
        """Train a form of the recipe, unless that was done before, and score it."""
        plan = recipe.model_copy(update={"seed": seed})
        folder = self.out / "runs" / name / f"seed-{seed}"
        tell = _named(self.progress, f"{name}, seed {seed}")
        if self._finished(folder, plan):
            run = folder
        elif self.patches:
            run = train_on_patches(self.cohort, plan, folder, progress=tell)
        else:
            store, workers = self._store(plan.preparation), self.workers
            run = cross_validate(
                self.cohort,
                plan,
                folder,
                store=store,
                workers=workers,
                apart=self.apart,
                progress=tell,
            )
        cases = read_predictions(run / FILE).out_of_fold.cases
        histories = sorted(run.glob("fold-*/history.csv"))
        seconds = sum(float(pd.read_csv(path)["seconds"].sum()) for path in histories)
        return Scored.of(cases, specificity=self.specificity, seconds=seconds)

    def _finished(self, folder: Path, plan: Recipe) -> bool:
        """Whether this very run is there already; others are for training to refuse."""
        try:
            facts = json.loads((folder / "run.json").read_text("utf-8"))
        except (OSError, ValueError):
            return False
        same: dict[str, object] = {"status": "finished", "cohort": self.cohort.digest}
        same |= {"recipe": plan.model_dump(mode="json"), **stamp_of(plan, self.apart)}
        return all(facts.get(k) == v for k, v in same.items())

    def one_view(self, recipe: Recipe, seed: int) -> Scored:
        """The recipe's cases judged again as they are, without mirrored and turned views."""
        run = self.out / "runs" / "recipe" / f"seed-{seed}"
        if self.patches:
            cases = patches_in_one_view(run, self.cohort)
        else:
            how, workers = recipe.preparation, self.workers
            volumes, _ = prepare_cohort(
                self.cohort, how, self._store(how), workers=workers, progress=self.progress
            )
            cases = folds_in_one_view(run, self.cohort, volumes)
        return Scored.of(cases, specificity=self.specificity, seconds=0.0)

    def _store(self, preparation: Preparation) -> Path:
        return self.out / f"store-{preparation.digest}"


def _named(progress: Progress, name: str) -> Progress:
    return lambda stage, done, total, note: progress(f"{name}: {stage}", done, total, note)
