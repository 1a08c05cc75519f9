"""One trial: a recipe trained on the inner folds of a search, scored on their held-out parts.

Nobody in here has a validation or test patient of the folds that judge the winner.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from squeezect.checkpoint import write_atomically
from squeezect.cohorts import Cohort, Folds
from squeezect.errors import Code, RecipeError, SqueezeCTError
from squeezect.evaluation import compare, roc_auc
from squeezect.evaluation.cases import Cases
from squeezect.scan import pseudonym
from squeezect.training.fold import BAD_RESUME, RESUME_FILE, batches, fit, predict_part
from squeezect.training.lightning import lightning
from squeezect.training.module import Task
from squeezect.training.prepared import Prepared
from squeezect.training.progress import Progress
from squeezect.training.recipe import Recipe
from squeezect.training.run import Run
from squeezect.training.run_folder import write_csv
from squeezect.training.search.records import Record
from squeezect.training.search.sampling import Asked
from squeezect.training.search.space import Value
from squeezect.training.turning import require_flat
from squeezect.training.watch import HISTORY_FILE, Watch

Objective = Literal["log-loss", "auc"]
Tell = Callable[[float, str], None]
"""Called with the share of a trial that is done, 0 to 1, and a note."""

SCORED_FILE = "scored.csv"
DRAWN_FILE = "drawn.json"


def _silent(_share: float, _note: str) -> None:
    """The listener that says nothing."""


DIVERGED = Code(
    "trial-diverged",
    "The loss of a trial is not a number any more.",
    "narrow the space, above all the learning rate",
)
BROKEN = Code(
    "trial-broken",
    "The network of a trial cannot be trained as drawn.",
    "narrow the space, or name the trial's values to who wrote the model",
)


@dataclass(frozen=True)
class Bench:
    """What all trials of a search share.

    Args:
        cohort: everyone, so that it is known whose nodules must not be inserted.
        folds: inner folds over the searched patients; the validation part of each is held out for
            scoring.
        volumes: gives the prepared volumes for a recipe.
        objective: what is scored.
        seed: of the networks; trials share it, so that they differ by their values only.
        longest: epochs of the longest training that the space allows.
        tell: told how far the trial is, and a note.
    """

    cohort: Cohort
    folds: Folds
    volumes: Callable[[Recipe], Prepared]
    objective: Objective
    seed: int
    longest: int
    tell: Tell = _silent

    @property
    def maximise(self) -> bool:
        """Whether a larger score is better."""
        return self.objective == "auc"

    def score(self, labels: npt.ArrayLike, probability: npt.ArrayLike) -> float:
        """The objective of held-out probabilities."""
        if self.objective == "auc":
            return roc_auc(labels, probability).value
        cases = Cases.of(labels, probability)
        return float(compare.STATISTICS["log_loss"](cases, np.ones((1, cases.n)))[0])


class TrialWatch(Watch):
    """Watches one inner fold; gives the trial up when told to.

    Args:
        folder: of the inner fold.
        labels: of the held-out cases.
        progress: who is told.
        choose: whether the epoch that did best on the held-out part is kept, as a recipe with a
            tuning part does; False keeps the last.
        report: told of each epoch's row, once; answers whether to give up.
    """

    def __init__(
        self,
        folder: Path,
        *,
        labels: list[int],
        progress: Progress,
        choose: bool,
        report: Callable[[dict[str, float]], bool],
    ) -> None:
        super().__init__(folder, labels=labels, stage="searching", progress=progress)
        self.choose = choose
        self.report = report
        self.given_up = False
        self._told = 0

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """As of any training; then tell the search."""
        super().on_train_epoch_end(trainer, pl_module)
        trainer.should_stop = trainer.should_stop or self.catch_up()

    def catch_up(self) -> bool:
        """Tell what has not been told, rows of a resumed training too; whether to give up."""
        while self._told < len(self.rows) and not self.given_up:
            self.given_up = self.report(self.rows[self._told])
            self._told += 1
        return self.given_up

    def _judge(self, trainer: lightning.Trainer, task: Task, loss: float | None) -> None:
        super()._judge(trainer, task, loss if self.choose else None)


@dataclass
class _Course:
    """The scores of a trial on its way through the inner folds."""

    bench: Bench
    asked: Asked | None
    finished: list[float] = field(default_factory=list)
    by_step: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0

    def report(self, row: dict[str, float]) -> bool:
        """Take one epoch of the current inner fold; whether to give the trial up."""
        column = "tune_auc" if self.bench.maximise else "tune_loss"
        # Rounded as the history is, which a resumed search reads instead.
        score = float(f"{row.get(column, np.nan):.6g}")
        if not np.isfinite(score) or not np.isfinite(row["train_loss"]):
            raise RecipeError(DIVERGED, f"loss in epoch {int(row['epoch'])} is {row['train_loss']}")
        self.seconds += float(f"{row['seconds']:.6g}")
        step = len(self.finished) * self.bench.longest + int(row["epoch"]) + 1
        self.by_step[step] = float(np.mean([*self.finished, score]))
        return self.asked is not None and self.asked.report(self.by_step[step], step)


def run_trial(
    bench: Bench,
    name: str,
    recipe: Callable[[], Recipe],
    folder: Path,
    *,
    asked: Asked | None,
) -> Record:
    """Train and score one trial, resuming where a killed search left it.

    Args:
        bench: what all trials share.
        name: of the trial.
        recipe: makes its recipe; what it raises is the trial's error.
        folder: of the trial.
        asked: Optuna's side of it; None for the base recipe, which is never given up.

    Returns:
        Its record; a trial that fails has one too.

    Raises:
        CheckpointError: `resume-damaged`.
    """
    values = dict(asked.values) if asked else {}
    course = _Course(bench, asked)
    record = Record(name=name, state="complete", values=values)
    try:
        plan = recipe()
        # What goes with each value of a space need not go with two of them.
        require_flat(plan)
        tables = []
        for k in range(len(bench.folds.folds)):
            table = _fold(bench, plan, k, folder / f"fold-{k}", course)
            if table is None:
                return _closed(record, course, state="pruned", score=[*course.by_step.values()][-1])
            course.finished.append(bench.score(table["label"], table["probability"]))
            tables.append(table)
    except SqueezeCTError as error:
        if error.code == BAD_RESUME.name:
            raise  # says nothing of the trial, and a record would be for good
        return _failed(record, course, error)
    except RuntimeError as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        return _failed(record, course, RecipeError(BROKEN, f"training stopped: {first}"))
    pooled = pd.concat(tables, ignore_index=True)
    write_csv(folder / SCORED_FILE, pooled)
    return _closed(
        record, course, state="complete", score=bench.score(pooled["label"], pooled["probability"])
    )


def begin(folder: Path, values: Mapping[str, Value]) -> None:
    """Keep what was drawn for a trial; drop what is there of a trial that drew something else.

    Another release of Optuna may draw other values for the same trial. What was trained with the
    old ones must not be scored as if it had been these.
    """
    drawn = json.dumps(values, sort_keys=True).encode()
    kept = folder / DRAWN_FILE
    if folder.exists() and not (kept.is_file() and kept.read_bytes() == drawn):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(kept, drawn)


def scored(folder: Path) -> pd.DataFrame:
    """The held-out probabilities of a finished trial: row, patient, fold, label, probability."""
    return pd.read_csv(folder / SCORED_FILE)


def _closed(record: Record, course: _Course, *, state: str, score: float | None) -> Record:
    found = {
        "state": state,
        "score": score,
        "by_step": course.by_step,
        "folds": tuple(course.finished),
        "seconds": round(course.seconds, 3),
    }
    return record.model_copy(update=found)


def _failed(record: Record, course: _Course, error: SqueezeCTError) -> Record:
    closed = _closed(record, course, state="failed", score=None)
    return closed.model_copy(update={"error": dict(error.as_dict())})


def _fold(
    bench: Bench, recipe: Recipe, k: int, folder: Path, course: _Course
) -> pd.DataFrame | None:
    """Held-out probabilities of one inner fold; None if the trial was given up in it."""
    path = folder / SCORED_FILE
    if path.exists():
        history = pd.read_csv(folder / HISTORY_FILE)
        for row in history.to_dict("records"):
            course.report({str(key): float(value) for key, value in row.items()})
        return scored(folder)
    fold, volumes = bench.folds.folds[k], bench.volumes(recipe)
    run = Run(bench.cohort, recipe, folder, volumes, bench.folds)
    held = run.part(fold.validation)
    folder.mkdir(parents=True, exist_ok=True)
    seed = bench.seed * 1000 + k
    train = run.learning([*fold.train, *fold.tune])
    learning, tuning = batches(recipe, volumes, train=train, tune=held, seed=seed)
    task = Task(recipe, seed=seed, steps=recipe.epochs * len(learning))
    count = len(bench.folds.folds)

    def tell(_stage: str, done: int, total: int, note: str) -> None:
        bench.tell((k + done / total) / count, f"fold {k + 1} of {count}, {note}")

    watch = TrialWatch(
        folder,
        labels=list(held.labels),
        progress=tell,
        choose=recipe.tune_fraction > 0,
        report=course.report,
    )
    fit(task, watch, learning, tuning)
    if watch.catch_up():
        (folder / RESUME_FILE).unlink(missing_ok=True)
        return None
    task.kept.load_state_dict(watch.best)
    probability = predict_part(task.kept, volumes, held, views=recipe.views)
    cases = [bench.cohort.case(row) for row in fold.validation]
    table = pd.DataFrame(
        {
            "row": list(fold.validation),
            "patient": [pseudonym(case.patient) for case in cases],
            "fold": k,
            "label": list(held.labels),
            "probability": np.round(probability, 9),
        }
    )
    write_csv(path, table)
    (folder / RESUME_FILE).unlink(missing_ok=True)
    return table
