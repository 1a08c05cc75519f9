"""The shipped malignancy weights: small, described, and of an opinion that can be checked."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from squeezect.checkpoint import Checkpoint
from squeezect.cohorts.layouts import read_nodule_crops
from squeezect.points import PointClassifier
from squeezect.publishing.scores import score_weights
from squeezect.scan import Grid, Scan

FOLDER = Path(str(files("squeezect").joinpath("weights", "malignancy")))


def ball(diameter_mm: float, hu: float = 20.0) -> Scan:
    """A crop with a soft-edged ball in lung."""
    grid = Grid((24, 64, 64), (1.5, 0.7, 0.7))
    z, y, x = np.meshgrid(
        *[
            (np.arange(n) - (n - 1) / 2) * s
            for n, s in zip(grid.shape, grid.spacing_mm, strict=True)
        ],
        indexing="ij",
    )
    share = np.clip(diameter_mm / 2 - np.sqrt(z**2 + y**2 + x**2) + 0.5, 0, 1)
    noise = np.random.default_rng(0).normal(0, 15, grid.shape)
    return Scan((-860 + share * (hu + 860) + noise).astype(np.int16), grid)


def test_the_file_is_small_and_the_card_says_what_it_is() -> None:
    assert (FOLDER / "model.safetensors").stat().st_size < 4_000_000
    checkpoint = Checkpoint.load(FOLDER)
    assert sum(p.numel() for p in checkpoint.build().parameters()) < 2_000_000
    card = checkpoint.card
    assert card.preparation.cuts_patches
    assert card.scores["out_of_fold_auc_low"] < card.scores["out_of_fold_auc"]
    assert "CC BY" in card.data
    assert len(card.limits) >= 5
    assert "not for clinical use" in card.statement
    assert "LIDC-IDRI-0" not in json.dumps(card.model_dump(mode="json"))


def test_larger_is_more_suspicious() -> None:
    classifier = PointClassifier.open("malignancy")
    small, middle, large = (classifier.at(ball(d)) for d in (4.0, 9.0, 18.0))
    assert small < middle < large
    assert small < 0.3
    assert large > 0.6


def test_turning_a_crop_by_a_quarter_or_mirroring_it_changes_nothing() -> None:
    classifier = PointClassifier.open("malignancy")
    scan = ball(10.0)
    hu = scan.hu.copy()
    hu[:, :20] = 40
    base = classifier.at(Scan(hu, scan.grid))
    for changed in (np.rot90(hu, 1, (1, 2)), hu[:, :, ::-1]):
        turned = Scan(np.ascontiguousarray(changed), scan.grid)
        assert classifier.at(turned) == pytest.approx(base, abs=1e-4)


@pytest.mark.real
def test_on_the_crops_it_was_made_of(real_data, tmp_path) -> None:
    """No score, as its folds have learned these nodules; but far from chance."""
    folder = real_data("lidc-nodules-3d")
    lines = (folder / "nodules.csv").read_text().splitlines()
    few = tmp_path / "few"
    few.mkdir()
    (few / "nodules.csv").write_text("\n".join([lines[0], *lines[1:41]]) + "\n")
    (few / "images").symlink_to(folder / "images")
    assert len(read_nodule_crops(few)) == 40
    rows = score_weights("malignancy", few).parts["nodules.csv"]
    assert rows["ROC AUC"].value > 0.85


@pytest.mark.parametrize("diameter_mm", [6.0, 9.0, 12.0])
def test_a_ball_is_outlined_as_large_as_it_is(diameter_mm: float) -> None:
    classifier = PointClassifier.open("malignancy")
    sight = classifier.look(classifier.prepare(ball(diameter_mm)))
    assert sight.drawn is not None
    assert sight.drawn.diameter_mm == pytest.approx(diameter_mm, rel=0.15)
    assert not sight.drawn.touches
    assert sight.outline is not None
    middle = np.array(sight.outline.shape) // 2
    assert sight.outline[tuple(middle)] > 0.9
    assert sight.outline[0, 0, 0] < 0.05
