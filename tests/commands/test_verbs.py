"""The verbs as their users meet them: what they print, write and leave."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from tests.commands.tables import PREPARATION, bad_cohorts, cohort_file, slices

from squeezect.demo import DemoResult, Pointing
from squeezect.preparation import Store
from squeezect.training import recipe_names
from squeezect.training.prepared import key_of

TINY = """
model = "squeezenet-local"
model_options = { flat = true, width = 0.125, depth = 2, stochastic = 0.0, dropout = 0.0 }
epochs = 1
batch_size = 8
tune_fraction = 0
precision = "float32"
"""


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
