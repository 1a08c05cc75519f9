"""Laws of the folds: nobody is in two parts, everybody is judged once, and draws repeat."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from squeezect.cohorts import Case, Cohort, Fold, Folds, make_folds, official_folds
from squeezect.errors import CohortError

SOURCE = Path("cohort.csv")
TWO = Folds((Fold((1,), (), (2,)), Fold((2,), (), (1,))), (), {1: "a", 2: "b"})


def cohort_of(labels, *, patients=None, splits=None, folds=None):
    """A cohort of made-up cases from lists of their values."""
    size = len(labels)
    patients = patients or [f"p{i}" for i in range(size)]
    splits = splits or [None] * size
    folds = folds or [None] * size
    rows = zip(labels, patients, splits, folds, strict=True)
    return Cohort(
        tuple(
            Case(Path(f"s{i}"), patient, label, i + 1, split=split, fold=fold)
            for i, (label, patient, split, fold) in enumerate(rows)
        ),
        SOURCE,
    )


@st.composite
def cohorts(draw, max_patients=60):
    """One to three scans per patient, one label per patient, some patients unlabelled."""
    patients, labels = [], []
    for i in range(draw(st.integers(10, max_patients))):
        scans = draw(st.integers(1, 3))
        patients += [f"p{i}"] * scans
        labels += [draw(st.sampled_from([0, 0, 0, 1, 1, None]))] * scans
    return cohort_of(labels, patients=patients)


def counts(cohort):
    """Patients per class."""
    pairs = {(c.patient, c.label) for c in cohort.labelled}
    return [sum(label == k for _, label in pairs) for k in range(2)]


@given(cohorts(), st.integers(2, 5), st.integers(0, 3), st.sampled_from([0.0, 0.08, 0.2]))
def test_every_patient_is_in_one_part_and_judged_once(cohort, folds, seed, test_fraction):
    assume(min(counts(cohort)) >= folds + 4)
    drawn = make_folds(cohort, folds=folds, seed=seed, test_fraction=test_fraction)
    everyone = {c.row for c in cohort.labelled}
    patient = {c.row: c.patient for c in cohort.cases}
    judged = [row for fold in drawn.folds for row in fold.validation] + list(drawn.test)
    assert sorted(judged) == sorted(everyone)
    for fold in drawn.folds:
        parts = [fold.train, fold.tune, fold.validation, drawn.test]
        assert sorted(row for part in parts for row in part) == sorted(everyone)
        who = [{patient[row] for row in part} for part in parts]
        assert sum(map(len, who)) == len(set().union(*who))
        for part in (fold.train, fold.tune, fold.validation):
            assert {cohort.case(row).label for row in part} == {0, 1}
    assert bool(drawn.test) == (test_fraction > 0)


@given(cohorts(), st.randoms())
def test_the_order_of_rows_does_not_matter(cohort, random):
    assume(min(counts(cohort)) >= 6)
    shuffled = list(cohort.cases)
    random.shuffle(shuffled)
    options = {"folds": 3, "test_fraction": 0.1}
    assert make_folds(cohort, **options) == make_folds(Cohort(tuple(shuffled), SOURCE), **options)
    # Numbering the rows anew renames them and changes nothing else.
    moved = {case.row: i + 1 for i, case in enumerate(shuffled)}
    renamed = Cohort(tuple(replace(c, row=moved[c.row]) for c in shuffled), SOURCE)
    one, two = make_folds(cohort, **options), make_folds(renamed, **options)
    for a, b in zip(one.folds, two.folds, strict=True):
        assert sorted(moved[row] for row in a.validation) == list(b.validation)
        assert sorted(moved[row] for row in a.tune) == list(b.tune)


@given(st.integers(10, 80), st.integers(10, 80), st.integers(2, 5))
def test_classes_are_spread_evenly(negatives, positives, folds):
    cohort = cohort_of([0] * negatives + [1] * positives)
    drawn = make_folds(cohort, folds=folds, tune_fraction=0.2)
    for label in (None, 0, 1):
        sizes = [
            sum(label in (None, cohort.case(row).label) for row in fold.validation)
            for fold in drawn.folds
        ]
        assert max(sizes) - min(sizes) <= 1
    for fold in drawn.folds:
        learning = [cohort.case(row).label for row in fold.train + fold.tune]
        tuning = [cohort.case(row).label for row in fold.tune]
        for label in (0, 1):
            assert abs(tuning.count(label) - 0.2 * learning.count(label)) <= 1


def test_the_seed_decides():
    cohort = cohort_of([0, 1] * 20)
    options = {"folds": 4, "test_fraction": 0.1}
    draws = [make_folds(cohort, seed=seed, **options) for seed in range(5)]
    assert draws[0] == make_folds(cohort, seed=0, **options)
    assert len({draw.test for draw in draws}) > 1
    assert len({draw.folds for draw in draws}) == 5


def test_draws_are_the_same_on_every_machine():
    drawn = make_folds(cohort_of([0, 1] * 5), folds=3, seed=7, test_fraction=0.2)
    assert drawn.test == (1, 10)
    assert [fold.validation for fold in drawn.folds] == [(3, 7, 8), (2, 5, 6), (4, 9)]


def test_leaving_a_patient_out_hardly_moves_the_test_part():
    cohort = cohort_of([0, 1] * 50)
    test = set(make_folds(cohort, test_fraction=0.1).test)
    for row in range(1, 101):
        without = set(make_folds(cohort.without({row}), test_fraction=0.1).test)
        assert len(without - test) <= 1


def test_a_given_split_is_the_test_part():
    splits = ["test" if i % 5 == 0 else "train" for i in range(30)]
    cohort = cohort_of([0, 1] * 15, splits=splits)
    expected = tuple(i + 1 for i in range(30) if i % 5 == 0)
    for test_fraction in (0.0, 0.5):
        assert make_folds(cohort, folds=3, test_fraction=test_fraction).test == expected


def test_patients_with_both_labels_stay_whole_and_both_classes_are_everywhere():
    patients = [f"p{i // 4}" for i in range(120)]
    cohort = cohort_of([int(i % 7 < 3) for i in range(120)], patients=patients)
    drawn = make_folds(cohort, folds=5, test_fraction=0.1)
    for fold in drawn.folds:
        for part in (fold.train, fold.tune, fold.validation):
            assert {cohort.case(row).label for row in part} == {0, 1}
    sizes = [len(fold.validation) for fold in drawn.folds]
    assert max(sizes) - min(sizes) <= 4


def test_three_classes():
    cohort = cohort_of([0, 1, 2] * 12)
    for fold in make_folds(cohort, folds=4).folds:
        for part in (fold.train, fold.tune, fold.validation):
            assert {cohort.case(row).label for row in part} == {0, 1, 2}


@pytest.mark.parametrize(
    ("labels", "options", "code", "words"),
    [
        ([0] * 9 + [1] * 3, {}, "too-few-patients", "class 1 has 3 patients outside the test part"),
        ([0] * 9 + [1], {"folds": 2}, "too-few-patients", "2 folds need 2"),
        ([0, 0, 0, 1, 1, 1], {"folds": 2}, "too-few-patients", "fold 0 has nobody of class 0"),
        ([1] * 9, {}, "too-few-classes", "labels of cohort.csv are 1"),
        ([None] * 9, {}, "too-few-classes", "labels of cohort.csv are none"),
        ([0, 1] * 9, {"folds": 1}, "bad-folds", "1 folds"),
        ([0, 1] * 9, {"tune_fraction": 1.0}, "bad-folds", "fraction 1.0"),
        ([0, 1] * 9, {"test_fraction": -0.1}, "bad-folds", "fraction -0.1"),
    ],
)
def test_refusals_name_counts(labels, options, code, words):
    with pytest.raises(CohortError) as caught:
        make_folds(cohort_of(labels), **options)
    assert caught.value.code == code
    assert words in str(caught.value)


def test_official_folds_are_kept():
    cohort = cohort_of([0, 1] * 15, folds=[i // 2 % 3 for i in range(30)])
    drawn = official_folds(cohort)
    for number, fold in enumerate(drawn.folds):
        assert {cohort.case(row).fold for row in fold.validation} == {number}
        assert number not in {cohort.case(row).fold for row in fold.train + fold.tune}


def test_official_folds_that_share_a_patient_are_refused():
    patients = [f"p{i}" for i in range(29)] + ["p0"]
    cohort = cohort_of([0, 1] * 15, patients=patients, folds=[i // 2 % 3 for i in range(30)])
    with pytest.raises(CohortError, match=r"rows 1 \(fold 0\) and 30 \(fold 2\).*one patient"):
        official_folds(cohort)


@pytest.mark.parametrize("folds", [[0, None] * 6, [0] * 12])
def test_official_folds_need_a_fold_for_everyone(folds):
    with pytest.raises(CohortError, match="bad-folds"):
        official_folds(cohort_of([0, 1] * 6, folds=folds))


@pytest.mark.parametrize("home", ["train", "tune", "validation", "test"])
@pytest.mark.parametrize("other", ["train", "tune", "validation", "test"])
def test_folds_with_a_patient_in_two_parts_cannot_be_made(home, other):
    rows = {"train": 1, "tune": 2, "validation": 3, "test": 4}
    names = {row: str(row) for row in rows.values()}
    parts = {part: (row,) for part, row in rows.items()}
    test = parts.pop("test")
    folds = (
        Fold(**parts),
        Fold((3,), (), (1, 2)),  # so that every row is judged once
    )
    Folds(folds, test, names)
    if home == other:
        return
    with pytest.raises(CohortError) as caught:
        Folds(folds, test, names | {rows[other]: names[rows[home]]})
    assert caught.value.code == "patient-in-two-parts"
    assert all(str(row) in str(caught.value) for row in (rows[home], rows[other]))


def test_one_patient_is_not_judged_in_two_folds():
    folds = (Fold((), (), (1, 2)), Fold((), (), ()))
    with pytest.raises(CohortError, match="bad-folds"):
        Folds(folds, (), {1: "a", 2: "b"})
    split = (Fold((2,), (), (1,)), Fold((1,), (), (2,)))
    with pytest.raises(CohortError, match="patient-in-two-parts"):
        Folds(split, (), {1: "a", 2: "a"})


@pytest.mark.parametrize(
    "change",
    [
        {"test": (2,)},
        {"folds": (TWO.folds[0],)},
        {"folds": (*TWO.folds, Fold((1, 2), (), ()), Fold((1,), (), (2,)))},
        {"patients": {1: "a", 2: "b", 3: "c"}},
        {"folds": (Fold((1, 3), (), (2,)), TWO.folds[1])},
    ],
)
def test_folds_hold_every_row_once(change):
    with pytest.raises(CohortError, match="bad-folds"):
        replace(TWO, **change)


@given(cohorts())
def test_json_keeps_folds(cohort):
    assume(min(counts(cohort)) >= 4)
    drawn = make_folds(cohort, folds=3)
    text = json.dumps(drawn.as_dict())
    assert Folds.from_dict(json.loads(text)) == drawn
    assert not any(f'"{c.patient}"' in text for c in cohort.cases)


@pytest.mark.parametrize("damage", ["folds", "test", "patients"])
def test_damaged_json_is_refused(damage):
    data = TWO.as_dict()
    for value in (None, 7, {"x": 1}, ["x"]):
        with pytest.raises(CohortError):
            Folds.from_dict(data | {damage: value})
    del data[damage]
    with pytest.raises(CohortError, match="bad-folds"):
        Folds.from_dict(data)
