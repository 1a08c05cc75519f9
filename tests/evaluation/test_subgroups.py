"""Laws of subgroup tables."""

import numpy as np
import pytest

from squeezect.errors import EvaluationError
from squeezect.evaluation import Cases, decision_scores, roc_auc, subgroups


def test_levels_hold_every_case_once(study):
    s = study(scans=2)
    cases = Cases.of(s.label, s.score, patients=s.patient)
    rng = np.random.default_rng(0)
    for column in (rng.gamma(4, 2, 400), rng.choice(list("ABCDEFGHIJ"), 400), np.full(400, "")):
        groups = subgroups(cases, column)
        assert sum(group.cases for group in groups) == 400
        assert sum(group.positives for group in groups) == cases.positives


def test_scores_are_those_of_the_cases_of_the_level(study):
    s = study()
    site = np.where(np.arange(200) % 3 == 0, "north", "south")
    groups = {g.level: g for g in subgroups(Cases.of(s.label, s.score), site, threshold=0.4)}
    here = site == "north"
    assert groups["north"].roc_auc == roc_auc(s.label[here], s.score[here])
    expected = decision_scores(s.label[here], s.score[here], 0.4)
    assert groups["north"].sensitivity == expected.sensitivity


def test_each_case_may_have_its_own_threshold(study):
    s = study()
    limit = np.where(np.arange(200) % 2 == 0, 0.0, 2.0)
    even, odd = subgroups(Cases.of(s.label, s.score), np.arange(200) % 2, threshold=limit)
    assert (even.sensitivity.value, odd.sensitivity.value) == (1, 0)


def test_numbers_are_cut_at_edges_or_into_thirds():
    cases = Cases.of([0, 1] * 6, np.linspace(0, 1, 12))
    column = np.arange(12.0)
    found = [(g.level, g.cases) for g in subgroups(cases, column, edges=(3, 10))]
    assert found == [("below 3", 3), ("3 to 10", 7), ("10 and above", 2)]
    assert [g.cases for g in subgroups(cases, column)] == [4, 4, 4]


def test_few_numbers_and_words_are_levels_in_order():
    cases = Cases.of([0, 1] * 3, np.linspace(0, 1, 6))
    assert [g.level for g in subgroups(cases, [10, 5, 10, 5, 2.5, 2.5])] == ["2.5", "5.0", "10.0"]
    assert [g.level for g in subgroups(cases, ["b", "a", "", "b", "nan", "a"])] == [
        "a",
        "b",
        "unknown",
    ]


def test_rare_words_are_other():
    cases = Cases.of([0, 1] * 10, np.linspace(0, 1, 20))
    column = [*"ABCDEF" * 3, "G", "H"]
    assert [g.level for g in subgroups(cases, column)] == [*"ABCDEF", "other"]


def test_level_of_one_class_has_no_area():
    cases = Cases.of([0, 1, 1], [0.1, 0.2, 0.9])
    first, _ = subgroups(cases, ["a", "b", "a"])
    assert first.roc_auc.defined
    _, second = subgroups(cases, ["a", "b", "a"])
    assert not second.roc_auc.defined
    assert second.as_dict()["roc_auc"]["value"] is None


def test_column_that_does_not_fit_is_refused():
    with pytest.raises(EvaluationError, match="does not fit"):
        subgroups(Cases.of([0, 1], [0.1, 0.2]), ["a"])
