"""Weights answer the question that they were made for, and folds answer together or not at all."""

import json
import shutil
import struct
import warnings
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from squeezect.candidates import (
    SIDE,
    CandidateClassifier,
    Patches,
    is_picture,
    judges_slices,
    patch_around,
    read_patches,
    weights_folder,
)
from squeezect.checkpoint import CARD_FILE, Card, Checkpoint, find_networks, read_card
from squeezect.cohorts import Case
from squeezect.errors import CheckpointError, CohortError
from squeezect.models import create_model
from squeezect.points import PointClassifier
from squeezect.preparation import Preparation
from squeezect.publishing.judged import card_of, judge_dataset
from squeezect.publishing.point_answers import answer_point, judges_points
from squeezect.scan import Grid, Scan
from squeezect.session import Session

SMALL = {"width": 0.125, "depth": 2, "stochastic": 0.0, "dropout": 0.0}
FLAT = SMALL | {"flat": True}
POINT = Preparation(crop="point", size=(8, 16, 16), spacing_mm=1.0)
SLICE = Preparation(crop="point", size=(1, SIDE, SIDE))
WHOLE = Preparation(size=(32, 32, 32))
OPENERS = (Session, PointClassifier, CandidateClassifier)
BY_OPENER = {
    Session: (SMALL, WHOLE),
    PointClassifier: (SMALL, POINT),
    CandidateClassifier: (FLAT, WHOLE),
}
"""Options and preparation of networks that each opens."""


def save(folder, *, seed=0, model="squeezenet-local", options=SMALL, how=WHOLE, **card):
    torch.manual_seed(seed)
    network = create_model(model, options=options)
    facts = Card(model=model, options=options, preparation=how, **card)
    return Checkpoint(facts, network.state_dict()).save(folder)


def finish(run, threshold=0.4):
    facts = {"status": "finished", "thresholds": {"sensitivity-90": threshold}}
    (run / "run.json").write_text(json.dumps(facts))
    return run


def run_of(folder, opener, *, folds=2):
    options, how = BY_OPENER[opener]
    for fold in range(folds):
        save(folder / f"fold-{fold}", seed=fold, options=options, how=how)
    return finish(folder)


@pytest.fixture
def chest():
    hu = np.random.default_rng(0).integers(-900, 300, (12, 60, 60)).astype(np.int16)
    return Scan(hu, Grid(hu.shape, (2.5, 0.7, 0.7)))


def patches(count=3):
    values = np.random.default_rng(1).integers(0, 255, (count, SIDE, SIDE), np.uint8)
    return Patches(values, np.zeros(count, np.int64))


def test_weights_for_scans_and_for_points_are_not_taken_for_weights_for_slices(
    tmp_path, chest, monkeypatch, patch_folder
):
    run = run_of(tmp_path / "scans", Session)
    for name in (run, run / "fold-0", run_of(tmp_path / "points", PointClassifier), "malignancy"):
        with pytest.raises(CheckpointError, match=r"made for.*\[weights-of-another-kind\]"):
            CandidateClassifier.open(name)
    monkeypatch.setattr("squeezect.publishing.point_answers.read_scan", lambda *_, **__: chest)
    with pytest.raises(CheckpointError, match=r"whole scans.*\[weights-of-another-kind\]"):
        answer_point(str(run), tmp_path, tuple(chest.grid.centre_mm))
    with pytest.raises(CheckpointError, match=r"whole scans.*\[weights-of-another-kind\]"):
        judge_dataset(str(run), patch_folder, label=None, tell=lambda *_: None)


@pytest.mark.parametrize(
    ("model", "options", "how", "learnt"),
    [
        # Trained on lists: with kernels of one slice, and with a network that takes any depth.
        ("squeezenet-local", FLAT, Preparation(), {"train": 9, "epochs": 1}),
        ("cnn2d", {}, Preparation(), {"train": 9, "epochs": 1}),
        # Compared on lists.
        ("squeezenet-local", FLAT, SLICE, {"train": 9, "tune": 0, "fold": 0}),
        ("cnn2d", {}, SLICE, {"train": 9, "tune": 0, "fold": 0}),
    ],
)
def test_networks_of_patch_lists_answer_for_slices(
    model, options, how, learnt, tmp_path, patch_folder
):
    folder = save(tmp_path / "w", model=model, options=options, how=how, trained_on=learnt)
    assert judges_slices(read_card(folder))
    assert judges_points(str(folder))
    (_, val) = judge_dataset(str(folder), patch_folder, label=None, tell=lambda *_: None)
    assert len(val.probability) == 12


def test_weights_for_slices_and_for_points_do_not_answer_for_whole_scans(tmp_path):
    lists = save(tmp_path / "lists", options=FLAT, trained_on={"train": 9, "epochs": 1})
    runs = [run_of(tmp_path / kind.__name__, kind) for kind in OPENERS if kind is not Session]
    shipped = [weights_folder(name) for name in ("nodule", "malignancy")]
    for name in (lists, *runs, *shipped, runs[0] / "fold-0"):
        with pytest.raises(CheckpointError, match=r"not for whole scans;.*weights-of-another-kind"):
            Session.open(name)


