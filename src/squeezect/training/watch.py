"""Watches a training: history by epoch, the best weights so far, progress for whoever looks."""

import csv
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import log_softmax
from sklearn.metrics import roc_auc_score

from squeezect.checkpoint import write_atomically
from squeezect.errors import Code, RecipeError
from squeezect.training.lightning import lightning
from squeezect.training.module import Batch, Task
from squeezect.training.progress import Progress

COLUMNS = (
    "epoch",
    "train_loss",
    "train_accuracy",
    "tune_loss",
    "tune_accuracy",
    "tune_auc",
    "learning_rate",
    "seconds",
)
HISTORY_FILE = "history.csv"

DIVERGED = Code(
    "training-diverged",
    "The loss of a training is not a number any more.",
    "lower the learning rate or set gradient_clip, and train into another folder",
)


class Watch(lightning.Callback):
    """Keeps the history of a fold and its best weights; stops it when tuning no longer improves.

    All it knows travels in the trainer's checkpoint, so a resumed run goes on as if never killed.

    Args:
        folder: where ``history.csv`` goes.
        labels: labels of the tuning cases, in loading order; empty without tuning.
        stage: what to call this fold in progress.
        progress: who is told.
    """

    def __init__(self, folder: Path, *, labels: list[int], stage: str, progress: Progress) -> None:
        self.folder = folder
        self.labels = np.array(labels, int)
        self.stage = stage
        self.progress = progress
        self.rows: list[dict[str, float]] = []
        self.best_loss = float("inf")
        self.best_epoch = -1
        self.best: dict[str, torch.Tensor] = {}
        self._sums = np.zeros(3)
        self._logits: list[torch.Tensor] = []
        self._started = 0.0

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to know."""
        return {
            "rows": self.rows,
            "best_loss": self.best_loss,
            "best_epoch": self.best_epoch,
            "best": self.best,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where the killed run was."""
        self.rows = list(state["rows"])
        self.best_loss = float(state["best_loss"])
        self.best_epoch = int(state["best_epoch"])
        self.best = dict(state["best"])

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Leave at once if the killed run had stopped: the trainer's checkpoint does not say so."""
        task: Task = pl_module
        if self._exhausted(task.recipe.patience):
            trainer.should_stop = True

    def _exhausted(self, patience: int) -> bool:
        """Whether the last epoch is `patience` epochs past the best; follows from the history."""
        if not (patience and self.rows):
            return False
        return int(self.rows[-1]["epoch"]) - self.best_epoch >= patience

    def on_train_batch_start(
        self, _trainer: object, _module: object, _batch: object, batch_idx: int
    ) -> None:
        """Begin the sums of an epoch; the trainer does not announce the first of a resumed run."""
        if batch_idx == 0:
            self._sums = np.zeros(3)
            self._started = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        _module: lightning.LightningModule,
        outputs: Any,
        _batch: Batch,
        batch_idx: int,
    ) -> None:
        """Add one batch to the sums of the epoch."""
        size = int(outputs["sure"])
        loss = float(outputs["loss"])
        self._sums += (loss * size, float(outputs["right"]), size)
        share = (batch_idx + 1) / max(1, int(trainer.num_training_batches))
        self._tell(trainer, done=trainer.current_epoch + share)

    def on_validation_batch_end(
        self, _trainer: object, _module: object, outputs: Any, *_: object
    ) -> None:
        """Collect the logits of the tuning cases."""
        self._logits.append(outputs)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Write the epoch's row, keep the weights if they are the best, stop if it is time."""
        task: Task = pl_module
        loss, right, size = self._sums
        row = {
            "epoch": float(trainer.current_epoch),
            "train_loss": loss / size,
            "train_accuracy": right / size,
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            "seconds": time.perf_counter() - self._started,
        }
        if len(self.labels):
            row |= self._tuning()
        # Plain numbers: the restricted loader of a resumed run takes no others.
        self.rows.append({name: float(value) for name, value in row.items()})
        self._write()
        self._judge(trainer, task, row.get("tune_loss"))
        self._tell(trainer, done=trainer.current_epoch + 1)

    def _tuning(self) -> dict[str, float]:
        logits = torch.cat(self._logits).cpu().numpy().astype(float)
        self._logits.clear()
        log_p = log_softmax(logits, axis=1)
        rows = {
            "tune_loss": float(-log_p[np.arange(len(logits)), self.labels].mean()),
            "tune_accuracy": float((logits.argmax(1) == self.labels).mean()),
        }
        if len(set(self.labels.tolist())) == 2 and np.isfinite(logits).all():
            score = logits[:, 1] - logits[:, 0]
            rows["tune_auc"] = float(roc_auc_score(self.labels, score))
        return rows

    def _judge(self, trainer: lightning.Trainer, task: Task, loss: float | None) -> None:
        if loss is not None and not loss < self.best_loss:
            if self._exhausted(task.recipe.patience):
                trainer.should_stop = True
            return
        self.best_loss = float("inf") if loss is None else loss
        self.best_epoch = trainer.current_epoch
        kept = task.kept.state_dict()
        self.best = {name: value.detach().cpu().clone() for name, value in kept.items()}

    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, restval="")
        writer.writeheader()
        for row in self.rows:
            writer.writerow({k: int(v) if k == "epoch" else f"{v:.6g}" for k, v in row.items()})
        write_atomically(self.folder / HISTORY_FILE, text.getvalue().encode())

    def _tell(self, trainer: lightning.Trainer, *, done: float) -> None:
        total = int(trainer.max_epochs or 1)
        note = f"epoch {min(int(done) + 1, total)}/{total}"
        if self.rows:
            last = self.rows[-1]
            note += f"  loss {last['train_loss']:.3f}"
            if "tune_auc" in last:
                note += f"  tuning AUC {last['tune_auc']:.2f}"
        self.progress(self.stage, round(done * 100), total * 100, note)


class Finite(lightning.Callback):
    """Ends a training whose loss is no number: no later epoch mends its weights.

    Comes after the watch, and before anything is kept of the epoch.

    Args:
        watch: keeps the history.

    Raises:
        RecipeError: `training-diverged`.
    """

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def on_train_epoch_end(self, trainer: lightning.Trainer, _module: object) -> None:
        """Look at the losses of the epoch."""
        row = self.watch.rows[-1]
        for part in ("train_loss", "tune_loss"):
            if not np.isfinite(row.get(part, 0.0)):
                epoch = f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}"
                what = f"{part} is {row[part]} in {epoch} ({self.watch.folder}/{HISTORY_FILE})"
                raise RecipeError(DIVERGED, what)
