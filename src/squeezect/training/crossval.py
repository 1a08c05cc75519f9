"""From a cohort to an honest run: folds by patient, fresh weights in each, every case judged once.

A run folder is written step by step and can be killed at any of them; the same command resumes it.
The test part is only opened after the last fold has been trained.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from squeezect import __version__
from squeezect.checkpoint import CARD_FILE, Ancestor, Card, Checkpoint
from squeezect.cohorts import Cohort, Folds, make_folds
from squeezect.errors import Code, PreparationError, SqueezeCTError
from squeezect.evaluation import roc_auc, threshold_at_sensitivity
from squeezect.scan import pseudonym
from squeezect.training.fold import RESUME_FILE, Part, predict_part, train_fold
from squeezect.training.insertion import open_bank
from squeezect.training.prepared import Prepared
from squeezect.training.progress import Progress, silent
from squeezect.training.recipe import Recipe
from squeezect.training.run import Run, judged_by, stamp_of
from squeezect.training.run_folder import (
    alone,
    claim,
    keep_audit,
    keep_folds,
    note_environment,
    write_csv,
    write_json,
)
from squeezect.training.seen import Seen
from squeezect.training.starting import Source, Start, rehearse
from squeezect.training.supplies import Supplies
from squeezect.training.tables import judged_rows, read_judged, require_two_classes
from squeezect.training.teachers import Lesson, Teachers
from squeezect.training.turning import require_flat

__all__ = [
    "TARGET_SENSITIVITY",
    "Part",
    "Run",
    "claim",
    "cross_validate",
    "write_csv",
    "write_json",
]

UNPREPARED = Code(
    "unprepared-scans",
    "Scans of the cohort cannot be read or prepared.",
    "mend or remove these rows, or pass --skip-unreadable to leave them out",
)

TARGET_SENSITIVITY = 0.9


def cross_validate(  # noqa: PLR0913
    cohort: Cohort,
    recipe: Recipe,
    folder: Path,
    *,
    store: Path | None = None,
    workers: int = 1,
    skip_unreadable: bool = False,
    allow_leaks: bool = False,
    source: Source | None = None,
    teachers: Teachers | None = None,
    supplies: Supplies | None = None,
    apart: Cohort | None = None,
    progress: Progress = silent,
) -> Path:
    """Train and judge a recipe on a cohort by patient-grouped cross-validation.

    Each fold's network starts from fresh weights (fine-tuning, from a network that has seen none
    of the patients who judge the fold), learns from training patients, chooses its epoch on tuning
    patients and is judged on others. All are then averaged on the test part, if there is one.

    Args:
        cohort: labelled scans.
        recipe: what to do.
        folder: the run folder; resumed if it holds this very run.
        store: folder of prepared volumes, ``store`` in the run folder by default.
        workers: processes that prepare scans.
        skip_unreadable: leave out scans that cannot be prepared (recorded) instead of refusing.
        allow_leaks: train although parts share something (recorded) instead of refusing.
        source: networks to start from, for fine-tuning.
        teachers: who gave the pseudo-labels in the cohort's table; see `pseudo_label`.
        supplies: volumes and audits shared with other runs on the cohort, instead of `store`.
        apart: cases that judge another run later: never opened, none of their nodules inserted.
        progress: who is told.

    Returns:
        The run folder.

    Raises:
        CohortError: too few patients; `more-than-two-classes`; `leak`, if parts share anything.
        RecipeError: `bad-recipe`; `other-run`, `run-in-use`; `source-saw-judged`, `unknown-layer`,
            `all-frozen`; `no-honest-teacher`; `bank-names-nobody`; `training-diverged`.
        CheckpointError: `weights-do-not-fit`; `resume-damaged`.
        PreparationError: `unprepared-scans`; `bad-nodule-bank`.
    """
    rehearse_run(cohort, recipe, source=source, teachers=teachers, apart=apart)
    stamp = _stamp(cohort, recipe, source, teachers, apart, skip_unreadable=skip_unreadable)
    claim(folder, stamp)
    with alone(folder):
        supplies = supplies or Supplies(lambda _: store or folder / "store", workers)
        volumes, failed = supplies.prepared(cohort, recipe.preparation, progress)
        if failed and not skip_unreadable:
            raise unprepared(cohort, failed)
        cohort = cohort.without(set(failed))
        run = _divided(cohort, recipe, folder, volumes, source, teachers, apart)
        audit_parts(run, supplies, allow_leaks=allow_leaks)
        for k in range(recipe.folds):
            _train(run, k, progress)
        _finish(run, _predict(run, progress), stamp, failed)
    return folder


def _divided(
    cohort: Cohort,
    recipe: Recipe,
    folder: Path,
    volumes: Prepared,
    source: Source | None,
    teachers: Teachers | None,
    apart: Cohort | None,
) -> Run:
    folds = _drawn(cohort, recipe)
    keep_folds(folder, folds)
    lessons = _lessons(cohort, folds, teachers)
    later = apart.cases if apart else ()
    return Run(cohort, recipe, folder, volumes, folds, source, lessons, teachers, later)


def rehearse_run(
    cohort: Cohort,
    recipe: Recipe,
    *,
    source: Source | None = None,
    teachers: Teachers | None = None,
    apart: Cohort | None = None,
) -> None:
    """Refuse before anything is written what could not be trained; see `cross_validate`.

    Raises:
        CohortError, RecipeError, CheckpointError, PreparationError: what training would say.
    """
    require_two_classes(cohort)
    require_flat(recipe)
    # Every case is judged by some fold, or later.
    open_bank(recipe.insertion, judged=(*cohort.cases, *(apart.cases if apart else ())))
    drawn = _drawn(cohort, recipe)
    if source is not None:
        for k in range(recipe.folds):
            source.donor(k, judged_by(drawn, k))
    rehearse(recipe, source)
    _lessons(cohort, drawn, teachers)


def _stamp(
    cohort: Cohort,
    recipe: Recipe,
    source: Source | None,
    teachers: Teachers | None,
    apart: Cohort | None,
    *,
    skip_unreadable: bool,
) -> dict[str, object]:
    """What must be the same for a run to go on."""
    return {
        "cohort": cohort.digest,
        "recipe": recipe.model_dump(mode="json"),
        "skip_unreadable": skip_unreadable,
        "source": source.digest if source else None,
        "teachers": teachers.digest if teachers else None,
        **stamp_of(recipe, apart),
    }


def _drawn(cohort: Cohort, recipe: Recipe) -> Folds:
    return make_folds(
        cohort, folds=recipe.folds, seed=recipe.seed, tune_fraction=recipe.tune_fraction
    )


def _lessons(cohort: Cohort, folds: Folds, teachers: Teachers | None) -> dict[int, Lesson]:
    if teachers is None:
        return {}
    return {k: teachers.lesson(cohort, folds, k) for k in range(len(folds.folds))}


def audit_parts(run: Run, supplies: Supplies, *, allow_leaks: bool) -> None:
    """Look for leaks between the parts, copies of prepared volumes among them; keep the result.

    Raises:
        CohortError: `leak`, unless leaks are allowed.
    """
    taught = {k: [run.cohort.case(r) for r in who.probabilities] for k, who in run.lessons.items()}
    asked = run.teachers is not None and run.teachers.transductive
    found, facts = supplies.audited(
        run.cohort, run.folds, run.volumes, taught=taught, transductive=asked
    )
    keep_audit(run.folder, found, facts, allow_leaks=allow_leaks)


def unprepared(cohort: Cohort, failed: Mapping[int, SqueezeCTError]) -> SqueezeCTError:
    """The error that names the first case that could not be prepared, by its row."""
    row, error = next(iter(failed.items()))
    more = f" (and {len(failed) - 1} more cases)" if len(failed) > 1 else ""
    return PreparationError(
        UNPREPARED, f"row {row} of {cohort.source}: {error.what} [{error.code}]{more}"
    )


def _train(run: Run, k: int, progress: Progress) -> None:
    folder = run.folder / f"fold-{k}"
    if (folder / CARD_FILE).exists():
        return
    note_environment(run.folder, run.recipe)
    fold = run.folds.folds[k]
    stage = f"fold {k + 1} of {run.recipe.folds}"
    start = run.start(k)
    weights, facts = train_fold(
        run.recipe,
        run.volumes,
        folder,
        train=run.taught(k),
        tune=run.part(fold.tune),
        seed=run.recipe.seed * 1000 + k,
        stage=stage,
        progress=progress,
        prime=start,
    )
    facts |= {"train": len(fold.train), "tune": len(fold.tune), "fold": k}
    if start:
        known = set(start.donor.seen.patients)
        facts["tune_seen_before"] = len({run.folds.patients[r] for r in fold.tune} & known)
    if k in run.lessons:
        facts["pseudo_labelled"] = len(run.lessons[k].labels)
        write_json(folder / "pseudo.json", run.lessons[k].model_dump(mode="json"))
    card = Card(
        model=run.recipe.model,
        options=run.recipe.model_options,
        preparation=run.recipe.preparation,
        recipe=run.recipe.model_dump(mode="json"),
        trained_on=facts,
        lineage=_lineage(run, k, start),
    )
    checkpoint = Checkpoint(card, weights)
    probability = predict_part(
        checkpoint.build(), run.volumes, run.part(fold.validation), views=run.recipe.views
    )
    table = judged_rows(
        run.cohort, fold.validation, part="validation", fold=k, probability=probability
    )
    write_csv(folder / "validation.csv", table)
    labels = table["label"].to_numpy()
    if len(set(labels.tolist())) == 2:
        scores = {"validation_auc": roc_auc(labels, probability).value}
        checkpoint = Checkpoint(card.model_copy(update={"scores": scores}), weights)
    _seen(run, k, start).save(folder)
    checkpoint.save(folder)
    (folder / RESUME_FILE).unlink(missing_ok=True)


def _lineage(run: Run, k: int, start: Start | None) -> tuple[Ancestor, ...]:
    teachers = run.teachers.speaking(run.lessons[k].teachers) if run.teachers else ()
    nearest = [*(start.lineage[:1] if start else ()), *(t.ancestor for t in teachers)]
    older = [*(start.lineage[1:] if start else ()), *(a for t in teachers for a in t.lineage)]
    return tuple(dict.fromkeys([*nearest, *older]))


def _seen(run: Run, k: int, start: Start | None) -> Seen:
    """Everybody who has a part in the weights of fold `k`, through whatever network."""
    fold = run.folds.folds[k]
    own = {run.folds.patients[row] for row in (*fold.train, *fold.tune)}
    bank = run.learning(fold.train).bank
    own |= {name for n in bank.nodules for name in (n.patient, n.series)} if bank else set()
    others = [start.donor.seen] if start else []
    if run.teachers:
        own |= {pseudonym(run.cohort.case(row).patient) for row in run.lessons[k].labels}
        others += [t.seen for t in run.teachers.speaking(run.lessons[k].teachers)]
    return Seen.of(own - {""}, *others)


def _predict(run: Run, progress: Progress) -> pd.DataFrame:
    tables = []
    test = run.part(run.folds.test)
    for k in range(run.recipe.folds):
        folder = run.folder / f"fold-{k}"
        tables.append(read_judged(folder / "validation.csv"))
        if run.folds.test:
            progress("testing", k, run.recipe.folds, "networks on the test part")
            model = Checkpoint.load(folder).build()
            probability = predict_part(model, run.volumes, test, views=run.recipe.views)
            tables.append(
                judged_rows(
                    run.cohort, run.folds.test, part="test", fold=k, probability=probability
                )
            )
    if run.folds.test:
        progress("testing", run.recipe.folds, run.recipe.folds, "networks on the test part")
    return pd.concat(tables, ignore_index=True)


def _finish(
    run: Run,
    predictions: pd.DataFrame,
    stamp: Mapping[str, object],
    failed: Mapping[int, SqueezeCTError],
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
            "skipped": [{"row": row, **error.as_dict()} for row, error in failed.items()],
            "thresholds": {"half": 0.5, "sensitivity-90": threshold},
            "scores": {"out_of_fold_auc": roc_auc(labels, scores).value},
            "pseudo_labels": run.teachers.used(run.lessons) if run.teachers else None,
            "transductive": bool(run.teachers and run.teachers.transductive),
        },
    )
