"""Laws of the ROC and precision-recall areas and their intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, norm

from squeezect.errors import EvaluationError
from squeezect.evaluation import (
    Cases,
    pr_auc,
    roc_auc,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
    weighted,
)
from squeezect.evaluation.estimates import resamples
from squeezect.evaluation.ranking import (
    delong_variance,
    placements,
    ranking_scores_of,
    roc_auc_of,
    roc_auc_within,
)

SCORES = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=4, max_size=30).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


def by_hand(label, score):
    """All pairs, compared one by one."""
    high, low = score[label][:, None], score[~label][None]
    return (high > low) + 0.5 * (high == low)


@given(SCORES)
def test_area_and_variance_are_those_of_all_pairs(rows):
    label = np.array([r[0] for r in rows])
    score = np.array([r[1] for r in rows], dtype=float)
    pairs = by_hand(label, score)
    cases = Cases.of(label, score)
    share, area = placements(cases)
    assert area == pytest.approx(pairs.mean())
    assert np.allclose(share[label], pairs.mean(axis=1))
    assert np.allclose(share[~label], pairs.mean(axis=0))
    if min(pairs.shape) > 1:
        expected = pairs.mean(axis=1).var(ddof=1) / pairs.shape[0]
        expected += pairs.mean(axis=0).var(ddof=1) / pairs.shape[1]
        assert delong_variance(cases, share[None])[0, 0] == pytest.approx(expected, abs=1e-12)


@given(SCORES)
def test_area_is_the_mann_whitney_statistic(rows):
    label = np.array([r[0] for r in rows])
    score = np.array([r[1] for r in rows], dtype=float)
    u = mannwhitneyu(score[label], score[~label]).statistic
    assert roc_auc(label, score).value == pytest.approx(u / (label.sum() * (~label).sum()))


@given(SCORES)
def test_interval_holds_the_area_and_has_width(rows):
    found = roc_auc(*zip(*rows, strict=True))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high


def test_rising_map_changes_nothing(study):
    s = study()
    one, two = roc_auc(s.label, s.score), roc_auc(s.label, np.log(s.score))
    assert (one.value, one.low, one.high) == pytest.approx((two.value, two.low, two.high))


def test_swapped_labels_mirror_the_interval(study):
    s = study()
    one, two = roc_auc(s.label, s.score), roc_auc(1 - s.label, s.score).complement()
    assert (one.value, one.low, one.high) == pytest.approx((two.value, two.low, two.high))


def test_order_of_the_cases_does_not_matter(study):
    one, two = study(scans=2), study(scans=2).shuffled()
    found = [roc_auc(s.label, s.score, patients=s.patient) for s in (one, two)]
    assert found[0].low == pytest.approx(found[1].low)
    assert found[0].n == found[1].n == 400


@pytest.mark.parametrize("scans", [1, 3])
def test_variance_agrees_with_the_bootstrap_of_patients(study, scans):
    s = study(n=200, scans=scans)
    cases = Cases.of(s.label, s.score, patients=s.patient)
    drawn = np.concatenate(
        [weighted.roc_auc(cases, w) for w in resamples(cases, replicates=2000, seed=0)]
    )
    share, _ = placements(cases)
    assert delong_variance(cases, share[None])[0, 0] == pytest.approx(drawn.var(), rel=0.12)


def test_patients_with_both_classes_are_tied_together():
    rng = np.random.default_rng(5)
    patient = np.repeat(np.arange(150), 4)
    label = rng.random(600) < 0.5
    score = label * 0.8 + rng.normal(size=150)[patient] + rng.normal(size=600)
    cases = Cases.of(label, score, patients=patient)
    drawn = np.concatenate(
        [weighted.roc_auc(cases, w) for w in resamples(cases, replicates=2000, seed=0)]
    )
    share, _ = placements(cases)
    found = delong_variance(cases, share[None])[0, 0]
    assert found == pytest.approx(drawn.var(), rel=0.12)
    independent = delong_variance(Cases.of(label, score), share[None])[0, 0]
    assert abs(found / independent - 1) > 0.15


def test_a_case_copied_within_its_patient_adds_no_evidence(study):
    s = study(n=100)
    one = roc_auc(s.label, s.score)
    three = roc_auc(
        *(np.repeat(x, 3) for x in (s.label, s.score)), patients=np.repeat(s.patient, 3)
    )
    assert (one.low, one.high) == pytest.approx((three.low, three.high))


@pytest.mark.parametrize(("area", "positives", "negatives"), [(0.8, 15, 45), (0.95, 10, 20)])
def test_interval_covers_as_often_as_it_says(area, positives, negatives):
    rng = np.random.default_rng(0)
    shift = np.sqrt(2) * norm.ppf(area)
    label = np.arange(positives + negatives) < positives
    covered = 0
    for _ in range(400):
        found = roc_auc(label, rng.normal(size=label.size) + shift * label)
        covered += found.low <= area <= found.high
    assert 0.91 < covered / 400 < 0.99


def test_perfect_ranking_still_leaves_doubt_and_more_where_cases_are_few():
    few = roc_auc([0] * 5 + [1] * 5, np.arange(10))
    many = roc_auc([0] * 50 + [1] * 50, np.arange(100))
    assert few.value == many.value == 1
    assert few.high == many.high == 1
    assert few.low < 0.75
    assert many.low > 0.95
    assert "Newcombe" in few.method
    worst = roc_auc([1] * 5 + [0] * 5, np.arange(10))
    assert (worst.low, worst.high) == pytest.approx((0, 1 - few.low))


def test_a_single_positive_gets_a_wide_interval():
    found = roc_auc([0] * 30 + [1], [*range(30), 25.5])
    assert found.high - found.low > 0.4


def test_area_of_one_class_is_refused():
    with pytest.raises(EvaluationError, match="all 2 cases are of class 0"):
        roc_auc([0, 0], [0.1, 0.2])


def test_average_precision_interval_covers_as_often_as_it_says(study):
    big = study(9, n=100_000, share=0.3)
    truth = pr_auc(big.label, big.score, replicates=1).value
    covered = 0
    for seed in range(150):
        s = study(seed, n=120, share=0.3)
        found = pr_auc(s.label, s.score, replicates=300)
        covered += found.low <= truth <= found.high
    assert covered / 150 > 0.88


def test_perfect_precision_still_leaves_doubt():
    found = pr_auc([0] * 9 + [1] * 9, np.arange(18), replicates=50)
    assert found.value == 1
    assert 0.5 < found.low < 0.9


def test_sensitivity_and_specificity_mirror_each_other(study):
    s = study(n=90)
    one = specificity_at_sensitivity(s.label, s.score, 0.9, patients=s.patient, replicates=300)
    two = sensitivity_at_specificity(1 - s.label, -s.score, 0.9, patients=s.patient, replicates=300)
    assert one == two
    cases = Cases.of(s.label, s.score)
    direct = weighted.specificity_at(0.9)(cases, np.ones((1, cases.n)))[0]
    assert one.value == pytest.approx(direct)


@pytest.mark.parametrize("target", [0, -0.1, 1.1])
def test_targets_out_of_range_are_refused(target):
    with pytest.raises(EvaluationError, match="specificity"):
        sensitivity_at_specificity([0, 1], [0.1, 0.2], target)


def test_doubt_about_perfect_specificity_comes_from_the_negatives():
    label = [0] * 4 + [1] * 40
    found = ranking_scores_of(Cases.of(label, np.arange(44.0)), replicates=50)
    assert found.specificity_at_sensitivity.low < 0.6
    assert found.sensitivity_at_specificity.low > 0.9
    assert specificity_at_sensitivity(label, np.arange(44), 0.9, replicates=50).low < 0.6


def test_one_alarm_in_ten_is_ninety_per_cent_specificity():
    label, score = [0] * 10 + [1] * 5, [*range(9), 90, *range(50, 55)]
    assert sensitivity_at_specificity(label, score, 0.9, replicates=5).value == 1


def test_area_within_folds_is_that_of_all_pairs_of_one_fold(study):
    s = study(4)
    cases, fold = Cases.of(s.label, s.score, patients=s.patient), s.fold
    pairs = [
        np.sign(s.score[i] - s.score[j]) / 2 + 0.5
        for i in np.flatnonzero(s.label)
        for j in np.flatnonzero(~s.label.astype(bool))
        if fold[i] == fold[j]
    ]
    found = roc_auc_within(cases, fold)
    assert found.value == pytest.approx(np.mean(pairs))
    assert found.low < found.value < found.high
    # What a fold adds to all of its scores is no matter.
    assert roc_auc_within(cases.scored(s.score + 10.0 * fold), fold) == found
    assert roc_auc_within(cases, np.zeros(cases.n, int)).value == roc_auc_of(cases).value


def test_interval_within_folds_covers_as_often_as_it_says():
    rng, held, true = np.random.default_rng(0), 0, norm.cdf(1.2 / np.sqrt(2))
    label, fold = np.arange(90) % 3 == 0, np.arange(90) // 30
    for _ in range(300):
        score = 1.2 * label + rng.normal(size=90) + 3.0 * fold
        found = roc_auc_within(Cases.of(label, score), fold)
        held += found.low <= true <= found.high
    assert 0.92 <= held / 300 <= 0.98


def test_folds_of_one_class_have_no_pairs():
    cases = Cases.of([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4])
    assert not roc_auc_within(cases, np.array([0, 0, 1, 1])).defined


@pytest.mark.parametrize("score", [[0.9, 0.8, 0.7, 0.1, 0.2], [0.5] * 5])
def test_no_positive_found_still_leaves_doubt(score):
    found = sensitivity_at_specificity([0, 0, 0, 1, 1], score, 0.9, replicates=50)
    assert (found.value, found.low) == (0, 0)
    assert found.high > 0.3


def test_a_single_patient_tells_nothing_of_others():
    found = pr_auc([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.8], patients=["a"] * 4, replicates=50)
    assert (found.low, found.high) == (0, 1)
