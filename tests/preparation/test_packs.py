"""Patches of one scan lie in one array: the same to the bit, few files, whole or not at all."""

import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from squeezect.errors import StoreError
from squeezect.phantom import chest_grid, thorax
from squeezect.preparation import Preparation, Store, prepare
from squeezect.preparation.packs import FACTS, FOLDER
from squeezect.reading import read_scan

HOW = Preparation(crop="point", size=(8, 8, 8), spacing_mm=2.0)


@pytest.fixture(scope="module")
def chest():
    return thorax(1, grid=chest_grid(1, spacing_mm=4.0, thickness_mm=5.0))[0]


def write_image(scan, path):
    image = sitk.GetImageFromArray(scan.hu)
    image.SetOrigin(scan.grid.origin_mm)
    image.SetSpacing(scan.grid.spacing_mm[::-1])
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture
def path(chest, tmp_path):
    return write_image(chest, tmp_path / "chest.mha")


@pytest.fixture
def store(tmp_path):
    return Store.open(tmp_path / "store", HOW)


def points_of(chest, count, *, seed=0):
    """Points inside the scan by key."""
    random = np.random.default_rng(seed)
    index = random.uniform(0, np.array(chest.grid.shape) - 1, (count, 3))
    points = chest.grid.to_mm(index)
    return {f"p{n}": tuple(map(float, point)) for n, point in enumerate(points)}


def fill(store, path, points, **options):
    return store.fill(dict.fromkeys(points, path), points=points, **options)


def packs(store):
    return sorted((store.folder / FOLDER).glob("*"))


def test_patches_of_a_scan_are_those_cut_alone_to_the_bit(store, path, chest, monkeypatch):
    # Shards of four patches, the last one not full.
    monkeypatch.setattr("squeezect.preparation.packs.SHARD_BYTES", 4 * 8**3 * 4)
    points = points_of(chest, 30)
    assert fill(store, path, points).done == tuple(points)
    scan = read_scan(path)
    for key, point in points.items():
        expected = prepare(scan, HOW, point_mm=point)
        for found in (store.read(key), Store.open(store.folder).read(key)):
            assert found.values.dtype == np.float32
            assert (found.values == expected.values).all()
            assert found.grid == expected.grid
            assert (found.identity, found.findings) == (expected.identity, expected.findings)
    assert list(store) == sorted(points)
    assert store.missing([*points, "q"]) == ["q"]
    assert fill(store, path, points).skipped == tuple(points)


def test_the_number_of_files_does_not_grow_with_the_points(store, path, chest):
    fill(store, path, points_of(chest, 300))
    files = [p for p in store.folder.rglob("*") if p.is_file()]
    assert len(files) == 4  # of the store, of the array, of its volumes, and one shard


def test_more_points_of_a_scan_are_added_and_old_ones_stay(store, path, chest):
    few, many = (
        points_of(chest, 5),
        points_of(chest, 5) | {f"q{k}": p for k, p in points_of(chest, 5, seed=1).items()},
    )
    fill(store, path, few)
    filled = fill(store, path, many)
    assert (len(filled.skipped), len(filled.done)) == (5, 5)
    assert len(packs(store)) == 2
    assert set(store) == set(many)


def test_a_changed_scan_replaces_its_patches_and_leaves_nothing_behind(store, path, chest):
    points = points_of(chest, 5)
    fill(store, path, points)
    before, old = [store.read(key).values for key in points], packs(store)
    write_image(thorax(2, grid=chest.grid)[0], path)
    assert fill(store, path, points).done == tuple(points)
    assert len(packs(store)) == 1
    assert packs(store) != old
    assert not np.array_equal([store.read(key).values for key in points], before)


def test_points_outside_are_reported_and_the_others_are_there(store, path, chest):
    points = points_of(chest, 4) | {"lost": (9999.0, 0.0, 0.0)}
    filled = fill(store, path, points)
    assert {key: error.code for key, error in filled.failed.items()} == {"lost": "point-outside"}
    assert set(store) == set(points) - {"lost"}
    nowhere = {key: (9999.0, float(n), 0.0) for n, key in enumerate(("a", "b"))}
    failed = fill(store, path, nowhere).failed
    for key, point in nowhere.items():
        assert f"({', '.join(f'{v:g}' for v in point)})" in str(failed[key])


