"""The command line as its users meet it: one line per error, what it says, and what it leaves."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
import torch
from pydicom.uid import UID

from squeezect import cli
from squeezect.checkpoint import Card, Checkpoint
from squeezect.demo import DemoResult, Pointing
from squeezect.models import create_model
from squeezect.phantom import chest_grid, thorax, write_dicom
from squeezect.preparation import Preparation, Store
from squeezect.training import recipe_names
from squeezect.training.prepared import key_of

OPTIONS = {"width": 0.25, "depth": 3, "dropout": 0.0}
PREPARATION = Preparation(size=(48, 48, 48), crop="lungs")
TINY = """
model = "squeezenet-local"
model_options = { flat = true, width = 0.125, depth = 2, stochastic = 0.0, dropout = 0.0 }
epochs = 1
batch_size = 8
tune_fraction = 0
precision = "float32"
"""
DIGITAL_XRAY = "1.2.840.10008.5.1.4.1.1.1.1"


class Result:
    """Exit status and output of one command."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run_cli(monkeypatch, capsys):
    """Run a command line in this process."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["squeezect", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        captured = capsys.readouterr()
        return Result(leaving.value.code or 0, captured.out, captured.err)

    return run


@pytest.fixture(scope="module")
def chest(tmp_path_factory):
    """A synthetic chest as a DICOM folder."""
    folder = tmp_path_factory.mktemp("scans") / "chest"
    scan, _ = thorax(1, grid=chest_grid(1, spacing_mm=3.5, thickness_mm=5.0), nodules=1)
    write_dicom(scan, folder)
    return folder


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A finished run of untrained networks: it can answer, if not be right."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    for fold in range(2):
        torch.manual_seed(fold)
        weights = create_model("squeezenet3d-modern", options=OPTIONS).state_dict()
        card = Card(model="squeezenet3d-modern", options=OPTIONS, preparation=PREPARATION)
        Checkpoint(card, weights).save(folder / f"fold-{fold}")
    facts = {"status": "finished", "thresholds": {"half": 0.5, "sensitivity-90": 0.25}}
    (folder / "run.json").write_text(json.dumps(facts))
    return folder


def slices(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


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


def cohort_file(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("scan", "patient", "label"), *rows])
    return path


def bad_cohorts(chest, folder):
    """Rows of bad tables by what is wrong with them, and what the error has to name."""
    copies = [folder / f"s{i}" for i in range(8)]
    for copy in copies:
        copy.mkdir()
        for file in slices(chest):
            os.link(file, copy / file.name)
    good = [(copy.name, f"p{i}", i % 2) for i, copy in enumerate(copies)]
    return {
        "missing file": ([*good[:5], ("nowhere", "p9", 1), *good[5:]], "nowhere"),
        "two labels of a patient": ([*good[:7], ("s7", "p0", 1)], "row"),
        "one class": ([(scan, patient, 0) for scan, patient, _ in good], "label"),
        "fewer patients than folds": (good[:4], "patient"),
    }


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


def test_predict_answers_publishes_and_names_nobody(run_cli, run_folder, chest, tmp_path):
    result = run_cli("predict", run_folder, chest, "--out", tmp_path / "out", "--json")
    assert result.code == 0
    (answer,) = json.loads(result.out)["predictions"]
    assert 0 <= answer["probability"] <= 1
    (folder,) = (tmp_path / "out").iterdir()
    names = {path.name for path in folder.iterdir()}
    assert names >= {"index.html", "prediction.json", "heatmap.nii.gz", "axial.png"}
    data = pydicom.dcmread(slices(chest)[0], stop_before_pixels=True)
    page = (folder / "index.html").read_text() + (folder / "prediction.json").read_text()
    assert str(data.SeriesInstanceUID) not in page
    assert str(data.PatientID) not in page


def test_one_bad_scan_does_not_stop_the_others(run_cli, run_folder, chest, tmp_path):
    (tmp_path / "bad").mkdir()
    out = tmp_path / "out"
    result = run_cli("predict", run_folder, tmp_path / "bad", chest, "--out", out)
    assert result.code == 2
    assert "refused" in result.err
    assert "probability" in result.out
    assert len(list(out.iterdir())) == 1


def test_inspect_lists_series_and_lungs(run_cli, chest):
    result = run_cli("inspect", chest, "--json")
    assert result.code == 0
    report = json.loads(result.out)
    (series,) = report["series"]
    assert series["usable"]
    assert series["chosen"]
    assert np.allclose(series["spacing_mm"], (5.0, 3.5, 3.5), atol=0.02)
    assert 1 < report["lungs"]["volume_l"] < 9
    table = run_cli("inspect", chest).out
    assert "CT" in table
    assert "lungs" in table


def test_audit_exits_1_on_a_leak_and_0_without(run_cli, chest, tmp_path):
    rows, _ = bad_cohorts(chest, tmp_path)["missing file"]
    table = cohort_file(tmp_path / "cohort.csv", [row for row in rows if row[0] != "nowhere"])
    result = run_cli("audit", table, "--folds", 2)
    assert result.code == 0
    assert "no leak found" in result.out
    # All patients have copies of one scan, which only the voxels tell.
    store = Store.open(tmp_path / "store", PREPARATION)
    store.fill({key_of(tmp_path / f"s{i}"): tmp_path / f"s{i}" for i in range(8)})
    result = run_cli("audit", table, "--folds", 2, "--store", tmp_path / "store")
    assert result.code == 1
    assert "near-duplicate" in result.out
    result = run_cli("audit", table, "--folds", 2, "--store", tmp_path / "store", "--json")
    assert result.code == 1
    assert json.loads(result.out)["ok"] is False


def test_prepare_says_what_it_wrote_and_knows_its_crops(run_cli, chest, tmp_path):
    out = tmp_path / "input.nii.gz"
    result = run_cli("prepare", chest, "--out", out, "--size", 32, "--json")
    assert json.loads(result.out) == {"written": str(out)}
    result = run_cli("prepare", chest, "--out", out, "--crop", "point")
    assert result.code == 2
    assert "'none', 'lungs'" in result.err


def test_training_exporting_and_the_demo_tell_json(run_cli, patch_folder, run_folder, tmp_path):
    recipe, run = tmp_path / "tiny.toml", tmp_path / "run"
    recipe.write_text(TINY)
    result = run_cli("train", patch_folder, "-r", recipe, "--out", run, "--json", "--quiet")
    told = json.loads(result.out)
    assert (told["run"], told["status"]) == (str(run), "finished")
    assert 0 <= told["scores"]["validation_auc"] <= 1
    copy = shutil.copytree(run_folder, tmp_path / "copy")
    told = json.loads(run_cli("export", copy, "--json").out)
    assert [Path(folder).parent.name for folder in told["exported"]] == ["fold-0", "fold-1"]
    judged = SimpleNamespace(as_dict=dict)
    result = DemoResult(judged, [Pointing(1, 9.0, 2.0)], 3, tmp_path / "a", tmp_path / "b")
    assert json.loads(json.dumps(result.as_dict()))["pointing"][0]["inside"] is True


def test_the_help_names_every_recipe_and_one_example_a_line(run_cli):
    told = "".join(run_cli("train", "--help").out.split())
    assert all(f"{name}," in told for name in recipe_names())
    lines = run_cli("predict", "--help").out.splitlines()
    assert sum("Example: squeezect predict" in line for line in lines) == 2


WITHOUT_TRAINER = """
import sys
sys.modules["pytorch_lightning"] = None
from squeezect.cli import main
for arguments in (["audit", sys.argv[1], "--folds", "2"], ["train", sys.argv[1]]):
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as leaving:
        print("exit", leaving.code)
"""


def test_without_the_trainer_training_names_the_extra_and_audits_run(patch_folder):
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", WITHOUT_TRAINER.replace("sys.argv[1]", repr(str(patch_folder)))],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "no leak found" in done.stdout
    assert [line for line in done.stdout.splitlines() if "exit" in line] == ["exit 0", "exit 2"]
    assert "squeezect[train]" in done.stderr
    assert "[needs-lightning]" in done.stderr


def test_models_are_listed_with_their_size(run_cli):
    rows = json.loads(run_cli("models", "--json").out)["models"]
    paper = next(row for row in rows if row["name"] == "squeezenet3d")
    assert paper["parameters"] == 1_861_186


@pytest.mark.parametrize(
    "verb",
    ["demo", "inspect", "prepare", "models", "train", "search", "audit", "predict", "candidate"],
)
def test_help_of_every_verb_explains_itself(run_cli, verb):
    result = run_cli(verb, "--help")
    assert result.code == 0
    assert "--help" in result.out
    assert len(result.out) > 200


def test_an_interruption_says_how_to_go_on(run_cli, monkeypatch):
    def interrupt(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("squeezect.models.catalogue.catalogue", interrupt)
    found = run_cli("models")
    assert found.code == 130
    assert "the same command again" in found.err
