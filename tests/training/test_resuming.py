"""A training goes on where it was, or says why it cannot; nothing of two runs is ever mixed."""

import json
import logging
import os
from dataclasses import replace

import pandas as pd
import pytest
import torch

from squeezect.cohorts import Cohort
from squeezect.errors import CheckpointError, CohortError, RecipeError
from squeezect.training import cross_validate, run_folder
from squeezect.training.fold import (
    RESUME_FILE,
    Part,
    predict_part,
    quiet_lightning,
    resume_point,
    train_fold,
)
from squeezect.training.prepared import key_of
from squeezect.training.progress import silent
from squeezect.training.recipe import Turning
from squeezect.training.run_folder import alone, claim, note_environment
from squeezect.training.tables import judged_rows, read_judged


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
    # Cut where PyTorch seeks before the beginning, too, which the system refuses.
    cut = [whole[:size] for size in (0, 99, 10_000, 40_000, len(whole) // 2)]
    for damaged in (b"no", *cut, other.read_bytes()):
        last.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"last\.ckpt.*delete the file") as caught:
            fold(cohort, quick, store, tmp_path)
        assert caught.value.code == "resume-damaged"
    last.unlink()
    assert fold(cohort, quick, store, tmp_path)[1]["epochs"] == 1


@pytest.mark.parametrize("error", [PermissionError, FileNotFoundError])
def test_what_is_wrong_with_the_folder_is_no_damage_to_the_file(tmp_path, monkeypatch, error):
    def refuse(*_arguments, **_options):
        raise error

    (tmp_path / RESUME_FILE).touch()
    monkeypatch.setattr(torch, "load", refuse)
    with pytest.raises(error):
        resume_point(tmp_path)


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


def test_a_scan_mended_on_the_way_does_not_divide_the_patients_anew(
    cohort, recipe, store, tmp_path
):
    def kill(name, done, total, _note):
        if name == "fold 2 of 2" and done >= 0.4 * total:
            raise Killed

    scan = cohort.case(7).scan / "scan.txt"
    whole, sound = scan.read_text(), scan.stat()
    scan.write_text("cannot be read")
    options = {"skip_unreadable": True}
    quick = recipe.model_copy(update={"epochs": 1})
    finished = run(cohort, quick, store, tmp_path / "finished", **options)
    with pytest.raises(Killed):
        run(cohort, quick, store, tmp_path / "killed", progress=kill, **options)
    scan.write_text(whole)
    os.utime(scan, ns=(sound.st_atime_ns, sound.st_mtime_ns))
    for folder in (finished, tmp_path / "killed"):
        kept = {path: path.read_bytes() for path in folder.glob("*.*") if path.is_file()}
        with pytest.raises(RecipeError, match="row 7 can be read now") as caught:
            run(cohort, quick, store, folder, **options)
        assert caught.value.code == "other-run"
        assert {path: path.read_bytes() for path in kept} == kept
    scan.write_text("cannot be read")
    folder = run(cohort, quick, store, tmp_path / "killed", **options)
    assert 7 not in set(pd.read_csv(folder / "predictions.csv")["row"])


def test_patients_are_divided_anew_while_nothing_is_trained(tmp_path, cohort, recipe):
    from squeezect.training.crossval import _drawn

    (tmp_path / "folds.json").write_text("{}")
    run_folder.keep_folds(tmp_path, _drawn(cohort, recipe))
    assert len(json.loads((tmp_path / "folds.json").read_text())["folds"]) == recipe.folds


def test_labels_beyond_two_classes_are_refused_before_anything_is_written(
    cohort, recipe, store, tmp_path
):
    cases = [replace(c, label=2) if c.row == 9 else c for c in cohort.cases]
    more = Cohort(tuple(cases), cohort.source)
    with pytest.raises(CohortError, match=r"label 2 in row 9 of .*cohort\.csv") as caught:
        run(more, recipe, store, tmp_path / "run")
    assert caught.value.code == "more-than-two-classes"
    assert not (tmp_path / "run").exists()


def test_volumes_of_many_slices_are_not_turned_by_their_first(cohort, recipe, store, tmp_path):
    with pytest.raises(RecipeError, match=r"turning.*\(32, 32, 32\).*tumbling") as caught:
        run(cohort, recipe.model_copy(update={"turning": Turning()}), store, tmp_path / "run")
    assert caught.value.code == "bad-recipe"
    assert not (tmp_path / "run").exists()


@pytest.fixture
def stamp(recipe):
    return {"cohort": "c", "recipe": recipe.model_dump(mode="json")}


def test_a_claim_that_was_killed_half_way_can_be_made_again(tmp_path, stamp):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".run.json.part").write_text('{"status": "tr')
    claim(folder, stamp)
    (folder / "recipe.json").unlink()
    claim(folder, stamp)
    assert (folder / "recipe.json").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / ".thesis.tex.part").write_text("somebody else's")
    with pytest.raises(RecipeError, match="other-run"):
        claim(other, stamp)


