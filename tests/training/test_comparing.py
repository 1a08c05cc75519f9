"""Laws of comparing: one set of folds, nothing done twice, baselines in the same table."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from squeezect.cli import app
from squeezect.cohorts.layouts import read_dataset
from squeezect.errors import ModelError
from squeezect.evaluation.contest import DIAMETER, PRIOR
from squeezect.preparation import Preparation
from squeezect.training.comparing import compare_models
from squeezect.training.gaussian_head import PREDICTIONS
from squeezect.training.plans import plan_model, plan_models, recipe_for
from squeezect.training.recipe import Recipe

CUBE = Preparation(crop="point", size=(32, 32, 32))
FLAT = Preparation(crop="point", size=(1, 50, 50))


@pytest.fixture
def patches(tmp_path):
    """Sixteen pictures, bright in the middle where the label is 1."""
    folder = tmp_path / "patches"
    folder.mkdir()
    lines = []
    for i in range(16):
        grey = np.random.default_rng(i).integers(0, 60, (50, 50), dtype=np.uint8)
        if i % 2:
            grey[20:30, 20:30] = 200
        Image.fromarray(grey).save(folder / f"p{i}.png")
        lines.append(f"p{i}.png {i % 2}")
    (folder / "train.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def budget(recipe):
    """Two folds of one epoch on pictures."""
    changes = {"preparation": FLAT, "epochs": 1, "tune_fraction": 0.0, "augmentation": None}
    return recipe.model_copy(update=changes)


def test_models_share_folds_and_meet_the_baselines(patches, budget, tmp_path):
    cohort = read_dataset(patches)
    found = compare_models(cohort, ["cnn2d", "tumornet"], budget, tmp_path / "out")
    names = [s.entrant.name for s in found.contest.standings]
    # The process on TumorNet's features has a row of its own; pictures have no diameter.
    assert set(names) == {"cnn2d", "tumornet", "tumornet + Gaussian process", PRIOR}
    assert names[-1] == PRIOR
    assert found.contest.standings[-1].baseline
    folds = {p.read_text() for p in (tmp_path / "out" / "runs").glob("*/folds.json")}
    assert len(folds) == 1
    areas = [s.part.ranking.roc_auc.value for s in found.contest.models]
    assert areas == sorted(areas, reverse=True)
    data = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert data["standings"]["cnn2d"]["costs"]["parameters"] == 250_658
    assert data["standings"]["cnn2d"]["costs"]["seconds_per_volume"] > 0
    page = (tmp_path / "out" / "index.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "| cnn2d |" in (tmp_path / "out" / "compare.md").read_text()


def test_what_is_trained_is_not_trained_again(patches, budget, tmp_path, monkeypatch):
    cohort = read_dataset(patches)
    first = compare_models(cohort, ["cnn2d"], budget, tmp_path / "out")
    monkeypatch.setattr("squeezect.training.crossval.train_fold", None)
    again = compare_models(cohort, ["cnn2d"], budget, tmp_path / "out")
    assert again.contest.as_dict() == first.contest.as_dict()


def test_the_process_is_fitted_within_its_fold(patches, budget, tmp_path):
    cohort = read_dataset(patches)
    compare_models(cohort, ["tumornet"], budget, tmp_path / "out")
    folder = tmp_path / "out" / "runs" / "tumornet"
    plain = (folder / "predictions.csv").read_text().splitlines()
    process = (folder / PREDICTIONS).read_text().splitlines()

    def places(lines):
        return [line.rsplit(",", 1)[0] for line in lines]

    assert places(plain) == places(process)
    assert plain != process
    assert (folder / "fold-0" / "gaussian.safetensors").is_file()


def test_a_recipe_is_chosen_by_the_data(patches):
    assert recipe_for(read_dataset(patches)) == "compare-patches"


@pytest.mark.parametrize("name", ["compare-points", "compare-scans"])
def test_all_networks_fit_cubes(name):
    plans, left_out = plan_models(["all"], Recipe.load(name))
    assert not left_out
    assert len(plans) >= 14
    assert len({plan.recipe.epochs for plan in plans}) == 1


def test_flat_data_gets_flat_kernels_or_a_refusal_that_names_the_model(budget):
    assert plan_model("squeezenet-local", budget).recipe.model_options["flat"]
    with pytest.raises(ModelError, match=r"model densenet121 takes .* not \(1, 50, 50\)"):
        plan_models(["cnn2d", "densenet121"], budget)
    plans, left_out = plan_models(["all"], budget)
    assert "densenet121" in left_out
    assert "cnn2d" in [plan.name for plan in plans]


@pytest.mark.parametrize("names", [[], ["cnn2d", "cnn2d"]])
def test_names_are_checked(names, budget):
    with pytest.raises(ModelError) as error:
        plan_models(names, budget)
    assert error.value.code == "no-models"


def test_the_verb_answers_in_json(patches, tmp_path):
    words = ["--models", "cnn2d", "--folds", "2", "--epochs", "1", "--json", "--quiet"]
    where = ["--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["compare", str(patches), *words, *where])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["best"] == "cnn2d"
    assert DIAMETER not in json.loads(result.stdout)["standings"]
