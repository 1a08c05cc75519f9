"""The study of whole scans: parts share nobody, arms differ only in what they say they do."""

import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from squeezect.models import Classifier
from squeezect.nodules import Bank, Implant, Nodule
from squeezect.phantom.cohort import draw_patients
from squeezect.preparation import Preparation, Volume
from squeezect.scan import Grid, pseudonym


@pytest.fixture(scope="module")
def study():
    folder = str(Path(__file__).parent.parent / "scripts" / "whole_scans")
    sys.path.insert(0, folder)
    import arms
    import cases
    import pointing
    import remembering
    import report
    import scoring
    import tables

    yield SimpleNamespace(
        arms=arms,
        cases=cases,
        pointing=pointing,
        remembering=remembering,
        report=report,
        scoring=scoring,
        tables=tables,
    )
    sys.path.remove(folder)


def test_no_patient_is_in_both_parts(study, tmp_path):
    cases = study.cases
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
    arms = study.arms
    assert len({arm.name for arm in arms.ARMS}) == len(arms.ARMS)
    for arm in arms.ARMS:
        recipe = arm.recipe(cases=38)
        assert recipe.preparation == arm.preparation
        assert (recipe.insertion is None) == (arm.inserted == "nothing" or arm.teaching == "paper")
        assert recipe.learning_rate == (
            1e-5 if arm.teaching == "paper" else 5e-4 if arm.network == "paper" else 3e-3
        )


def test_arms_of_a_pair_differ_in_what_they_say_only(study):
    arms = {arm.name: arm.recipe(cases=38).model_dump() for arm in study.arms.ARMS}

    def changed(one, other):
        return {field for field, value in arms[one].items() if value != arms[other][field]}

    by_heart = {"augmentation", "average_weights", "model_options", "weight_decay"}
    assert changed("64-lungs-by-heart", "64-lungs-label") == by_heart
    assert arms["64-lungs-by-heart"]["model_options"] == {
        **arms["64-lungs-label"]["model_options"],
        "dropout": 0.0,
    }
    assert changed("64-lungs-unpointed", "64-lungs") == {"insertion"}
    assert arms["64-lungs-unpointed"]["insertion"] == {
        **arms["64-lungs"]["insertion"],
        "pointing": 0.0,
    }


def test_what_was_learned_from_and_what_was_not_are_scored_apart(study, tmp_path):
    arm = next(arm for arm in study.arms.ARMS if arm.name == "64-lungs-by-heart")
    names = [f"train-{n:03d}-{n}-0" for n in range(1, 9)] + [
        "lidc-idri-0001-0-0",
        "lidc-idri-0001-1-0",
    ]
    seen = pd.DataFrame({"arm": arm.name, "case": names, "label": [0, 1] * 5})
    seen["evidence"] = seen["label"] * 8.0 - 4.0
    rows = [("test-001", 0, -3.0), ("test-001", 4, -3.0), ("test-001", 30, 3.0)]
    rows += [("test-002", 0, 1.0), ("test-002", 4, 1.0), ("test-002", 30, 1.5)]
    unseen = pd.DataFrame(rows, columns=["case", "diameter_mm", "evidence"]).assign(arm=arm.name)
    row = study.remembering.memory_table([arm], seen, unseen).splitlines()[-1].split(" | ")
    values = [float(cell.split()[0]) for cell in row[1:]]
    assert values == [1.0, 1.0, 1.0, 0.75, 0.75, 0.5]
    assert len({study.remembering.patient_of(name) for name in names}) == 9
    path = tmp_path / "figure.png"
    study.remembering.draw_memory(path, [arm], seen, unseen)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("size", [64, 96, 128])
def test_blocks_cover_a_volume_and_keep_their_place(study, size):
    arms = study.arms
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
    evidence = np.array([[[0.0, 1.0, 2.0], [3.0, 3.0, 3.0], [np.nan, 1.0, 0.5]]])
    # Size 1 wins all nine; size 2 ties once, wins 1 + 1, loses 3 of six.
    assert study.report._mean_auc(evidence) == pytest.approx((1.0 + 2.5 / 6) / 2)


def test_known_nodules_are_never_borrowed_to_cover_one_another(study, tmp_path, monkeypatch):
    cases = study.cases
    calls = []

    def erase(scan, point, diameter, *, random, lungs, avoid=()):
        calls.append((point, dict(avoid)))
        return scan

    monkeypatch.setattr(cases, "read_scan", lambda _: "scan")
    monkeypatch.setattr(cases, "find_lungs", lambda _, threads: "lungs")
    monkeypatch.setattr(cases, "erase_nodule", erase)
    (tmp_path / cases.TEST_SCAN).mkdir()
    cases.real(cases.TEST_SCAN, tmp_path)
    known = cases.KNOWN[cases.TEST_SCAN]
    assert [point for point, _ in calls] == [point for point, _ in known]
    assert all(avoid == {p: d / 2 for p, d in known} for _, avoid in calls)


