"""Ablations: switches change what they name and nothing else; forms are compared on equal terms."""

import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from squeezect import cli
from squeezect.errors import ModelError, RecipeError, SqueezeCTError
from squeezect.evaluation import Cases, compare_auc
from squeezect.nodules import Bank, Nodule
from squeezect.preparation import Store
from squeezect.scan import pseudonym
from squeezect.training import Recipe, recipe_names
from squeezect.training.ablation import (
    Plan,
    Switch,
    ablate,
    default_switches,
    left_out,
    parse_switch,
    switched,
)
from squeezect.training.ablation.bench import Bench, Scored
from squeezect.training.ablation.report import HEADINGS, verdict, write_ablation
from squeezect.training.ablation.running import ONE_VIEW, Ablation, Outcome
from squeezect.training.ablation.switches import forms_of, why_not
from squeezect.training.ablation.views import folds_in_one_view
from squeezect.training.prepared import key_of
from squeezect.training.recipe import Insertion
from squeezect.training.watch import DIVERGED

EITHER = "undone: take out one or the other"
POINTING = "set insertion.pointing to 0 or take it out"
TINY = """
model = "squeezenet-local"
model_options = { flat = true, width = 0.125, depth = 2, stochastic = 0.0, dropout = 0.0 }
epochs = 2
batch_size = 8
tune_fraction = 0
precision = "float32"
turning = {}
"""


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture
def patch_recipe(tiny):
    return Recipe.load(tiny)


@pytest.mark.parametrize("name", recipe_names())
def test_default_switches_change_one_field_each_and_no_two_are_alike(name):
    recipe = Recipe.load(name)
    switches = default_switches(recipe)
    assert len({switch.slug for switch in switches}) == len(switches) > 3
    before = recipe.model_dump()
    for switch in switches:
        after = switched(recipe, switch).model_dump()
        (changed,) = [key for key in before if before[key] != after[key]]
        assert changed == switch.field.partition(".")[0]


def test_what_is_on_goes_off_and_what_is_off_goes_on():
    recipe = Recipe.load("nodule")
    said = {switch.field: switch.value for switch in default_switches(recipe)}
    assert said["turning"] is None
    assert said["label_smoothing"] == 0
    assert said["mixup"] > 0
    assert said["model_options.dropout"] == 0
    assert "insertion" not in said


@pytest.mark.parametrize(
    ("name", "text", "patches", "why"),
    [
        ("malignancy", "mixup=on", False, f"[teaching] leaves mixup {EITHER}"),
        ("malignancy", "augmentation.noise=0.1", False, f"[teaching] leaves augmentation {EITHER}"),
        ("demo", "mixup=on", False, f"no pointing under mixup: {POINTING}"),
        ("demo", "insertion.bank_share=0", False, "there is no bank of nodules"),
        ("demo", "seed=3", False, "seeds are those that the ablation is given"),
        ("paper", "warm_up=0.3", False, "a constant learning rate does not warm up"),
        *(
            ("nodule", text, True, "lists of 2D patches are learned from without it")
            for text in ("balanced_sampling=on", "augmentation=on", "folds=3")
        ),
        ("nodule", "insertion=on", True, f"no pointing under turning: {POINTING}"),
        # These are what they say.
        ("demo", "insertion.pointing=0", False, ""),
        ("demo", "insertion=off", False, ""),
        ("demo", "schedule=constant", False, ""),
        ("nodule", "augmentation=on", False, ""),
        ("nodule", "augmentation.noise=0.1", False, ""),
        ("modern", "model_options.dropout=off", False, ""),
        ("malignancy", "teaching=off", False, ""),
        ("malignancy", "teaching.outline_weight=1", False, ""),
        ("nodule", "mixup=0", True, ""),  # as it is: a control
    ],
)
def test_switches_that_say_nothing_of_what_they_name_are_refused(name, text, patches, why):
    recipe = Recipe.load(name)
    switch = parse_switch(text, recipe)
    assert why_not(recipe, switch, patches=patches) == why
    if why:
        with pytest.raises(RecipeError, match="idle-switch"):
            forms_of(recipe, [switch], patches=patches)


