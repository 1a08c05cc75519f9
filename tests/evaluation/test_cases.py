"""Laws of packed cases."""

import numpy as np
import pytest

from squeezect.errors import EvaluationError
from squeezect.evaluation import Cases


def test_order_runs_from_high_to_low_and_groups_ties():
    cases = Cases.of([0, 1, 0, 1], [0.2, 0.9, 0.9, 0.1])
    assert cases.score[cases.order].tolist() == [0.9, 0.9, 0.2, 0.1]
    assert cases.starts.tolist() == [0, 2, 3]


def test_selecting_numbers_patients_anew():
    cases = Cases.of([0, 1, 1], [0.1, 0.2, 0.3], patients=["c", "a", "c"])
    assert cases.clustered
    assert cases.select(np.array([True, False, True])).patients == 1


@pytest.mark.parametrize(
    ("labels", "scores", "named"),
    [
        ([0, 2], [0.1, 0.2], "label 2 of case 2"),
        ([0, 1], [0.1, float("nan")], "score nan of case 2"),
        ([0, 1], [0.1], r"\(1,\)"),
        ([], [], "not one row each"),
    ],
)
def test_wrong_input_is_named(labels, scores, named):
    with pytest.raises(EvaluationError, match=named) as caught:
        Cases.of(labels, scores)
    assert caught.value.code == "bad-scores"


def test_patients_must_fit():
    with pytest.raises(EvaluationError, match="patients"):
        Cases.of([0, 1], [0.1, 0.2], patients=["a"])


def test_one_class_is_refused_where_two_are_needed():
    with pytest.raises(EvaluationError, match="class 1") as caught:
        Cases.of([1, 1], [0.1, 0.2]).both_classes()
    assert caught.value.code == "one-class"
