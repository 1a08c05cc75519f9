"""From a folder of candidate patches to a judged run: one network, one validation list."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from squeezect.candidates import Patches, read_patches, score_patches
from squeezect.checkpoint import CARD_FILE, Card, Checkpoint
from squeezect.cohorts import Case, Cohort
from squeezect.errors import Code, RecipeError
from squeezect.evaluation import roc_auc, threshold_at_sensitivity
from squeezect.kinds import cuts_slices
from squeezect.preparation import Preparation
from squeezect.scan import pseudonym
from squeezect.training.auditing import audit_patches
from squeezect.training.crossval import TARGET_SENSITIVITY
from squeezect.training.fold import RESUME_FILE, fit, precision_of
from squeezect.training.module import Task
from squeezect.training.patches import BatchSampler, patch_loader
from squeezect.training.progress import Progress, silent
from squeezect.training.recipe import Recipe
from squeezect.training.run_folder import (
    alone,
    claim,
    keep_audit,
    note_environment,
    write_csv,
    write_json,
)
from squeezect.training.seen import Seen
from squeezect.training.starting import Source, Start, rehearse
from squeezect.training.tables import require_two_classes
from squeezect.training.watch import Watch

VIEWS = 8

NOT_ON_PATCHES = Code(
    "not-on-patches",
    "A recipe asks for what is not done on lists of patches.",
    "train with --recipe nodule, or take these fields out of the recipe",
)


def train_on_patches(
    cohort: Cohort,
    recipe: Recipe,
    folder: Path,
    *,
    allow_leaks: bool = False,
    source: Source | None = None,
    progress: Progress = silent,
) -> Path:
    """Train on the patches of split ``train`` and judge on those of split ``test``.

    Before the first step an audit looks for what the two parts share. The judged patches choose
    nothing: the last weights are kept (their moving average, if the recipe has one), whatever the
    scores on the way.

    Args:
        cohort: patches, see `read_patch_lists`.
        recipe: what to do.
        folder: the run folder; resumed if it holds this very run.
        allow_leaks: train although the parts share something (recorded) instead of refusing.
        source: networks to start from, for fine-tuning.
        progress: who is told.

    Returns:
        The run folder.

    Raises:
        CohortError: `unreadable-patch`; `more-than-two-classes`; `leak`, if the parts share a
            patient, a file, a place in a scan or equal pictures.
        RecipeError: `not-on-patches`; `other-run`, `run-in-use`; `source-saw-judged`,
            `unknown-layer`, `all-frozen`; `training-diverged`.
        CheckpointError: `weights-do-not-fit`; `resume-damaged`.
    """
    rehearse_patches(cohort, recipe, source=source)
    stamp = {
        "cohort": cohort.digest,
        "recipe": recipe.model_dump(mode="json"),
        "source": source.digest if source else None,
    }
    learn = [case for case in cohort.cases if case.split != "test"]
    judged = [case for case in cohort.cases if case.split == "test"]
    judges = {pseudonym(case.patient): case.row for case in judged}
    start = Start(source.donor(0, judges), recipe) if source else None
    train, held = read_patches(learn), read_patches(judged)
    claim(folder, stamp)
    with alone(folder):
        found, facts = audit_patches(learn, judged, train, held)
        keep_audit(folder, found, facts, allow_leaks=allow_leaks)
        fold = folder / "fold-0"
        if not (fold / CARD_FILE).exists():
            note_environment(folder, recipe)
            _train(fold, recipe, train, learn, start, progress)
        probability = score_patches(Checkpoint.load(fold).build(), held, views=VIEWS)
        _finish(folder, judged, probability, stamp)
    return folder


def rehearse_patches(cohort: Cohort, recipe: Recipe, *, source: Source | None = None) -> None:
    """Refuse before anything is written what could not be trained; see `train_on_patches`.

    Raises:
        CohortError, RecipeError, CheckpointError: what training would say.
    """
    require_two_classes(cohort)
    require_done(recipe)
    rehearse(recipe, source)


def require_done(recipe: Recipe) -> None:
    """Refuse what the card would claim and nobody did.

    Raises:
        RecipeError: `not-on-patches`, with all such fields.
    """
    how = recipe.preparation
    idle = {
        # Patches come prepared; a recipe that says nothing of it has the default.
        "preparation": how != Preparation() and not cuts_slices(how),
        "tune_fraction": recipe.tune_fraction > 0,
        "patience": recipe.patience > 0,
        "balanced_sampling": recipe.balanced_sampling,
        "augmentation": recipe.augmentation is not None,
        "insertion": recipe.insertion is not None,
        "teaching": recipe.teaching is not None,
        "pseudo": recipe.pseudo is not None,
        f"views = {recipe.views}": recipe.views
        not in (Recipe.model_fields["views"].default, VIEWS),
    }
    fields = [name for name, there in idle.items() if there]
    if fields:
        what = f"recipe {recipe.name} asks for {', '.join(fields)}, not done on lists of patches"
        raise RecipeError(NOT_ON_PATCHES, what)


def _train(
    fold: Path,
    recipe: Recipe,
    patches: Patches,
    cases: Sequence[Case],
    start: Start | None,
    progress: Progress,
) -> None:
    """Fit one network to patches; its checkpoint is written last."""
    fold.mkdir(exist_ok=True)
    sampler = BatchSampler(len(cases), batch_size=recipe.batch_size, seed=recipe.seed)
    batches = patch_loader(patches, sampler)
    task = Task(recipe, seed=recipe.seed, steps=recipe.epochs * len(sampler), prime=start)
    watch = Watch(fold, labels=[], stage="patches", progress=progress)
    fit(task, watch, batches, None)
    facts = {"train": len(cases), "epochs": len(watch.rows), "precision": precision_of(recipe)}
    card = Card(
        model=recipe.model,
        options=recipe.model_options,
        preparation=recipe.preparation,
        recipe=recipe.model_dump(mode="json"),
        trained_on=facts,
        lineage=start.lineage if start else (),
    )
    own = {pseudonym(case.patient) for case in cases}
    Seen.of(own, *((start.donor.seen,) if start else ())).save(fold)
    Checkpoint(card, watch.best).save(fold)
    (fold / RESUME_FILE).unlink(missing_ok=True)


def _finish(
    folder: Path, cases: Sequence[Case], probability: np.ndarray, stamp: Mapping[str, object]
) -> None:
    labels = np.array([case.label for case in cases])
    table = pd.DataFrame(
        {
            "row": [case.row for case in cases],
            "patient": [pseudonym(case.patient) for case in cases],
            "part": "validation",
            "fold": 0,
            "label": labels,
            "probability": np.round(probability, 9),
        }
    )
    write_csv(folder / "predictions.csv", table)
    threshold = threshold_at_sensitivity(labels, probability, TARGET_SENSITIVITY)
    facts = {
        "status": "finished",
        **stamp,
        "cases": len(cases),
        "positives": int(labels.sum()),
        "views": VIEWS,
        "thresholds": {"half": 0.5, "sensitivity-90": threshold},
        "scores": {"validation_auc": roc_auc(labels, probability).value},
    }
    write_json(folder / "run.json", facts)
