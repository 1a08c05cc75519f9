"""Wrong input as users meet it: one line that says what and what to do, and nothing left behind."""

import io
import json
import zipfile

import pydicom
import pytest
from pydicom.uid import UID
from tests.commands.tables import bad_cohorts, cohort_file, slices

DIGITAL_XRAY = "1.2.840.10008.5.1.4.1.1.1.1"


def empty_folder(path, _chest):
    path.mkdir()


def text_file(path, _chest):
    path.write_text("this is no CT")


def one_slice(path, chest):
    path.mkdir()
    (path / "one.dcm").write_bytes(slices(chest)[0].read_bytes())


def chest_xray(path, chest):
    path.mkdir()
    data = pydicom.dcmread(slices(chest)[0])
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = UID(DIGITAL_XRAY)
    data.Modality = "DX"
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "SliceThickness"):
        delattr(data, name)
    data.save_as(path / "xray.dcm")


def truncated_file(path, chest):
    path.mkdir()
    for number, file in enumerate(slices(chest)):
        data = file.read_bytes()
        (path / file.name).write_bytes(data[: len(data) // 2] if number == 9 else data)


def truncated_zip(path, chest):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in slices(chest):
            archive.write(file, file.name)
    path.with_suffix(".zip").write_bytes(buffer.getvalue()[:-2000])
    return path.with_suffix(".zip")


def nothing_there(_path, _chest):
    pass


BAD_SCANS = [
    (empty_folder, "no-files"),
    (text_file, "not-an-image"),
    (one_slice, "too-few-slices"),
    (chest_xray, "not-ct"),
    (truncated_file, None),
    (truncated_zip, None),
    (nothing_there, "no-such-path"),
]


@pytest.mark.parametrize(("make", "code"), BAD_SCANS, ids=lambda v: getattr(v, "__name__", ""))
def test_bad_scans_are_refused_in_one_line_and_leave_nothing(
    run_cli, run_folder, chest, tmp_path, make, code
):
    path = make(tmp_path / "bad", chest) or tmp_path / "bad"
    out = tmp_path / "out"
    result = run_cli("predict", run_folder, path, "--out", out)
    lines = (result.out + result.err).strip().splitlines()
    assert result.code == 2
    assert len(lines) == 1
    assert "bad" in lines[0]
    assert ";" in lines[0]
    assert code is None or f"[{code}]" in lines[0]
    assert not out.exists() or not list(out.iterdir())
    prepared = tmp_path / "volume.nii.gz"
    result = run_cli("prepare", path, "--out", prepared)
    assert result.code == 2
    assert len(result.err.strip().splitlines()) == 1
    assert not prepared.exists()


@pytest.mark.parametrize(("make", "_code"), BAD_SCANS[:6], ids=lambda v: getattr(v, "__name__", ""))
def test_inspect_tells_of_bad_scans_and_never_fails(run_cli, chest, tmp_path, make, _code):
    path = make(tmp_path / "bad", chest) or tmp_path / "bad"
    result = run_cli("inspect", path, "--json")
    assert result.code in (1, 2)
    assert result.code == 2 or json.loads(result.out)["usable"] is False
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    "what", ["missing file", "two labels of a patient", "one class", "fewer patients than folds"]
)
def test_bad_cohorts_are_refused_before_anything_is_written(run_cli, chest, tmp_path, what):
    rows, culprit = bad_cohorts(chest, tmp_path)[what]
    table = cohort_file(tmp_path / "cohort.csv", rows)
    result = run_cli("train", table, "--out", tmp_path / "run", "--folds", 5, "--quiet")
    assert result.code == 2
    assert len(result.err.strip().splitlines()) == 1
    assert culprit in result.err
    assert ";" in result.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("train", "{cohort}", "--recipe", "best"), "unknown-recipe"),
        (("train", "{nowhere}"), None),
        (("search", "{cohort}", "--space", "everything"), "unknown-space"),
        (("search", "{cohort}", "--recipe", "best"), "unknown-recipe"),
        (("search", "{nowhere}"), None),
        (("evaluate", "{nowhere}"), "no-predictions"),
        (("predict", "{nowhere}", "{chest}"), "no-run"),
        (("export", "{nowhere}"), "no-run"),
        (("audit", "{nowhere}"), None),
        (("train", "{patches}", "--folds", "3"), "option-does-not-apply"),
        (("train", "{patches}", "--store", "s"), "option-does-not-apply"),
        (("train", "{patches}", "--skip-unreadable"), "option-does-not-apply"),
        (("train", "{patches}", "--workers", "2"), "option-does-not-apply"),
        (
            ("ablate", "{patches}", "-r", "nodule", "-o", "o", "--workers", "2"),
            "option-does-not-apply",
        ),
        (("export", "{nowhere}", "--store", "s"), "option-does-not-apply"),
        (("predict", "{nowhere}", "{chest}", "--allow", "nonsense"), "unknown-code"),
        (
            ("predict", "--weights", "malignancy", "{chest}", "--engine", "onnx"),
            "option-does-not-apply",
        ),
    ],
)
def test_other_wrong_input_is_one_line_too(run_cli, chest, patch_folder, tmp_path, arguments, code):
    table = cohort_file(tmp_path / "cohort.csv", [(chest, f"p{i}", i % 2) for i in range(8)])
    places = {"cohort": table, "nowhere": tmp_path / "nowhere", "chest": chest}
    places["patches"] = patch_folder
    before = sorted(tmp_path.rglob("*"))
    result = run_cli(*[a.format(**places) for a in arguments])
    assert result.code == 2
    assert len(result.err.strip().splitlines()) == 1
    assert code is None or f"[{code}]" in result.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_folder_that_holds_something_else_is_left_alone(run_cli, chest, tmp_path):
    rows, _ = bad_cohorts(chest, tmp_path)["missing file"]
    good = [row for row in rows if row[0] != "nowhere"]
    table = cohort_file(tmp_path / "cohort.csv", good)
    run = tmp_path / "run"
    run.mkdir()
    (run / "thesis.txt").write_text("keep me")
    result = run_cli("train", table, "--out", run, "--folds", 2, "--quiet")
    assert result.code == 2
    assert "[other-run]" in result.err
    assert [p.name for p in run.iterdir()] == ["thesis.txt"]
