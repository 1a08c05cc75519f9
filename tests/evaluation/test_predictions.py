"""The table of predictions: what is read, and every mistake by its file and line."""

import numpy as np
import pytest

from squeezect.errors import EvaluationError
from squeezect.evaluation import read_predictions


def read(run):
    return read_predictions(run / "predictions.csv")


def test_cases_of_the_folds_and_mean_of_the_test(make_run, rows):
    found = read(make_run(rows))
    assert found.out_of_fold.cases.n == 60
    assert found.out_of_fold.row.tolist() == list(range(1, 61))
    assert found.out_of_fold.out_of_fold
    test = [float(r[5]) for r in rows if r[0] == 61]
    assert len(test) == 3
    assert found.test.cases.n == 20
    assert not found.test.out_of_fold
    assert found.test.cases.score[0] == pytest.approx(np.mean(test))
    assert found.test.spread[0] == pytest.approx(np.std(test))


def test_order_of_the_lines_does_not_matter(make_run, rows):
    one, two = read(make_run(rows)), read(make_run(rows[::-1], name="run-b"))
    for part in ("out_of_fold", "test"):
        for name in ("label", "score", "patient"):
            arrays = [getattr(getattr(found, part).cases, name) for found in (one, two)]
            assert np.allclose(*arrays)


def test_test_part_is_optional(make_run, rows):
    assert read(make_run([r for r in rows if r[2] == "validation"])).test is None


def test_further_columns_are_kept(make_run, rows):
    header = ["row", "patient", "part", "fold", "label", "probability", "site"]
    found = read(make_run([[*r, "A" if r[0] % 2 else ""] for r in rows], header=header))
    assert found.out_of_fold.extra["site"].tolist()[:3] == ["A", "", "A"]
    assert found.test.extra["site"].tolist()[:2] == ["A", ""]


def changed(rows, line, **values):
    names = ["row", "patient", "part", "fold", "label", "probability"]
    rows = [list(r) for r in rows]
    for name, value in values.items():
        rows[line][names.index(name)] = value
    return rows


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"probability": ""}, "probability '' in line 9"),
        ({"probability": "nan"}, "probability 'nan' in line 9"),
        ({"probability": "1.2"}, "probability '1.2' in line 9"),
        ({"probability": "-0.1"}, "probability '-0.1' in line 9"),
        ({"probability": "high"}, "probability 'high' in line 9"),
        ({"label": "2"}, "label '2' in line 9"),
        ({"label": ""}, "label '' in line 9"),
        ({"fold": "x"}, "fold 'x' in line 9"),
        ({"fold": "-1"}, "fold '-1' in line 9"),
        ({"row": "1.5"}, "row '1.5' in line 9"),
        ({"part": "train"}, "part 'train' in line 9"),
        ({"patient": " "}, "patient ' ' in line 9"),
    ],
)
def test_a_wrong_cell_is_named(make_run, rows, values, named):
    with pytest.raises(EvaluationError, match=named) as caught:
        read(make_run(changed(rows, 7, **values)))
    assert caught.value.code == "bad-prediction"
    assert "predictions.csv" in str(caught.value)


def test_a_case_predicted_twice_is_named(make_run, rows):
    with pytest.raises(EvaluationError, match=r"row 3 .* fold 0, again in line 122") as caught:
        read(make_run([*rows, rows[2]]))
    assert caught.value.code == "duplicate-prediction"


def test_a_test_case_that_a_fold_left_out_is_named(make_run, rows):
    with pytest.raises(EvaluationError, match="test row 80 is predicted by 2 folds"):
        read(make_run(rows[:-1]))


def test_a_row_with_two_labels_is_named(make_run, rows):
    with pytest.raises(EvaluationError, match="row 80 has two labels"):
        read(make_run(changed(rows, -1, label=1 - rows[-1][4])))


@pytest.mark.parametrize(
    ("line", "values", "where"),
    [
        (5, {"patient": "000000000000"}, "line 7 .* fold 1 and in fold 0"),
        (60, {"patient": "000000000000"}, "line 62 .* the test part and in fold 0"),
        (5, {"row": 1}, "line 7 .* fold 1 and in fold 0"),
    ],
)
def test_a_leak_is_named_without_the_patient(make_run, rows, line, values, where):
    same_label = changed(rows, line, **values, label=rows[0][4])
    with pytest.raises(EvaluationError, match=where) as caught:
        read(make_run(same_label))
    assert caught.value.code == "patient-in-two-folds"
    assert "000000000000" not in str(caught.value)


def test_a_patient_may_have_several_scans_in_a_fold(make_run, rows):
    again = changed(rows, 1, patient=rows[0][1])
    assert read(make_run(again)).out_of_fold.cases.patients == 59


def test_one_class_is_named(make_run, rows):
    with pytest.raises(EvaluationError, match=r"all 36 validation lines .* label 0") as caught:
        read(make_run([r for r in rows if r[2] == "validation" and r[4] == 0]))
    assert caught.value.code == "single-class"


def test_one_class_out_of_fold_is_named(make_run, rows):
    with pytest.raises(EvaluationError, match="label 0") as caught:
        read(make_run([r for r in rows if r[2] == "test" or r[4] == 0]))
    assert caught.value.code == "single-class"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (None, "predictions.csv is not in run"),
        ("", "not a CSV table"),
        ("row,patient\n1,2\n", "no column 'part'"),
        ("row,patient,part,fold,label,probability\n", "no line below"),
        ('row,patient\n"1,2\n3', "not a CSV table"),
    ],
)
def test_a_missing_or_broken_table_is_named(tmp_path, text, named):
    if text is not None:
        (tmp_path / "predictions.csv").write_text(text)
    with pytest.raises(EvaluationError, match=named) as caught:
        read(tmp_path)
    assert caught.value.code == "no-predictions"


def test_no_validation_line_is_named(make_run, rows):
    with pytest.raises(EvaluationError, match="no line of the part 'validation'"):
        read(make_run([r for r in rows if r[2] == "test"]))
