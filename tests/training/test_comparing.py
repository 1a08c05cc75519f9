"""Laws of comparing: one set of folds, nothing done twice, baselines in the same table."""

import csv
import json

import numpy as np
import pytest
import SimpleITK
import torch
from PIL import Image
from typer.testing import CliRunner

from squeezect.cli import app
from squeezect.cohorts.layouts import read_dataset
from squeezect.errors import EvaluationError, ModelError, PreparationError, RecipeError
from squeezect.evaluation.contest import DIAMETER, PRIOR
from squeezect.evaluation.detection import evaluate_marks
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


def test_a_network_that_is_not_named_again_stays_as_it_is(patches, budget, tmp_path):
    cohort, out = read_dataset(patches), tmp_path / "out"
    compare_models(cohort, ["cnn2d"], budget, out)
    kept = {path: path.read_bytes() for path in out.glob("runs/cnn2d/*") if path.is_file()}
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        found = compare_models(cohort, ["tumornet"], budget, out)
        compare_models(cohort, ["cnn2d"], budget, out)
    finally:
        torch.set_num_threads(threads)
    assert "cnn2d" not in [s.entrant.name for s in found.contest.standings]
    assert {path: path.read_bytes() for path in kept} == kept


def test_scans_may_be_left_out_in_the_folder_whose_comparison_named_them(patches, budget, tmp_path):
    (patches / "p3.png").write_bytes(b"cannot be read")
    cohort, out = read_dataset(patches), tmp_path / "out"
    with pytest.raises(PreparationError, match="pass --skip-unreadable"):
        compare_models(cohort, ["cnn2d"], budget, out)
    compare_models(cohort, ["cnn2d"], budget, out, skip_unreadable=True)
    facts = json.loads((out / "runs" / "cnn2d" / "run.json").read_text())
    assert [one["row"] for one in facts["skipped"]] == [4]
    # From the first fold on there is no way back.
    with pytest.raises(RecipeError, match="comparison with another skip_unreadable"):
        compare_models(cohort, ["tumornet"], budget, out)


def test_another_comparison_is_not_reported_as_this_one(patches, budget, tmp_path, monkeypatch):
    cohort, out = read_dataset(patches), tmp_path / "out"
    compare_models(cohort, ["cnn2d"], budget, out)
    written = (out / "compare.json").read_bytes()
    monkeypatch.setattr("squeezect.training.crossval.train_fold", None)
    longer, less = budget.model_copy(update={"epochs": 2}), cohort.without({1})

    def refused(names, who, recipe, told):
        with pytest.raises(RecipeError, match=f"another {told}; name another folder") as error:
            compare_models(who, names, recipe, out)
        assert error.value.code == "other-run"
        assert (out / "compare.json").read_bytes() == written

    refused(["cnn2d"], cohort, longer, "recipe")
    refused(["cnn2d"], less, budget, "cohort")
    refused(["tumornet"], cohort, longer, "recipe")
    # A release before stamped its runs only; what fits is taken over.
    (out / "comparison.json").unlink()
    refused(["cnn2d"], cohort, longer, "recipe")
    refused(["cnn2d"], less, budget, "cohort")
    refused(["tumornet"], less, budget, "cohort")
    compare_models(cohort, ["cnn2d"], budget, out)
    refused(["tumornet"], cohort, longer, "recipe")
    with pytest.raises(RecipeError, match="holds a run, not a comparison"):
        compare_models(cohort, ["cnn2d"], budget, out / "runs" / "cnn2d")


def test_leaks_stay_told_and_unmeasured_memory_is_not(patches, budget, tmp_path):
    class Killed(Exception):
        pass

    def kill(stage, done, total, _note):
        if stage == "cnn2d fold 2 of 2" and done == total:
            raise Killed

    (patches / "p2.png").write_bytes((patches / "p0.png").read_bytes())
    cohort, out = read_dataset(patches), tmp_path / "out"
    with pytest.raises(Killed):
        compare_models(cohort, ["cnn2d"], budget, out, allow_leaks=True, progress=kill)
    for allowed in (True, False):
        compare_models(cohort, ["cnn2d"], budget, out, allow_leaks=allowed)
        told = json.loads((out / "compare.json").read_text())
        assert told["facts"]["leaks"] == "allowed"
    assert told["standings"]["cnn2d"]["costs"]["seconds_per_epoch"] > 0
    assert told["standings"]["cnn2d"]["costs"]["peak_mib"] is None


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
    # The folds that count are those of the networks, whatever would be drawn today.
    folds = json.loads((folder / "folds.json").read_text())
    (folder / "folds.json").write_text(json.dumps(folds | {"folds": folds["folds"][::-1]}))
    (folder / PREDICTIONS).unlink()
    with pytest.raises(EvaluationError, match="other-cases"):
        compare_models(cohort, ["tumornet"], budget, tmp_path / "out")
    with (folder / PREDICTIONS).open() as file:
        judged = [int(row["row"]) for row in csv.DictReader(file) if row["fold"] == "0"]
    assert judged == folds["folds"][1]["validation"]


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