def test_a_bank_and_what_it_shares_go_together():
    painted = Recipe.load("demo")
    bank = Switch("insertion.bank", "nodules.safetensors")
    assert why_not(painted, bank) == ""
    assert why_not(switched(painted, bank), Switch("insertion.bank", "")) == ""


def test_defaults_leave_out_what_says_nothing_and_tell():
    for name, patches, gone in (
        ("malignancy", False, {"mixup = 0.2"}),
        ("demo", False, {"mixup = 0.2"}),
        ("modern", False, set()),
        ("nodule", True, set()),
        ("modern", True, {"augmentation = off", "balanced_sampling = off"}),
    ):
        recipe = Recipe.load(name)
        assert set(left_out(recipe, patches=patches)) == gone
        assert not gone & {s.name for s in default_switches(recipe, patches=patches)}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("mixup=0.4", 0.4),
        ("turning = off", None),
        ("turning.noise=0", 0),
        ("schedule=constant", "constant"),
        ("balanced_sampling=on", True),
        ("augmentation=on", {}),
        ("model_options.dropout=off", 0.0),
    ],
)
def test_switches_are_read_from_text(text, value):
    recipe = Recipe.load("nodule")
    switch = parse_switch(text, recipe)
    assert switch.value == value
    assert isinstance(switched(recipe, switch), Recipe)


@pytest.mark.parametrize("text", ["mixup", "mixup=", "=1", "mixxup=0.2", "mixup=seven"])
def test_wrong_switches_are_refused_before_training(text):
    recipe = Recipe.load("nodule")
    with pytest.raises(RecipeError, match="bad-recipe"):
        switched(recipe, parse_switch(text, recipe))


def test_wrong_options_of_the_network_are_refused_before_training():
    recipe = Recipe.load("nodule")
    with pytest.raises((RecipeError, ModelError), match="depth"):
        switched(recipe, Switch("model_options.depth", 99))


def test_the_seed_of_a_form_is_one_of_the_recipes(patch_recipe):
    with pytest.raises(RecipeError, match="not among"):
        Plan(patch_recipe, [], seeds=(0, 1), switch_seeds=(2,))


def test_patches_are_taken_apart_and_nothing_is_trained_twice(
    patch_folder, tiny, patch_recipe, tmp_path, monkeypatch, capsys
):
    same, other = Switch("epochs", 2), Switch("turning", None)
    out = tmp_path / "out"
    found = ablate(patch_folder, Plan(patch_recipe, [same, other], seeds=(0,)), out)
    assert found.full.first.cases.n == 12
    # A switch that changes nothing makes no difference at all: same folds, weights and order.
    idle, turned, view = found.outcomes
    assert np.array_equal(idle.first.cases.score, found.full.first.cases.score)
    assert (idle.against.difference.value, idle.p_value) == (0, 1)
    assert not np.array_equal(turned.first.cases.score, found.full.first.cases.score)
    assert view.name == "one view at test time"
    for outcome in found.outcomes:
        gap = outcome.first.roc_auc.value - found.full.first.roc_auc.value
        assert outcome.against.difference.value == pytest.approx(gap)
        assert outcome.p_value >= outcome.against.p_value
    told = replace(found, skipped={"mixup = 0.2": "[teaching] leaves it out"})
    assert "mixup = 0.2 ([teaching] leaves it out)" in write_ablation(told, out)
    text = write_ablation(found, out)
    assert "Left out" not in text
    assert (out / "ablation.md").read_text() == text
    for outcome in found.outcomes:
        assert f"| {outcome.name} |" in text
        assert outcome.name in text.partition(HEADINGS[verdict(found, outcome)])[2]

    runs = sorted((out / "runs").rglob("model.safetensors"))
    before = [path.stat().st_mtime_ns for path in runs]
    arguments = ["ablate", patch_folder, "-r", tiny, "-o", out, "--seeds", "0", "--json", "-q"]
    arguments += ["--vary", "epochs=2", "--vary", "turning=off"]
    monkeypatch.setattr(sys, "argv", ["squeezect", *map(str, arguments)])
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    assert not leaving.value.code
    told = json.loads(capsys.readouterr().out)
    assert [path.stat().st_mtime_ns for path in runs] == before
    assert told == json.loads((out / "ablation.json").read_text())
    assert told == json.loads(json.dumps(found.as_dict()))


