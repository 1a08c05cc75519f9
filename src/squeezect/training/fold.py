"""One fold: train a fresh network on its training part, keep what did best on its tuning part."""

import logging
import os
import pickle
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from squeezect.candidates import mean_view
from squeezect.errors import CheckpointError, Code
from squeezect.memory import keep_freed_memory
from squeezect.models import Classifier
from squeezect.nodules import Bank
from squeezect.training.data import Batches, EpochSampler, Sample, Volumes, loader
from squeezect.training.lightning import TensorBoardLogger, TrainerCheckpoint, lightning
from squeezect.training.module import Task
from squeezect.training.prepared import Prepared
from squeezect.training.progress import Progress
from squeezect.training.recipe import Recipe
from squeezect.training.teaching import Lore, TaughtVolumes
from squeezect.training.watch import Finite, Watch

RESUME_FILE = "last.ckpt"

BAD_RESUME = Code(
    "resume-damaged",
    "What a killed training needs to go on is damaged.",
    "delete the file; the fold then begins again",
)
UNREADABLE = (
    OSError,  # a cut file: it looks for the directory before the beginning
    EOFError,
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    pickle.UnpicklingError,
)
"""What PyTorch raises over a file that is cut or altered."""


@dataclass(frozen=True)
class Part:
    """Cases of one part of a fold.

    Args:
        keys: their keys in the store.
        labels: their classes.
        bank: real nodules that may be put into its volumes; None paints them.
        guessed: how many cases at the end have pseudo-labels.
        lore: what they teach beside their labels, if the recipe asks for it.
    """

    keys: Sequence[str]
    labels: Sequence[int]
    bank: Bank | None = None
    guessed: int = 0
    lore: Lore | None = None


def precision_of(recipe: Recipe) -> str:
    """``bfloat16`` where the recipe asks for it, or leaves it open and the processor has it."""
    if recipe.precision != "auto":
        return recipe.precision
    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    fast = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return (
        "bfloat16"
        if fast and "avx512" in torch.backends.cpu.get_cpu_capability().lower()
        else ("float32")
    )


def train_fold(  # noqa: PLR0913
    recipe: Recipe,
    store: Prepared,
    folder: Path,
    *,
    train: Part,
    tune: Part,
    seed: int,
    stage: str,
    progress: Progress,
    prime: Callable[[Classifier], object] | None = None,
) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    """Train one fold, resuming from ``last.ckpt`` in `folder` if a run was killed there.

    Args:
        recipe: what to do.
        store: prepared volumes.
        folder: of this fold; history, curves and the resume file go here.
        train: cases to learn from.
        tune: cases that choose the epoch; empty to keep the last weights.
        seed: of this fold.
        stage: what progress calls it.
        progress: who is told.
        prime: gives the fresh network the weights to start from, or None to start afresh.

    Returns:
        The kept weights, and facts for the card: epochs run, the epoch kept, precision.
    """
    folder.mkdir(parents=True, exist_ok=True)
    learning, tuning = batches(recipe, store, train=train, tune=tune, seed=seed)
    steps = recipe.epochs * len(learning)
    task = Task(recipe, seed=seed, steps=steps, prime=prime)
    watch = Watch(folder, labels=list(tune.labels), stage=stage, progress=progress)
    fit(task, watch, learning, tuning)
    return watch.best, {
        "epochs": len(watch.rows),
        "kept_epoch": watch.best_epoch,
        "precision": precision_of(recipe),
    }


def batches(
    recipe: Recipe, store: Prepared, *, train: Part, tune: Part, seed: int
) -> tuple[Batches, Batches | None]:
    """Training batches as a recipe wants them, and those of the tuning part if there is one."""
    sampler = EpochSampler(
        train.labels[: len(train.labels) - train.guessed],
        seed=seed,
        balanced=recipe.balanced_sampling,
        inserted=recipe.insertion.share if recipe.insertion else 0.0,
    )
    learning = loader(
        _lessons(recipe, store, train, seed),
        sampler,
        batch_size=recipe.batch_size,
        ramp=recipe.ramp,
    )
    if not tune.keys:
        return learning, None
    tuning = loader(
        Volumes(store, tune.keys, tune.labels),
        EpochSampler(tune.labels, shuffle=False),
        batch_size=recipe.batch_size,
    )
    return learning, tuning


