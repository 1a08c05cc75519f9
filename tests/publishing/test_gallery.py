"""The gallery of errors: who is in it, in which order, and that nobody is asked twice."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from squeezect import cli
from squeezect.cohorts import Case
from squeezect.cohorts.layouts import read_nodule_crops, read_patch_lists
from squeezect.publishing.contact_sheet import contact_sheet
from squeezect.publishing.gallery import find_errors
from squeezect.publishing.judged import Judged


@pytest.fixture
def answers(patch_folder, tmp_path):
    """Answers for val.txt: rows 2 and 4 (positive) missed, rows 1 and 3 (negative) alarms."""
    said = {1: 0.7, 2: 0.1, 3: 0.9, 4: 0.2}
    lines = [
        f"val.txt,{row},x,{1 - row % 2},{said.get(row, float(row % 2 == 0))}"
        for row in range(1, 13)
    ]
    path = tmp_path / "probabilities.csv"
    path.write_text("\n".join(["list,row,patient,label,probability", *lines]) + "\n")
    return path


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["squeezect", *map(str, arguments)])
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    return leaving.value.code or 0


def test_errors_are_sorted_by_confidence_and_shown(
    patch_folder, answers, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "gallery"
    arguments = ["gallery", "nodule", patch_folder, "--answers", answers, "-o", out, "--json"]
    assert call(monkeypatch, *arguments, "--threshold", 0.5) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["row"] for row in told["false_positives"]] == [3, 1]
    assert [row["row"] for row in told["false_negatives"]] == [2, 4]
    assert told == json.loads((out / "gallery.json").read_text())
    page = (out / "index.html").read_text()
    assert page.count("<img") == 2
    assert "val-3" not in page
    assert call(monkeypatch, *arguments, "--threshold", 0.05) == 0
    told = json.loads(capsys.readouterr().out)
    assert (len(told["false_positives"]), len(told["false_negatives"])) == (2, 0)


def test_answers_for_other_cases_are_refused(patch_folder, answers, tmp_path, monkeypatch, capsys):
    answers.write_text("".join(answers.read_text().splitlines(keepends=True)[:-1]))
    code = call(
        monkeypatch, "gallery", "nodule", patch_folder, "--answers", answers, "-o", tmp_path
    )
    assert code == 2
    assert "[other-answers]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("val.txt,3,x,0,0.9", "val.txt,3,x,1,0.9", "other-answers"),
        ("val.txt,3,x,0,0.9", "val.txt,3,x,0,1.9", "other-answers"),
        ("val.txt,3,x,0,0.9", "val.txt,3,x,0,nan", "other-answers"),
        ("val.txt,3,x,0,0.9", "val.txt,3,x,0,high", "other-answers"),
        ("val.txt,3,x,0,0.9", "val.txt,4,x,0,0.9", "other-answers"),
        ("val.txt,3", "test.txt,3", "other-answers"),
        ("probability", "chance", "missing-column"),
        ("label,probability", "label,probability,weights", "unreadable-table"),
    ],
)
def test_answers_that_do_not_fit_are_refused(
    patch_folder, answers, tmp_path, run_cli, old, new, code
):
    text = answers.read_text()
    assert old in text
    answers.write_text(text.replace(old, new, 1))
    arguments = ("gallery", "nodule", patch_folder, "--answers", answers, "-o", tmp_path / "out")
    status, _, err = run_cli(*arguments)
    assert (status, f"[{code}]" in err) == (2, True)


def test_answers_of_other_weights_and_what_is_no_table_are_refused(
    patch_folder, answers, tmp_path, run_cli
):
    arguments = ("gallery", "nodule", patch_folder, "-o", tmp_path / "out", "--answers")
    lines = answers.read_text().splitlines()
    for whose, status in (("malignancy", 2), ("nodule", 0)):
        named = [f"{line},{'weights' if n == 0 else whose}" for n, line in enumerate(lines)]
        answers.write_text("\n".join(named))
        assert run_cli(*arguments, answers)[0] == status
    for other in (patch_folder / "val" / "image_1.png", tmp_path / "gone.csv"):
        status, _, err = run_cli(*arguments, other)
        assert (status, "[unreadable-table]" in err) == (2, True)


def test_an_older_sheet_does_not_stay(patch_folder, answers, tmp_path, run_cli):
    arguments = ("gallery", "nodule", patch_folder, "--answers", answers, "-o", tmp_path / "out")
    assert run_cli(*arguments, "--threshold", 0.5)[0] == 0
    assert (tmp_path / "out" / "false-negatives.png").is_file()
    assert run_cli(*arguments, "--threshold", 0)[0] == 0
    assert not (tmp_path / "out" / "false-negatives.png").exists()


def test_the_sheet_shows_patches_as_they_are(patch_folder):
    cases = read_patch_lists(patch_folder, lists={"val.txt": "test"}).cases[:2]
    (patch_folder / "sheet.png").write_bytes(contact_sheet(cases, ["dark", "bright"]))
    sheet = np.asarray(Image.open(patch_folder / "sheet.png"))
    middles = [sheet[75, 3 + 72 + k * 150] for k in range(2)]
    assert middles[0] < 80
    assert middles[1] > 150


def test_crops_are_shown_in_three_planes_through_the_nodule(crop_folder, tmp_path):
    cases = read_nodule_crops(crop_folder).cases[1:2]
    (tmp_path / "sheet.png").write_bytes(contact_sheet(cases, ["bright nodule"]))
    sheet = np.asarray(Image.open(tmp_path / "sheet.png")).astype(float)
    assert sheet.shape[1] > 2.9 * 144
    for plane in range(3):
        assert sheet[75, 3 + 72 + plane * 146] > 150


def test_cases_without_a_label_are_no_errors(crop_folder):
    from dataclasses import replace

    cases = [replace(case, label=None) for case in read_nodule_crops(crop_folder).cases]
    found = find_errors("none", [Judged("nodules.csv", cases, np.full(40, 0.9), 0.5)])
    assert (found.cases, found.false_positives, found.false_negatives) == (0, [], [])


def test_the_sheet_shows_the_series_that_a_case_names(two_series):
    folder, uids = two_series
    for number, uid in enumerate(uids, start=1):
        named = contact_sheet([Case(folder, "p", 0, 1, series=uid)], [""])
        assert named == contact_sheet([Case(folder / str(number), "p", 0, 1)], [""])
