"""Laws of what needs no network."""

import numpy as np
import pytest

from squeezect.errors import EvaluationError
from squeezect.evaluation import (
    Cases,
    column_probabilities,
    column_probabilities_of_test,
    decision_scores,
    guessing,
    prior_probabilities,
    probability_scores,
    roc_auc,
)


def test_guessing_scores_what_the_constant_prior_scores(study):
    s = study(share=0.3)
    expected = guessing(Cases.of(s.label, s.score))
    prior = np.full(200, s.label.mean())
    found = probability_scores(s.label, prior, replicates=5)
    assert found.brier.value == pytest.approx(expected["brier"])
    assert found.log_loss.value == pytest.approx(expected["log_loss"])
    assert decision_scores(s.label, prior).accuracy.value == pytest.approx(expected["accuracy"])
    assert roc_auc(s.label, prior).value == expected["roc_auc"]


def test_prior_of_a_fold_comes_from_the_other_folds():
    label, fold = [1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1]
    found = prior_probabilities(label, fold)
    assert found[:3] == pytest.approx([0, 0, 0])
    assert found[3:] == pytest.approx([2 / 3] * 3)


def column_study(seed=0, n=300):
    rng = np.random.default_rng(seed)
    column = rng.gamma(4, 2, size=n)
    label = rng.random(n) < 1 / (1 + np.exp(6 - 0.8 * column))
    return label, column, np.arange(n) % 5


@pytest.mark.parametrize("sign", [1, -1])
def test_column_is_used_in_the_direction_that_helps(sign):
    label, column, fold = column_study()
    found = column_probabilities(label, sign * column, fold)
    assert roc_auc(label, found).value == pytest.approx(roc_auc(label, column).value, abs=0.02)


def test_column_probabilities_are_calibrated():
    label, column, fold = column_study(n=3000)
    found = probability_scores(label, column_probabilities(label, column, fold), replicates=5)
    assert found.calibration_error.value < 0.04


def test_a_fold_has_no_say_in_its_own_curve():
    label, column, fold = column_study()
    before = column_probabilities(label, column, fold)
    after = column_probabilities(np.where(fold == 1, ~label, label), column, fold)
    assert (before == after)[fold == 1].all()


def test_unknown_values_count_as_the_mean():
    label, column, fold = column_study()
    column[::7] = np.nan
    found = column_probabilities(label, column, fold)
    assert np.isfinite(found).all()
    of_test = column_probabilities_of_test(label, column, [np.nan, np.nanmean(column)])
    assert of_test[0] == pytest.approx(of_test[1])


def test_separating_column_and_single_class_stay_finite():
    label, fold = np.arange(20) >= 10, np.arange(20) % 2
    found = column_probabilities(label, np.arange(20), fold)
    assert roc_auc(label, found).value > 0.98
    assert ((found > 0) & (found < 1)).all()
    assert column_probabilities([1, 1, 0, 0], [1, 2, 3, 4], [0, 0, 1, 1]).tolist() == [0, 0, 1, 1]


def test_column_that_does_not_fit_is_refused():
    with pytest.raises(EvaluationError, match="do not fit"):
        column_probabilities([0, 1], [1.0], [0, 1])
    with pytest.raises(EvaluationError, match="1 folds"):
        column_probabilities([0, 1], [1.0, 2.0], [0, 0])
