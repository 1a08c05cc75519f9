"""The study of whole scans: parts share nobody, arms differ only in what they say they do."""

import sys
from pathlib import Path

import numpy as np
import pytest

from squeezect.nodules import Bank, Nodule
from squeezect.phantom.cohort import draw_patients
from squeezect.preparation import Preparation, Volume
from squeezect.scan import Grid, pseudonym


@pytest.fixture(scope="module")
def study():
    folder = str(Path(__file__).parent.parent / "scripts" / "whole_scans")
    sys.path.insert(0, folder)
    import arms
    import cases
    import report

    yield arms, cases, report
    sys.path.remove(folder)


def test_no_patient_is_in_both_parts(study, tmp_path):
    _, cases, _ = study
    ball = np.ones((3, 3, 3), bool)
    names = [*(f"P{i}" for i in range(20)), *(n.upper() for n in cases.KNOWN)]
    nodules = [
        Nodule(np.zeros((3, 3, 3), np.int16), ball, (1.0, 1.0, 1.0), name, pseudonym(name))
        for name in names
    ]
    path = Bank(tuple(nodules)).save(tmp_path / "bank.safetensors")
    train, test = ({n.patient for n in bank.nodules} for bank in cases.banks(path))
    assert not train & test
    assert pseudonym(cases.TEST_SCAN.upper()) not in train
    assert pseudonym(cases.TRAIN_SCAN.upper()) not in test
    seeds = [
        {p.seed for p in draw_patients(count, seed=seed)}
        for count, seed in ((cases.TRAIN, cases.SEED), (cases.TEST, cases.SEED + 1))
    ]
    assert not seeds[0] & seeds[1]


def test_arms_have_names_of_their_own_and_the_recipes_they_name(study):
    arms, *_ = study
    assert len({arm.name for arm in arms.ARMS}) == len(arms.ARMS)
    for arm in arms.ARMS:
        recipe = arm.recipe(cases=38)
        assert recipe.preparation == arm.preparation
        assert (recipe.insertion is None) == (arm.inserted == "nothing" or arm.teaching == "paper")
        assert recipe.learning_rate == (
            1e-5 if arm.teaching == "paper" else 5e-4 if arm.network == "paper" else 3e-3
        )


@pytest.mark.parametrize("size", [64, 96, 128])
def test_blocks_cover_a_volume_and_keep_their_place(study, size):
    arms, *_ = study
    values = np.random.default_rng(0).random((size,) * 3, np.float32)
    grid = Grid((size,) * 3, (2.0, 2.0, 2.0), (5.0, 6.0, 7.0))
    volume = Volume(values, grid, Preparation(size=(size,) * 3))
    seen = np.zeros(values.shape, bool)
    blocks = list(arms._blocks(volume, None))
    assert len(blocks) == (1 if size == 64 else 8)
    for block, label in blocks:
        start = np.rint(grid.to_index(block.grid.to_mm((0, 0, 0)))).astype(int)
        cut = tuple(slice(int(i), int(i) + 64) for i in start)
        assert np.array_equal(values[cut], block.values)
        seen[cut] = True
        assert label == 0
    assert seen.all()


def test_the_mean_auc_counts_pairs_and_leaves_missing_ones_out(study):
    *_, report = study
    evidence = np.array([[[0.0, 1.0, 2.0], [3.0, 3.0, 3.0], [np.nan, 1.0, 0.5]]])
    # Size 1 wins all nine; size 2 ties once, wins 1 + 1, loses 3 of six.
    assert report._mean_auc(evidence) == pytest.approx((1.0 + 2.5 / 6) / 2)
