"""Laws of intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from squeezect.errors import EvaluationError
from squeezect.evaluation import Cases, weighted, wilson
from squeezect.evaluation.estimates import bootstrap, proportion, resamples


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # Newcombe, Statistics in Medicine 1998, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_golden_values(successes, n, low, high):
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_symmetric_and_agrees_with_scipy(case):
    successes, n = case
    low, high = wilson(successes, n)
    assert wilson(n - successes, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)
    expected = binomtest(successes, n).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert low <= successes / n <= high
    assert low < high


def test_wilson_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    ends = np.array([wilson(k, 40) for k in range(41)])
    drawn = rng.binomial(40, 0.85, size=4000)
    covered = (ends[drawn, 0] <= 0.85) & (ends[drawn, 1] >= 0.85)
    assert 0.93 < covered.mean() < 0.98


def one_patient_per_case(study):
    return Cases.of(study.label, study.score)


def test_proportion_of_single_scans_is_plain_wilson(study):
    cases = one_patient_per_case(study())
    found = proportion(cases, cases.score > 0.5, cases.label)
    hits = int((cases.score > 0.5)[cases.label].sum())
    assert (found.low, found.high) == wilson(hits, cases.positives)
    assert found.method == "Wilson"


def test_copies_of_a_scan_add_no_evidence(study):
    once = study(n=60)
    single = one_patient_per_case(once)
    copies = Cases.of(
        *(np.repeat(x, 5) for x in (once.label, once.score)), patients=np.repeat(once.patient, 5)
    )
    one = proportion(single, single.score > 0.5, single.label)
    five = proportion(copies, copies.score > 0.5, copies.label)
    assert five.n == 5 * one.n
    # The patients' variance has K - 1 below, so the interval may be slightly wider.
    assert five.low == pytest.approx(one.low, abs=0.005)
    assert five.high == pytest.approx(one.high, abs=0.005)


def test_clustered_proportion_covers_where_plain_wilson_does_not():
    rng = np.random.default_rng(1)
    patients = np.repeat(np.arange(50), 6)
    good = plain = 0
    for _ in range(300):
        chance = rng.beta(2, 1, size=50)[patients]
        hits = rng.random(300) < chance
        cases = Cases(np.ones(300, bool), np.zeros(300), patients)
        found = proportion(cases, hits, cases.label)
        low, high = wilson(hits.sum(), 300)
        good += found.low <= 2 / 3 <= found.high
        plain += low <= 2 / 3 <= high
    assert good / 300 > 0.92
    assert plain / 300 < 0.88


def test_all_right_still_leaves_doubt():
    cases = Cases.of([1] * 12, [0.9] * 12, patients=np.repeat(list("abcd"), 3))
    found = proportion(cases, cases.label, cases.label)
    assert (found.low, found.high) == wilson(4, 4)


def test_nothing_to_count_is_undefined():
    cases = Cases.of([1, 1], [0.1, 0.2])
    found = proportion(cases, cases.label, ~cases.label)
    assert not found.defined
    assert (found.low, found.high, found.n) == (0, 1, 0)
    assert found.as_dict()["value"] is None
    assert str(found) == "undefined"


def test_resamples_draw_whole_patients_and_keep_their_number(study):
    s = study(n=30, scans=3)
    cases = Cases.of(s.label, s.score, patients=s.patient)
    weights = np.concatenate(list(resamples(cases, replicates=50, seed=0)))
    assert weights.shape == (50, 90)
    assert (weights.sum(axis=1) == 90).all()
    by_patient = weights.reshape(50, 30, 3)
    assert (by_patient == by_patient[:, :, :1]).all()


def test_resamples_do_not_depend_on_the_chunk(study, monkeypatch):
    cases = one_patient_per_case(study(n=40))
    whole = np.concatenate(list(resamples(cases, replicates=30, seed=3)))
    monkeypatch.setattr("squeezect.evaluation.estimates.ROWS_AT_ONCE", 100)
    parts = list(resamples(cases, replicates=30, seed=3))
    assert len(parts) > 1
    assert (np.concatenate(parts) == whole).all()


def test_bootstrap_does_not_depend_on_the_order_of_the_cases(study):
    one = study(n=50, scans=2)
    two = one.shuffled()
    found = [
        bootstrap(
            {"b": weighted.brier}, Cases.of(s.label, s.score, patients=s.patient), replicates=200
        )["b"]
        for s in (one, two)
    ]
    assert found[0].low == pytest.approx(found[1].low, abs=1e-12)
    assert found[0].high == pytest.approx(found[1].high, abs=1e-12)


def test_bootstrap_of_a_mean_is_the_textbook_interval(study):
    cases = one_patient_per_case(study(n=400))
    found = bootstrap({"b": weighted.brier}, cases, replicates=4000)["b"]
    error = ((cases.score - cases.label) ** 2).std() / np.sqrt(cases.n)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_no_resamples_are_refused(study):
    with pytest.raises(EvaluationError, match="0 bootstrap resamples") as caught:
        bootstrap({"b": weighted.brier}, one_patient_per_case(study()), replicates=0)
    assert caught.value.code == "bad-choice"


def test_resamples_of_one_class_are_left_out():
    cases = Cases.of([1, 1, *[0] * 8], [0.9, 0.8, *np.linspace(0.1, 0.7, 8)])
    found = bootstrap({"auc": weighted.roc_auc}, cases, replicates=500)["auc"]
    left = int(found.method.split()[-2])
    # A resample has no positive with chance 0.8 ** 10.
    assert left == pytest.approx(500 * (1 - 0.8**10), abs=25)
    assert left < 500
    assert found.low == 1


def test_recentred_interval_ends_around_the_value():
    rng = np.random.default_rng(0)
    probability = rng.random(400)
    cases = Cases.of(rng.random(400) < probability, probability)
    statistics = {"e": weighted.calibration_error}
    plain = bootstrap(statistics, cases, replicates=400)["e"]
    moved = bootstrap(statistics, cases, replicates=400, recentre=["e"])["e"]
    assert moved.value == plain.value
    assert moved.low < moved.value < moved.high < plain.high
