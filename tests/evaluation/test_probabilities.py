"""Laws of probabilities taken at their word."""

import numpy as np
import pytest

from squeezect.errors import EvaluationError
from squeezect.evaluation import brier_parts, calibration_curve, probability_scores


@pytest.mark.parametrize("decimals", [6, 1])
def test_brier_score_is_the_sum_of_its_parts(study, decimals):
    s = study(decimals=decimals)
    parts = brier_parts(s.label, s.score)
    brier = probability_scores(s.label, s.score, replicates=10).brier.value
    assert parts.reliability - parts.resolution + parts.uncertainty == pytest.approx(brier)
    assert parts.uncertainty == pytest.approx(s.label.mean() * (1 - s.label.mean()))


def test_honest_probabilities_stay_below_the_limit_of_chance():
    rng = np.random.default_rng(0)
    below = 0
    for seed in range(40):
        probability = rng.random(150)
        label = rng.random(150) < probability
        found = probability_scores(label, probability, replicates=10, seed=seed)
        below += found.calibration_error.value <= found.calibration_limit
    assert below >= 34


def test_boastful_probabilities_exceed_it():
    rng = np.random.default_rng(0)
    probability = rng.random(300)
    label = rng.random(300) < probability
    boast = 1 / (1 + (1 / probability - 1) ** 3)
    found = probability_scores(label, boast, replicates=200)
    assert found.calibration_error.value > found.calibration_limit
    assert found.calibration_error.low <= found.calibration_error.value
    assert found.calibration_error.value <= found.calibration_error.high


def test_calibration_error_interval_holds_its_value(study):
    for seed in range(5):
        s = study(seed, n=40)
        found = probability_scores(s.label, s.score, replicates=300).calibration_error
        assert 0 <= found.low <= found.value <= found.high


def test_bins_hold_all_cases_once_and_rise(study):
    s = study(decimals=2)
    bins = calibration_curve(s.label, s.score, bins=8)
    assert sum(group.observed.n for group in bins) == s.label.size
    predicted = [group.predicted for group in bins]
    assert predicted == sorted(predicted)
    mean = sum(group.predicted * group.observed.n for group in bins) / s.label.size
    assert mean == pytest.approx(s.score.mean())


def test_equal_probabilities_share_a_bin():
    assert len(calibration_curve([0, 1, 0, 1], [0.5] * 4)) == 1


@pytest.mark.parametrize("wrong", [-0.1, 1.5])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(EvaluationError, match="of case 2 outside"):
        probability_scores([0, 1], [0.5, wrong])
    with pytest.raises(EvaluationError, match="outside"):
        calibration_curve([0, 1], [0.5, wrong])


def test_distinct_probabilities_fill_bins_evenly():
    bins = calibration_curve([0, 1] * 5, np.arange(10) / 10, bins=2)
    assert [group.observed.n for group in bins] == [5, 5]


def test_honest_probabilities_of_patients_with_several_scans_stay_below_the_limit():
    rng, over = np.random.default_rng(2), 0
    for seed in range(40):
        p, luck = np.repeat(rng.random(50), 4), np.repeat(rng.random(50), 4)
        who = np.repeat(np.arange(50), 4)
        found = probability_scores(luck < p, p, patients=who, replicates=5, seed=seed)
        over += found.calibration_error.value > found.calibration_limit
    assert over / 40 <= 0.125