def test_what_is_for_one_network_does_not_reach_another():
    taught = Recipe.load("malignancy")
    plans, _ = plan_models(["cnn2d", "tumornet", "squeezenet-nodule"], taught)
    for plan in plans:
        assert (plan.recipe.teaching is not None) == (plan.name == "squeezenet-nodule")
        assert Recipe.model_validate(plan.recipe.model_dump(mode="json")) == plan.recipe
    frozen = Recipe.load("compare-points", freeze=("fire2",))
    assert plan_model("squeezenet3d", frozen).recipe.freeze == ("fire2",)
    with pytest.raises(ModelError, match=r"model cnn2d: no layer 'fire2'.*recipe-does-not-fit"):
        plan_model("cnn2d", frozen)


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


@pytest.fixture
def luna(tmp_path):
    """Six scans with a nodule and three other candidates each, as LUNA16 stores them."""
    folder = tmp_path / "luna"
    (folder / "subset0").mkdir(parents=True)
    candidates, annotations = [], []
    for number in range(6):
        random = np.random.default_rng(number)
        hu = random.normal(-850, 30, (24, 40, 40))
        hu[10:14, 10:14, 10:14] = 50
        image = SimpleITK.GetImageFromArray(hu.astype(np.int16))
        SimpleITK.WriteImage(image, str(folder / "subset0" / f"1.2.{number}.mhd"))
        annotations.append((f"1.2.{number}", 12, 12, 12, 4))
        points = [(12, 12, 12, 1), (28, 28, 12, 0), (12, 28, 12, 0), (28, 12, 12, 0)]
        candidates += [(f"1.2.{number}", *point) for point in points]
    head = ["seriesuid", "coordX", "coordY", "coordZ"]
    for name, last, rows in [
        ("candidates", "class", candidates),
        ("annotations", "diameter_mm", annotations),
    ]:
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([[*head, last], *rows])
    listed = [f"1.2.{number}" for number in range(7)]
    (folder / "seriesuids.csv").write_text("\n".join(listed) + "\n")
    return folder


def test_candidates_are_scored_as_the_challenge_does(luna, budget, tmp_path):
    cohort = read_dataset(luna)
    how = Preparation(crop="point", size=(16, 16, 16))
    recipe = budget.model_copy(update={"preparation": how})
    out = tmp_path / "out"
    found = compare_models(cohort, ["cnn2d", "multiview"], recipe, out).detection
    assert (found.scans, found.listed) == (6, 7)
    points = {str(case.row): (case.series, *case.point_mm) for case in cohort.cases}
    (luna / "seriesuids.csv").write_text("\n".join(f"1.2.{number}" for number in range(6)))
    for name in ("cnn2d", "multiview"):
        with (out / "runs" / name / "predictions.csv").open() as file:
            rows = [(*points[row["row"]], row["probability"]) for row in csv.DictReader(file)]
        head = ["seriesuid", "coordX", "coordY", "coordZ", "probability"]
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([head, *rows])
        by_hand = evaluate_marks(tmp_path / f"{name}.csv", luna, seed=recipe.seed)
        assert found.scores[name].as_dict() == by_hand.as_dict()
        assert (by_hand.froc.nodules, by_hand.froc.found) == (6, 6)
    data = json.loads((out / "compare.json").read_text())
    assert data["detection"]["models"]["cnn2d"]["nodules"] == 6
    table = (out / "compare.md").read_text()
    assert "## Detection" in table
    assert "6 of 7 listed scans" in table
    assert "not the official score" in table


def test_other_data_has_no_detection(patches, budget, tmp_path):
    found = compare_models(read_dataset(patches), ["cnn2d"], budget, tmp_path / "out")
    assert found.detection is None
    assert "Detection" not in (tmp_path / "out" / "compare.md").read_text()
