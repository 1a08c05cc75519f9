"""A finished run judged again without mirrored and turned views: nothing is trained for it."""

from pathlib import Path

import numpy as np
import pandas as pd

from squeezect.candidates import read_patches, score_patches
from squeezect.checkpoint import Checkpoint
from squeezect.cohorts import Cohort
from squeezect.evaluation import Cases, read_predictions
from squeezect.evaluation.predictions import FILE
from squeezect.training.fold import Part, predict_part
from squeezect.training.prepared import Prepared, case_key


def patches_in_one_view(run: Path, cohort: Cohort) -> Cases:
    """What the network of a run on patch lists says of the judged list, each patch as it is.

    Args:
        run: folder of the run.
        cohort: the patches; those of the part ``test`` are judged.
    """
    judged = [case for case in cohort.cases if case.split == "test"]
    judged.sort(key=lambda case: case.row)
    model = Checkpoint.load(run / "fold-0").build()
    probability = score_patches(model, read_patches(judged), views=1)
    patients = np.array([case.patient for case in judged])
    labels = np.array([case.label or 0 for case in judged])
    return Cases.of(labels, probability, patients=patients)


def folds_in_one_view(run: Path, cohort: Cohort, volumes: Prepared) -> Cases:
    """What the networks of a run's folds say of the cases that judge them, each as it is.

    Args:
        run: folder of a cross-validation.
        cohort: its cases.
        volumes: their prepared volumes.

    Returns:
        The cases in the order of the run's predictions.
    """
    answers: dict[int, float] = {}
    for path in sorted(run.glob("fold-*/validation.csv")):
        table = pd.read_csv(path)
        rows, labels = table["row"].tolist(), table["label"].tolist()
        keys = [case_key(cohort.case(row), volumes.preparation) for row in rows]
        model = Checkpoint.load(path.parent).build()
        answers |= dict(zip(rows, predict_part(model, volumes, Part(keys, labels)), strict=True))
    found = read_predictions(run / FILE).out_of_fold
    probability = np.array([answers[row] for row in found.row])
    return Cases.of(found.cases.label, probability, patients=found.cases.patient)
