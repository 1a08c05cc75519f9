"""Laws of training: repeatable, resumable to the bit, fresh in every fold, nobody on two sides."""

import json
import subprocess
import sys

import pandas as pd
import pytest
import torch

from squeezect.checkpoint import Checkpoint
from squeezect.errors import PreparationError, RecipeError
from squeezect.evaluation import evaluate
from squeezect.training import cross_validate
from squeezect.training.crossval import Part
from squeezect.training.data import EpochSampler, Volumes
from squeezect.training.prepared import key_of
from squeezect.training.run_folder import alone, claim


def run(cohort, recipe, store, folder, **options):
    return cross_validate(cohort, recipe, folder, store=store.folder, **options)


def weights(folder, fold=0):
    return Checkpoint.load(folder / f"fold-{fold}").weights


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


class Killed(Exception):
    """Stands for kill -9 at a chosen moment."""


def kill_at(stage, part):
    def progress(name, done, total, _note):
        if name == stage and done >= part * total:
            raise Killed

    return progress


def test_a_run_folder_holds_everything_and_is_judged(cohort, recipe, store, tmp_path):
    folder = run(cohort, recipe, store, tmp_path / "run")
    table = pd.read_csv(folder / "predictions.csv")
    out_of_fold = table[table["part"] == "validation"]
    # Every training case is judged exactly once, every test case once by each fold's network.
    assert sorted(out_of_fold["row"]) == list(range(5, 21))
    assert sorted(table[table["part"] == "test"]["row"]) == sorted([1, 2, 3, 4] * 2)
    assert set(table["site"]) == {"north", "south"}
    facts = json.loads((folder / "run.json").read_text())
    assert facts["status"] == "finished"
    assert "SECRET" not in "".join(p.read_text() for p in folder.rglob("*.json"))
    assert "SECRET" not in (folder / "predictions.csv").read_text()
    assert not list(folder.rglob("*.ckpt"))
    folds = json.loads((folder / "folds.json").read_text())
    assert len(folds["folds"]) == 2
    assert evaluate(folder, bootstrap=50).summary()
    assert (folder / "report" / "index.html").is_file()


def test_the_same_seed_gives_the_same_weights_and_folds_start_afresh(
    cohort, recipe, store, tmp_path
):
    first = run(cohort, recipe, store, tmp_path / "first")
    second = run(cohort, recipe, store, tmp_path / "second")
    assert same(weights(first), weights(second))
    assert not same(weights(first, 0), weights(first, 1))
    assert (first / "predictions.csv").read_bytes() == (second / "predictions.csv").read_bytes()


@pytest.mark.parametrize(
    ("stage", "part"), [("fold 1 of 2", 0.5), ("fold 1 of 2", 0.85), ("fold 2 of 2", 0.4)]
)
def test_a_killed_run_resumes_to_the_same_weights(cohort, recipe, store, tmp_path, stage, part):
    whole = run(cohort, recipe, store, tmp_path / "whole")
    killed = tmp_path / "killed"
    with pytest.raises(Killed):
        run(cohort, recipe, store, killed, progress=kill_at(stage, part))
    assert not (killed / "predictions.csv").exists()
    told = []
    run(cohort, recipe, store, killed, progress=lambda *what: told.append(what))
    # Epochs that were finished are not trained again.
    first = min(done for name, done, _, _ in told if name == stage)
    assert first >= 100 * int(part * recipe.epochs) >= 100
    for fold in range(2):
        assert same(weights(whole, fold), weights(killed, fold))
        history = f"fold-{fold}/history.csv"
        columns = ["epoch", "train_loss", "tune_loss", "learning_rate"]
        tables = [pd.read_csv(folder / history)[columns] for folder in (whole, killed)]
        pd.testing.assert_frame_equal(*tables)


def test_another_recipe_or_cohort_does_not_touch_a_run(cohort, recipe, store, tmp_path):
    folder = run(cohort, recipe, store, tmp_path / "run")
    before = (folder / "run.json").read_bytes()
    with pytest.raises(RecipeError, match="other-run"):
        run(cohort, recipe.model_copy(update={"epochs": 4}), store, folder)
    with pytest.raises(RecipeError, match="another cohort"):
        run(cohort.without({20}), recipe, store, folder)
    assert (folder / "run.json").read_bytes() == before


def test_unreadable_scans_are_named_by_row_or_left_out_if_asked(cohort, recipe, store, tmp_path):
    (cohort.case(7).scan / "scan.txt").write_text("changed, so that it has to be read again")
    with pytest.raises(PreparationError, match=r"row 7 of .*cohort.csv.*not-an-image"):
        run(cohort, recipe, store, tmp_path / "refused")
    folder = run(cohort, recipe, store, tmp_path / "run", skip_unreadable=True)
    facts = json.loads((folder / "run.json").read_text())
    assert [row["row"] for row in facts["skipped"]] == [7]
    assert 7 not in set(pd.read_csv(folder / "predictions.csv")["row"])


