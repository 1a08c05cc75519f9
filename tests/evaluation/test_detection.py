"""A submission against LUNA16's tables, as a user gives them."""

import json

import numpy as np
import pytest

from squeezect.errors import EvaluationError
from squeezect.evaluation import Points, evaluate_marks, score_froc

HEAD = "seriesuid,coordX,coordY,coordZ,"


def write(path, value, rows):
    lines = [f"{name},{x},{y},{z},{v}" for name, (x, y, z), v in rows]
    path.write_text("\n".join([HEAD + value, *lines]) + "\n")
    return path


@pytest.fixture
def luna(tmp_path):
    """Tables of three scans: two nodules, one finding to ignore, one scan with nothing."""
    folder = tmp_path / "luna"
    folder.mkdir()
    (folder / "seriesuids.csv").write_text("1.2.3\n1.2.4\n1.2.5\n")
    write(
        folder / "annotations.csv",
        "diameter_mm",
        [("1.2.3", (10, 20, -30), 8.0), ("1.2.4", (0, 0, 0), 6.0)],
    )
    write(folder / "annotations_excluded.csv", "diameter_mm", [("1.2.3", (90, 0, 0), -1)])
    return folder


MARKS = [
    ("1.2.3", (11, 20, -30), 0.9),  # hits
    ("1.2.3", (93, 0, 0), 0.8),  # on the finding to ignore
    ("1.2.4", (50, 0, 0), 0.7),  # false
    ("1.2.4", (0, 2.9, 0), 0.6),  # hits
    ("9.9.9", (0, 0, 0), 0.5),  # in no listed scan
]


def test_the_score_of_a_submission_is_counted_by_hand(luna, tmp_path):
    marks = write(tmp_path / "marks.csv", "probability", MARKS)
    found = evaluate_marks(marks, luna, out=tmp_path / "page", replicates=20)
    # A hit at no false mark, then a false mark (1/3 per scan), then the other hit.
    assert found.froc.sensitivities == (0.5, 0.5, 1, 1, 1, 1, 1)
    assert found.froc.cpm.value == pytest.approx(6 / 7)
    assert (found.froc.false_marks, found.froc.scans, found.unlisted) == (1, 3, 1)
    assert "1 of 5 marks are in scans that are not listed" in str(found)
    data = json.loads((tmp_path / "page" / "froc.json").read_text())
    assert data["cpm"]["value"] == found.froc.cpm.value
    assert "FROC" in (tmp_path / "page" / "index.html").read_text()


def test_files_score_as_the_points_they_hold(luna, tmp_path):
    marks = write(tmp_path / "marks.csv", "probability", MARKS)
    names, points, values = zip(*MARKS, strict=True)
    nodules = Points.of(["1.2.3", "1.2.4"], [[10, 20, -30], [0, 0, 0]], [8.0, 6.0])
    ignored = Points.of(["1.2.3"], [[90, 0, 0]], [-1.0])
    direct = score_froc(
        ["1.2.3", "1.2.4", "1.2.5"],
        Points.of(names, points, values),
        nodules,
        ignored,
        replicates=20,
    )
    found = evaluate_marks(marks, luna, replicates=20)
    assert found.froc.as_dict() == direct.as_dict()
    assert np.array_equal(found.froc.curve.y, direct.curve.y)


def test_tables_may_lie_in_csvfiles_and_a_missing_exclusion_is_told(luna, tmp_path):
    marks = write(tmp_path / "marks.csv", "probability", MARKS)
    whole = evaluate_marks(marks, luna, replicates=5)
    inner = luna / "CSVFILES"
    inner.mkdir()
    for path in list(luna.glob("*.csv")):
        path.rename(inner / path.name)
    assert evaluate_marks(marks, luna, replicates=5).as_dict() == whole.as_dict()
    (inner / "annotations_excluded.csv").unlink()
    without = evaluate_marks(marks, luna, replicates=5)
    assert without.froc.false_marks == 2
    assert "not the official score" in str(without)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("marks.csv", "seriesuid,coordX,coordY,coordZ\n", "marks.csv has no column 'probability'"),
        ("marks.csv", HEAD + "probability\n1.2.3,1,x,3,0.5\n", "line 2 of marks.csv"),
        ("marks.csv", HEAD + "probability\n1.2.3,1,2,3,nan\n", "not finite"),
        ("luna/seriesuids.csv", "1.2.3\n1.2.3\n", "not each once"),
        ("luna/seriesuids.csv", "1.2.7\n", "no nodule in any of 1 scans"),
    ],
)
def test_bad_files_are_refused_by_name_and_nothing_is_written(luna, tmp_path, name, text, told):
    marks = write(tmp_path / "marks.csv", "probability", MARKS)
    (tmp_path / name).write_text(text)
    with pytest.raises(EvaluationError, match=told):
        evaluate_marks(marks, luna, out=tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_missing_files_are_named(luna, tmp_path):
    marks = write(tmp_path / "marks.csv", "probability", MARKS)
    with pytest.raises(EvaluationError, match=r"nowhere.csv does not exist"):
        evaluate_marks(tmp_path / "nowhere.csv", luna)
    (luna / "seriesuids.csv").unlink()
    with pytest.raises(EvaluationError, match=r"seriesuids.csv does not exist in luna"):
        evaluate_marks(marks, luna)
