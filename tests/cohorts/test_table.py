"""Laws of a cohort's table: it reads what it writes and tells everything that is wrong."""

from concurrent.futures import ProcessPoolExecutor
from copy import copy
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezect.cohorts import Case, Cohort
from squeezect.errors import CohortError
from squeezect.scan import pseudonym

HEADER = "scan,patient,label"
GOOD = (HEADER, "a,p1,0", "b,p2,1", "c,p3,1", "d,p1,0")


@pytest.fixture
def table(tmp_path):
    """Function from lines to a table beside the scans a, b, c and d."""
    for name in "abcd":
        (tmp_path / name).mkdir()

    def write(*lines, encoding="utf-8", end="\n"):
        path = tmp_path / "cohort.csv"
        path.write_bytes(end.join([*lines, ""]).encode(encoding))
        return path

    return write


def refusal(path, **options):
    with pytest.raises(CohortError) as caught:
        Cohort.read(path, **options)
    text = str(caught.value)
    assert "\n" not in text
    return caught.value.code, text


def test_rows_are_numbered_from_one_and_paths_start_at_the_table(table, tmp_path):
    cohort = Cohort.read(table(*GOOD))
    assert [c.row for c in cohort.cases] == [1, 2, 3, 4]
    assert cohort.case(2) == Case(tmp_path / "b", "p2", 1, 2)
    assert [c.label for c in cohort.cases] == [0, 1, 1, 0]
    assert cohort.classes == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_dialect_does_not_matter(table, encoding, delimiter, end):
    lines = [line.replace(",", delimiter) for line in GOOD]
    plain = Cohort.read(table(*GOOD))
    assert Cohort.read(table(*lines, encoding=encoding, end=end)) == plain


def test_blank_rows_spaces_and_quotes_do_not_matter(table):
    plain = Cohort.read(table(*GOOD))
    lines = [HEADER, "", ' a , "p1", 0', "b,p2,1.0", ",,", '"c",p3,1', "d,p1,0.0", ",,"]
    assert Cohort.read(table(*lines)) == plain


def test_other_columns_are_kept(table):
    cohort = Cohort.read(table(HEADER + ",split,site", "a,p,0,train,Aa", "b,q,1,test,Bb"))
    assert [c.extra for c in cohort.cases] == [{"site": "Aa"}, {"site": "Bb"}]
    assert [c.split for c in cohort.cases] == ["train", "test"]


def test_an_empty_label_is_unlabelled(table):
    cohort = Cohort.read(table(*GOOD[:4], "d,p4,"))
    assert cohort.case(4).label is None
    assert [c.row for c in cohort.unlabelled] == [4]
    assert [c.row for c in cohort.labelled] == [1, 2, 3]


def test_points_make_cases_of_one_scan(table):
    lines = [HEADER + ",x_mm,y_mm,z_mm,diameter_mm", "a,p,0,1.5,-2,3e1,4", "a,p,1,1.5,-2,31,"]
    first, second = Cohort.read(table(*lines)).cases
    assert first.point_mm == (1.5, -2.0, 30.0)
    assert (first.diameter_mm, second.diameter_mm) == (4.0, None)
    assert (first.label, second.label) == (0, 1)  # two nodules of a patient may differ


def test_series_make_cases_of_one_folder(table, tmp_path):
    (tmp_path / "e.mhd").touch()
    head = HEADER + ",series"
    cohort = Cohort.read(table(head, "a,p,0,1.2.3", "a,q,1,1.2.4", "b,r,0,", "e.mhd,s,1,1.2.5"))
    assert [c.dicom_series for c in cohort.cases] == ["1.2.3", "1.2.4", "", ""]
    assert len({c.voxels for c in cohort.cases}) == 4
    # The same one twice, one that may be any, and two names for the one volume of an image.
    for rows in (
        ("a,p,0,1.2.3", "a,q,1,1.2.3"),
        ("a,p,0,1.2.3", f"a,q,1,{pseudonym('1.2.3')}"),
        ("a,p,0,1.2.3", "a,q,1,"),
        ("a,p,0,", "a,q,1,1.2.3"),
        ("e.mhd,p,0,1.2.3", "e.mhd,q,1,1.2.4"),
    ):
        code, text = refusal(table(head, *rows))
        assert code == "duplicate-scan"
        assert "rows 1 and 2" in text


