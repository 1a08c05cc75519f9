"""Two ways of training under several seeds: what cases and luck leave of a difference."""

import numpy as np
import pytest

from squeezect.errors import EvaluationError
from squeezect.evaluation import compare_auc
from squeezect.evaluation.luck import compare_auc_over_seeds


def rivals(rng, *, n=160, seeds=3, luck=0.0, better=0.0):
    """Labels, and scores of two ways under several seeds; luck moves the classes apart."""
    label = (np.arange(n) < n // 3).astype(int)
    case = rng.normal(size=n)

    def trained(gain):
        gap = 1.2 + gain + luck * rng.normal()
        return label * gap + case + 0.5 * rng.normal(size=n)

    return label, [trained(better) for _ in range(seeds)], [trained(0.0) for _ in range(seeds)]


def test_one_seed_is_the_paired_test():
    label, first, second = rivals(np.random.default_rng(0), seeds=1)
    assert compare_auc_over_seeds(label, first, second) == compare_auc(label, first[0], second[0])


@pytest.mark.parametrize("several", [1, 2])
def test_seeds_that_are_all_alike_leave_no_luck(several):
    label, (first,), (second,) = rivals(np.random.default_rng(1), seeds=1)
    who = np.arange(label.size) // several
    once = compare_auc(label, first, second, patients=who)
    thrice = compare_auc_over_seeds(label, [first] * 3, [second] * 3, patients=who)
    assert thrice.difference.value == pytest.approx(once.difference.value)
    assert thrice.difference.low == pytest.approx(once.difference.low)
    assert thrice.p_value == pytest.approx(once.p_value)


def test_swapping_the_ways_changes_the_sign_and_the_order_of_seeds_nothing():
    label, first, second = rivals(np.random.default_rng(2), luck=0.2)
    one = compare_auc_over_seeds(label, first, second)
    two = compare_auc_over_seeds(label, second, first)
    turned = compare_auc_over_seeds(label, first[::-1], second[::-1])
    assert one.difference.value == pytest.approx(-two.difference.value)
    assert one.difference.low == pytest.approx(-two.difference.high)
    assert one.p_value == pytest.approx(two.p_value) == pytest.approx(turned.p_value)
    gaps = [compare_auc(label, *pair).difference.value for pair in zip(first, second, strict=True)]
    assert one.difference.value == pytest.approx(np.mean(gaps))


def test_luck_is_not_taken_for_a_difference_and_a_difference_is_found():
    """Two equal ways of training whose seeds differ a lot: the paired test of one seed each cries
    wolf, that of several does not. A way that is better under every seed is found."""
    rng = np.random.default_rng(3)
    false, naive, found = [], [], []
    for _ in range(300):
        label, first, second = rivals(rng, luck=0.5)
        false.append(compare_auc_over_seeds(label, first, second).p_value)
        naive.append(compare_auc(label, first[0], second[0]).p_value)
        label, first, second = rivals(rng, luck=0.05, better=0.6)
        found.append(compare_auc_over_seeds(label, first, second).p_value)
    assert np.mean(np.array(naive) < 0.05) > 0.15
    assert np.mean(np.array(false) < 0.05) < 0.07
    assert np.mean(np.array(found) < 0.05) > 0.6


def test_perfect_rankings_keep_the_doubt_of_few_cases():
    label = [0] * 6 + [1] * 6
    perfect, nearly = np.arange(12), [0, 1, 2, 3, 4, 6.5, 6, 7, 8, 9, 10, 11]
    same = compare_auc_over_seeds(label, [perfect, perfect], [perfect, perfect])
    assert (same.difference.value, same.p_value) == (0, 1)
    other = compare_auc_over_seeds(label, [perfect, perfect], [nearly, nearly])
    assert other.difference.low < 0 < other.difference.value
    assert other.p_value > 0.05


@pytest.mark.parametrize("first", [[], [[1, 2, 3, 4]] * 3])
def test_ways_need_the_same_seeds(first):
    with pytest.raises(EvaluationError, match="bad-scores"):
        compare_auc_over_seeds([0, 0, 1, 1], first, [[1, 2, 3, 4]] * 2)
