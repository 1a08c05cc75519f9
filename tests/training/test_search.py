"""Laws of the search: what it may see, that kills change nothing, that bad spaces are told."""

import json
import shutil
import sys
from dataclasses import replace

import pandas as pd
import pytest
from optuna.samplers import RandomSampler

from squeezect.cohorts import make_folds
from squeezect.errors import CheckpointError, RecipeError
from squeezect.training import Recipe, recipe_names
from squeezect.training.fold import predict_part
from squeezect.training.prepared import key_of
from squeezect.training.recipe import Turning
from squeezect.training.run_folder import alone, claim
from squeezect.training.search import Plan, Space, search_recipes
from squeezect.training.search.records import Record
from squeezect.training.search.sampling import Sampling
from squeezect.training.search.space import changed, value_in
from squeezect.training.search.trial import Bench, run_trial
from squeezect.training.search.winner import write_recipe

SPACE = """
learning_rate = { low = 1e-5, high = 1e-2, log = true }
model_options.dropout = { low = 0.0, high = 0.5 }
batch_size = { low = 3, high = 5 }
optimiser = { choices = ["adam", "adamw"] }
"""


def space_of(text, folder):
    path = folder / "space.toml"
    path.write_text(text)
    return Space.load(path)


@pytest.fixture
def plan(recipe, tmp_path):
    base = recipe.model_copy(update={"epochs": 2})
    return Plan(space_of(SPACE, tmp_path), base, trials=2, inner_folds=2, judge=False)


@pytest.fixture
def stores(store, tmp_path):
    """Where a search looks for prepared volumes: one store per preparation."""
    folder = tmp_path / "stores"
    folder.mkdir()
    store.folder.rename(folder / store.preparation.digest)
    return folder


def records_of(folder, trials):
    found = [Record.load(folder / "trials" / f"trial-{k + 1}") for k in range(trials)]
    found.append(Record.load(folder / "trials" / "base"))
    return [record.model_copy(update={"seconds": 0.0}) for record in found]


class Killed(Exception):
    """Stands for kill -9 at a chosen moment."""


def kill_at(part):
    def progress(name, done, total, _note):
        if name == "searching" and done >= part * total:
            raise Killed

    return progress


def test_a_search_sees_no_patient_that_judges_and_writes_what_training_takes(
    cohort, plan, stores, tmp_path
):
    for case in cohort.cases:  # a scan of the test part, if it were opened, could not be prepared
        if case.split == "test":
            shutil.rmtree(stores / plan.base.preparation.digest / key_of(case.scan))
    folder = tmp_path / "search"
    found = search_recipes(cohort, replace(plan, judge=True), folder, store=stores)
    folds = make_folds(cohort, folds=2, seed=0, tune_fraction=plan.base.tune_fraction)
    first = folds.folds[0]
    allowed = {*first.train, *first.tune}
    for place in ("base", "trial-1", "trial-2"):
        table = pd.read_csv(folder / "trials" / place / "scored.csv")
        assert sorted(table["row"]) == sorted(allowed), "each searched case is scored once"
    judged = pd.read_csv(folder / "judged" / found.best.name / "predictions.csv")
    assert set(judged["row"]) == set(first.validation)
    assert found.apart == (8, 4)
    best = Recipe.load(folder / "best.toml")
    assert best == found.recipe == changed(plan.base, found.best.values)
    assert found.best.score == min(r.score for r in found.records if r.state == "complete")
    text = "".join(p.read_text() for p in folder.rglob("*") if p.suffix in (".json", ".csv"))
    assert "SECRET" not in text
    assert not [p for p in folder.rglob("*") if p.suffix in (".ckpt", ".pkl", ".db", ".log")]
    page = (folder / "report" / "index.html").read_text()
    assert "What was nested" in page
    assert "8 patients, the validation part of the first fold" in page
    report = json.loads((folder / "report" / "search.json").read_text())
    assert len(report["records"]) == 3