def test_a_cohort_crosses_processes(table):
    cohort = Cohort.read(table(*GOOD))
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(copy, cohort).result() == cohort


@pytest.mark.parametrize(
    ("lines", "code", "words"),
    [
        ([], "empty-table", "cohort.csv is empty"),
        ([HEADER], "empty-table", "no rows"),
        (["scan,label", "a,0"], "missing-column", "lacks the column 'patient'"),
        (["scan,patients,label", "a,p,0"], "missing-column", "is 'patients' meant?"),
        ([HEADER + ",label", "a,p,0,0"], "unreadable-table", "'label' twice"),
        ([HEADER, "a,p,0,7"], "unreadable-table", "row 1 of cohort.csv has 4 values, not 3"),
        ([HEADER, "a,p"], "unreadable-table", "row 1 of cohort.csv has 2 values, not 3"),
        ([HEADER, 'a,"p,0'], "unreadable-table", "line 2 of cohort.csv"),
        ([HEADER, "a\0,p,0"], "unreadable-table", "zero bytes"),
        ([*GOOD, ",p,1"], "empty-value", "row 5 of cohort.csv: scan is empty"),
        ([*GOOD, "a,,1"], "empty-value", "row 5 of cohort.csv: patient is empty"),
        ([HEADER, "a,p,0", "b,q,yes"], "bad-value", "row 2 of cohort.csv: label 'yes'"),
        ([HEADER, "a,p,0", "b,q,-1"], "bad-value", "row 2 of cohort.csv: label '-1'"),
        ([HEADER, "a,p,0", "b,q,0.5"], "bad-value", "row 2 of cohort.csv: label '0.5'"),
        ([*GOOD, "lost/e,p5,1"], "missing-scan", "row 5 of cohort.csv: scan lost/e does not"),
        ([*GOOD, "./a,p1,0"], "duplicate-scan", "rows 1 and 5 of cohort.csv are the same scan"),
        ([*GOOD[:4], "d,p1,1"], "two-labels", "rows 1 and 4 of cohort.csv are one patient"),
        ([HEADER, "a,p,1", "b,q,1"], "too-few-classes", "labels of cohort.csv are 1,"),
        ([HEADER, "a,p,0", "b,q,2"], "too-few-classes", "labels of cohort.csv are 0, 2,"),
        ([HEADER, "a,p,", "b,q,"], "too-few-classes", "labels of cohort.csv are none,"),
        ([HEADER + ",split", "a,p,0,val", "b,q,1,"], "bad-value", "split 'val' is not train or"),
        (
            [HEADER + ",split", "a,p,0,train", "b,p,0,test", "c,q,1,"],
            "patient-in-two-parts",
            "rows 1 (train) and 2 (test) of cohort.csv are one patient",
        ),
        ([HEADER + ",x_mm,y_mm,z_mm", "a,p,0,1,,3"], "empty-value", "y_mm is empty"),
        ([HEADER + ",diameter_mm", 'a,p,0,"3,5"'], "bad-value", "'3,5' is not a number"),
        ([HEADER + ",diameter_mm", "a,p,0,inf"], "bad-value", "'inf' is not a number"),
        ([HEADER + ",mask", "a,p,0,gone", "b,q,1,"], "missing-scan", "mask gone does not exist"),
    ],
)
def test_refusals_name_row_file_and_value(table, lines, code, words):
    found, text = refusal(table(*lines))
    assert found == code
    assert words in text


def test_other_encodings_are_refused_by_name(table):
    for encoding in ("latin-1", "utf-16"):
        code, text = refusal(table(*GOOD, "d,Müller,0", encoding=encoding))
        assert code == "unreadable-table"
        assert "cohort.csv is not UTF-8 text" in text


