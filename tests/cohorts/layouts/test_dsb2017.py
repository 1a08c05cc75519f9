"""Data Science Bowl 2017: patients by folder, labels from tables, solutions are test patients."""

import csv

import pytest
from tests.cohorts.layouts.miniatures import IDS

from squeezect.cohorts.layouts import read_dsb2017
from squeezect.errors import CohortError


def refusal(root, **options):
    with pytest.raises(CohortError) as caught:
        read_dsb2017(root, **options)
    return caught.value.code, str(caught.value)


def test_patients_are_folders_with_labels(bowl):
    cohort = read_dsb2017(bowl)
    assert [c.patient for c in cohort.cases] == IDS[:8]
    assert [c.label for c in cohort.cases] == [int(i % 3 == 0) for i in range(8)]
    assert [c.row for c in cohort.cases] == list(range(1, 9))
    assert all(c.scan == bowl / "stage1" / c.patient and c.split is None for c in cohort.cases)


def test_unlabelled_patients_come_from_the_form_when_asked_for(bowl):
    cohort = read_dsb2017(bowl, unlabelled=True)
    assert [c.patient for c in cohort.unlabelled] == IDS[8:]
    assert [c.row for c in cohort.cases] == list(range(1, 13))


def test_the_solution_is_the_test_part_and_beats_the_form(bowl):
    rows = [f"{patient},{i % 2}" for i, patient in enumerate(IDS[8:])]
    (bowl / "stage1_solution.csv").write_text("\n".join(["id,cancer", *rows]))
    for unlabelled in (False, True):
        cohort = read_dsb2017(bowl, unlabelled=unlabelled)
        assert [c.patient for c in cohort.cases if c.split == "test"] == IDS[8:]
        assert not cohort.unlabelled


def test_the_second_stage_is_all_test(bowl):
    cohort = read_dsb2017(bowl, stage="stage2")
    assert [(c.label, c.split) for c in cohort.cases] == [(1, "test"), (0, "test")]


def test_bad_rows_are_named_without_the_patient(bowl):
    table = bowl / "stage1_labels.csv"
    good = table.read_text()
    table.write_text(good + "\n../../etc,1")
    code, text = refusal(bowl)
    assert code == "bad-value"
    assert "row 9 of stage1_labels.csv: id is not the name of a folder" in text
    table.write_text(good + f"\n{'c' * 32},1")
    code, text = refusal(bowl)
    assert code == "missing-scan"
    assert "row 9 of stage1_labels.csv" in text
    table.write_text(good.replace(",1", ",", 1))
    assert refusal(bowl)[0] == "empty-value"
    table.write_text(good.replace("cancer", "label"))
    code, text = refusal(bowl)
    assert code == "missing-column"
    assert "'cancer'" in text


def test_a_form_row_without_folder_is_named_in_the_form(bowl):
    (bowl / "stage1" / IDS[9] / "1-000.dcm").unlink()
    (bowl / "stage1" / IDS[9]).rmdir()
    code, text = refusal(bowl, unlabelled=True)
    assert code == "missing-scan"
    assert "row 2 of stage1_sample_submission.csv" in text


def test_missing_tables_are_named(bowl):
    (bowl / "stage1_labels.csv").unlink()
    code, text = refusal(bowl)
    assert code == "missing-scan"
    assert "stage1_labels.csv" in text


@pytest.mark.real
def test_the_real_labels(real_data, tmp_path):
    """1,397 patients, 362 of them with cancer."""
    source = real_data("tables") / "dsb2017" / "stage1_labels.csv"
    (tmp_path / source.name).write_bytes(source.read_bytes())
    with source.open() as file:
        for row in csv.DictReader(file):
            (tmp_path / "stage1" / row["id"]).mkdir(parents=True)
            (tmp_path / "stage1" / row["id"] / "1.dcm").touch()
    cohort = read_dsb2017(tmp_path)
    assert (len(cohort), sum(c.label for c in cohort.cases)) == (1397, 362)