@pytest.mark.parametrize(
    "how",
    [
        Preparation(crop="point", size=(32, 32, 32)),
        Preparation(crop="point", size=(1, SIDE, SIDE), window_hu=(-1200, 300)),
    ],
)
def test_networks_of_lists_judge_slices_whatever_their_card_says_of_cutting(
    how, tmp_path, chest, monkeypatch, patch_folder
):
    folder = save(tmp_path / "w", how=how, trained_on={"train": 9, "epochs": 1})
    with pytest.raises(CheckpointError, match=r"pictures on lists;.*weights-of-another-kind"):
        PointClassifier.open(folder)
    (_, val) = judge_dataset(str(folder), patch_folder, label=None, tell=lambda *_: None)
    assert len(val.probability) == 12
    monkeypatch.setattr("squeezect.publishing.point_answers.read_scan", lambda *_, **__: chest)
    point = tuple(chest.grid.centre_mm)
    expected = CandidateClassifier.open(folder).at(chest, point)
    assert answer_point(str(folder), tmp_path, point).probability == expected


def test_networks_of_lists_judge_points_where_their_card_cuts_such_slices(tmp_path):
    folder = save(tmp_path / "w", options=FLAT, how=SLICE, trained_on={"train": 9, "epochs": 1})
    PointClassifier.open(folder)
    CandidateClassifier.open(folder)


def test_flat_kernels_alone_do_not_make_a_run_of_whole_scans_one_of_slices(tmp_path):
    for fold in (0, 1):
        learnt = {"train": 9, "tune": 2, "fold": fold}
        save(tmp_path / "run" / f"fold-{fold}", seed=fold, options=FLAT, trained_on=learnt)
    run = finish(tmp_path / "run")
    assert not judges_slices(read_card(run / "fold-0"))
    assert not judges_points(str(run))
    with pytest.raises(CheckpointError, match=r"whole scans.*\[weights-of-another-kind\]"):
        CandidateClassifier.open(run)
    assert len(Session.open(run).engines) == 2


def test_shipped_weights_are_of_the_kinds_that_they_are_shipped_for():
    assert judges_slices(read_card(weights_folder("nodule")))
    assert not judges_slices(read_card(weights_folder("malignancy")))


def test_slices_are_judged_by_as_many_views_as_gave_the_threshold(tmp_path):
    recipe = {"views": 2}
    lists = save(tmp_path / "a", options=FLAT, recipe=recipe, trained_on={"train": 9})
    folds = save(tmp_path / "b", options=FLAT, recipe=recipe, how=SLICE, trained_on={"fold": 0})
    assert [CandidateClassifier.open(place).views for place in (lists, folds)] == [8, 2]


