"""From a cohort to an honest run: folds by patient, fresh weights in each, every case judged once.

A run folder is written step by step and can be killed at any of them; the same command resumes it.
The test part is only opened after the last fold has been trained.
"""

import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from squeezect import __version__
from squeezect.checkpoint import CARD_FILE, Card, Checkpoint, write_atomically
from squeezect.cohorts import Case, Cohort, Folds, make_folds
from squeezect.errors import Code, PreparationError, RecipeError, SqueezeCTError
from squeezect.evaluation import roc_auc, threshold_at_sensitivity
from squeezect.nodules import Bank
from squeezect.scan import pseudonym
from squeezect.training.auditing import audit_prepared
from squeezect.training.fold import RESUME_FILE, Part, predict_part, train_fold
from squeezect.training.insertion import open_bank
from squeezect.training.prepared import Prepared, case_key, prepare_cohort
from squeezect.training.progress import Progress, silent
from squeezect.training.recipe import Recipe

OTHER_RUN = Code(
    "other-run",
    "The run folder holds a run of another cohort or recipe.",
    "name another folder with --out, or delete this one",
)
UNPREPARED = Code(
    "unprepared-scans",
    "Scans of the cohort cannot be read or prepared.",
    "mend or remove these rows, or pass --skip-unreadable to leave them out",
)

TARGET_SENSITIVITY = 0.9


@dataclass(frozen=True)
class Run:
    """What one training works on.

    Args:
        cohort: who takes part.
        recipe: what is done.
        folder: where it is written.
        volumes: prepared volumes of the cases.
        folds: who is in which part.
    """

    cohort: Cohort
    recipe: Recipe
    folder: Path
    volumes: Prepared
    folds: Folds

    def key(self, case: Case) -> str:
        """The key of a case's volume."""
        return case_key(case, self.recipe.preparation)

    def part(self, rows: Sequence[int]) -> Part:
        """Keys and labels of some rows of the cohort."""
        cases = [self.cohort.case(row) for row in rows]
        return Part([self.key(c) for c in cases], [_label(c.label) for c in cases])


def cross_validate(
    cohort: Cohort,
    recipe: Recipe,
    folder: Path,
    *,
    store: Path | None = None,
    workers: int = 1,
    skip_unreadable: bool = False,
    allow_leaks: bool = False,
    progress: Progress = silent,
) -> Path:
    """Train and judge a recipe on a cohort by patient-grouped cross-validation.

    Each fold's network starts from fresh weights, learns from the fold's training patients, chooses
    its epoch on its tuning patients and is judged on its validation patients, whom it never saw.
    Networks of all folds are then averaged on the test part, if the cohort has one.

    Args:
        cohort: labelled scans.
        recipe: what to do.
        folder: the run folder; resumed if it holds this very run.
        store: folder of prepared volumes, ``store`` in the run folder by default.
        workers: processes that prepare scans.
        skip_unreadable: leave out scans that cannot be prepared (recorded) instead of refusing.
        allow_leaks: train although parts share something (recorded) instead of refusing.
        progress: who is told.

    Returns:
        The run folder.

    Raises:
        CohortError: too few patients for the folds; `leak`, if parts share a patient, a series, a
            file or copies of a volume.
        RecipeError: `other-run`.
        PreparationError: `unprepared-scans`.
    """
    make_folds(cohort, folds=recipe.folds, seed=recipe.seed, tune_fraction=recipe.tune_fraction)
    stamp = {
        "cohort": cohort.digest,
        "recipe": recipe.model_dump(mode="json"),
        "skip_unreadable": skip_unreadable,
    }
    claim(folder, stamp)
    volumes, failed = prepare_cohort(
        cohort, recipe.preparation, store or folder / "store", workers=workers, progress=progress
    )
    if failed and not skip_unreadable:
        raise _unprepared(cohort, failed)
    cohort = cohort.without(set(failed))
    skipped = [{"row": row, **error.as_dict()} for row, error in failed.items()]
    folds = make_folds(
        cohort, folds=recipe.folds, seed=recipe.seed, tune_fraction=recipe.tune_fraction
    )
    write_json(folder / "folds.json", folds.as_dict())
    audit_parts(cohort, folds, volumes, folder, allow_leaks=allow_leaks)
    run = Run(cohort, recipe, folder, volumes, folds)
    for k in range(recipe.folds):
        _train(run, k, progress)
    predictions = _predict(run, progress)
    _finish(run, predictions, stamp, skipped)
    return folder


def audit_parts(
    cohort: Cohort, folds: Folds, volumes: Prepared, folder: Path, *, allow_leaks: bool
) -> None:
    """Look for leaks between the parts, copies of prepared volumes among them; keep the result.

    Raises:
        CohortError: `leak`, unless leaks are allowed.
    """
    found, facts = audit_prepared(cohort, folds, volumes)
    write_json(folder / "audit.json", {**found.as_dict(), **facts, "leaks_allowed": allow_leaks})
    if not allow_leaks:
        found.require_ok()


def claim(folder: Path, stamp: Mapping[str, object]) -> None:
    """Write who owns the folder, or check that this run does."""
    path = folder / "run.json"
    if path.exists():
        found = json.loads(path.read_text("utf-8"))
        differing = [key for key in stamp if found.get(key) != stamp[key]]
        if differing:
            raise RecipeError(OTHER_RUN, f"folder {folder} holds a run with another {differing[0]}")
        return
    if folder.exists() and any(folder.iterdir()):
        raise RecipeError(OTHER_RUN, f"folder {folder} is not empty and holds no run")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, {"status": "training", "version": __version__, **stamp})
    write_json(folder / "environment.json", environment())
    write_json(folder / "recipe.json", stamp["recipe"])


