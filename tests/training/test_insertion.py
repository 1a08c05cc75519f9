"""Laws of inserted nodules: inside the lungs, where the mark says, and the map is told so."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezect.models import create_model
from squeezect.nodules import Bank, Nodule
from squeezect.phantom import chest_grid, thorax
from squeezect.preparation import Preparation, prepare
from squeezect.training.data import EpochSampler, Volumes
from squeezect.training.insertion import (
    INSERTED,
    NOTHING,
    UNKNOWN,
    insert_nodule,
    open_bank,
    row_of,
)
from squeezect.training.pointing import cells_inside, pointing_loss
from squeezect.training.recipe import Insertion

WINDOW = (-1000.0, 400.0)


@pytest.fixture(scope="module")
def chest():
    scan, _ = thorax(5, grid=chest_grid(5, spacing_mm=4.0, thickness_mm=4.0))
    return prepare(scan, Preparation(size=(64, 64, 64), crop="lungs"))


def insert(chest, seed, **changes):
    how = Insertion(**changes)
    random = np.random.default_rng(seed)
    spacing = chest.grid.spacing_mm
    return insert_nodule(chest.values, how, voxel_mm=spacing, window_hu=WINDOW, random=random)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_a_nodule_changes_the_lung_around_its_mark_and_nothing_else(chest, seed):
    values, mark = insert(chest, seed, diameter_mm=(14, 30))
    assert mark is not None
    changed = np.argwhere(values != chest.values)
    away = np.abs(changed - np.array(mark.centre)) / (np.array(mark.radii) * 1.4 + 1.5)
    assert len(changed)
    assert away.max() <= 1
    assert (values >= chest.values).all()
    middle = tuple(np.rint(mark.centre).astype(int))
    assert values[middle] > (-300 + 1000) / 1400


@pytest.mark.parametrize("voxel_mm", [1.5, 2.8, 4.5, (4.5, 1.5, 2.8)])
@given(diameter=st.floats(4, 30), seed=st.integers(0, 10_000))
@settings(max_examples=30)
def test_a_painted_nodule_has_the_volume_of_its_diameter_and_lies_at_its_mark(
    voxel_mm, diameter, seed
):
    spacing = voxel_mm if isinstance(voxel_mm, tuple) else (voxel_mm,) * 3
    lung = np.full((64, 64, 64), 0.1, np.float32)
    how = Insertion(diameter_mm=(diameter, diameter + 1e-6), density_hu=(399, 400))
    random = np.random.default_rng(seed)
    values, mark = insert_nodule(lung, how, voxel_mm=spacing, window_hu=WINDOW, random=random)
    assert mark is not None
    # In pure lung each voxel's gain is its share of nodule.
    share = (values - 0.1) / 0.9
    ball = np.pi / 6 * diameter**3
    if min(*mark.centre, 63 - max(mark.centre)) > 1.4 * max(mark.radii) + 1:
        assert share.sum() * np.prod(spacing) == pytest.approx(ball, rel=0.05)
        sides = [share.sum(others) for others in ((1, 2), (0, 2), (0, 1))]
        centre = [side @ np.arange(64) / share.sum() for side in sides]
        assert np.abs(np.subtract(centre, mark.centre)).max() < 0.25 * max(mark.radii) + 0.1
    assert np.prod(np.array(mark.radii) * spacing) == pytest.approx((diameter / 2) ** 3, rel=1e-5)
    # One voxel cannot hold more nodule than there is.
    assert share.max() <= min(1.0, 1.1 * ball / np.prod(spacing)) + 1e-3


@pytest.fixture(scope="module")
def bank():
    z, y, x = np.meshgrid(*[np.arange(-9, 10)] * 3, indexing="ij")
    nodules = []
    for number in range(6):
        mask = z**2 + (y / (1 + 0.1 * number)) ** 2 + x**2 < (4 + number / 2) ** 2
        hu = np.where(mask, 30, -860).astype(np.int16)
        nodules.append(Nodule(hu, mask, (1.0, 1.0, 1.0), f"n{number}", f"p{number}"))
    return Bank(tuple(nodules))


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_a_real_nodule_changes_the_lung_around_its_mark_and_nothing_else(chest, bank, seed):
    how = Insertion(diameter_mm=(8, 14))
    values, mark = insert_nodule(
        chest.values,
        how,
        voxel_mm=chest.grid.spacing_mm,
        window_hu=WINDOW,
        random=np.random.default_rng(seed),
        bank=bank,
    )
    assert mark is not None
    changed = np.argwhere(values != chest.values)
    away = np.abs(changed - np.array(mark.centre)) / (np.array(mark.radii) * 1.4 + 1.5)
    assert len(changed)
    assert away.max() <= 1
    assert (values >= chest.values).all()
    assert values.max() <= 1
    added = values.astype(float) - chest.values
    centre = (np.indices(added.shape) * added).sum((1, 2, 3)) / added.sum()
    assert np.abs(centre - mark.centre).max() < 1


def test_a_share_of_the_inserted_nodules_is_painted(chest, bank):
    def inserted(share, seed):
        how = Insertion(diameter_mm=(8, 14), bank_share=share)
        random = np.random.default_rng(seed)
        spacing = chest.grid.spacing_mm
        return insert_nodule(
            chest.values, how, voxel_mm=spacing, window_hu=WINDOW, random=random, bank=bank
        )[0]

    painted = insert(chest, 4, diameter_mm=(8, 14))[0]
    half = [np.array_equal(inserted(0.5, s), inserted(1.0, s)) for s in range(24)]
    assert 4 < sum(half) < 20
    # The one draw that chooses the source comes after that of the size.
    assert not np.array_equal(inserted(0.0, 4), inserted(1.0, 4))
    assert painted.shape == inserted(0.0, 4).shape


def test_a_recipe_opens_its_bank(bank, tmp_path):
    path = bank.save(tmp_path / "bank.safetensors")
    assert [n.patient for n in open_bank(Insertion(bank=str(path))).nodules] == [
        f"p{i}" for i in range(6)
    ]
    assert open_bank(Insertion()) is None
    assert open_bank(None) is None


def test_without_lungs_nothing_is_inserted():
    values = np.full((32, 32, 32), 0.75, np.float32)
    random = np.random.default_rng(0)
    how = Insertion()
    result, mark = insert_nodule(
        values, how, voxel_mm=(2.0, 2.0, 2.0), window_hu=WINDOW, random=random
    )
    assert mark is None
    assert result is values


class Memory:
    """A store of one volume."""

    def __init__(self, volume):
        self.volume = volume

    def read(self, _key):
        return self.volume


def test_only_negatives_get_nodules_and_become_positive(chest):
    volumes = Volumes(Memory(chest), ["a", "b"], [0, 1], None, Insertion(share=0.5), 0)
    rows = [volumes[(epoch, position)] for epoch in range(40) for position in (0, 1)]
    negatives, positives = rows[::2], rows[1::2]
    states = np.array([row[2][0] for row in negatives])
    assert set(states) == {NOTHING, INSERTED}
    assert [row[1] for row in negatives] == [int(s == INSERTED) for s in states]
    assert 0.25 < states.mean() < 0.75
    assert all(row[2][0] == UNKNOWN and row[1] == 1 for row in positives)
    again = volumes[(3, 0)]
    assert torch.equal(again[0], negatives[3][0])
    assert torch.equal(again[2], negatives[3][2])


def test_balance_makes_room_for_inserted_nodules():
    sampler = EpochSampler([0] * 30 + [1] * 10, balanced=True, inserted=0.4)
    positive = 0.0
    for epoch in range(20):
        sampler.set_epoch(epoch)
        labels = np.array([sampler.labels[position] for _, position in sampler])
        assert len(labels) == 40
        positive += (labels.mean() + 0.4 * (1 - labels.mean())) / 20
    assert positive == pytest.approx(0.5, abs=0.02)


@given(st.tuples(*[st.floats(0, 63)] * 3), st.tuples(*[st.floats(0.2, 8)] * 3))
def test_a_marked_nodule_is_seen_by_the_nearest_cell_and_by_none_far_away(centre, radii):
    row = np.array([INSERTED, *centre, *radii], np.float32)
    inside = cells_inside(
        torch.from_numpy(row)[None], (16, 16, 16), first=(0.0, 0.0, 0.0), step=(4.0, 4.0, 4.0)
    )[0].numpy()
    at = np.argwhere(inside) * 4.0
    assert len(at)
    assert (np.abs(at - centre) <= np.array(radii) + 4.01).all()
    covered = np.abs(at - centre).sum(1).min()
    assert covered <= 3 * 2 + 3.01


def test_the_pointing_loss_wants_the_nodule_and_nothing_else(chest):
    _, mark = insert(chest, 1, diameter_mm=(20, 25))
    marks = torch.from_numpy(np.stack([row_of(mark, known=True), row_of(None, known=True)]))
    first, step = (0.0, 0.0, 0.0), (4.0, 4.0, 4.0)
    inside = cells_inside(marks, (16, 16, 16), first=first, step=step)
    assert inside[0].any()
    assert not inside[1].any()
    right = torch.zeros(2, 2, 16, 16, 16)
    right[:, 1] = torch.where(inside, 20.0, -20.0)
    assert pointing_loss(right, marks, first, step) < 1e-6
    silent = torch.full((2, 2, 16, 16, 16), 0.0)
    silent[:, 1] = -20
    everywhere = -silent
    assert pointing_loss(silent, marks, first, step) > 5
    assert pointing_loss(everywhere, marks, first, step) > 5


def test_a_map_of_one_cell_that_looks_at_the_nodule_is_told_to_rise(chest):
    _, mark = insert(chest, 1, diameter_mm=(20, 25))
    marks = torch.from_numpy(row_of(mark, known=True)[None])
    scores = torch.zeros(1, 2, 1, 1, 1, requires_grad=True)
    loss = pointing_loss(scores, marks, (32.0, 32.0, 32.0), (64.0, 64.0, 64.0))
    loss.backward()
    assert loss.item() == pytest.approx(np.log(2))
    assert scores.grad[0, 1] < 0 < scores.grad[0, 0]


def test_volumes_of_which_nothing_is_known_teach_no_place():
    scores = torch.randn(2, 2, 4, 4, 4, requires_grad=True)
    marks = torch.from_numpy(np.stack([row_of(None, known=False)] * 2))
    loss = pointing_loss(scores, marks, (0.0, 0.0, 0.0), (4.0, 4.0, 4.0))
    loss.backward()
    assert loss.item() == 0
    assert not scores.grad.any()


@torch.inference_mode()
def test_peak_pooling_goes_from_mean_to_maximum():
    torch.manual_seed(0)
    volumes = torch.rand(1, 1, 32, 32, 32)
    answers = []
    for sharpness in (0.0, 0.5, 5.0, 20.0):
        options = {"sharpness": sharpness, "width": 0.25, "depth": 2}
        torch.manual_seed(1)
        model = create_model("squeezenet3d-modern", options=options).eval()
        scores = model.cell_scores(volumes)
        evidence = scores[:, 1] - scores[:, 0]
        answers.append(float(model(volumes).diff(dim=1)))
    assert answers[0] == pytest.approx(float(evidence.mean()), abs=1e-5)
    assert answers == sorted(answers)
    assert answers[-1] <= float(evidence.max()) + 1e-5
