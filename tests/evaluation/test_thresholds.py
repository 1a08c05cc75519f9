"""Laws of thresholds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezect.errors import EvaluationError
from squeezect.evaluation import cross_fitted_thresholds, threshold_at_sensitivity

CASES = st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=1, max_size=40).filter(
    lambda rows: any(label for label, _ in rows)
)


@given(CASES, st.floats(0.01, 1.0))
def test_threshold_reaches_the_sensitivity_and_no_higher_one_does(rows, target):
    label = np.array([r[0] for r in rows])
    score = np.array([r[1] for r in rows], dtype=float)
    threshold = threshold_at_sensitivity(label, score, target)
    assert (score >= threshold)[label].mean() >= target - 1e-9
    assert (score > threshold)[label].mean() < target


@given(CASES, st.floats(0.01, 1.0))
def test_threshold_follows_any_rising_map(rows, target):
    label = np.array([r[0] for r in rows])
    score = np.array([r[1] for r in rows], dtype=float)
    mapped = threshold_at_sensitivity(label, np.sqrt(score), target)
    assert mapped == np.sqrt(threshold_at_sensitivity(label, score, target))


def test_a_fold_has_no_say_in_its_own_threshold(study):
    s = study()
    before = cross_fitted_thresholds(s.label, s.score, s.fold)
    changed = np.where(s.fold == 2, 1 - s.score, s.score)
    after = cross_fitted_thresholds(s.label, changed, s.fold)
    assert after.per_fold[2] == before.per_fold[2]
    assert after.per_fold[1] != before.per_fold[1]
    assert after.pooled != before.pooled


def test_each_case_gets_the_threshold_of_its_fold(study):
    s = study()
    found = cross_fitted_thresholds(s.label, s.score, s.fold, sensitivity=0.8)
    limits = found.of_cases(s.fold)
    assert {found.per_fold[2]} == set(limits[s.fold == 2].tolist())
    assert found.pooled == threshold_at_sensitivity(s.label, s.score, 0.8)


def test_one_fold_alone_cannot_cross_fit(study):
    s = study()
    assert cross_fitted_thresholds(s.label, s.score, np.zeros(200)).per_fold == {}


def test_reaches_the_target_on_unseen_cases_on_average(study):
    reached = []
    for seed in range(30):
        s = study(seed, n=400)
        limits = cross_fitted_thresholds(s.label, s.score, s.fold).of_cases(s.fold)
        reached.append((s.score >= limits)[s.label == 1].mean())
    assert np.mean(reached) == pytest.approx(0.9, abs=0.015)


def test_no_positive_is_refused():
    with pytest.raises(EvaluationError, match="none of 2 cases"):
        threshold_at_sensitivity([0, 0], [0.1, 0.2])
    with pytest.raises(EvaluationError, match="none of 1 cases"):
        cross_fitted_thresholds([1, 0], [0.1, 0.2], [0, 1])


@pytest.mark.parametrize("target", [0, 1.01])
def test_target_out_of_range_is_refused(target):
    with pytest.raises(EvaluationError, match="sensitivity"):
        threshold_at_sensitivity([0, 1], [0.1, 0.2], target)