def _lessons(recipe: Recipe, store: Prepared, train: Part, seed: int) -> Dataset[Sample]:
    if train.lore is not None:
        return TaughtVolumes(store, train.keys, train.labels, train.lore)
    return Volumes(
        store,
        train.keys,
        train.labels,
        recipe.augmentation,
        recipe.insertion,
        seed,
        bank=train.bank,
        guessed=train.guessed,
    )


class Resume(TrainerCheckpoint):
    """Writes at the end of every epoch what a killed run needs to go on.

    The trainer's own callback writes no last file unless it keeps the best ones too (release 2.6).

    Args:
        folder: where ``last.ckpt`` goes.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / RESUME_FILE

    def on_train_epoch_end(self, trainer: lightning.Trainer, _module: object) -> None:
        """Write it beside the old one first: a kill in between leaves that."""
        part = self.file.with_suffix(".part")
        trainer.save_checkpoint(part)
        # A rename may reach the disk before the bytes do, and a power cut come in between.
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        part.replace(self.file)


def resume_point(folder: Path) -> Path | None:
    """The file of `folder` that a killed training goes on from; None if there is none.

    Raises:
        CheckpointError: `resume-damaged`, if the trainer could not read it.
    """
    last = folder / RESUME_FILE
    if not last.exists():
        return None
    try:
        found = torch.load(last, map_location="cpu", weights_only=True)
    except (FileNotFoundError, PermissionError):
        raise  # of the folder, and of no damage to the file
    except UNREADABLE as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(BAD_RESUME, f"cannot read {last}: {first}") from error
    if not (isinstance(found, dict) and {"state_dict", "callbacks", "loops"} <= found.keys()):
        raise CheckpointError(BAD_RESUME, f"{last} is no checkpoint of a training")
    return last


def fit(task: Task, watch: Watch, learning: Batches, tuning: Batches | None) -> None:
    """Train a task to its recipe's last epoch, resuming from ``last.ckpt`` in the watch's folder.

    Args:
        task: what to train.
        watch: keeps history and best weights, and knows the folder.
        learning: training batches.
        tuning: batches that choose the epoch, or None.

    Raises:
        CheckpointError: `resume-damaged`.
        RecipeError: `training-diverged`.
        KeyboardInterrupt: it was interrupted; what is finished is kept.
    """
    keep_freed_memory()
    recipe, folder = task.recipe, watch.folder
    last = resume_point(folder)
    with quiet_lightning():
        trainer = lightning.Trainer(
            max_epochs=recipe.epochs,
            accelerator="auto",
            devices=1,
            precision="bf16-mixed" if precision_of(recipe) == "bfloat16" else "32-true",
            callbacks=[watch, Finite(watch), Resume(folder)],
            logger=TensorBoardLogger(folder, name=None, version="curves"),
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            log_every_n_steps=10**9,
        )
        with _interruptible():
            trainer.fit(
                task,
                learning,
                tuning,
                ckpt_path=last,
                weights_only=True,
            )


def predict_part(
    model: torch.nn.Module, store: Prepared, part: Part, *, views: int = 1
) -> npt.NDArray[np.float64]:
    """Probability of class 1 for every case of a part, in order; float32 arithmetic.

    Args:
        model: the network.
        store: prepared volumes.
        part: which of them.
        views: turned and mirrored views of a case whose mean is its answer (see `mean_view`).
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.eval().to(device)
    answers = []
    with torch.inference_mode():
        for key in part.keys:
            values = torch.from_numpy(store.read(key).values)[None, None].to(device)
            answers.append(float(mean_view(model, values, views)[0]))
    return np.array(answers)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C be one: the trainer makes an exit with status 1 of it and ignores all others."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as leaving:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)
        raise KeyboardInterrupt from leaving


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep the trainer's greetings and advice off the terminal; errors still show."""
    logger = logging.getLogger("pytorch_lightning")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"pytorch_lightning\..*")
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            yield
    finally:
        logger.setLevel(before)