def test_stores_of_one_folder_per_point_are_read_and_go_on(store, path, chest):
    """As they were written before: volumes that are there are kept, others join in a pack."""
    points = points_of(chest, 6)
    for key in ("p0", "p1"):
        assert fill(store, path, {key: points[key]}).done == (key,)
        assert (store.folder / key / "zarr.json").is_file()
    filled = fill(store, path, points)
    assert filled.skipped == ("p0", "p1")
    assert set(store) == set(points)
    # A changed scan moves them all into the pack.
    write_image(thorax(2, grid=chest.grid)[0], path)
    fill(store, path, points)
    assert not (store.folder / "p0").exists()
    expected = prepare(read_scan(path), HOW, point_mm=points["p0"])
    assert (store.read("p0").values == expected.values).all()


def test_a_point_that_moved_is_read_where_it_is_now(store, path, chest):
    points = points_of(chest, 3)
    fill(store, path, points)
    moved = points | {"p1": points_of(chest, 1, seed=5)["p0"]}
    assert fill(store, path, moved).done == ("p1",)
    expected = prepare(read_scan(path), HOW, point_mm=moved["p1"])
    assert (store.read("p1").values == expected.values).all()


KILLED = """
import os, signal, sys
from pathlib import Path
from squeezect.preparation import Preparation, Store
import squeezect.preparation.packs as packs
replace = Path.rename
def rename(self, target):
    if packs.FOLDER in str(target):
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)
Path.rename = rename
folder, image = map(Path, sys.argv[1:])
store = Store.open(folder)
points = {f"p{n}": (float(n), 0.0, 0.0) for n in range(4)}
store.fill(dict.fromkeys(points, image), points=points)
"""


def test_a_killed_writer_leaves_nothing_that_counts(store, path):
    command = [sys.executable, "-c", KILLED, str(store.folder), str(path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL  # noqa: S603
    assert list(store) == []
    assert [p.name for p in store.folder.iterdir() if p.name.startswith(".")]
    points = {f"p{n}": (float(n), 0.0, 0.0) for n in range(4)}
    assert len(fill(store, path, points).done) == 4
    assert not [p.name for p in store.folder.iterdir() if p.name.startswith(".")]


def test_workers_change_nothing(store, chest, tmp_path):
    paths = [write_image(chest, tmp_path / f"c{n}.mha") for n in range(2)]
    sources, points = {}, {}
    for number, place in enumerate(paths):
        for key, point in points_of(chest, 4, seed=number).items():
            sources[f"c{number}-{key}"], points[f"c{number}-{key}"] = place, point
    assert set(store.fill(sources, points=points, workers=2).done) == set(sources)
    other = Store.open(tmp_path / "other", HOW)
    other.fill(sources, points=points)
    for key in sources:
        assert (store.read(key).values == other.read(key).values).all()


def test_another_process_sees_what_was_published_meanwhile(store, path, chest):
    elsewhere = Store.open(store.folder)
    assert "p1" not in elsewhere
    fill(store, path, points_of(chest, 3))
    assert "p1" in elsewhere
    assert len(pickle.dumps(elsewhere)) < 2000
    assert (pickle.loads(pickle.dumps(elsewhere)).read("p1").values).shape == HOW.size  # noqa: S301


def test_a_damaged_pack_is_told_and_prepared_again(store, path, chest):
    points = points_of(chest, 3)
    fill(store, path, points)
    (pack,) = packs(store)
    shard = max(pack.rglob("*"), key=lambda p: p.stat().st_size * p.is_file())
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match=r"volume p1 .*\[damaged-volume\]"):
        Store.open(store.folder).read("p1")
    (pack / FACTS).write_text("{")
    again = Store.open(store.folder)
    assert list(again) == []
    assert fill(again, path, points).done == tuple(points)
    assert len(packs(again)) == 1


def test_nothing_in_a_pack_names_the_source(store, chest, tmp_path):
    folder = tmp_path / "DOE^JOHN"
    folder.mkdir()
    fill(store, write_image(chest, folder / "DOE.mha"), points_of(chest, 3))
    text = "".join(p.read_text("utf-8") for p in store.folder.rglob("*.json"))
    assert "DOE" not in text
    assert str(tmp_path) not in text
    assert all("DOE" not in p.name for p in store.folder.rglob("*"))
