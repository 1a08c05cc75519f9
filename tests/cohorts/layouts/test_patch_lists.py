"""Lists of patches: their labels, and where candidates.csv says that they are from."""

import pytest
from tests.cohorts.layouts.miniatures import TRAIN, VAL, candidates

from squeezect.cohorts.layouts import read_patch_lists
from squeezect.errors import CohortError


def refusal(root, **options):
    with pytest.raises(CohortError) as caught:
        read_patch_lists(root, **options)
    return caught.value.code, str(caught.value)


def test_lines_are_path_and_label(patches):
    cohort = read_patch_lists(patches)
    assert [c.row for c in cohort.cases] == [1, 2, 3, 4, 5]
    assert [c.label for c in cohort.cases] == [*TRAIN.values(), *VAL.values()]
    assert [c.split for c in cohort.cases] == ["train"] * 3 + ["test"] * 2
    assert cohort.case(4).scan == patches / "val" / "image_2.jpg"
    assert len({c.patient for c in cohort.cases}) == 5


def test_one_list_will_do(patches):
    (patches / "val.txt").unlink()
    assert [c.split for c in read_patch_lists(patches).cases] == ["train"] * 3
    (patches / "train.txt").rename(patches / "all.txt")
    assert len(read_patch_lists(patches, lists={"all.txt": "test"})) == 3


@pytest.mark.parametrize("first", [0, 1])
def test_candidates_give_series_point_and_patient(patches, tmp_path, first):
    table = candidates(tmp_path / "candidates.csv", first=first)
    cohort = read_patch_lists(patches, candidates=table)
    for case, number in zip(cohort.cases, [*TRAIN, *VAL], strict=True):
        index = number - first
        assert case.series == case.patient == f"1.2.{index // 3}"
        assert case.point_mm == (index, -index, 2 * index)
    who = {"1.2.0": "a", "1.2.1": "a", "1.2.2": "b"}
    named = read_patch_lists(patches, candidates=table, patients=who)
    assert [c.patient for c in named.cases] == [who[c.series] for c in cohort.cases]


def test_another_table_of_candidates_is_refused(patches, tmp_path):
    table = candidates(tmp_path / "candidates.csv", first=0)
    lines = table.read_text().splitlines()
    table.write_text("\n".join(lines[:6]))
    code, text = refusal(patches, candidates=table)
    assert code == "other-candidates"
    assert "row 3 of train.txt does not fit candidates.csv" in text
    table.write_text("\n".join([lines[0], *(line[:-1] + "1" for line in lines[1:])]))
    assert refusal(patches, candidates=table)[0] == "other-candidates"


def test_series_without_patient_are_named(patches, tmp_path):
    table = candidates(tmp_path / "candidates.csv", first=0)
    code, text = refusal(patches, candidates=table, patients={"1.2.0": "a", "1.2.1": "b"})
    assert code == "unknown-series"
    assert "row 8 of candidates.csv" in text


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("train/image_9.jpg", "unreadable-table", "row 4 of train.txt is not a path and a label"),
        ("train/image_4.jpg yes", "bad-value", "row 4 of train.txt: label 'yes'"),
        ("train/image_9.jpg 1", "missing-scan", "row 4 of train.txt: scan train/image_9.jpg"),
    ],
)
def test_refusals_name_row_and_file(patches, line, code, words):
    with (patches / "train.txt").open("a") as file:
        file.write(line)
    found, text = refusal(patches)
    assert found == code
    assert words in text


def test_no_list_is_refused(tmp_path):
    code, text = refusal(tmp_path)
    assert code == "missing-scan"
    assert "train.txt or val.txt" in text


@pytest.mark.real
def test_the_real_lists(real_data):
    """5,187 patches to train with (845 nodules), 1,297 to judge by (224)."""
    cohort = read_patch_lists(real_data("luna16-candidates-2d"))
    for split, size, positive in (("train", 5187, 845), ("test", 1297, 224)):
        part = [c for c in cohort.cases if c.split == split]
        assert (len(part), sum(c.label for c in part)) == (size, positive)