def test_the_block_of_a_nodule_is_positive_and_no_block_that_it_touches_is_negative(study):
    size, spacing = 128, 2.0
    grid = Grid((size,) * 3, (spacing,) * 3, (5.0, 6.0, 7.0))
    volume = Volume(np.zeros((size,) * 3, np.float32), grid, Preparation(size=(size,) * 3))
    random = np.random.default_rng(3)
    for diameter in (4.0, 12.0, 30.0):
        for _ in range(10):
            at = random.uniform(8, size - 9, 3)
            if (np.abs(at - 63.5) < 0.5).any():
                continue  # Between the last voxel of a block and the first of the next.
            implant = Implant(tuple(grid.to_mm(at)), diameter, (diameter / 2,) * 3)
            labels = [label for _, label in study.arms._blocks(volume, implant)]
            for corner, label in zip(product((0, 64), repeat=3), labels, strict=True):
                first, last = np.array(corner), np.array(corner) + 63
                outside = np.maximum(0, np.maximum(first - at, at - last)) * spacing
                away = np.linalg.norm(outside)
                assert (label == 1) == (away == 0)
                assert label != 0 or away > diameter / 2
            assert labels.count(1) == 1


def rows_of(away, *, diameter=8.0, cell=18.0, evidence=0.0):
    return pd.DataFrame(
        {"case": "a", "diameter_mm": diameter, "evidence": evidence, "away_mm": away}
        | {"cell_mm": cell, "arm": "64-lungs"}
    )


def test_a_summit_outside_the_nodule_is_no_strict_hit_however_coarse_the_cells(study):
    away = np.array([0.0, 4.0, 4.01, 19.0])
    for cell in (1.0, 18.0, 90.0):
        hits = study.pointing.in_nodule(rows_of(away, cell=cell))
        assert list(hits) == [True, True, False, False]
    near = study.pointing.near_nodule(rows_of(away))
    assert list(near) == [True] * 4
    assert not study.pointing.near_nodule(rows_of(np.array([19.7]))).any()


def test_hits_are_told_per_size_and_not_pooled(study):
    arms = [arm for arm in study.arms.ARMS if arm.name == "64-lungs"]
    sizes = study.cases.SIZES_MM
    bare = rows_of([-1.0] * 40, diameter=0.0, evidence=np.linspace(0, 1, 40))
    # Every nodule of 30 mm is hit, none of 8 mm.
    seen = [rows_of([9.0] * 40, diameter=s, evidence=1.0) for s in sizes]
    scores = pd.concat([bare, *seen])
    strict, near, *real = study.pointing.pointing_tables(arms, scores)
    line = next(part for part in strict.splitlines() if part.startswith("| 64, lungs"))
    cells = line.split(" | ")[1:]
    assert [c.split(" (")[0] for c in cells] == ["0 of 40"] * 4 + ["40 of 40"] * 2
    assert cells[0].startswith("0 of 40 (0.00-0.09)")
    assert "0.87 cells" in near
    assert "*by chance*" in near
    assert len(real) == 2


def test_what_a_map_can_reach_at_best_and_by_chance(study):
    best, chance = study.pointing.best_possible, study.pointing.by_chance
    # Balls that do not overlap fill their share of space; balls to the corners fill all of it.
    assert best(8.0, 18.0) == pytest.approx(4 / 3 * np.pi * 4**3 / 18**3, rel=0.02)
    assert best(18.0 * np.sqrt(3) + 0.01, 18.0) == 1.0
    random = np.random.default_rng(0)
    cells = np.stack(np.meshgrid(*[np.arange(16) * 18.0] * 3, indexing="ij"), -1).reshape(-1, 3)
    nodules = random.uniform(90, 180, (200, 3))
    away = np.linalg.norm(cells[None] - nodules[:, None], axis=-1)
    near = (away <= 4 + study.pointing.NEAR * 18.0).mean()
    assert chance(8.0, 18.0, 16 * 18.0) == pytest.approx(near, rel=0.05)


class Whisper(Classifier):
    """A network whose answer is the mean of its input, a millionth of it."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(1e-6))

    def class_map(self, volumes):
        coarse = torch.nn.functional.avg_pool3d(volumes, 4) * self.weight
        return torch.cat([-coarse, coarse], 1)

    def cells(self, shape):
        return (0.0,) * 3, (4.0,) * 3


def test_answers_are_kept_to_the_last_digit(study):
    grid = Grid((8, 8, 8), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    values = np.zeros((8, 8, 8), np.float32)
    values[:4, :4, :4] = 1.0
    volume = Volume(values, grid, Preparation(size=(8, 8, 8)))
    implant = Implant((0.123456, 0.0, 0.0), 4.0, (2.0,) * 3)
    peak, mean, away, cell = study.scoring.answer(Whisper().requires_grad_(False), volume, implant)
    assert peak == pytest.approx(2e-6 / 8, rel=1e-6)
    assert mean == pytest.approx(2e-6 / 8, rel=1e-6)
    assert away == pytest.approx(0.123456)
    assert cell == 8.0


def test_a_network_with_one_answer_for_all_has_no_auc(study, monkeypatch):
    random = np.random.default_rng(0)
    rows = rows_of(np.zeros(50), evidence=-0.00177 + random.integers(0, 2, 50) * 1e-5)
    assert study.tables.silent(rows)
    assert not study.tables.silent(rows_of(np.zeros(50), evidence=np.linspace(0, 0.1, 50)))
    arm = next(arm for arm in study.arms.ARMS if arm.name == "64-lungs")
    card = SimpleNamespace(card=SimpleNamespace(trained_on={"cases": 38, "seconds": 9}))
    monkeypatch.setattr(study.report, "Checkpoint", SimpleNamespace(load=lambda _: card))
    text = study.report._auc_table([arm], {arm.name: None}, Path(), chests=40)
    assert study.tables.SILENCE in text
    assert "0.50" not in text
    assert all(study.tables.SILENCE in part for part in study.pointing.pointing_tables([arm], rows))
