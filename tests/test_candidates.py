"""Candidates: patches are where they say, views do not matter, shipped weights answer."""

import json
import signal
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from squeezect import cli
from squeezect.candidates import (
    SIDE,
    CandidateClassifier,
    Patches,
    patch_around,
    read_patches,
    score_patches,
    weight_names,
    weights_folder,
)
from squeezect.checkpoint import Checkpoint
from squeezect.cohorts.layouts import read_patch_lists
from squeezect.errors import CheckpointError, CohortError, PreparationError, RecipeError
from squeezect.models import create_model
from squeezect.points import PointClassifier
from squeezect.preparation import Preparation
from squeezect.publishing.scores import score_weights
from squeezect.reading import read_scan
from squeezect.scan import Grid, Scan
from squeezect.training import Recipe, train_on_patches
from squeezect.training.auditing import audit_cohort, audit_patches
from squeezect.training.candidates import require_done
from squeezect.training.recipe import Augmentation, Insertion, Turning
from squeezect.training.turning import turn

SLICE = Preparation(crop="point", size=(1, SIDE, SIDE))


def disc(radius, *, seed=0, side=SIDE):
    """A patch with a disc in its middle, or without one if the radius is 0."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    image = np.where(np.hypot(y, x) < radius, 190.0, 40.0) + random.normal(0, 6, (side, side))
    return image.clip(0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Twenty-four patches on two lists; every other one has a disc."""
    for name, count in (("train", 16), ("val", 8)):
        (tmp_path / name).mkdir()
        lines = []
        for number in range(count):
            side = 47 if number == 3 else SIDE
            image = disc(9.0 * (number % 2), seed=number + 100 * (name == "val"), side=side)
            Image.fromarray(image).save(tmp_path / name / f"image_{number}.png")
            lines.append(f"{name}/image_{number}.png {number % 2}")
        (tmp_path / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def recipe():
    return Recipe(
        name="tiny",
        model="squeezenet-local",
        model_options={"flat": True, "width": 0.25, "depth": 3, "stochastic": 0.0, "dropout": 0.0},
        epochs=8,
        batch_size=8,
        learning_rate=1e-2,
        tune_fraction=0,
        precision="float32",
        turning=Turning(),
        mixup=0.2,
    )


def test_patches_cut_by_the_edge_are_centred_with_air_around(folder):
    patches = read_patches(read_patch_lists(folder, lists={"train.txt": "train"}).cases)
    assert patches.values.shape == (16, SIDE, SIDE)
    assert (patches.values[3, 0] == 0).all()
    assert patches.values[3, 1:48, 1:48].min() > 0
    assert patches.labels.tolist() == [0, 1] * 8


def test_what_is_no_patch_is_named(folder):
    (folder / "train" / "image_2.png").write_bytes(b"no picture")
    cases = read_patch_lists(folder, lists={"train.txt": "train"}).cases
    with pytest.raises(CohortError, match=r"row 3.*image_2\.png"):
        read_patches(cases)
    Image.fromarray(np.zeros((90, 90), np.uint8)).save(folder / "train" / "image_2.png")
    with pytest.raises(CohortError, match="90 x 90"):
        read_patches(cases)


def test_the_score_does_not_depend_on_how_the_patch_is_turned():
    torch.manual_seed(0)
    model = create_model("squeezenet-local", options={"flat": True, "width": 0.25}).eval()
    # Far from 0 and 1, where all scores would be alike.
    model.head.weight.data *= 0.01
    image = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE), np.uint8)
    turned = [np.rot90(flip, k) for flip in (image, image[:, ::-1]) for k in range(4)]
    patches = Patches(np.stack(turned), np.zeros(8, np.int64))
    scores = score_patches(model, patches)
    assert np.ptp(scores) < 1e-6
    assert np.ptp(score_patches(model, patches, views=1)) > 1e-6


def test_turning_keeps_the_middle_and_stays_in_range():
    patches = torch.zeros(32, 1, 1, SIDE, SIDE)
    patches[..., 24:26, 24:26] = 1
    torch.manual_seed(0)
    how = Turning(shift=0, noise=0, gain=0, offset=0)
    turned = turn(patches, how)
    assert turned.shape == patches.shape
    assert turned.min() >= 0
    assert turned.max() <= 1
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    mass = turned[:, 0, 0].sum((1, 2))
    for axis in (y, x):
        middle = (turned[:, 0, 0] * axis).sum((1, 2)) / mass
        assert (middle - 24.5).abs().max() < 0.2