def outcome(name, scores, label, against=None):
    """A form with a score per seed, compared with the recipe's first."""
    made = {k: Scored.of(Cases.of(label, s), specificity=0.9, seconds=0.0) for k, s in scores}
    pair = compare_auc(label, scores[0][1], against) if against is not None else None
    return Outcome(name, made, pair, pair.p_value if pair else None)


def test_the_recipe_under_another_seed_is_not_called_better():
    """One seed cannot tell a trick from luck, and the paired test does not know of luck."""
    rng, label = np.random.default_rng(0), np.arange(400) % 2
    poor, good = (label * gap + rng.normal(size=400) for gap in (0.8, 1.6))
    forms = [outcome(name, [(0, good)], label, poor) for name in ("lucky", ONE_VIEW)]
    assert all(form.p_value < 0.001 for form in forms)
    once = Ablation(Recipe.load("demo"), "data", 0.9, outcome("full", [(0, poor)], label), forms)
    assert [verdict(once, form) for form in forms] == ["open", "better"]
    twice = outcome("full", [(0, poor), (1, poor)], label)
    assert verdict(replace(once, full=twice), forms[0]) == "better"
    far = outcome("full", [(0, poor), (1, good)], label)
    assert verdict(replace(once, full=far), forms[0]) == "open"


@pytest.fixture
def place(store, tmp_path):
    """The store of an ablation into the folder out."""
    folder = tmp_path / "out" / f"store-{store.preparation.digest}"
    folder.parent.mkdir()
    store.folder.rename(folder)
    return folder


@pytest.mark.parametrize(
    ("text", "code"),
    [("turning=on", "bad-recipe"), ("insertion.bank=nowhere.safetensors", "bad-nodule-bank")],
)
def test_a_form_that_cannot_be_trained_is_refused_before_the_recipe_is(
    cohort, recipe, tmp_path, text, code
):
    switches = [parse_switch(one, recipe) for one in ("mixup=on", text)]
    with pytest.raises(SqueezeCTError) as caught:
        ablate(cohort.source, Plan(recipe, switches, seeds=(0,)), tmp_path / "out")
    assert caught.value.code == code
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("place")
def test_a_form_that_diverges_does_not_stop_the_others(cohort, recipe, tmp_path):
    changes = {"epochs": 1, "gradient_clip": 0.0, "schedule": "constant", "augmentation": None}
    quick, out = recipe.model_copy(update=changes), tmp_path / "out"
    switches = [Switch("learning_rate", 1e30), Switch("mixup", 0.2)]
    for _ in range(2):
        found = ablate(cohort.source, Plan(quick, switches, seeds=(0,), skipped={"a": "b"}), out)
        assert [one.name for one in found.outcomes] == ["mixup = 0.2"]
        why = "its loss is no number any more"
        assert found.skipped == {"a": "b", "learning_rate = 1e+30, seed 0": why}
        assert f"a (b); learning_rate = 1e+30, seed 0 ({why})" in write_ablation(found, out)
    # Without anything to compare it with, the others say nothing.
    wild = quick.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(RecipeError, match="training-diverged"):
        ablate(cohort.source, Plan(wild, [], seeds=(1,), switch_seeds=(1,)), out)


