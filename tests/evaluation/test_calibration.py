"""Laws of calibration maps."""

import json

import numpy as np
import pytest

from squeezect.errors import EvaluationError
from squeezect.evaluation import (
    Calibrator,
    cross_fitted_calibration,
    fit_calibrator,
    probability_scores,
)
from squeezect.evaluation.calibration import METHODS


def honest(n=4000, seed=0):
    rng = np.random.default_rng(seed)
    logit = rng.normal(size=n) * 1.5 - 0.5
    return rng.random(n) < 1 / (1 + np.exp(-logit)), logit


def expit(logit):
    return 1 / (1 + np.exp(-logit))


def test_temperature_finds_the_one_that_was_used():
    label, logit = honest()
    found = fit_calibrator(label, expit(3 * logit), "temperature")
    assert found.x[0] == pytest.approx(3, rel=0.08)


def test_platt_finds_factor_and_offset_that_were_used():
    label, logit = honest()
    found = fit_calibrator(label, expit(2 * logit + 1), "platt")
    assert found.x == pytest.approx((0.5, -0.5), abs=0.06)


@pytest.mark.parametrize("method", METHODS)
def test_calibration_heals_boasting(method):
    label, logit = honest()
    boast = expit(3 * logit + (0 if method == "temperature" else 1))
    before = probability_scores(label, boast, replicates=10)
    healed = fit_calibrator(label, boast, method).apply(boast)
    after = probability_scores(label, healed, replicates=10)
    assert before.calibration_error.value > 3 * after.calibration_error.value
    assert after.log_loss.value < before.log_loss.value


@pytest.mark.parametrize("method", METHODS)
def test_no_map_turns_a_ranking_around(method, study):
    s = study()
    for label in (s.label, 1 - s.label):
        found = fit_calibrator(label, s.score, method).apply(np.linspace(0, 1, 500))
        assert (np.diff(found) >= -1e-12).all()
        assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize("method", METHODS)
def test_certain_probabilities_and_perfect_ranking_stay_finite(method):
    found = fit_calibrator([0, 0, 1, 1], [0.0, 0.0, 1.0, 1.0], method)
    values = found.apply([0.0, 0.5, 1.0])
    assert np.isfinite(values).all()
    assert values[0] < 0.5 < values[2]


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_maps_are_never_surer_than_their_cases_allow(method):
    values = fit_calibrator([0] * 5 + [1] * 5, np.arange(10) / 9, method).apply([0.0, 1.0])
    assert 0.01 < values[0] < 0.3
    assert 0.7 < values[1] < 0.99


@pytest.mark.parametrize("method", METHODS)
def test_json_keeps_the_map(method, study):
    s = study()
    found = fit_calibrator(s.label, s.score, method)
    data = json.loads(json.dumps(found.as_dict()))
    again = Calibrator.from_dict(data)
    assert again == found


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"method": "beta", "x": [1], "y": []},
        {"method": "platt", "x": [1], "y": []},
        {"method": "isotonic", "x": ["a"], "y": ["b"]},
    ],
)
def test_json_that_describes_no_map_is_refused(wrong):
    with pytest.raises(EvaluationError, match="describes no calibration"):
        Calibrator.from_dict(wrong)


@pytest.mark.parametrize("method", METHODS)
def test_a_fold_has_no_say_in_its_own_map(method, study):
    s = study()
    before = cross_fitted_calibration(s.label, s.score, s.fold, method)
    changed = np.where(s.fold == 1, 1 - s.label, s.label)
    after = cross_fitted_calibration(changed, s.score, s.fold, method)
    assert (before == after)[s.fold == 1].all()
    assert (before != after)[s.fold != 1].any()


def test_one_class_or_one_fold_or_an_unknown_map_is_refused(study):
    s = study()
    with pytest.raises(EvaluationError, match="class 1"):
        fit_calibrator([1, 1], [0.1, 0.2], "platt")
    with pytest.raises(EvaluationError, match="1 folds of 200 cases"):
        cross_fitted_calibration(s.label, s.score, np.zeros(200), "platt")
    with pytest.raises(EvaluationError, match="'beta' is not one of temperature"):
        fit_calibrator(s.label, s.score, "beta")


def test_platt_is_not_sure_where_few_cases_happen_to_part():
    """Classes that do not overlap make a step of the curve; the cases are still few."""
    label = np.arange(36) >= 18
    found = fit_calibrator(label, np.where(label, 0.5001, 0.5), "platt")
    answers = found.apply(np.array([0.0, 0.4, 0.6, 1.0]))
    assert answers.min() == pytest.approx(1 / 20)
    assert answers.max() == pytest.approx(19 / 20)
    assert Calibrator.from_dict({"method": "platt", "x": [1.0, 0.0], "y": []}).apply(1.0) > 0.99
