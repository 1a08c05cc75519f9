"""What nodules teach beside their label: read in place, weighed as asked, silent where unknown."""

import csv
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import SimpleITK
import torch
from torch.nn import functional

from squeezect.checkpoint import Checkpoint
from squeezect.cohorts.layouts import read_nodule_crops
from squeezect.cohorts.layouts.crops import COLUMNS
from squeezect.errors import CohortError
from squeezect.models.nodule import Lesson
from squeezect.preparation import Preparation
from squeezect.training import Recipe, cross_validate
from squeezect.training.recipe import Teaching
from squeezect.training.teaching import Lore, outline, taught_loss

POINT = Preparation(crop="point", size=(8, 16, 16), spacing_mm=1.5, outside="edge")
SPACING = (2.0, 0.8, 0.8)


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    """Twenty balls of two sizes, the large ones malignant, ratings that go with the size."""
    root = tmp_path_factory.mktemp("crops")
    random = np.random.default_rng(0)
    rows = []
    for number in range(20):
        label = number % 2
        radius = 3.0 + 4.0 * label + random.uniform(0, 1)
        centre = np.array([12.0, 16.0, 16.0]) + random.uniform(-1, 1, 3)
        axes = [np.arange(n) * s for n, s in zip((12, 40, 40), SPACING, strict=True)]
        z, y, x = np.meshgrid(*axes, indexing="ij")
        inside = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= radius**2
        hu = np.where(inside, 30, -850) + random.normal(0, 20, inside.shape)
        name = f"n{number}.nii.gz"
        for kind, values in (("images", hu.astype(np.int16)), ("masks", inside.astype(np.uint8))):
            (root / kind).mkdir(exist_ok=True)
            image = SimpleITK.GetImageFromArray(values)
            image.SetSpacing(SPACING[::-1])
            SimpleITK.WriteImage(image, str(root / kind / name))
        point = centre[::-1].round(3)
        rating = "" if number == 4 else 1 + 4 * label
        rows.append(
            [f"P{number}", f"1.2.{number}", *point, 2 * radius, label, name, rating, 3 + label]
        )
    with (root / "nodules.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[*COLUMNS, "Malignancy_value", "Lobulation_value"], *rows])
    return root


@pytest.fixture
def teaching():
    return Teaching(ratings=("diameter_mm", "Lobulation_value"), opinion="Malignancy_value")


def test_an_outline_lies_where_its_nodule_is_and_is_as_large(crops):
    for case in read_nodule_crops(crops).cases[:6]:
        mask = outline(case, POINT)
        assert mask.shape == (8, 16, 16)
        radius = case.diameter_mm / 2
        assert mask.sum() * 1.5**3 == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.12)
        centre = [
            float((mask.sum(other) * np.arange(n)).sum() / mask.sum())
            for n, other in ((8, (1, 2)), (16, (0, 2)), (16, (0, 1)))
        ]
        assert centre == pytest.approx([3.5, 7.5, 7.5], abs=0.2)


def test_lore_is_standardised_and_knows_what_it_does_not_know(crops, teaching):
    cases = read_nodule_crops(crops).cases
    lore = Lore.read(cases, teaching, POINT)
    assert set(np.unique(lore.opinions[~np.isnan(lore.opinions)])) == {0, 1}
    assert np.flatnonzero(np.isnan(lore.opinions)).tolist() == [4]
    rows = lore.rows(range(len(cases)))
    assert rows.shape == (20, 3)
    assert rows[:, 1:].mean(0) == pytest.approx([0, 0], abs=1e-6)
    assert rows[:, 1:].std(0) == pytest.approx([1, 1], abs=1e-5)


def test_a_column_that_is_not_there_is_named_with_its_row(crops):
    cases = read_nodule_crops(crops).cases
    with pytest.raises(CohortError, match="row 1 has no column 'Texture_value'"):
        Lore.read(cases, Teaching(ratings=("Texture_value",), outline_weight=0), POINT)
    bad = [replace(cases[0], extra={"Texture_value": "solid"})]
    with pytest.raises(CohortError, match="row 1: Texture_value is 'solid'"):
        Lore.read(bad, Teaching(ratings=("Texture_value",), outline_weight=0), POINT)