def test_trials_and_judges_answer_in_the_views_of_their_recipes(
    cohort, plan, stores, tmp_path, monkeypatch
):
    asked = []

    def spy(model, store, part, *, views=1):
        asked.append(views)
        return predict_part(model, store, part, views=views)

    for place in ("trial", "judged"):
        monkeypatch.setattr(f"squeezect.training.search.{place}.predict_part", spy)
    base = plan.base.model_copy(update={"epochs": 1, "views": 2})
    viewed = replace(
        plan, space=space_of("views = { choices = [4, 8] }", tmp_path), base=base, trials=1
    )
    found = search_recipes(cohort, replace(viewed, judge=True), tmp_path / "search", store=stores)
    drawn = found.records[1].values["views"]
    assert asked[:4] == [2, 2, drawn, drawn]
    assert asked[4:] == ([2, drawn] if found.best.name == "trial-1" else [2])
    # What a release before scored in one view is another search; without views it is the same.
    assert viewed.stamp(cohort)["scored_in"] == "the views of each recipe"
    assert "scored_in" not in plan.stamp(cohort)


def test_a_winner_that_does_worse_on_new_patients_is_reported(cohort, plan, stores, tmp_path):
    folder = tmp_path / "search"
    search_recipes(cohort, plan, folder, store=stores)
    base = Record.load(folder / "trials" / "base")
    base.model_copy(update={"score": 99.0}).save(folder / "trials" / "base")
    found = search_recipes(cohort, plan, folder, store=stores)
    first = make_folds(cohort, folds=2, seed=0, tune_fraction=plan.base.tune_fraction).folds[0]
    labels = [cohort.case(row).label for row in first.validation]
    for name, right in (("base", 0.9), (found.best.name, 0.1)):
        place = folder / "judged" / name
        place.mkdir(parents=True)
        lines = [
            f"{row},p{row},{label},{right if label else 1 - right}"
            for row, label in zip(first.validation, labels, strict=True)
        ]
        text = "\n".join(["row,patient,label,probability", *lines, ""])
        (place / "predictions.csv").write_text(text)
    found = search_recipes(cohort, replace(plan, judge=True), folder, store=stores)
    (caution,) = found.judged.cautions()
    assert "the winner is worse than the recipe that the search began with" in caution
    assert f"caution: {caution}" in found.summary()
    assert found.as_dict()["judged"]["cautions"] == [caution]
    assert "the winner is worse than" in (folder / "report" / "index.html").read_text()


