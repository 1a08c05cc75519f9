"""Every weighted score: weights of one give the plain score, a weight of two a copy."""

import numpy as np
import pytest
from sklearn import metrics

from squeezect.evaluation import Cases, weighted

STATISTICS = {
    "auc": weighted.roc_auc,
    "ap": weighted.average_precision,
    "brier": weighted.brier,
    "log_loss": weighted.log_loss,
    "ece": weighted.calibration_error,
    "se": weighted.sensitivity_at(0.8),
    "sp": weighted.specificity_at(0.8),
}


def plain(cases, name):
    return STATISTICS[name](cases, np.ones((1, cases.n)))[0]


@pytest.mark.parametrize("decimals", [6, 1])
def test_plain_scores_agree_with_scikit_learn(study, decimals):
    s = study(decimals=decimals)
    cases = Cases.of(s.label, s.score)
    assert plain(cases, "auc") == pytest.approx(metrics.roc_auc_score(s.label, s.score))
    assert plain(cases, "ap") == pytest.approx(metrics.average_precision_score(s.label, s.score))
    assert plain(cases, "brier") == pytest.approx(metrics.brier_score_loss(s.label, s.score))
    clipped = np.clip(s.score, 1e-15, 1 - 1e-15)
    assert plain(cases, "log_loss") == pytest.approx(metrics.log_loss(s.label, clipped))


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("decimals", [6, 1])
def test_weights_are_copies(study, name, decimals):
    s = study(n=40, decimals=decimals)
    cases = Cases.of(s.label, s.score)
    weights = np.random.default_rng(2).integers(0, 4, size=(5, 40))
    together = STATISTICS[name](cases, weights.astype(float))
    for row, value in zip(weights, together, strict=True):
        copied = Cases.of(np.repeat(s.label, row), np.repeat(s.score, row))
        assert value == pytest.approx(plain(copied, name), abs=1e-12)


@pytest.mark.parametrize("name", ["auc", "ap", "se", "sp"])
def test_ranking_scores_survive_any_rising_map(study, name):
    s = study(n=60)
    cases = Cases.of(s.label, s.score)
    assert plain(cases, name) == pytest.approx(plain(cases.scored(np.exp(3 * s.score)), name))


@pytest.mark.parametrize("name", ["auc", "se", "sp"])
def test_one_class_has_no_score(name):
    cases = Cases.of([1, 1], [0.2, 0.3])
    assert np.isnan(plain(cases, name))


def test_log_loss_of_a_sure_mistake_is_the_bowls():
    cases = Cases.of([0, 1], [1.0, 1.0])
    assert plain(cases, "log_loss") == pytest.approx(-np.log(1e-15) / 2, rel=1e-3)


def test_the_constant_prior_of_the_bowl_scores_as_known():
    label = np.arange(1397) < 362
    cases = Cases.of(label, np.full(1397, 362 / 1397))
    assert plain(cases, "log_loss") == pytest.approx(0.572, abs=5e-4)


def test_sensitivity_at_specificity_is_the_best_allowed_threshold(study):
    s = study(n=80, decimals=2)
    cases = Cases.of(s.label, s.score)
    allowed = [
        (s.score >= t)[s.label == 1].mean()
        for t in [*np.unique(s.score), 2.0]
        if (s.score < t)[s.label == 0].mean() >= 0.8
    ]
    assert plain(cases, "se") == pytest.approx(max(allowed))


def test_probability_one_falls_into_the_last_bin():
    assert weighted.bin_of(np.array([0.0, 0.0999, 0.1, 1.0]), 10).tolist() == [0, 0, 1, 9]