@pytest.fixture
def more_threads():
    """Something different in the environment."""
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    yield threads + 1
    torch.set_num_threads(threads)


def environment_of(folder):
    return json.loads((folder / "environment.json").read_text())


def test_every_change_of_the_environment_is_kept(tmp_path, recipe, more_threads):
    torch.set_num_threads(more_threads - 1)
    for _ in range(2):
        note_environment(tmp_path, recipe)
        first = environment_of(tmp_path)
        assert first["precision"] == "float32"
        assert "later" not in first
    torch.set_num_threads(more_threads)
    for _ in range(2):
        note_environment(tmp_path, recipe)
    assert environment_of(tmp_path) == {**first, "later": [{"threads": more_threads}]}
    torch.set_num_threads(more_threads - 1)
    note_environment(tmp_path, recipe)
    later = [{"threads": more_threads}, {"threads": more_threads - 1}]
    assert environment_of(tmp_path) == {**first, "later": later}


def test_the_environment_is_that_of_training(cohort, recipe, store, tmp_path, more_threads):
    """Neither who was turned away nor who trained nothing has worked on the run."""
    folder, quick = tmp_path / "run", recipe.model_copy(update={"epochs": 1})
    torch.set_num_threads(more_threads - 1)
    run(cohort, quick, store, folder)
    first = environment_of(folder)
    torch.set_num_threads(more_threads)
    run(cohort, quick, store, folder)
    (folder / "fold-1" / "card.json").unlink()
    with alone(folder), pytest.raises(RecipeError, match="run-in-use"):
        run(cohort, quick, store, folder)
    assert environment_of(folder) == first
    run(cohort, quick, store, folder)
    assert environment_of(folder) == {**first, "later": [{"threads": more_threads}]}


def test_columns_of_the_cohort_come_back_as_they_are(cohort, tmp_path):
    told = {5: ("007", "NA", "3"), 6: ("010", "", "")}
    cases = [
        replace(c, extra=dict(zip(("site", "vendor", "visits"), told[c.row], strict=True)))
        for c in cohort.cases
        if c.row in told
    ]
    few = Cohort(tuple(cases), cohort.source)
    table = judged_rows(few, [5, 6], part="validation", fold=0, probability=[0.25, 1 / 3])
    run_folder.write_csv(tmp_path / "validation.csv", table)
    pd.testing.assert_frame_equal(read_judged(tmp_path / "validation.csv"), table, check_dtype=True)


def test_a_run_writes_the_cohorts_columns_as_they_are(cohort, recipe, store, tmp_path):
    cases = [replace(c, extra={"site": f"00{c.row % 3}"}) for c in cohort.cases]
    quick = recipe.model_copy(update={"epochs": 1})
    folder = run(Cohort(tuple(cases), cohort.source), quick, store, tmp_path / "run")
    table = pd.read_csv(folder / "predictions.csv", dtype=str)
    assert set(table["site"]) == {"000", "001", "002"}
