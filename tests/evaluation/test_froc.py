"""Laws of the LUNA16 score."""

import numpy as np
import pytest

from squeezect.errors import EvaluationError
from squeezect.evaluation import Points, read_points, score_froc
from squeezect.evaluation.froc import RATES, _curves
from squeezect.evaluation.marks import match

NONE = Points.of([], [], [])


def line(*rows):
    """Rows of (series, x, value) on the x axis."""
    return Points.of([r[0] for r in rows], [[r[1], 0, 0] for r in rows], [r[2] for r in rows])


def simulated(seed=0, *, scans=40, marks=30, found=0.7):
    rng = np.random.default_rng(seed)
    names = [f"s{k:03d}" for k in range(scans)]
    nodules = line(*[(n, 0.0, 8.0) for n in names[: scans // 2]])
    false = [(n, rng.uniform(50, 300), rng.beta(1, 4)) for n in names for _ in range(marks)]
    true = [(n, 1.0, rng.beta(3, 1)) for n in names[: scans // 2] if rng.random() < found]
    return names, line(*false, *true), nodules


def by_hand(names, marks, nodules):
    """CPM by sorting all marks and counting, for marks without double hits or exclusions."""
    hit = np.abs(marks.point_mm[:, 0]) < 4
    hit &= np.isin(marks.series, nodules.series)
    order = np.argsort(-marks.value)
    sensitivity = np.r_[0, np.cumsum(hit[order])] / nodules.series.size
    rate = np.r_[0, np.cumsum(~hit[order])] / len(names)
    return np.mean([np.interp(r, rate, sensitivity) for r in RATES])


@pytest.mark.parametrize("seed", range(5))
def test_cpm_is_that_of_counting(seed):
    names, marks, nodules = simulated(seed)
    found = score_froc(names, marks, nodules, replicates=20)
    assert found.cpm.value == pytest.approx(by_hand(names, marks, nodules))
    assert found.cpm.value == pytest.approx(np.mean(found.sensitivities))


def mark_by_mark(names, marks, nodules, excluded):
    """The whole score, one mark and one nodule at a time."""
    events, total = [], 0

    def of(points, name):
        return [
            (p, v)
            for s, p, v in zip(points.series, points.point_mm, points.value, strict=True)
            if s == name
        ]

    def inside(point, ball):
        diameter = 10.0 if ball[1] < 0 else ball[1]
        return ((point[0] - ball[0]) ** 2).sum() < (diameter / 2) ** 2

    for name in names:
        kept = of(marks, name)
        if len(kept) > 100:
            bar = sorted((v for _, v in kept), reverse=True)[100]
            kept = [m for m in kept if m[1] > bar]
        total += len(of(nodules, name))
        for ball in of(nodules, name):
            hits = [m[1] for m in kept if inside(m, ball)]
            events += [(max(hits), True)] if hits else []
        balls = of(nodules, name) + of(excluded, name)
        events += [(m[1], False) for m in kept if not any(inside(m, b) for b in balls)]
    rate, sensitivity = [0.0], [0.0]
    for bar in sorted({v for v, _ in events}, reverse=True):
        rate.append(sum(v >= bar and not hit for v, hit in events) / len(names))
        sensitivity.append(sum(v >= bar and hit for v, hit in events) / total)
    return [float(np.interp(r, rate, sensitivity)) for r in RATES]


@pytest.mark.parametrize("seed", range(6))
def test_all_rules_together_agree_with_counting_mark_by_mark(seed):
    rng = np.random.default_rng(seed)
    names = ["a", "b", "c"]

    def scene(n, span, values):
        return Points.of(rng.choice(names, n), rng.uniform(-span, span, (n, 3)), values)

    marks = scene(400, 20, rng.integers(0, 60, 400) / 60)
    nodules = scene(8, 18, rng.choice([-1.0, 6.0, 12.0, 25.0], 8))
    excluded = scene(10, 18, rng.choice([-1.0, 8.0, 14.0], 10))
    found = score_froc([*names, "empty"], marks, nodules, excluded, replicates=2)
    expected = mark_by_mark([*names, "empty"], marks, nodules, excluded)
    assert found.sensitivities == pytest.approx(expected)
    assert 0 < found.cpm.value < 1


def test_rule_6_scans_without_marks_count_in_the_rate():
    marks = line(("a", 90, 0.9), ("a", 95, 0.8), ("a", 0, 0.5))
    nodules = line(("a", 0, 10.0))
    few = score_froc(["a", "b"], marks, nodules, replicates=5)
    many = score_froc(["a", *(f"empty{k}" for k in range(19))], marks, nodules, replicates=5)
    assert few.curve.x[-1] == 1
    assert many.curve.x[-1] == pytest.approx(0.1)


def test_rule_5_missed_nodules_lower_the_sensitivity():
    marks = line(("a", 0, 0.9))
    found = score_froc(["a"], marks, line(("a", 0, 10.0), ("a", 90, 10.0)), replicates=5)
    assert found.sensitivities == (0.5,) * 7
    assert (found.nodules, found.found, found.false_marks) == (2, 1, 0)


def test_rule_7_the_curve_begins_at_zero_and_is_straight_between_points():
    # One scan: false mark first, then the hit, so the curve goes (0, 0), (1, 0), (1, 1).
    late = score_froc(["a"], line(("a", 90, 0.9), ("a", 0, 0.5)), line(("a", 0, 9.0)), replicates=5)
    assert late.sensitivities == (0, 0, 0, 1, 1, 1, 1)
    # Equal probabilities are one point: (0, 0), (1, 1), a slope between them.
    tied = score_froc(["a"], line(("a", 90, 0.5), ("a", 0, 0.5)), line(("a", 0, 9.0)), replicates=5)
    assert tied.sensitivities == (0.125, 0.25, 0.5, 1, 1, 1, 1)
    assert tied.cpm.value == pytest.approx((0.125 + 0.25 + 0.5 + 4) / 7)


def test_perfect_marks_score_one_and_none_score_zero():
    nodules = line(("a", 0, 10.0))
    assert score_froc(["a"], line(("a", 0, 0.1)), nodules, replicates=5).cpm.value == 1
    nothing = score_froc(["a", "b"], NONE, nodules, replicates=5)
    assert nothing.cpm.value == 0
    assert nothing.false_marks == 0


def test_rising_map_of_the_probabilities_changes_nothing():
    names, marks, nodules = simulated()
    mapped = Points(marks.series, marks.point_mm, np.exp(5 * marks.value))
    one, two = (score_froc(names, m, nodules, replicates=50) for m in (marks, mapped))
    assert one.as_dict() == two.as_dict()


def test_more_false_marks_never_help():
    names, marks, nodules = simulated()
    more = Points(
        np.r_[marks.series, names],
        np.r_[marks.point_mm, np.full((40, 3), 500.0)],
        np.r_[marks.value, np.full(40, 0.99)],
    )
    before, after = (score_froc(names, m, nodules, replicates=5) for m in (marks, more))
    assert after.cpm.value < before.cpm.value
    assert after.found == before.found


def test_all_scans_twice_score_the_same():
    names, marks, nodules = simulated()
    twin = Points.of(
        [*marks.series, *(f"{s}t" for s in marks.series)],
        np.r_[marks.point_mm, marks.point_mm],
        np.r_[marks.value, marks.value],
    )
    doubled = Points.of(
        [*nodules.series, *(f"{s}t" for s in nodules.series)],
        np.r_[nodules.point_mm, nodules.point_mm],
        np.r_[nodules.value, nodules.value],
    )
    one = score_froc(names, marks, nodules, replicates=5)
    two = score_froc([*names, *(f"{n}t" for n in names)], twin, doubled, replicates=5)
    assert one.cpm.value == pytest.approx(two.cpm.value)


def test_rule_8_bootstrap_surrounds_the_raw_score():
    names, marks, nodules = simulated(scans=80)
    found = score_froc(names, marks, nodules, replicates=300)
    assert found.cpm.low < found.cpm.value < found.cpm.high
    assert found.bootstrap_cpm == pytest.approx(found.cpm.value, abs=0.03)
    assert (found.curve.low <= found.curve.high).all()
    assert found.curve.grid.size == 10_000
    assert (found.curve.grid[0], found.curve.grid[-1]) == (0.125, 8)
    again = score_froc(names, marks, nodules, replicates=300)
    assert again.as_dict() == found.as_dict()


def test_rule_8_a_resample_is_the_score_of_the_copied_scans():
    names, marks, nodules = simulated(scans=6)
    weights = np.array([[2, 0, 1, 3, 0, 0]])
    rate, sensitivity = next(_curves(match(names, marks, nodules), weights.astype(float)))
    copies = [(n, c) for n, w in zip(names, weights[0], strict=True) for c in range(w)]

    def copied(points):
        chosen = [(f"{n}-{c}", k) for n, c in copies for k in np.flatnonzero(points.series == n)]
        index = [k for _, k in chosen]
        return Points.of([n for n, _ in chosen], points.point_mm[index], points.value[index])

    direct = score_froc(
        [f"{n}-{c}" for n, c in copies], copied(marks), copied(nodules), replicates=1
    )
    grid = np.linspace(0, 8, 200)
    assert np.allclose(
        np.interp(grid, rate, sensitivity), np.interp(grid, direct.curve.x, direct.curve.y)
    )


def test_reading_only_the_top_of_many_marks_changes_nothing():
    names, marks, nodules = simulated(scans=30, marks=90)
    matches = match(names, marks, nodules)
    assert matches.hit.size > 2000
    weights = np.random.default_rng(0).multinomial(30, np.full(30, 1 / 30), size=20).astype(float)
    for row, (rate, sensitivity) in zip(weights, _curves(matches, weights), strict=True):
        assert rate[-1] > 8
        assert rate.size < matches.hit.size
        drawn = row[matches.scan]
        full = np.cumsum(drawn * ~matches.hit) / 30
        hits = np.cumsum(drawn * matches.hit) / (row @ matches.nodules)
        grid = np.linspace(0, 8, 100)
        assert np.allclose(
            np.interp(grid, np.r_[0, full], np.r_[0, hits]), np.interp(grid, rate, sensitivity)
        )


def test_scans_without_nodules_are_refused():
    with pytest.raises(EvaluationError, match="no nodule in any of 1 scans") as caught:
        score_froc(["a"], NONE, NONE)
    assert caught.value.code == "no-nodules"
    with pytest.raises(EvaluationError, match="0 bootstrap resamples"):
        score_froc(["a"], NONE, line(("a", 0, 10.0)), replicates=0)


@pytest.mark.real
def test_the_whole_challenge(real_data):
    folder = next(real_data("tables").rglob("annotations.csv")).parent
    scans = (folder / "seriesuids.csv").read_text().split()
    nodules = read_points(folder / "annotations.csv", "diameter_mm")
    excluded = read_points(folder / "annotations_excluded.csv", "diameter_mm")
    assert (len(scans), nodules.series.size, excluded.series.size) == (888, 1186, 35192)
    found = score_froc(scans, nodules, nodules, excluded, replicates=10)
    assert (found.nodules, found.found, found.false_marks) == (1186, 1186, 0)
    assert found.cpm.value == 1
    # Marks on excluded findings count for nothing, but for the few that lie in nodules too.
    mixed = score_froc(scans, excluded, nodules, excluded, replicates=10)
    assert mixed.false_marks == 0


def test_a_resample_without_the_loudest_scan_is_read_far_enough():
    names = [f"s{k}" for k in range(10)]
    loud = [("s0", 90 + k, 0.9 + k / 2000) for k in range(100)]
    quiet = [(n, 90 + k, k / 200) for n in names[1:] for k in range(90)]
    matches = match(names, line(*loud, *quiet), line(("s1", 0, 9.0)))
    weights = np.array([[0, 2, *[1] * 8]], dtype=float)
    rate, _ = next(_curves(matches, weights))
    assert rate[-1] > 8


@pytest.mark.parametrize("seed", range(10))
def test_resamples_without_any_nodule_are_drawn_again(seed):
    scans = [f"s{k}" for k in range(10)]
    nodule = Points.of(["s0"], [[0, 0, 0]], [8.0])
    marks = Points.of(scans, np.zeros((10, 3)), np.linspace(0.9, 0.1, 10))
    found = score_froc(scans, marks, nodule, replicates=105, seed=seed)
    assert found.cpm.method.endswith("alike") or "105" in found.cpm.method


@pytest.mark.parametrize(("place", "value"), [(0.0, 1.0), (100.0, 0.0)])
def test_one_nodule_found_or_missed_leaves_doubt(place, value):
    nodule = Points.of(["a"], [[0, 0, 0]], [8.0])
    mark = Points.of(["a"], [[place, 0, 0]], [0.9])
    cpm = score_froc(["a", "b"], mark, nodule, replicates=20).cpm
    assert cpm.value == value
    assert cpm.high - cpm.low > 0.5