def _unprepared(cohort: Cohort, failed: Mapping[int, SqueezeCTError]) -> SqueezeCTError:
    row, error = next(iter(failed.items()))
    more = f" (and {len(failed) - 1} more cases)" if len(failed) > 1 else ""
    return PreparationError(
        UNPREPARED, f"row {row} of {cohort.source}: {error.what} [{error.code}]{more}"
    )


def _train(run: Run, k: int, progress: Progress) -> None:
    folder = run.folder / f"fold-{k}"
    if (folder / CARD_FILE).exists():
        return
    fold = run.folds.folds[k]
    stage = f"fold {k + 1} of {run.recipe.folds}"
    weights, facts = train_fold(
        run.recipe,
        run.volumes,
        folder,
        train=replace(run.part(fold.train), bank=_bank(run, fold.train)),
        tune=run.part(fold.tune),
        seed=run.recipe.seed * 1000 + k,
        stage=stage,
        progress=progress,
    )
    facts |= {"train": len(fold.train), "tune": len(fold.tune), "fold": k}
    card = Card(
        model=run.recipe.model,
        options=run.recipe.model_options,
        preparation=run.recipe.preparation,
        recipe=run.recipe.model_dump(mode="json"),
        trained_on=facts,
    )
    checkpoint = Checkpoint(card, weights)
    probability = predict_part(checkpoint.build(), run.volumes, run.part(fold.validation))
    table = _rows(run, fold.validation, part="validation", fold=k, probability=probability)
    write_csv(folder / "validation.csv", table)
    labels = table["label"].to_numpy()
    if len(set(labels.tolist())) == 2:
        scores = {"validation_auc": roc_auc(labels, probability).value}
        checkpoint = Checkpoint(card.model_copy(update={"scores": scores}), weights)
    checkpoint.save(folder)
    (folder / RESUME_FILE).unlink(missing_ok=True)


def _bank(run: Run, learning: Sequence[int]) -> Bank | None:
    """Real nodules to insert: none of a patient of the cohort who is not in the training part."""
    known = {pseudonym(run.cohort.case(row).patient) for row in learning}
    everyone = {pseudonym(case.patient) for case in run.cohort.cases}
    return open_bank(run.recipe.insertion, without=everyone - known)


def _rows(
    run: Run, rows: Sequence[int], *, part: str, fold: int, probability: np.ndarray
) -> pd.DataFrame:
    cases = [run.cohort.case(row) for row in rows]
    columns = [dict(c.extra) | _known_diameter(c) for c in cases]
    extras = sorted({name for found in columns for name in found})
    own = {
        "row": list(rows),
        "patient": [pseudonym(c.patient) for c in cases],
        "part": part,
        "fold": fold,
        "label": [_label(c.label) for c in cases],
        "probability": np.round(probability, 9),
    }
    # The cohort's own columns come along, for subgroups and baselines in the report.
    more = {
        f"cohort_{name}" if name in own else name: [found.get(name, "") for found in columns]
        for name in extras
    }
    return pd.DataFrame({**own, **more})


def _known_diameter(case: Case) -> dict[str, str]:
    """The nodule's diameter as a column, for the baseline that knows nothing else."""
    return {} if case.diameter_mm is None else {"diameter_mm": f"{case.diameter_mm:g}"}


def _predict(run: Run, progress: Progress) -> pd.DataFrame:
    tables = []
    test = run.part(run.folds.test)
    for k in range(run.recipe.folds):
        folder = run.folder / f"fold-{k}"
        tables.append(pd.read_csv(folder / "validation.csv"))
        if run.folds.test:
            progress("testing", k, run.recipe.folds, "networks on the test part")
            probability = predict_part(Checkpoint.load(folder).build(), run.volumes, test)
            tables.append(_rows(run, run.folds.test, part="test", fold=k, probability=probability))
    if run.folds.test:
        progress("testing", run.recipe.folds, run.recipe.folds, "networks on the test part")
    return pd.concat(tables, ignore_index=True)


def _finish(
    run: Run,
    predictions: pd.DataFrame,
    stamp: Mapping[str, object],
    skipped: Sequence[Mapping[str, object]],
) -> None:
    out_of_fold = predictions[predictions["part"] == "validation"]
    labels = out_of_fold["label"].to_numpy()
    scores = out_of_fold["probability"].to_numpy()
    threshold = threshold_at_sensitivity(labels, scores, TARGET_SENSITIVITY)
    write_csv(run.folder / "predictions.csv", predictions)
    write_json(
        run.folder / "run.json",
        {
            "status": "finished",
            "version": __version__,
            **stamp,
            "cases": len(run.cohort.cases),
            "patients": len({c.patient for c in run.cohort.cases}),
            "positives": int(labels.sum()),
            "skipped": list(skipped),
            "thresholds": {"half": 0.5, "sensitivity-90": threshold},
            "scores": {"out_of_fold_auc": roc_auc(labels, scores).value},
        },
    )


def environment() -> dict[str, object]:
    """Versions and hardware that a result depends on."""
    packages = ("torch", "pytorch-lightning", "numpy", "scikit-learn", "zarr", "pydicom")
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "squeezect": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        **{name: version(name) for name in packages},
    }


def discard_store(folder: Path) -> None:
    """Delete the prepared volumes inside a run folder; they can be made again."""
    shutil.rmtree(folder / "store", ignore_errors=True)


def _label(label: int | None) -> int:
    return -1 if label is None else label


def write_json(path: Path, data: object) -> None:
    """Write JSON so that it is whole or not there."""
    write_atomically(path, json.dumps(data, indent=1).encode())


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table so that it is whole or not there."""
    write_atomically(path, table.to_csv(index=False).encode())
