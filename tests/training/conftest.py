"""A tiny cohort whose volumes are in a store already: training tests need no CT."""

import numpy as np
import pytest

from squeezect.cohorts import Cohort
from squeezect.preparation import Preparation, Store, Volume
from squeezect.preparation.sources import fingerprint
from squeezect.scan import Grid
from squeezect.training import Recipe, cross_validate
from squeezect.training.prepared import key_of

SIZE = 32


@pytest.fixture
def recipe():
    """A recipe that trains in a second."""
    return Recipe(
        name="tiny",
        model="squeezenet3d-modern",
        model_options={"width": 0.125, "depth": 2, "cell": 8, "dropout": 0.1},
        preparation=Preparation(size=(SIZE,) * 3),
        folds=2,
        tune_fraction=0.2,
        epochs=3,
        batch_size=4,
        learning_rate=3e-3,
        schedule="one-cycle",
        average_weights=0.8,
        gradient_clip=1.0,
        balanced_sampling=True,
        precision="float32",
        augmentation={"noise": 0.02},
    )


@pytest.fixture
def cohort(tmp_path):
    """Twenty patients, half with a bright blob, four of them for testing; volumes are stored."""
    folder = tmp_path / "cohort"
    folder.mkdir()
    rows = ["scan,patient,label,split,site"]
    for i in range(20):
        (folder / f"s{i}").mkdir()
        (folder / f"s{i}" / "scan.txt").write_text("stands for a scan")
        split = "test" if i < 4 else "train"
        rows.append(f"s{i},SECRET{i},{i % 2},{split},{'north' if i < 10 else 'south'}")
    (folder / "cohort.csv").write_text("\n".join(rows) + "\n")
    return Cohort.read(folder / "cohort.csv")


@pytest.fixture
def store(tmp_path, cohort, recipe):
    """The store of the cohort's volumes; its folder is what cross_validate takes."""
    result = Store.open(tmp_path / "store", recipe.preparation)
    grid = Grid((SIZE,) * 3, (2.0,) * 3)
    for case in cohort.cases:
        random = np.random.default_rng(case.row)
        values = random.random(grid.shape, np.float32) * 0.2
        if case.label:
            values[10:18, 10:18, 10:18] += 0.7
        volume = Volume(values, grid, recipe.preparation)
        result.write(key_of(case.scan), volume, source=fingerprint(case.scan))
    return result


@pytest.fixture
def more(tmp_path, cohort, store):
    """Twelve scans of new patients without labels, and one more of a patient of the cohort."""
    folder = tmp_path / "more"
    folder.mkdir()
    rows = ["scan,patient,label"]
    for i in range(13):
        place = folder / f"u{i}"
        place.mkdir()
        (place / "scan.txt").write_text("stands for a scan")
        rows.append(f"u{i},{'SECRET19' if i == 12 else f'NEW{i}'},")
        random = np.random.default_rng(500 + i)
        values = random.random((32, 32, 32), np.float32) * 0.2
        if i % 2:
            values[10:18, 10:18, 10:18] += 0.7
        volume = Volume(values, Grid((32,) * 3, (2.0,) * 3), store.preparation)
        store.write(key_of(place), volume, source=fingerprint(place))
    (folder / "more.csv").write_text("\n".join(rows) + "\n")
    return Cohort.read(folder / "more.csv", require_labels=False)


@pytest.fixture
def teachers(cohort, recipe, store, tmp_path):
    return cross_validate(cohort, recipe, tmp_path / "teachers", store=store.folder)