@pytest.mark.usefixtures("place")
def test_a_form_that_diverges_under_a_further_seed_keeps_its_first(
    cohort, recipe, tmp_path, monkeypatch
):
    def diverge(bench, form, name, seed):
        if name.startswith("mixup") and seed == 1:
            raise RecipeError(DIVERGED, "loss is nan")
        return score(bench, form, name, 0)

    score = Bench.score
    monkeypatch.setattr(Bench, "score", diverge)
    quick = recipe.model_copy(update={"epochs": 1})
    plan = Plan(quick, [Switch("mixup", 0.2)], seeds=(0, 1, 2), switch_seeds=(0, 1, 2))
    found = ablate(cohort.source, plan, tmp_path / "out")
    assert list(found.outcomes[0].by_seed) == [0, 2]
    assert list(found.skipped) == ["mixup = 0.2, seed 1"]


@pytest.mark.usefixtures("place")
def test_no_nodule_of_the_closed_test_part_is_inserted(cohort, recipe, tmp_path):
    ball = np.ones((3, 3, 3), bool)
    nodules = tuple(
        Nodule(np.zeros(ball.shape, np.int16), ball, (1.0, 1.0, 1.0), name, pseudonym(name))
        for name in ("SECRET0", "SECRET1", "somebody else")
    )
    bank = str(Bank(nodules).save(tmp_path / "bank.safetensors"))
    changes = {"epochs": 1, "insertion": Insertion(bank=bank), "augmentation": None}
    plan = Plan(recipe.model_copy(update=changes), [], seeds=(0,))
    out, tested = tmp_path / "out", {pseudonym(f"SECRET{i}") for i in range(4)}
    ablate(cohort.source, plan, out)
    seen = [json.loads(path.read_text())["patients"] for path in out.rglob("seen.json")]
    assert len(seen) == recipe.folds
    for patients in map(set, seen):
        assert not patients & tested
        assert pseudonym("somebody else") in patients
    # With another test part the same bank is another one, and so is the run.
    table = cohort.source.read_text()
    cohort.source.write_text(table.replace("SECRET0,", "somebody else,"))
    with pytest.raises(RecipeError, match="another test_part") as caught:
        ablate(cohort.source, plan, out)
    assert caught.value.code == "other-run"


def test_folds_are_taken_apart_on_equal_terms(cohort, place, recipe, tmp_path):
    quick = recipe.model_copy(update={"epochs": 1})
    for case in cohort.cases:  # a scan of the test part, if it were opened, could not be prepared
        if case.split == "test":
            shutil.rmtree(place / key_of(case.scan))
    plan = Plan(quick, [Switch("augmentation", None)], seeds=(0,))
    found = ablate(cohort.source, plan, tmp_path / "out")
    # Out of fold only: the four test patients choose nothing.
    assert found.full.first.cases.n == 16
    for table in (tmp_path / "out" / "runs").rglob("predictions.csv"):
        assert set(pd.read_csv(table)["part"]) == {"validation"}
    (without,) = found.outcomes
    assert np.array_equal(without.first.cases.label, found.full.first.cases.label)
    assert found.spread == 0
    # Judged in one view as it was, a run says the same again; in four, something else.
    run = tmp_path / "out" / "runs" / "recipe" / "seed-0"
    volumes = Store.open(place, recipe.preparation)
    again = folds_in_one_view(run, cohort, volumes)
    assert again.score == pytest.approx(found.full.first.cases.score, abs=1e-6)
    assert again.label.tolist() == found.full.first.cases.label.tolist()
    more = plan.recipe.model_copy(update={"views": 4})
    (tmp_path / "viewed").mkdir()
    place.rename(tmp_path / "viewed" / place.name)
    viewed = ablate(cohort.source, replace(plan, recipe=more), tmp_path / "viewed")
    view = viewed.outcomes[-1]
    assert view.name == "one view at test time"
    assert view.first.cases.score == pytest.approx(again.score, abs=1e-6)
    assert viewed.full.first.cases.score != pytest.approx(again.score, abs=1e-6)
