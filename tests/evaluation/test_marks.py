"""Each rule of the LUNA16 challenge, by a hand-made case."""

import numpy as np
import pytest

from squeezect.errors import EvaluationError
from squeezect.evaluation import Points, read_points
from squeezect.evaluation.marks import match

NODULE = Points.of(["a"], [[0, 0, 0]], [10.0])
NONE = Points.of([], [], [])


def points(*rows):
    """Rows of (series, x, value) on the x axis."""
    return Points.of([r[0] for r in rows], [[r[1], 0, 0] for r in rows], [r[2] for r in rows])


def outcome(found):
    return sorted(zip(found.probability.tolist(), found.hit.tolist(), strict=True))


def test_rule_1_a_scan_keeps_100_marks():
    far = [("a", 100 + k, k / 1000) for k in range(150)]
    found = match(["a"], points(*far), NONE)
    assert found.probability.size == 100
    assert found.probability.min() == 0.05


def test_rule_1_marks_as_probable_as_the_101st_go_too():
    far = [("a", 100 + k, 0.9 if k < 60 else 0.5) for k in range(150)]
    assert match(["a"], points(*far), NONE).probability.size == 60


def test_rule_1_leaves_100_marks_alone_even_if_all_are_equal():
    far = [("a", 100 + k, 0.5) for k in range(100)]
    assert match(["a"], points(*far), NONE).probability.size == 100


def test_rule_1_counts_per_scan():
    far = [(name, 100 + k, 0.5 + k / 1000) for name in "ab" for k in range(80)]
    assert match(["a", "b"], points(*far), NONE).probability.size == 160


def test_rule_1_comes_first_so_that_a_hit_may_be_lost():
    rows = [("a", 100 + k, 0.5 + k / 1000) for k in range(101)] + [("a", 0, 0.1)]
    assert match(["a"], points(*rows), NODULE).found == 0


@pytest.mark.parametrize(("x", "hit"), [(4.999, True), (5.0, False), (5.001, False)])
def test_rule_2_a_mark_hits_strictly_inside_the_radius(x, hit):
    assert outcome(match(["a"], points(("a", x, 0.5)), NODULE)) == [(0.5, hit)]


def test_rule_2_distance_is_in_space():
    nodule = Points.of(["a"], [[10, 20, -30]], [10.0])
    mark = Points.of(["a", "a"], [[13, 22, -27], [13, 23, -27]], [0.9, 0.8])
    assert outcome(match(["a"], mark, nodule)) == [(0.8, False), (0.9, True)]


@pytest.mark.parametrize(("x", "hit"), [(4.9, True), (5.1, False)])
def test_rule_2_an_unknown_diameter_is_10_mm(x, hit):
    assert outcome(match(["a"], points(("a", x, 0.5)), points(("a", 0, -1.0)))) == [(0.5, hit)]


def test_rule_2_marks_of_another_scan_do_not_hit():
    found = match(["a", "b"], points(("b", 0, 0.5)), NODULE)
    assert outcome(found) == [(0.5, False)]


def test_rule_3_the_most_probable_mark_on_a_nodule_counts_the_others_do_not():
    found = match(["a"], points(("a", 1, 0.3), ("a", 2, 0.8), ("a", 3, 0.5)), NODULE)
    assert outcome(found) == [(0.8, True)]


def test_rule_3_one_mark_in_two_nodules_finds_both():
    found = match(["a"], points(("a", 3, 0.7)), points(("a", 0, 10.0), ("a", 6, 10.0)))
    assert outcome(found) == [(0.7, True), (0.7, True)]


def test_rule_4_a_mark_in_an_excluded_finding_does_not_count():
    found = match(["a"], points(("a", 50, 0.9), ("a", 90, 0.4)), NODULE, points(("a", 51, 8.0)))
    assert outcome(found) == [(0.4, False)]


def test_rule_4_unless_it_hits_a_nodule():
    found = match(["a"], points(("a", 1, 0.9)), NODULE, points(("a", 0, 30.0)))
    assert outcome(found) == [(0.9, True)]


def test_rule_4_an_excluded_finding_of_unknown_size_is_10_mm():
    marks = points(("a", 54.9, 0.9), ("a", 55.1, 0.8))
    assert outcome(match(["a"], marks, NODULE, points(("a", 50, -1.0)))) == [(0.8, False)]


def test_rule_5_a_missed_nodule_stays():
    found = match(["a"], NONE, points(("a", 0, 10.0), ("a", 90, 10.0)))
    assert found.nodules.tolist() == [2]
    assert found.found == 0


def test_scans_that_are_not_listed_do_not_count():
    found = match(["a"], points(("z", 0, 0.5)), points(("z", 0, 10.0)))
    assert found.probability.size == 0
    assert found.nodules.tolist() == [0]


def test_order_of_marks_and_nodules_does_not_matter():
    rng = np.random.default_rng(0)
    marks = points(
        *[(rng.choice(list("ab")), rng.uniform(-20, 20), rng.random()) for _ in range(60)]
    )
    nodules = points(("a", 0, 9.0), ("b", 5, 9.0), ("a", 12, 4.0))
    order, turn = rng.permutation(60), [2, 0, 1]
    shuffled = Points(marks.series[order], marks.point_mm[order], marks.value[order])
    turned = Points(nodules.series[turn], nodules.point_mm[turn], nodules.value[turn])
    assert outcome(match(["a", "b"], marks, nodules)) == outcome(
        match(["b", "a"], shuffled, turned)
    )


def test_scans_are_listed_once():
    with pytest.raises(EvaluationError, match="2 scans") as caught:
        match(["a", "a"], NONE, NODULE)
    assert caught.value.code == "bad-marks"


def test_points_that_are_no_numbers_are_named():
    with pytest.raises(EvaluationError, match="number 2"):
        Points.of(["a", "b"], [[0, 0, 0], [0, np.nan, 0]], [1, 1])
    with pytest.raises(EvaluationError, match="shapes"):
        Points.of(["a", "b"], [[0, 0, 0]], [1])


def test_tables_are_read_and_their_mistakes_named(tmp_path):
    table = tmp_path / "marks.csv"
    table.write_text("seriesuid,coordX,coordY,coordZ,probability\nu1,1,2,-3.5,0.25\n")
    found = read_points(table, "probability")
    assert found.series.tolist() == ["u1"]
    assert found.point_mm.tolist() == [[1, 2, -3.5]]
    assert found.value.tolist() == [0.25]
    with pytest.raises(EvaluationError, match=r"marks.csv has no column 'diameter_mm'"):
        read_points(table, "diameter_mm")
    table.write_text("seriesuid,coordX,coordY,coordZ,probability\nu1,1,2,-3.5,0.25\nu2,1,,3,0.5\n")
    with pytest.raises(EvaluationError, match=r"line 3 of marks.csv"):
        read_points(table, "probability")
    with pytest.raises(EvaluationError, match="does not exist"):
        read_points(tmp_path / "none.csv", "probability")
