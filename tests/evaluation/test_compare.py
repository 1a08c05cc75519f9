"""Laws of comparing two models on the same cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from squeezect.errors import EvaluationError
from squeezect.evaluation import Cases, compare_auc, compare_decisions, compare_scores, holm
from squeezect.evaluation.compare import compare_all_aucs


def rival(s, noise=0.7, seed=9):
    rng = np.random.default_rng(seed)
    logit = np.log(s.score / (1 - s.score)) + rng.normal(size=s.score.size) * noise
    return 1 / (1 + np.exp(-logit))


SCORES = ["roc_auc", "pr_auc", "brier", "log_loss", "calibration_error"]


def test_identical_models_do_not_differ(study):
    s = study(scans=2)
    found = [compare_auc(s.label, s.score, s.score, patients=s.patient)]
    found += [compare_decisions(s.label, s.score > 0.5, s.score > 0.5)]
    found += [
        compare_scores(s.label, s.score, s.score, score, patients=s.patient, replicates=50)
        for score in SCORES
    ]
    for comparison in found:
        assert comparison.p_value == 1
        assert comparison.difference.value == 0
        assert comparison.difference.low <= 0 <= comparison.difference.high


def test_rising_map_is_no_different_model(study):
    s = study()
    assert compare_auc(s.label, s.score, s.score**3).p_value == 1


def test_swapping_the_models_changes_the_sign(study):
    s = study(scans=2)
    other = rival(s)
    one = compare_auc(s.label, s.score, other, patients=s.patient)
    two = compare_auc(s.label, other, s.score, patients=s.patient)
    assert one.difference.value == pytest.approx(-two.difference.value)
    assert one.difference.low == pytest.approx(-two.difference.high)
    assert one.p_value == pytest.approx(two.p_value)
    calls = s.score > 0.5, other > 0.5
    one, two = (compare_decisions(s.label, *pair) for pair in (calls, calls[::-1]))
    assert one.difference.low == pytest.approx(-two.difference.high)
    assert one.p_value == two.p_value


@pytest.mark.parametrize("scans", [1, 3])
def test_delong_agrees_with_the_paired_bootstrap(study, scans):
    s = study(n=200, scans=scans)
    other = rival(s)
    one = compare_auc(s.label, s.score, other, patients=s.patient)
    two = compare_scores(s.label, s.score, other, patients=s.patient)
    assert one.difference.value == pytest.approx(two.difference.value)
    width = one.difference.high - one.difference.low
    assert two.difference.high - two.difference.low == pytest.approx(width, rel=0.1)


def test_p_values_are_uniform_between_equal_models():
    rng = np.random.default_rng(0)
    label = np.arange(120) < 50
    p_values = []
    for _ in range(400):
        truth = label + rng.normal(size=120)
        pair = truth + rng.normal(size=120), truth + rng.normal(size=120)
        p_values.append(compare_auc(label, *pair).p_value)
    assert 0.03 < np.mean(np.array(p_values) < 0.05) < 0.08
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.05)


def test_two_perfect_models_leave_doubt():
    found = compare_auc([0] * 6 + [1] * 6, np.arange(12), [*range(6, 0, -1), *range(7, 13)])
    assert found.difference.value == 0
    assert found.p_value == 1
    same_ranks = compare_auc([0] * 6 + [1] * 6, np.arange(12), np.arange(12))
    assert same_ranks.p_value == 1


def test_perfect_against_nearly_perfect_has_width():
    label = [0] * 6 + [1] * 6
    found = compare_auc(label, np.arange(12), [0, 1, 2, 3, 4, 6.5, 6, 7, 8, 9, 10, 11])
    assert found.difference.low < found.difference.value < found.difference.high


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_exact_sign_test(first, second):
    label = np.ones(first + second + 3, dtype=int)
    one = np.r_[np.ones(first), np.zeros(second), np.ones(3)]
    two = np.r_[np.zeros(first), np.ones(second), np.ones(3)]
    found = compare_decisions(label, one, two)
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert found.p_value == pytest.approx(expected)
    low, high = found.difference.low, found.difference.high
    assert -1 <= low <= found.difference.value <= high <= 1


def test_decisions_among_one_class_compare_sensitivity_or_specificity():
    label = [1, 1, 0, 0, 0]
    one, two = [1, 1, 1, 1, 0], [1, 0, 0, 0, 0]
    assert compare_decisions(label, one, two, among="positives").difference.value == 0.5
    found = compare_decisions(label, one, two, among="negatives")
    assert found.difference.value == pytest.approx(-2 / 3)


def test_newcombe_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(3)
    label = np.ones(60, dtype=int)
    covered = 0
    for _ in range(500):
        kind = rng.choice(4, size=60, p=[0.6, 0.2, 0.1, 0.1])
        found = compare_decisions(label, kind < 2, (kind == 0) | (kind == 2)).difference
        covered += found.low <= 0.1 <= found.high
    assert covered / 500 > 0.92


def test_better_probabilities_win(study):
    s = study(n=300)
    found = compare_scores(s.label, s.score, np.full(300, 0.4), "brier", replicates=500)
    assert found.difference.high < 0
    assert found.p_value == pytest.approx(2 / 501)


def test_order_of_the_cases_does_not_matter(study):
    one, two = study(scans=2), study(scans=2).shuffled()
    found = [
        compare_scores(s.label, s.score, s.score**2, "brier", patients=s.patient, replicates=100)
        for s in (one, two)
    ]
    assert found[0].difference.low == pytest.approx(found[1].difference.low)


def test_holm_never_lowers_and_keeps_the_order():
    raw = [0.04, 0.01, 0.5, 0.03]
    found = holm(raw)
    assert found == pytest.approx([0.09, 0.04, 0.5, 0.09])
    assert all(f >= r for f, r in zip(found, raw, strict=True))
    assert holm([]) == []


def test_wrong_input_is_refused(study):
    s = study()
    with pytest.raises(EvaluationError, match="not one row each"):
        compare_auc(s.label, s.score, s.score[:-1])
    with pytest.raises(EvaluationError, match="no decisions of 0 or 1"):
        compare_decisions(s.label, s.score, s.score)
    with pytest.raises(EvaluationError, match="among positives"):
        compare_decisions([0, 0], [0, 1], [0, 1], among="positives")
    with pytest.raises(EvaluationError, match="outside"):
        compare_scores(s.label, s.score, s.score + 5, "brier")


def test_models_that_agree_are_compared_more_sharply():
    label = np.ones(100, dtype=int)
    first, same = np.arange(100) < 80, np.arange(100) < 70
    apart = np.roll(same, 45)
    sharp, blunt = (compare_decisions(label, first, other).difference for other in (same, apart))
    assert sharp.value == blunt.value == pytest.approx(0.1)
    assert sharp.high - sharp.low < 0.8 * (blunt.high - blunt.low)


def test_a_perfect_model_is_better_than_a_constant_one():
    label = np.arange(1000) % 2
    found = compare_auc(label, label, np.full(1000, 0.5))
    assert found.difference.low > 0.4
    assert found.p_value < 1e-6
    # A single positive shows next to nothing.
    few = np.arange(10) == 9
    assert compare_auc(few, few, np.full(10, 0.5)).p_value > 0.05


@pytest.mark.parametrize("patients", [1, 2, 3, 5])
def test_few_patients_prove_little_however_their_cases_agree(patients):
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(patients), 8)
    label = np.arange(who.size) % 2
    score = np.clip(label * 0.4 + 0.3 + rng.uniform(-0.2, 0.2, who.size), 0, 1)
    found = compare_scores(label, score, score**4, "brier", patients=who, replicates=200)
    assert found.p_value >= 2.0 ** (1 - patients)
    if patients == 1:
        assert (found.difference.low, found.difference.high) == (-1, 1)


def test_decisions_of_patients_with_several_cases_do_not_count_as_independent():
    """Cases of a patient decided alike: McNemar's test would fire about one time in six."""
    rng, fired = np.random.default_rng(3), 0
    for _ in range(60):
        who = np.repeat(np.arange(60), 4)
        label = np.repeat(rng.integers(2, size=60), 4)
        calls = [np.repeat(rng.random(60) < 0.7, 4) == label for _ in range(2)]
        fired += compare_decisions(label, *calls, patients=who).p_value < 0.05
    assert fired / 60 <= 0.12


def test_all_pairs_are_the_pairs_one_by_one(study):
    s = study(1)
    scores = [s.score, s.score**2 + 0.1 * s.label, np.roll(s.score, 3)]
    models = [Cases.of(s.label, score, patients=s.patient) for score in scores]
    found = compare_all_aucs(models)
    assert set(found) == {(0, 1), (0, 2), (1, 2)}
    for (i, j), pair in found.items():
        for told, first, second in ((pair, i, j), (pair.reversed(), j, i)):
            alone = compare_auc(s.label, scores[first], scores[second], patients=s.patient)
            assert told.method == alone.method == told.difference.method
            # Sums of three models may end in another digit than those of two.
            assert numbers(told) == pytest.approx(numbers(alone), rel=1e-9, abs=1e-12)


def numbers(told):
    gap = told.difference
    return (told.first, told.second, gap.value, gap.low, gap.high, gap.n, told.p_value)
