"""Readers' annotations find their nodules, wherever the scan's first pixel lies."""

import importlib
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def readers():
    folder = str(Path(__file__).parent.parent / "scripts")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("readers")


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), nodules=st.integers(1, 5), others=st.integers(0, 4))
def test_marks_go_to_their_nodules(readers, seed, nodules, others) -> None:
    random = np.random.default_rng(seed)
    # Apart from each other by more than a nodule's reach, others farther still along z.
    centres = random.permuted(np.arange(nodules) * 60.0)[:, None] + random.uniform(-9, 9, (1, 3))
    centres = centres + random.uniform(-3, 3, centres.shape)
    of = np.repeat(np.arange(nodules), random.integers(3, 5, nodules))
    marks = centres[of] + random.uniform(-0.8, 0.8, (len(of), 3))
    far = random.uniform(-20, 20, (others, 3)) + np.array([0.0, 0.0, 500.0])
    first_pixel = np.append(random.uniform(-300, 300, 2), 0.0)
    found = readers.belonging(centres, np.full(nodules, 5.0), np.vstack([marks, far]) - first_pixel)
    expected = of == np.arange(nodules)[:, None]
    assert np.array_equal(found, np.hstack([expected, np.zeros((nodules, others), bool)]))


def test_a_square_contour_has_its_area_centre_and_diagonal(readers) -> None:
    area, x, y, longest = readers.measures("10,20\n14,20\n14,24\n10,24\n")
    assert (area, x, y) == (16, 12, 22)
    assert longest == pytest.approx(np.hypot(4, 4))


def test_means_over_readers_are_read_from_the_database(readers, tmp_path) -> None:
    path = tmp_path / "lidc.sqlite"
    words = [w for w in readers.WORDS if w != "malignancy"]
    scans = pd.DataFrame({"id": [1], "series_instance_uid": ["a"], "pixel_spacing": [0.5]})
    told = {"id": range(3), "scan_id": 1, **dict.fromkeys(words, 3), "malignancy": [2, 4, 5]}
    outline = "100,200\n110,200\n110,210\n100,210\n"
    contours = pd.DataFrame(
        [(number, 1, z, outline) for number in range(3) for z in (-10.0, -8.0)],
        columns=["annotation_id", "inclusion", "image_z_position", "coords"],
    )
    with sqlite3.connect(path) as db:
        scans.to_sql("scans", db, index=False)
        pd.DataFrame(told).to_sql("annotations", db, index=False)
        contours.to_sql("contours", db, index=False)
    table = pd.DataFrame(
        {
            "seriesuid": ["a", "b"],
            "coordX": [7.0, 0.0],
            "coordY": [-30.0, 0.0],
            "coordZ": [-9.2, 0.0],
            "diameter_mm": [7.0, 5.0],
        }
    )
    said = readers.means(table, readers.annotations(path, {"a", "b"}))
    assert said["readers"].tolist() == [3, 0]
    assert said.loc[0, "Malignancy_mean"] == pytest.approx(11 / 3)
    assert said.loc[0, "Malignant_share"] == pytest.approx(2 / 3)
    assert said.loc[0, "readers_mm"] == pytest.approx(np.hypot(5, 5))
    assert np.isnan(said.loc[1, "Malignant_share"])
