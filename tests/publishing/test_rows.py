"""Scores of answers: what they rest on is said, and what is undefined is not a number."""

import json
from pathlib import Path

import numpy as np
import pytest

from squeezect.cohorts import Case
from squeezect.evaluation import roc_auc, sensitivity_at_specificity
from squeezect.publishing.judged import Judged
from squeezect.publishing.rows import score_rows
from squeezect.publishing.scores import WeightScores


def judged(labels, probability, diameters=None):
    sizes = [None] * len(labels) if diameters is None else diameters
    cases = [
        Case(Path(f"{n}.png"), f"P{n}", int(label), n + 1, diameter_mm=size)
        for n, (label, size) in enumerate(zip(labels, sizes, strict=True))
    ]
    return Judged("x", cases, np.array(probability, float), 0.5)


def test_a_difference_on_some_cases_names_them():
    random = np.random.default_rng(0)
    labels, chances = np.arange(60) % 2, random.random(60)
    sizes = [None if n < 9 else size for n, size in enumerate(random.uniform(3, 30, 60))]
    rows = score_rows(judged(labels, chances, sizes))
    own = rows["ROC AUC, 51 of 60 measured"]
    assert own.value == roc_auc(labels[9:], chances[9:]).value
    assert rows["ROC AUC minus that of the diameter, 51 of 60 measured"].first == own.value
    assert "ROC AUC minus that of the diameter" not in rows
    whole = score_rows(judged(labels, chances, random.uniform(3, 30, 60)))
    assert "ROC AUC minus that of the diameter" in whole


def test_the_published_point_knows_that_it_was_chosen_here():
    random = np.random.default_rng(1)
    labels = np.arange(200) % 2
    chances = np.clip(random.normal(0.4 + 0.2 * labels, 0.2), 0, 1)
    rows = score_rows(judged(labels, chances))
    found = rows["sensitivity at specificity 0.982"]
    who = [f"P{n}" for n in range(200)]
    assert found == sensitivity_at_specificity(labels, chances, 0.982, patients=who)
    assert isinstance(rows["precision there"], float)


def test_negatives_of_probability_one_are_not_called_positive():
    rows = score_rows(judged([0, 0, 1, 1], [1.0, 0.1, 1.0, 0.9]))
    assert rows["sensitivity at specificity 0.982"].value == 0
    assert "precision there" not in rows


def test_scores_are_json_where_something_is_undefined():
    scores = WeightScores("w", {"x": score_rows(judged([0, 0, 1, 1], [0.4, 0.3, 0.2, 0.1]))})
    json.dumps(scores.as_dict(), allow_nan=False)
    assert "nan" not in str(scores)


@pytest.mark.parametrize(("label", "missing"), [(1, "specificity"), (0, "sensitivity")])
def test_one_class_has_no_ranking(label, missing):
    rows = score_rows(judged([label] * 5, np.linspace(0, 1, 5)))
    assert "ROC AUC" not in rows
    assert f"{missing} at 0.5" not in rows
    assert rows["mean probability"] == 0.5