def test_scans_may_be_left_out_in_the_folder_whose_training_named_them(
    cohort, recipe, store, tmp_path
):
    def kill(name, *_told):
        if name.startswith("fold"):
            raise KeyboardInterrupt

    (cohort.case(7).scan / "scan.txt").write_text("cannot be read")
    folder, quick = tmp_path / "run", recipe.model_copy(update={"epochs": 1})
    with pytest.raises(PreparationError, match="pass --skip-unreadable"):
        run(cohort, quick, store, folder)
    with alone(folder), pytest.raises(RecipeError, match="run-in-use"):
        run(cohort, quick, store, folder, skip_unreadable=True)
    other = recipe.model_copy(update={"epochs": 2})
    with pytest.raises(RecipeError, match="another recipe"):
        run(cohort, other, store, folder, skip_unreadable=True)
    with pytest.raises(KeyboardInterrupt):
        run(cohort, quick, store, folder, skip_unreadable=True, progress=kill)
    # From the first fold on there is no way back.
    with pytest.raises(RecipeError, match="another skip_unreadable"):
        run(cohort, quick, store, folder)
    run(cohort, quick, store, folder, skip_unreadable=True)
    facts = json.loads((folder / "run.json").read_text())
    assert facts["skip_unreadable"]
    assert [one["row"] for one in facts["skipped"]] == [7]


def test_the_paper_recipe_trains(cohort, recipe, store, tmp_path):
    plain = recipe.model_copy(
        update={
            "model": "squeezenet3d",
            "model_options": {"dropout": 0.9},
            "optimiser": "adam",
            "learning_rate": 1e-5,
            "schedule": "constant",
            "tune_fraction": 0.0,
            "average_weights": 0.0,
            "epochs": 1,
            "augmentation": None,
            "balanced_sampling": False,
        }
    )
    folder = run(cohort, plain, store, tmp_path / "run")
    assert pd.read_csv(folder / "predictions.csv")["probability"].between(0, 1).all()


def test_order_depends_only_on_seed_and_epoch():
    sampler = EpochSampler([0, 1] * 10, seed=3)
    sampler.set_epoch(4)
    first = list(sampler)
    sampler.set_epoch(5)
    assert list(sampler) != first
    sampler.set_epoch(4)
    assert list(sampler) == first
    assert sorted(i for _, i in first) == list(range(20))


def test_balanced_batches_show_classes_equally_and_miss_nobody():
    labels = [1] * 3 + [0] * 17
    sampler = EpochSampler(labels, seed=0, balanced=True)
    seen = set()
    for epoch in range(12):
        sampler.set_epoch(epoch)
        drawn = [labels[i] for _, i in sampler]
        assert len(drawn) == 20
        assert sum(drawn) == 10
        seen |= {i for _, i in sampler}
    assert seen == set(range(20))


def test_a_volume_is_augmented_by_its_epoch_and_place_alone(cohort, store, recipe):
    case = cohort.cases[0]
    part = Part([key_of(case.scan)], [0])
    first, second = (
        Volumes(store, part.keys, part.labels, recipe.augmentation, seed=1) for _ in range(2)
    )
    second[(9, 0)]
    assert torch.equal(first[(2, 0)][0], second[(2, 0)][0])
    assert not torch.equal(first[(2, 0)][0], first[(3, 0)][0])


HOLDING = """
import sys
from pathlib import Path
from squeezect.training.run_folder import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_do_not_train_in_one_folder(cohort, recipe, store, tmp_path):
    folder = run(cohort, recipe, store, tmp_path / "run")
    command = [sys.executable, "-c", HOLDING, str(folder)]
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RecipeError, match="run-in-use"):
            run(cohort, recipe, store, folder)
        other.kill()  # a lock goes with its process, however that ends
    assert run(cohort, recipe, store, folder) == folder


def test_where_there_are_no_locks_training_goes_on(monkeypatch, tmp_path):
    def refuse(*_arguments, **_options):
        raise NotImplementedError

    monkeypatch.setattr("squeezect.training.run_folder.FileLock.acquire", refuse)
    entered = False
    with alone(tmp_path):
        entered = True
    assert entered
    with pytest.raises(OSError, match="of the caller"), alone(tmp_path):
        raise OSError("of the caller")


def test_a_run_of_an_older_version_goes_on(tmp_path, recipe):
    stamp = {"cohort": "c", "recipe": recipe.model_dump(mode="json")}
    claim(tmp_path / "run", stamp)
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    # An older version did not know these fields; what they do by default is what it did.
    del facts["recipe"]["mixup"], facts["recipe"]["preparation"]["outside"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(facts))
    claim(tmp_path / "run", stamp)
    other = recipe.model_copy(update={"mixup": 0.3})
    with pytest.raises(RecipeError):
        claim(tmp_path / "run", stamp | {"recipe": other.model_dump(mode="json")})