def lesson(seed: int) -> Lesson:
    torch.manual_seed(seed)
    tensors = torch.randn(5, 2), torch.randn(5, 2), torch.randn(5, 1, 4, 4, 4)
    return Lesson(*(t.requires_grad_() for t in tensors))


def test_without_opinion_and_asides_it_is_the_smoothed_cross_entropy():
    said, labels = lesson(0), torch.tensor([0, 1, 1, 0, 1])
    how = Teaching(outline_weight=0, opinion_share=0)
    rows = torch.full((5, 1), float("nan"))
    empty = torch.zeros(5, 0, 8, 8, 8)
    loss = taught_loss([said], how, labels=labels, rows=rows, outlines=empty, smoothing=0.1)
    wanted = functional.cross_entropy(said.logits, labels, label_smoothing=0.1)
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-6)


def test_what_is_unknown_teaches_nothing(teaching):
    said, labels = lesson(1), torch.tensor([0, 1, 1, 0, 1])
    rows = torch.randn(5, 3)
    rows[:, 0] = 0.25
    rows[2, 1], rows[3] = float("nan"), float("nan")
    masks = torch.rand(5, 1, 8, 8, 8)
    taught_loss([said], teaching, labels=labels, rows=rows, outlines=masks, smoothing=0).backward()
    gradient = said.ratings.grad
    assert gradient is not None
    assert gradient[2, 0] == 0
    assert (gradient[3] == 0).all()
    assert (gradient[[0, 1, 4]] != 0).all()
    assert torch.isfinite(said.logits.grad).all()


def test_members_are_taught_alike_and_weights_weigh(teaching):
    labels, rows = torch.tensor([0, 1, 1, 0, 1]), torch.randn(5, 3).clamp(0, 1)
    masks = torch.rand(5, 1, 8, 8, 8)

    def loss(lessons, how=teaching):
        return taught_loss(
            lessons, how, labels=labels, rows=rows, outlines=masks, smoothing=0.1
        ).item()

    first, second = lesson(2), lesson(3)
    assert loss([first, second]) == pytest.approx((loss([first]) + loss([second])) / 2, rel=1e-6)
    steps = [
        loss([first], teaching.model_copy(update={"outline_weight": weight}))
        for weight in (1, 2, 3)
    ]
    gains = [after - before for before, after in pairwise(steps)]
    assert gains[0] == pytest.approx(gains[1], rel=1e-5)
    assert gains[0] > 0


@pytest.fixture
def recipe(teaching):
    return Recipe(
        name="tiny",
        model="squeezenet-nodule",
        model_options={
            "members": 2,
            "width": 0.5,
            "ratings": 2,
            "outlines": True,
            "stochastic": 0.0,
        },
        preparation=POINT,
        folds=2,
        tune_fraction=0,
        epochs=10,
        batch_size=5,
        learning_rate=5e-3,
        views=8,
        tumbling={"shift": 0.5},
        teaching=teaching,
        precision="float32",
    )


def test_taught_networks_learn_and_repeat_to_the_bit(crops, recipe, tmp_path):
    cohort = read_nodule_crops(crops)
    first = cross_validate(cohort, recipe, tmp_path / "first")
    again = cross_validate(cohort, recipe, tmp_path / "again")
    one, two = (Checkpoint.load(folder / "fold-1").weights for folder in (first, again))
    assert all(torch.equal(one[name], two[name]) for name in one)
    table = np.genfromtxt(first / "predictions.csv", delimiter=",", names=True, dtype=None)
    assert table["probability"][table["label"] == 1].min() > 0.0
    higher = np.subtract.outer(
        table["probability"][table["label"] == 1], table["probability"][table["label"] == 0]
    )
    assert (higher > 0).mean() > 0.9