def test_a_run_of_patches_learns_resumes_and_can_be_scored(folder, recipe, tmp_path):
    cohort = read_patch_lists(folder)
    run = train_on_patches(cohort, recipe, tmp_path / "run")
    facts = json.loads((run / "run.json").read_text())
    assert facts["status"] == "finished"
    assert facts["scores"]["validation_auc"] == 1.0
    weights = Checkpoint.load(run / "fold-0").weights
    again = train_on_patches(cohort, recipe, tmp_path / "again")
    for name, value in Checkpoint.load(again / "fold-0").weights.items():
        assert torch.equal(value, weights[name])
    scores = score_weights(str(run), folder, out=tmp_path / "scores").as_dict()["parts"]
    assert scores["val.txt"]["ROC AUC"]["value"] == 1.0
    assert len((tmp_path / "scores" / "probabilities.csv").read_text().splitlines()) == 25


def test_a_killed_run_of_patches_goes_on_at_its_last_epoch(folder, recipe, tmp_path):
    cohort, told = read_patch_lists(folder), []

    def kill(name, done, _total, _note):
        if name == "patches" and done >= 250:
            raise RuntimeError("killed")

    whole = train_on_patches(cohort, recipe, tmp_path / "whole")
    with pytest.raises(RuntimeError, match="killed"):
        train_on_patches(cohort, recipe, tmp_path / "killed", progress=kill)
    run = train_on_patches(
        cohort, recipe, tmp_path / "killed", progress=lambda *what: told.append(what)
    )
    assert min(done for name, done, _, _ in told if name == "patches") >= 200
    one, two = (Checkpoint.load(place / "fold-0").weights for place in (whole, run))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_an_interrupted_training_says_so_and_can_be_interrupted_again(folder, recipe, tmp_path):
    def interrupt(name, done, _total, _note):
        if name == "patches" and done >= 150:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train_on_patches(read_patch_lists(folder), recipe, tmp_path / "run", progress=interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    assert (tmp_path / "run" / "fold-0" / "last.ckpt").is_file()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tune_fraction": 0.2, "patience": 3}, "for tune_fraction, patience, not"),
        ({"balanced_sampling": True}, "balanced_sampling"),
        ({"augmentation": Augmentation()}, "augmentation"),
        ({"insertion": Insertion(pointing=0)}, "insertion"),
        ({"views": 4}, "views = 4"),
        ({"preparation": Preparation(crop="lungs")}, "preparation"),
        ({"preparation": Preparation(crop="point", size=(32, 32, 32))}, "preparation"),
        ({"preparation": SLICE.model_copy(update={"window_hu": (-1200, 300)})}, "preparation"),
    ],
)
def test_what_is_not_done_on_patches_is_refused(folder, recipe, tmp_path, changes, said):
    with pytest.raises(RecipeError, match=f"{said}.*--recipe nodule") as caught:
        train_on_patches(
            read_patch_lists(folder), recipe.model_copy(update=changes), tmp_path / "run"
        )
    assert caught.value.code == "not-on-patches"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["nodule", "compare-patches"])
def test_shipped_recipes_for_patches_ask_for_nothing_else(name):
    require_done(Recipe.load(name))


def test_a_recipe_may_cut_the_patches_that_lists_hold(recipe):
    require_done(recipe.model_copy(update={"preparation": SLICE}))


def test_patches_of_more_than_two_classes_are_refused(folder, recipe, tmp_path):
    lines = (folder / "train.txt").read_text().replace("image_4.png 0", "image_4.png 2")
    (folder / "train.txt").write_text(lines)
    with pytest.raises(CohortError, match="label 2 in row 5") as caught:
        train_on_patches(read_patch_lists(folder), recipe, tmp_path / "run")
    assert caught.value.code == "more-than-two-classes"


def test_patches_on_both_lists_are_refused_before_training_unless_allowed(folder, recipe, tmp_path):
    with (folder / "val.txt").open("a") as lists:
        lists.write("train/image_2.png 0\n")
    cohort = read_patch_lists(folder)
    with pytest.raises(CohortError, match="same-file: row 3") as caught:
        train_on_patches(cohort, recipe, tmp_path / "run")
    assert caught.value.code == "leak"
    assert not list((tmp_path / "run").rglob("*.safetensors"))
    quick = recipe.model_copy(update={"epochs": 1})
    run = train_on_patches(cohort, quick, tmp_path / "allowed", allow_leaks=True)
    audit = json.loads((run / "audit.json").read_text())
    assert (audit["ok"], audit["leaks_allowed"]) == (False, True)
    assert audit["parts"] == {"train": 16, "validation": 9}


