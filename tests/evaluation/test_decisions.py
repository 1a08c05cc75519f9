"""Laws of decisions at a threshold."""

import math

import numpy as np
import pytest
from sklearn import metrics

from squeezect.errors import EvaluationError
from squeezect.evaluation import decision_scores


def test_scores_agree_with_scikit_learn(study):
    s = study()
    found, called = decision_scores(s.label, s.score), s.score >= 0.5
    assert found.sensitivity.value == pytest.approx(metrics.recall_score(s.label, called))
    assert found.precision.value == pytest.approx(metrics.precision_score(s.label, called))
    assert found.accuracy.value == pytest.approx(metrics.accuracy_score(s.label, called))
    assert found.f1.value == pytest.approx(metrics.f1_score(s.label, called))
    assert found.balanced_accuracy.value == pytest.approx(
        metrics.balanced_accuracy_score(s.label, called)
    )
    tn, fp, fn, tp = metrics.confusion_matrix(s.label, called).ravel().tolist()
    assert found.confusion.as_dict() == {
        "true_positives": tp,
        "false_negatives": fn,
        "true_negatives": tn,
        "false_positives": fp,
    }


def test_complement_swaps_sensitivity_and_specificity(study):
    s = study(scans=2)
    one = decision_scores(s.label, s.score, 0.4, patients=s.patient)
    two = decision_scores(1 - s.label, 1 - s.score, 0.6, patients=s.patient)
    assert one.sensitivity == two.specificity
    assert one.specificity == two.sensitivity
    assert one.precision == two.negative_predictive_value
    assert one.accuracy == two.accuracy


def test_score_equal_to_the_threshold_is_called_positive():
    assert decision_scores([1, 0], [0.5, 0.4999]).accuracy.value == 1


def test_every_interval_holds_its_value_and_has_width(study):
    for seed in range(5):
        s = study(seed, n=25, scans=2)
        for found in decision_scores(s.label, s.score, patients=s.patient).estimates().values():
            assert 0 <= found.low <= found.value <= found.high <= 1
            assert found.low < found.high


def test_all_right_still_leaves_doubt():
    found = decision_scores([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    for estimate in found.estimates().values():
        assert estimate.value == 1
        assert 0.2 < estimate.low < 0.75


def test_scores_that_nothing_bears_on_are_undefined():
    found = decision_scores([0, 0], [0.1, 0.2])
    assert not found.sensitivity.defined
    assert not found.precision.defined
    assert not found.balanced_accuracy.defined
    assert not found.f1.defined
    assert found.specificity.value == 1
    assert found.as_dict()["f1"]["value"] is None


def test_each_case_may_have_its_own_threshold():
    found = decision_scores([1, 1], [0.4, 0.4], [0.3, 0.5])
    assert found.sensitivity.value == 0.5


@pytest.mark.parametrize("threshold", [math.nan, [0.5], [[0.5, 0.5]]])
def test_wrong_thresholds_are_refused(threshold):
    with pytest.raises(EvaluationError, match="threshold"):
        decision_scores([0, 1], [0.1, 0.2], threshold)


def test_f1_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    label = np.arange(120) < 40
    # Calls are right with chance 0.8 in each class: F1 of the whole population.
    truth = 2 * 0.8 * 40 / (2 * 0.8 * 40 + 0.2 * 80 + 0.2 * 40)
    covered = 0
    for _ in range(400):
        found = decision_scores(label, np.where(rng.random(120) < 0.8, label, ~label)).f1
        covered += found.low <= truth <= found.high
    assert covered / 400 > 0.92
