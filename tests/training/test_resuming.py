"""A training goes on where it was, or says why it cannot; nothing of two runs is ever mixed."""

import logging
import os

import pytest
import torch

from squeezect.errors import CheckpointError, RecipeError
from squeezect.training import cross_validate
from squeezect.training.fold import RESUME_FILE, Part, predict_part, quiet_lightning, train_fold
from squeezect.training.prepared import key_of
from squeezect.training.progress import silent


class Killed(Exception):
    """Stands for kill -9 at a chosen moment."""


def run(cohort, recipe, store, folder, **options):
    return cross_validate(cohort, recipe, folder, store=store.folder, **options)


def part(cohort, rows):
    cases = [cohort.case(row) for row in rows]
    return Part([key_of(case.scan) for case in cases], [case.label for case in cases])


def fold(cohort, recipe, store, folder):
    parts = {"train": part(cohort, range(5, 15)), "tune": part(cohort, range(15, 21))}
    return train_fold(recipe, store, folder, **parts, seed=0, stage="fold", progress=silent)


@pytest.fixture
def hasty(recipe):
    """A recipe that stops long before its last epoch, and without having learnt anything."""
    changes = {"patience": 1, "epochs": 9, "learning_rate": 0.5, "schedule": "constant"}
    return recipe.model_copy(update={**changes, "average_weights": 0.0})


def test_a_fold_that_ran_out_of_patience_has_stopped_for_good(cohort, hasty, store, tmp_path):
    weights, facts = fold(cohort, hasty, store, tmp_path)
    assert facts["epochs"] == facts["kept_epoch"] + 1 + hasty.patience < hasty.epochs
    assert (tmp_path / RESUME_FILE).exists()
    before = (tmp_path / "history.csv").read_bytes()
    again, same = fold(cohort, hasty, store, tmp_path)
    assert same == facts
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    assert (tmp_path / "history.csv").read_bytes() == before


def test_a_run_killed_while_it_judges_a_stopped_fold_is_the_same(
    cohort, hasty, store, tmp_path, monkeypatch
):
    def kill(*_arguments, **_options):
        raise Killed

    whole = run(cohort, hasty, store, tmp_path / "whole")
    monkeypatch.setattr("squeezect.training.crossval.predict_part", kill)
    with pytest.raises(Killed):
        run(cohort, hasty, store, tmp_path / "killed")
    monkeypatch.setattr("squeezect.training.crossval.predict_part", predict_part)
    killed = run(cohort, hasty, store, tmp_path / "killed")
    for name in ("predictions.csv", "fold-0/card.json", "fold-0/model.safetensors"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


def test_a_damaged_resume_file_is_named_with_its_remedy(cohort, recipe, store, tmp_path):
    quick = recipe.model_copy(update={"epochs": 1})
    fold(cohort, quick, store, tmp_path)
    last, other = tmp_path / RESUME_FILE, tmp_path / "other"
    whole = last.read_bytes()
    torch.save({"weights": torch.zeros(3)}, other)
    for damaged in (b"", b"no", whole[:99], whole[: len(whole) // 2], other.read_bytes()):
        last.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"last\.ckpt.*delete the file") as caught:
            fold(cohort, quick, store, tmp_path)
        assert caught.value.code == "resume-damaged"
    last.unlink()
    assert fold(cohort, quick, store, tmp_path)[1]["epochs"] == 1


def test_the_resume_file_is_on_disk_before_it_takes_the_place_of_the_last(
    cohort, recipe, store, tmp_path, monkeypatch
):
    synced, sync = set(), os.fsync

    def noted(descriptor):
        synced.add(os.fstat(descriptor).st_ino)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    fold(cohort, recipe.model_copy(update={"epochs": 1}), store, tmp_path)
    assert (tmp_path / RESUME_FILE).stat().st_ino in synced


def test_the_trainer_may_speak_again_after_a_training_that_failed(caplog):
    def fail():
        with quiet_lightning():
            assert logger.level == logging.ERROR
            raise Killed

    logger = logging.getLogger("pytorch_lightning")
    caplog.set_level(logging.WARNING, logger.name)
    with pytest.raises(Killed):
        fail()
    assert logger.level == logging.WARNING


@pytest.mark.parametrize("tune_fraction", [0.0, 0.2])
def test_a_training_that_diverges_is_refused_at_once(
    cohort, recipe, store, tmp_path, tune_fraction
):
    wild = recipe.model_copy(
        update={
            "learning_rate": 1e30,
            "gradient_clip": 0.0,
            "schedule": "constant",
            "tune_fraction": tune_fraction,
        }
    )
    for _ in range(2):
        with pytest.raises(RecipeError, match=r"loss is .* in epoch 1 of 3") as caught:
            run(cohort, wild, store, tmp_path / "run")
        assert caught.value.code == "training-diverged"
    assert not (tmp_path / "run" / "fold-0" / "card.json").exists()