def test_equal_pictures_under_two_names_are_a_leak_alike_ones_are_not(folder, recipe, tmp_path):
    values = np.asarray(Image.open(folder / "train" / "image_5.png")).copy()
    for change, kinds in ((0, ["near-duplicate"]), (1, [])):
        values[0, 0] += change
        Image.fromarray(values).save(folder / "val" / "image_1.png", compress_level=change)
        cases = read_patch_lists(folder).cases
        learn, judged = cases[:16], cases[16:]
        found, _ = audit_patches(learn, judged, read_patches(learn), read_patches(judged))
        assert [leak.kind for leak in found.rows] == kinds
        assert {leak.kind for leak in audit_cohort(folder, folds=2).rows} == set(kinds)


def test_the_patch_of_a_point_is_whole_voxels_around_it():
    grid = Grid((20, 80, 90), (2.5, 0.7, 0.7), (-30.0, -28.0, -40.0))
    hu = np.random.default_rng(0).integers(-1000, 400, grid.shape).astype(np.int16)
    scan = Scan(hu, grid)
    point = grid.to_mm(np.array([7.2, 40.3, 50.4]))
    (patch,) = patch_around(scan, tuple(point)).values
    expected = np.rint((hu[7, 15:65, 25:75] + 1000.0) / 1400 * 255)
    assert np.abs(patch - expected).max() <= 1
    with pytest.raises(PreparationError, match="point-outside"):
        patch_around(scan, (500.0, 0.0, 0.0))


def test_unknown_weights_are_answered_with_the_known_ones():
    with pytest.raises(CheckpointError, match="nodule"):
        weights_folder("best")


@pytest.mark.parametrize("name", weight_names())
def test_shipped_weights_are_small_state_their_limits_and_load(name):
    folder = weights_folder(name)
    assert (folder / "model.safetensors").stat().st_size < 4e6
    kind = PointClassifier if name == "malignancy" else CandidateClassifier
    classifier = kind.open(name)
    card = classifier.card
    assert "CC BY" in card.data
    assert card.limits
    assert "not for clinical use" in card.statement
    judged = "validation" if "validation_auc" in card.scores else "out_of_fold"
    assert card.scores[f"{judged}_auc_low"] < card.scores[f"{judged}_auc"]
    assert sum(p.numel() for m in classifier.models for p in m.parameters()) <= 2_000_000


def test_shipped_nodule_weights_know_a_disc_from_nothing():
    classifier = CandidateClassifier.open("nodule")
    labels = np.zeros(2, np.int64)
    with_nodule, without = classifier.score(Patches(np.stack([disc(7), disc(0)]), labels))
    assert with_nodule > without


def test_shipped_nodule_weights_find_the_known_nodule_of_a_real_scan(real_data):
    scan = read_scan(real_data("lidc-idri-0001"))
    classifier = CandidateClassifier.open("nodule")
    assert classifier.at(scan, (56.2, 86.3, -115.9)) > 0.9
    # The mirrored place in the other lung is healthy.
    assert classifier.at(scan, (-70.0, 86.3, -115.9)) < 0.5


def test_shipped_nodule_weights_rank_real_patches(real_data, tmp_path):
    source = real_data("luna16-candidates-2d")
    root = next(path.parent for path in source.rglob("val.txt"))
    lines = (root / "val.txt").read_text().splitlines()[:160]
    (tmp_path / "some.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "val").symlink_to(root / "val")
    (tmp_path / "train").symlink_to(root / "train")
    scores = score_weights("nodule", tmp_path).as_dict()["parts"]["some.txt"]
    assert scores["cases"] == 160
    assert scores["ROC AUC"]["value"] > 0.94


def test_a_candidate_on_the_command_line(monkeypatch, capsys, tmp_path):
    from squeezect.phantom import chest_grid, thorax, write_dicom

    scan, truth = thorax(1, grid=chest_grid(1, spacing_mm=2.0, thickness_mm=4.0), nodules=1)
    write_dicom(scan, tmp_path / "scan")
    point = [str(v) for v in truth.nodules[0].centre_mm]
    arguments = ["candidate", str(tmp_path / "scan"), "--point", *point, "--json"]
    monkeypatch.setattr(sys, "argv", ["squeezect", *arguments])
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    assert not leaving.value.code
    answer = json.loads(capsys.readouterr().out)
    assert 0 <= answer["probability"] <= 1
    assert "not for clinical use" in answer["statement"]