def test_a_folder_or_nothing_is_not_a_table(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv"):
        assert refusal(path)[0] == "unreadable-table"


def test_no_message_shows_a_patient(table):
    lines = [HEADER + ",split", "a,SECRET,0,train", "b,SECRET,1,test", "b,SECRET,x,"]
    assert "SECRET" not in refusal(table(*lines))[1]


def test_several_problems_come_in_one_message(table):
    bad = [f"gone{i},q{i},1" for i in range(6)]
    code, text = refusal(table(*GOOD, *bad))
    assert code == "missing-scan"
    assert "gone0" in text
    assert "gone2" in text
    assert "and 3 more problems" in text


def test_labels_can_be_left_out_where_none_are_needed(table):
    assert Cohort.read(table("scan,patient", "a,p"), require_labels=False).case(1).label is None
    assert Cohort.read(table(HEADER, "a,p,1"), require_labels=False).case(1).label == 1
    assert refusal(table(HEADER, "a,p,x"), require_labels=False)[0] == "bad-value"


def test_selections_keep_row_numbers(table):
    cohort = Cohort.read(table(*GOOD))
    assert [c.row for c in cohort.without({2, 3}).cases] == [1, 4]
    assert cohort.only([4, 1]) == cohort.without({2, 3})
    assert cohort.without({1}).case(4) == cohort.case(4)
    for strange in (lambda: cohort.case(9), lambda: cohort.without({9}), lambda: cohort.only([0])):
        with pytest.raises(CohortError, match="unknown-row"):
            strange()


def test_row_numbers_are_unique():
    case = Case(Path("a"), "p", 0, 1)
    with pytest.raises(CohortError, match="unknown-row"):
        Cohort((case, case), Path("c.csv"))


def test_the_digest_is_of_the_content_not_of_the_place(table, tmp_path):
    cohort = Cohort.read(table(*GOOD))
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    tmp_path.rename(moved)
    assert Cohort.read(moved / "cohort.csv").digest == cohort.digest
    moved.rename(tmp_path)
    changes = ["a,p1,0", "b,p2,1", "c,p3,0", "d,p1,0"], ["a,px,0", "b,p2,1", "c,p3,1", "d,px,0"]
    digests = {Cohort.read(table(HEADER, *lines)).digest for lines in changes}
    digests.add(Cohort.read(table(HEADER, *reversed(GOOD[1:]))).digest)
    assert len(digests | {cohort.digest}) == 4


words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8)
millimetres = st.floats(-1e4, 1e4)


@st.composite
def cases(draw, row, folder):
    label = draw(st.sampled_from([None, 0, 1]))
    point = draw(st.none() | st.tuples(millimetres, millimetres, millimetres))
    return Case(
        scan=folder / "scan" / str(row),
        patient=f"{draw(words)}{row}",
        label=label,
        row=row,
        split=draw(st.sampled_from([None, "train", "test"])),
        extra={"site": draw(words), 'odd, "name"': draw(words)},
        series=draw(words),
        point_mm=point,
        diameter_mm=draw(st.none() | st.floats(0, 100)),
        mask=draw(st.sampled_from([None, folder / "scan"])),
        element=draw(words),
        fold=draw(st.none() | st.integers(0, 9)),
    )


@given(st.data(), st.integers(1, 5))
def test_reading_undoes_saving(tmp_path_factory, data, count):
    folder = tmp_path_factory.mktemp("cohort")
    for row in range(count):
        (folder / "scan" / str(row + 1)).mkdir(parents=True)
    rows = tuple(data.draw(cases(row + 1, folder)) for row in range(count))
    cohort = Cohort(rows, folder / "cohort.csv")
    cohort.save(cohort.source)
    again = Cohort.read(cohort.source, require_labels=False)
    assert again == cohort
    assert again.digest == cohort.digest
    assert [path.name for path in folder.glob("cohort*")] == ["cohort.csv"]