def test_a_run_of_slices_answers_with_the_mean_of_its_folds(tmp_path):
    run = run_of(tmp_path / "run", CandidateClassifier, folds=3)
    alone = [CandidateClassifier.open(run / f"fold-{k}").score(patches()) for k in range(3)]
    together = CandidateClassifier.open(run)
    assert np.allclose(together.score(patches()), np.mean(alone, axis=0), rtol=0, atol=1e-9)
    assert np.ptp(alone, axis=0).min() > 1e-6
    assert together.threshold == 0.4


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"preparation": Preparation(size=(48, 48, 48), crop="lungs")}, "preparation"),
        ({"model": "cnn2d"}, "model"),
        ({"classes": 3}, "number of classes"),
    ],
)
def test_folds_that_do_not_belong_together_are_named(tmp_path, opener, change, fact):
    run = run_of(tmp_path / "run", opener)
    opener.open(run)
    found = Checkpoint.load(run / "fold-1")
    Checkpoint(found.card.model_copy(update=change), found.weights).save(run / "fold-1")
    words = rf"fold-0 and fold-1 of run .* differ in {fact}.*\[checkpoint-damaged\]"
    with pytest.raises(CheckpointError, match=words):
        opener.open(run)


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("content", [None, "", '{"status": "training"}', "{", "[]"])
def test_unfinished_runs_are_refused_by_all_and_their_folds_are_not(tmp_path, opener, content):
    run = run_of(tmp_path / "run", opener)
    (run / "run.json").unlink() if content is None else (run / "run.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"\[no-run\]"):
        opener.open(run)
    with pytest.raises(CheckpointError, match=r"\[no-run\]"):
        card_of(str(run))
    opener.open(run / "fold-1")


@pytest.mark.parametrize("opener", OPENERS)
def test_a_finished_run_that_lost_its_folds_is_no_run(tmp_path, opener):
    (tmp_path / "run").mkdir()
    with pytest.raises(CheckpointError, match=r"lost its fold folders.*\[no-run\]"):
        opener.open(finish(tmp_path / "run"))


def folded(folder, opener, *, folds=3, told=None):
    """A finished run whose cards say, as cross-validation writes them, which fold each is of."""
    options, how = BY_OPENER[opener]
    how = SLICE if opener is CandidateClassifier else how
    for k in range(folds):
        facts = {
            "trained_on": {"train": 9, "tune": 0, "fold": k},
            "recipe": {"folds": told or folds},
        }
        save(folder / f"fold-{k}", seed=k, options=options, how=how, **facts)
    return finish(folder)


@pytest.mark.parametrize("opener", OPENERS)
def test_a_run_that_lost_a_fold_is_damaged_and_its_other_folds_are_not(tmp_path, opener):
    run = folded(tmp_path / "run", opener)
    opener.open(run)
    shutil.rmtree(run / "fold-1")
    with pytest.raises(CheckpointError, match=r"3 folds has lost fold-1;.*\[checkpoint-damaged\]"):
        opener.open(run)
    with pytest.raises(CheckpointError, match=r"\[checkpoint-damaged\]"):
        card_of(str(run))
    opener.open(run / "fold-2")


def test_a_fold_in_the_place_of_another_does_not_stand_in_for_it(tmp_path):
    run = folded(tmp_path / "run", Session)
    shutil.rmtree(run / "fold-1")
    shutil.copytree(run / "fold-0", run / "fold-1")
    with pytest.raises(CheckpointError, match="lost fold-1"):
        Session.open(run)
    more = folded(tmp_path / "more", Session, told=2)
    with pytest.raises(CheckpointError, match="3 networks, but 2 folds"):
        Session.open(more)


def test_a_gap_in_the_folds_is_seen_where_the_cards_hold_no_recipe(tmp_path):
    for k in (0, 2):
        save(tmp_path / "run" / f"fold-{k}", seed=k, trained_on={"train": 9, "fold": k})
    with pytest.raises(CheckpointError, match="lost fold-1"):
        Session.open(finish(tmp_path / "run"))


def test_copies_beside_the_folds_do_not_answer(tmp_path):
    run = folded(tmp_path / "run", Session)
    before = find_networks(run).folders
    for name in ("fold-0-copy", "fold-01", "fold-old"):
        shutil.copytree(run / "fold-0", run / name)
    assert find_networks(run).folders == before == tuple(run / f"fold-{k}" for k in range(3))


def test_folds_are_in_the_order_of_their_numbers(tmp_path):
    run = folded(tmp_path / "run", Session, folds=11)
    assert [path.name for path in find_networks(run).folders][-2:] == ["fold-9", "fold-10"]


def test_a_run_of_lists_has_one_network_whatever_its_recipe_says_of_folds(tmp_path):
    facts = {"trained_on": {"train": 9, "epochs": 1}, "recipe": {"folds": 5}}
    save(tmp_path / "run" / "fold-0", options=FLAT, how=Preparation(), **facts)
    assert len(CandidateClassifier.open(finish(tmp_path / "run")).models) == 1


class Named:
    """An engine under another name."""

    def __init__(self, engine, name):
        self.engine, self.name, self.cells = engine, name, engine.cells

    def __call__(self, values):
        return self.engine(values)


def test_engines_are_all_named_if_they_differ(tmp_path, chest):
    session = Session.open(run_of(tmp_path / "run", Session, folds=3))
    names = {"A 1": ("A 1", "A 1", "A 1"), "A 1 and B 2": ("A 1", "B 2", "A 1")}
    for said, given in names.items():
        engines = tuple(map(Named, session.engines, given))
        answer = replace(session, engines=engines).predict(chest, allow=["no-lungs"])
        assert answer.engine == said


@pytest.mark.parametrize("number", [2, "1.0", None])
def test_cards_of_another_format_ask_for_a_newer_release(tmp_path, number):
    folder = save(tmp_path / "weights")
    facts = json.loads((folder / CARD_FILE).read_text("utf-8"))
    assert facts["format"] == 1
    (folder / CARD_FILE).write_text(json.dumps(facts | {"format": number, "unheard": "of"}))
    for read in (read_card, Checkpoint.load, find_networks):
        with pytest.raises(CheckpointError, match=r"newer release.*\[checkpoint-format\]"):
            read(folder)


def test_points_on_both_outer_faces_have_a_patch(chest):
    """A point between the faces is in the scan; the faces are half a voxel beyond the centres."""
    for slices in (11, 12):
        hu = np.ascontiguousarray(chest.hu[:slices])
        scan = Scan(hu, Grid(hu.shape, chest.grid.spacing_mm))
        for face, inside in ((-0.5, 0), (slices - 0.5, slices - 1)):
            outer, centre = (
                patch_around(scan, tuple(scan.grid.to_mm(np.array([z, 30.0, 30.0])))).values
                for z in (face, float(inside))
            )
            assert (outer == centre).all()


def bomb(path, side):
    """A PNG of a few bytes whose header asks for a great many."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


@pytest.mark.parametrize("side", [11_000, 20_000])
@pytest.mark.parametrize("filtered", ["error", "ignore"])
def test_pictures_that_ask_for_too_much_memory_are_unreadable_patches(tmp_path, side, filtered):
    path = bomb(tmp_path / "bomb", side)
    with warnings.catch_warnings():
        warnings.simplefilter(filtered, Image.DecompressionBombWarning)
        assert is_picture(path)
        with pytest.raises(CohortError, match=r"row 7: bomb .*\[unreadable-patch\]"):
            read_patches([Case(row=7, scan=path, patient="P", label=0)])
