"""Tables of speed: what a row says, how two runs are compared, what goes into README."""

import json
from dataclasses import replace

import numpy as np
import pytest
from benchmarks.rows import Row, against, markdown, row_from
from benchmarks.summary import BEGIN, END, compare, gather, write_readme

from benchmarks import alternate as timing

FASTER = Row("forward", "peer", 2.5, "x", 2.0, low=2.4, high=2.6)
LEANER = Row("memory", "limit", 900.0, "MB", 1200, at_least=False)
ABSENT = Row("bfloat16", "float32", None, "x", 1.3, note="no such units")
PLAIN = Row("reading", "peer", 1.4, "x")


def write_run(folder, rows):
    folder.mkdir()
    data = {"part": "forward", "machine": timing.machine(), "rows": [r.as_dict() for r in rows]}
    (folder / "forward.json").write_text(json.dumps(data))
    return folder


@pytest.mark.parametrize("row", [FASTER, LEANER, ABSENT, PLAIN], ids=lambda row: row.what)
def test_a_row_survives_json(row):
    assert row_from(json.loads(json.dumps(row.as_dict()))) == row


def test_a_target_is_met_from_the_right_side():
    assert FASTER.met is True
    assert replace(FASTER, value=1.99).met is False
    assert LEANER.met is True
    assert replace(LEANER, value=1300.0).met is False
    assert ABSENT.met is None
    assert PLAIN.met is None


def test_what_cannot_be_measured_is_not_called_met():
    table = "\n".join(markdown([ABSENT]))
    assert "not measurable here; no such units" in table
    assert "| met" not in table


def test_a_peer_that_takes_three_times_as_long_has_the_ratio_three():
    ours = [1.0, 2.0, 1.5, 1.2, 3.0]
    seconds = {"ours": ours, "peer": [3 * t for t in ours]}
    (row,) = against(seconds, "ours", "forward", {"peer": 2})
    assert row.value == pytest.approx(3)
    # Every turn has the same ratio: a busy machine widens nothing.
    assert row.low == pytest.approx(3)
    assert row.high == pytest.approx(3)


def test_turns_that_a_slow_peer_sits_out_do_not_count():
    nan = float("nan")
    value, low, high = timing.ratio([4.0, nan, 8.0, nan], [1.0, 9.0, 2.0, 9.0])
    assert (value, low, high) == pytest.approx((4, 4, 4))


def test_methods_alternate_and_the_slow_ones_take_fewer_turns():
    calls = []
    methods = {name: (lambda name=name: calls.append(name)) for name in "ab"}
    seconds = timing.alternate(methods, runs=4, warm=1, fewer={"b": 2})
    assert calls == ["a", "b", "a", "a", "b", "a", "a", "b"]
    assert np.isfinite(seconds["b"]).tolist() == [False, True, False, True]


def test_a_method_may_tell_its_own_seconds():
    assert timing.alternate({"a": lambda: 0.25}, runs=3)["a"] == [0.25] * 3


@pytest.mark.parametrize(
    ("after", "worse"),
    [
        (FASTER, 0),
        (replace(FASTER, value=2.1), 0),
        (replace(FASTER, value=1.95), 1),
        (replace(FASTER, value=9.0), 0),
    ],
)
def test_compare_finds_what_got_worse(tmp_path, capsys, after, worse):
    old, new = (write_run(tmp_path / n, [r, PLAIN]) for n, r in (("o", FASTER), ("n", after)))
    assert compare(old, new) == worse
    assert ("WORSE forward" in capsys.readouterr().out) == bool(worse)


def test_compare_knows_rows_without_target_and_rows_where_less_is_better(tmp_path):
    old = write_run(tmp_path / "old", [PLAIN, LEANER])
    slower = [replace(PLAIN, value=1.0), replace(LEANER, value=1190.0)]
    assert compare(old, write_run(tmp_path / "new", slower)) == 2
    assert compare(old, write_run(tmp_path / "same", [PLAIN, LEANER])) == 0


def test_gather_counts_what_is_met(tmp_path):
    run = write_run(tmp_path / "run", [FASTER, replace(LEANER, value=1300.0), ABSENT, PLAIN])
    gather(run)
    page = (run / "bench.md").read_text()
    assert "Of 3 targets 1 are met, 1 are not, 1 cannot be measured" in page
    assert len(json.loads((run / "bench.json").read_text())["rows"]) == 4


def test_readme_is_made_from_the_runs_and_from_nothing_else(tmp_path):
    runs = [
        write_run(tmp_path / "1", [FASTER, LEANER, PLAIN]),
        write_run(tmp_path / "2", [replace(FASTER, value=1.5), LEANER, PLAIN]),
    ]
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_readme(runs, readme, tmp_path / "summary.md")
    text = readme.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    # Met in one run only is not met.
    assert "| forward | peer | 2.50x (2.40 to 2.60) | 1.50x (2.40 to 2.60) |" in text
    assert "Of 2 targets 1 are met, 1 are not" in text
    write_readme(runs, readme, tmp_path / "summary.md")
    assert readme.read_text() == text
