"""Simulated studies, and run folders made of them."""

import csv
import json

import numpy as np
import pytest


class Study:
    """Labels, scores and patients drawn from a binormal model."""

    def __init__(self, seed=0, *, n=200, share=0.4, effect=1.2, scans=1, decimals=6):
        rng = np.random.default_rng(seed)
        patient = np.repeat(np.arange(n), scans)
        label = (np.arange(n) < share * n)[patient]
        shared = rng.normal(size=n)[patient] if scans > 1 else 0.0
        raw = effect * label - effect / 2 + shared + rng.normal(size=n * scans)
        self.label = label.astype(int)
        self.score = np.round(1 / (1 + np.exp(-raw)), decimals)
        self.patient = np.array([f"p{k:04d}" for k in patient])
        self.fold = patient % 4

    def shuffled(self, seed=1):
        order = np.random.default_rng(seed).permutation(self.label.size)
        other = Study.__new__(Study)
        for name in ("label", "score", "patient", "fold"):
            setattr(other, name, getattr(self, name)[order])
        return other


@pytest.fixture
def study():
    return Study


HEADER = ["row", "patient", "part", "fold", "label", "probability"]


def prediction_rows(seed=0, *, n=60, test=20, folds=3, effect=2.0):
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(n + test):
        label = int(k % 5 < 2)
        raw = effect * (label - 0.5) + rng.normal()
        if k < n:
            parts = [("validation", (k // 5) % folds)]
        else:
            parts = [("test", fold) for fold in range(folds)]
        for part, fold in parts:
            probability = 1 / (1 + np.exp(-raw - 0.1 * fold))
            rows.append([k + 1, f"{k:012x}", part, fold, label, f"{probability:.6f}"])
    return rows


def write_rows(folder, rows, header=HEADER):
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "predictions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return folder


@pytest.fixture
def make_run(tmp_path):
    """Function that writes a run folder from lines of predictions."""

    def make(rows=None, *, header=HEADER, name="run-a", histories=True):
        run = write_rows(tmp_path / name, prediction_rows() if rows is None else rows, header)
        recipe = {"name": "modern", "model": "squeezenet3d", "epochs": 3, "learning_rate": 1e-3}
        (run / "recipe.json").write_text(json.dumps(recipe))
        for fold in range(3 if histories else 0):
            (run / f"fold-{fold}").mkdir()
            (run / f"fold-{fold}" / "history.csv").write_text(
                "epoch,train_loss,train_accuracy,tune_loss,tune_accuracy,tune_auc,learning_rate,"
                "seconds\n1,0.7,0.5,0.7,0.5,0.5,0.001,2\n2,0.4,0.8,,,,0.001,2\n"
                "3,0.1,0.99,0.6,0.7,0.8,0.001,2\n"
            )
        return run

    return make


@pytest.fixture
def rows():
    return prediction_rows()
