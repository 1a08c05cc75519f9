"""Judging: nothing that judges a case was chosen on it."""

import numpy as np
import pytest

from squeezect.evaluation import (
    Cases,
    Predicted,
    Predictions,
    cross_fitted_calibration,
    cross_fitted_thresholds,
    fit_calibrator,
    judge,
    probability_scores,
    subgroups,
)
from squeezect.evaluation.calibration import METHODS


@pytest.fixture
def predictions(study):
    one, other = study(n=160), study(7, n=80)
    site = np.array(["north", "south"])
    folds = Predicted(
        Cases.of(one.label, one.score, patients=one.patient),
        np.arange(160),
        one.fold,
        np.zeros(160),
        {"site": site[np.arange(160) % 2]},
    )
    test = Predicted(
        Cases.of(other.label, other.score, patients=other.patient),
        np.arange(160, 240),
        np.full(80, -1),
        np.zeros(80),
        {"site": site[np.arange(80) % 2]},
    )
    return Predictions(folds, test)


@pytest.mark.parametrize("method", METHODS)
def test_calibration_is_cross_fitted_and_learnt_on_all_folds_for_the_test(predictions, method):
    found = judge(predictions, replicates=20)
    folds, test = predictions.out_of_fold, predictions.test
    crossed = cross_fitted_calibration(folds.cases.label, folds.cases.score, folds.fold, method)
    expected = probability_scores(folds.cases.label, crossed, replicates=20)
    assert found.out_of_fold.recalibrated[method].brier.value == expected.brier.value
    calibrator = fit_calibrator(folds.cases.label, folds.cases.score, method)
    assert calibrator in found.calibrators
    applied = calibrator.apply(test.cases.score)
    expected = probability_scores(test.cases.label, applied, replicates=20)
    assert found.test.recalibrated[method].log_loss.value == expected.log_loss.value


def test_subgroups_use_the_thresholds_of_the_part(predictions):
    found = judge(predictions, replicates=20)
    folds, test = predictions.out_of_fold, predictions.test
    thresholds = cross_fitted_thresholds(folds.cases.label, folds.cases.score, folds.fold)
    limits = thresholds.of_cases(folds.fold)
    expected = subgroups(folds.cases, folds.extra["site"], threshold=limits)
    assert found.out_of_fold.subgroups["site"] == expected
    expected = subgroups(test.cases, test.extra["site"], threshold=thresholds.pooled)
    assert found.test.subgroups["site"] == expected


def test_seed_and_resamples_decide_the_intervals_and_nothing_else(predictions):
    one, two = (judge(predictions, replicates=50, seed=seed) for seed in (0, 0))
    other = judge(predictions, replicates=50, seed=1)
    assert one.as_dict() == two.as_dict()
    assert one.out_of_fold.probability.brier.value == other.out_of_fold.probability.brier.value
    assert one.out_of_fold.probability.brier.low != other.out_of_fold.probability.brier.low
