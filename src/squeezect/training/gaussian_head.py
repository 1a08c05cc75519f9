"""Gaussian-process regression on the features of each fold's network, as in TumorNet.

Hussein et al. 2017 train a network, take its features of the training nodules, and fit a Gaussian
process to them, whose answer counts. Here that is done within each fold: the process is fitted to
the very cases that the fold's network learnt from, and judges those that neither has seen.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from squeezect.checkpoint import Checkpoint
from squeezect.models.gaussian import GaussianProcess, fit_gaussian_process
from squeezect.training.fold import Part
from squeezect.training.run import Run
from squeezect.training.run_folder import write_csv
from squeezect.training.tables import judged_rows

PREDICTIONS = "predictions-gaussian.csv"
PROCESS_FILE = "gaussian.safetensors"
MOST_FITTED = 2000
"""Cases a process is fitted to at most: its arithmetic grows with their third power."""


@runtime_checkable
class Describes(Protocol):
    """A network that tells the features its answer is made of."""

    def describe(self, volumes: torch.Tensor) -> torch.Tensor:
        """Features (B, features) of volumes (B, channels, z, y, x)."""


def add_gaussian_head(run: Run) -> Path | None:
    """Fit and judge a process in every fold of a trained run.

    Args:
        run: a finished run.

    Returns:
        The table of predictions, laid out like ``predictions.csv``; None if the network has no
        features to give.
    """
    path = run.folder / PREDICTIONS
    if path.exists():
        return path
    tables: list[pd.DataFrame] = []
    for k, fold in enumerate(run.folds.folds):
        folder = run.folder / f"fold-{k}"
        model = Checkpoint.load(folder).build()
        if not isinstance(model, Describes):
            return None
        learnt = run.part([*fold.train, *fold.tune])
        process = _fitted(model, run, learnt, seed=run.recipe.seed * 1000 + k)
        _save(process, folder)
        for part, rows in (("validation", fold.validation), ("test", run.folds.test)):
            if rows:
                answers = process.probabilities(_features(model, run, run.part(rows).keys))
                tables.append(judged_rows(run.cohort, rows, part=part, fold=k, probability=answers))
    write_csv(path, pd.concat(tables, ignore_index=True))
    return path


def _fitted(model: Describes, run: Run, part: Part, *, seed: int) -> GaussianProcess:
    chosen = np.arange(len(part.keys))
    if len(chosen) > MOST_FITTED:
        chosen = np.sort(np.random.default_rng(seed).permutation(chosen)[:MOST_FITTED])
    features = _features(model, run, [part.keys[int(i)] for i in chosen])
    return fit_gaussian_process(features, [part.labels[int(i)] for i in chosen], seed=seed)


def _features(model: Describes, run: Run, keys: Sequence[str]) -> npt.NDArray[np.float64]:
    rows = []
    with torch.inference_mode():
        for key in keys:
            values = torch.from_numpy(run.volumes.read(key).values)[None, None]
            rows.append(model.describe(values)[0].double().numpy())
    return np.stack(rows)


def _save(process: GaussianProcess, folder: Path) -> None:
    from safetensors.numpy import save

    from squeezect.checkpoint import write_atomically

    write_atomically(folder / PROCESS_FILE, save(process.as_arrays()))