def test_kills_and_asking_for_more_trials_change_nothing(cohort, plan, stores, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    search_recipes(cohort, plan, whole, store=stores)
    one = replace(plan, trials=1)
    for current, part in ((one, 0.2), (one, 0.7), (one, None), (plan, 0.9)):
        if part is None:
            search_recipes(cohort, current, killed, store=stores)
            continue
        with pytest.raises(Killed):
            search_recipes(cohort, current, killed, store=stores, progress=kill_at(part))
        assert (killed / "best.toml").exists() == (current is plan)
    search_recipes(cohort, plan, killed, store=stores)
    assert records_of(whole, 2) == records_of(killed, 2)
    assert (whole / "best.toml").read_bytes() == (killed / "best.toml").read_bytes()
    with pytest.raises(RecipeError, match="another sampler"):
        search_recipes(cohort, replace(plan, sampler="random"), killed, store=stores)


def test_a_trial_that_draws_other_values_on_the_way_begins_anew(
    cohort, plan, stores, tmp_path, monkeypatch
):
    """As after an upgrade of Optuna: what was trained with other values is not this trial."""
    one = replace(plan, trials=1)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    with pytest.raises(Killed):
        search_recipes(cohort, one, killed, store=stores, progress=kill_at(0.95))
    place = killed / "trials" / "trial-1"
    assert (place / "fold-0" / "scored.csv").exists()
    assert (place / "fold-1" / "last.ckpt").exists()
    how = {"sampler": "tpe", "pruner": "median", "maximise": False, "steps": 4}
    before = Sampling(plan.space, seed=0, **how).ask(0).values
    monkeypatch.setattr(
        "squeezect.training.search.sampling._sampler", lambda *_: RandomSampler(seed=99)
    )
    search_recipes(cohort, one, killed, store=stores)
    search_recipes(cohort, one, whole, store=stores)
    assert records_of(killed, 1) == records_of(whole, 1)
    assert records_of(killed, 1)[0].values != before


def test_a_search_has_its_folder_alone(cohort, plan, tmp_path):
    folder = tmp_path / "search"
    claim(folder, plan.stamp(cohort))
    with alone(folder), pytest.raises(RecipeError, match="run-in-use"):
        search_recipes(cohort, plan, folder)
    assert not (folder / "trials").exists()


def test_failing_trials_are_recorded_and_do_not_stop_the_others(cohort, plan, stores, tmp_path):
    wild = space_of("learning_rate = { choices = [1e-3, 1e30] }", tmp_path)
    base = plan.base.model_copy(update={"gradient_clip": 0.0, "schedule": "constant"})
    some = replace(plan, space=wild, base=base, trials=3, sampler="random")
    found = search_recipes(cohort, some, tmp_path / "search", store=stores)
    states = {r.values["learning_rate"]: r.state for r in found.records[1:]}
    assert states == {1e-3: "complete", 1e30: "failed"}
    failed = next(r for r in found.records if r.state == "failed")
    assert failed.error["code"] == "trial-diverged"
    assert "trial-diverged" in (tmp_path / "search" / "report" / "index.html").read_text()
    only = space_of("learning_rate = { choices = [1e30, 2e30] }", tmp_path)
    lost = base.model_copy(update={"learning_rate": 1e30})
    hopeless = replace(plan, space=only, base=lost, trials=1)
    with pytest.raises(RecipeError, match=r"all 2 trainings failed.*no-trial-finished"):
        search_recipes(cohort, hopeless, tmp_path / "hopeless", store=stores)


def test_a_damaged_resume_file_does_not_fail_its_trial(cohort, plan, stores, tmp_path):
    one, folder = replace(plan, trials=1), tmp_path / "search"
    with pytest.raises(Killed):
        search_recipes(cohort, one, folder, store=stores, progress=kill_at(0.95))
    last = folder / "trials" / "trial-1" / "fold-1" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:2000])
    for _ in range(2):
        with pytest.raises(CheckpointError, match=r"last\.ckpt.*delete the file.*resume-damaged"):
            search_recipes(cohort, one, folder, store=stores)
    last.unlink()
    assert search_recipes(cohort, one, folder, store=stores).records[1].state == "complete"


class GivesUp:
    """Optuna's side of a trial that is pruned at a step."""

    values: dict = {}  # noqa: RUF012

    def __init__(self, at):
        self.at, self.told = at, []

    def report(self, score, step):
        self.told.append((score, step))
        return step >= self.at


def test_a_trial_that_is_given_up_stops_at_that_epoch(cohort, recipe, store, tmp_path):
    inner = make_folds(cohort, folds=2, tune_fraction=0.0)
    bench = Bench(
        cohort.without(set(inner.test)), inner, lambda _: store, "log-loss", seed=0, longest=3
    )
    for at in (2, 4):
        asked = GivesUp(at)
        record = run_trial(bench, "t", lambda: recipe, tmp_path / f"t{at}", asked=asked)
        assert record.state == "pruned"
        assert [step for _, step in asked.told] == list(range(1, at + 1))
        assert list(record.by_step) == list(range(1, at + 1))
        assert record.score == asked.told[-1][0] == record.by_step[at]
        assert len(record.folds) == (at - 1) // 3
        assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("learning_rate = 3", "learning_rate"),
        ("learning_rate = { low = 1e-3, high = 1e-4 }", "low must be below high"),
        ("learning_rate = { low = 0.0, high = 1.0, log = true }", "needs low above 0"),
        ("learning_rate = { low = 1e-4, high = 1e-3, steps = 3 }", "steps"),
        ("optimiser = { choices = ['adam'] }", "optimiser"),
        ("optimiser = { choices = ['adam', 'adam'] }", "twice"),
        ("", "axes"),
        ("learning_rate = [", "space"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(tmp_path, text, told):
    with pytest.raises(RecipeError, match="bad-space") as error:
        space_of(text, tmp_path)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("learning_rat = { low = 1e-4, high = 1e-3 }", "learning_rat = "),
        ("learning_rate = { low = -1.0, high = 1.0 }", "learning_rate = -1.0"),
        ("model_options.colour = { choices = [1, 2] }", "colour"),
        ("optimiser = { choices = ['adam', 'sgd'] }", "sgd"),
        ("seed = { low = 0, high = 9 }", "seed decides who is judged"),
        ("tune_fraction = { low = 0.1, high = 0.3 }", "tune_fraction"),
    ],
)
def test_what_a_recipe_cannot_be_is_refused_before_anything_is_trained(
    cohort, plan, tmp_path, text, told
):
    bad = Plan(space_of(text, tmp_path), plan.base)
    with pytest.raises(RecipeError, match="bad-space") as error:
        search_recipes(cohort, bad, tmp_path / "search")
    assert told in str(error.value)
    assert not (tmp_path / "search").exists()


def test_what_training_would_refuse_is_not_searched(cohort, plan, store, tmp_path):
    """Of volumes of many slices turning sees the first alone."""
    turned = plan.base.model_copy(update={"turning": Turning()})
    with pytest.raises(RecipeError, match=r"\(32, 32, 32\).*bad-recipe"):
        search_recipes(cohort, replace(plan, base=turned), tmp_path / "search")
    turning = space_of("turning.noise = { low = 0.01, high = 0.02 }", tmp_path)
    with pytest.raises(RecipeError, match=r"turning\.noise = 0\.01: .*bad-space"):
        search_recipes(cohort, replace(plan, space=turning), tmp_path / "search")
    assert not (tmp_path / "search").exists()
    # Two fields that fit the base each on its own are told when they are drawn together.
    inner = make_folds(cohort, folds=2, tune_fraction=0.0)
    bench = Bench(cohort, inner, lambda _: store, "log-loss", seed=0, longest=2)
    record = run_trial(bench, "t", lambda: turned, tmp_path / "t", asked=None)
    assert (record.state, record.error["code"]) == ("failed", "bad-recipe")


def test_the_shipped_space_fits_the_shipped_recipes_of_scans():
    for name in ("modern", "paper", "demo"):
        Space.load("default").check(Recipe.load(name))
    with pytest.raises(RecipeError, match="unknown-space"):
        Space.load("defaults")


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_survives_toml(tmp_path, name):
    recipe = Recipe.load(name).model_copy(
        update={"description": 'a "quoted" \\ line\nand – another', "learning_rate": 1e-20}
    )
    write_recipe(tmp_path / "best.toml", recipe, comment="two\nlines")
    assert Recipe.load(tmp_path / "best.toml") == recipe
    assert [p.name for p in tmp_path.iterdir()] == ["best.toml"]


def test_fields_are_set_by_dotted_name(recipe):
    plain = recipe.model_copy(update={"augmentation": None})
    found = changed(plain, {"augmentation.scale": 0.2, "model_options.width": 0.25, "epochs": 7})
    assert (found.augmentation.scale, found.model_options["width"], found.epochs) == (0.2, 0.25, 7)
    assert value_in(found, "augmentation.scale") == 0.2
    assert value_in(plain, "augmentation.scale") is None
    assert changed(plain, {}) == plain


def test_without_optuna_the_extra_is_named(monkeypatch, cohort, plan, tmp_path):
    for module in [m for m in sys.modules if m.split(".")[0] == "optuna"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(RecipeError, match=r"squeezect\[search\].*needs-optuna"):
        search_recipes(cohort, plan, tmp_path / "search")
    assert not (tmp_path / "search").exists()
