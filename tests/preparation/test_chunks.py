"""A lost or changed file is told and never read as values, unless an earlier release wrote it."""

import json
import shutil

import numpy as np
import pytest

from squeezect.errors import StoreError
from squeezect.preparation import Preparation, Store, Volume, prepare
from squeezect.preparation.packs import FOLDER
from squeezect.scan import Grid, Scan

WHOLE = Preparation(size=(24, 24, 24))
POINT = Preparation(crop="point", size=(4, 8, 8), spacing_mm=1.0)
GRID = Grid((20, 30, 30), (1.0, 1.0, 1.0))


def volume(how, number=0):
    """A volume that is not air anywhere, but for number 0, which is nothing else."""
    values = np.full(how.size, number / 8, np.float32)
    return Volume(values, Grid(how.size, (1.0, 1.0, 1.0)), how, None, (), f"scan {number}")


@pytest.fixture
def whole(tmp_path):
    store = Store.open(tmp_path / "whole", WHOLE)
    for number in range(2):
        store.write(f"v{number}", volume(WHOLE, number), source="mark")
    return store


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """Seven patches, two in a file."""
    monkeypatch.setattr("squeezect.preparation.packs.SHARD_BYTES", 2 * 4 * 8 * 8 * 4)
    store = Store.open(tmp_path / "packed", POINT)
    patches = ((f"v{n}", "mark", volume(POINT, n)) for n in range(7))
    store.write_patches(tmp_path / "scan", patches, count=9)
    return store


def unmark(index):
    """Make an array what earlier releases wrote."""
    facts = json.loads(index.read_text("utf-8"))
    assert facts["attributes"].pop("chunks") == "all"
    index.write_text(json.dumps(facts))


@pytest.mark.parametrize("key", ["v0", "v1"])
def test_a_volume_without_its_voxels_is_damaged_even_if_it_was_air(whole, key):
    assert (whole.read(key).values == int(key[1]) / 8).all()
    shutil.rmtree(whole.folder / key / "c")
    with pytest.raises(StoreError, match=rf"volume {key} .*c/0/0/0.*\[damaged-volume\]"):
        whole.read(key)


def test_patches_of_a_lost_file_are_damaged_and_the_others_are_read(packed):
    (pack,) = (packed.folder / FOLDER).glob("*")
    (pack / "c" / "1" / "0" / "0" / "0").unlink()
    for number in range(7):
        if number in (2, 3):
            with pytest.raises(StoreError, match=rf"v{number} .*c/1/0/0/0.*\[damaged-volume\]"):
                packed.read(f"v{number}")
        else:
            assert (packed.read(f"v{number}").values == number / 8).all()


def test_a_file_without_bytes_is_damaged(whole, packed):
    for store in (whole, packed):
        for file in store.folder.rglob("c/**/0"):
            if file.is_file():
                file.write_bytes(b"")
        with pytest.raises(StoreError, match=r"\[damaged-volume\]"):
            store.read("v1")


def file_of(store):
    """A file of values that are not all alike, so that it is of some length."""
    if store.preparation == WHOLE:
        rng = np.random.default_rng(0)
        values = rng.random(WHOLE.size).astype(np.float32)
        store.write("v1", Volume(values, Grid(WHOLE.size, (1.0, 1.0, 1.0)), WHOLE, None, (), ""))
        return store.folder / "v1" / "c" / "0" / "0" / "0"
    (pack,) = (store.folder / FOLDER).glob("*")
    return pack / "c" / "0" / "0" / "0" / "0"


@pytest.mark.parametrize("kind", ["whole", "packed"])
def test_a_file_cut_short_anywhere_is_damaged(kind, request):
    # Blosc alone reads on in memory, where the very values may still lie: it fails now and then.
    store = request.getfixturevalue(kind)
    file = file_of(store)
    content = file.read_bytes()
    for length in {*range(12), *range(12, len(content), len(content) // 40), len(content) - 1}:
        file.write_bytes(content[:length])
        with pytest.raises(StoreError, match=r"\[damaged-volume\]"):
            store.read("v1")


@pytest.mark.parametrize("kind", ["whole", "packed"])
def test_no_bit_of_a_volume_changes_unnoticed(kind, request):
    store = request.getfixturevalue(kind)
    file = file_of(store)
    content = file.read_bytes()
    expected = store.read("v1").values
    for place in range(0, len(content), max(1, len(content) // 60)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        file.write_bytes(changed)
        try:
            assert (store.read("v1").values == expected).all()  # a byte of another patch
            assert kind == "packed"
        except StoreError as error:
            assert "[damaged-volume]" in str(error)  # noqa: PT017


def test_arrays_of_earlier_releases_are_read_with_their_empty_chunks_left_out(whole, packed):
    shutil.rmtree(whole.folder / "v0" / "c")
    unmark(whole.folder / "v0" / "zarr.json")
    assert not whole.read("v0").values.any()
    (pack,) = (packed.folder / FOLDER).glob("*")
    shutil.rmtree(pack / "c" / "0")
    unmark(pack / "zarr.json")
    assert not packed.read("v0").values.any()


def test_filling_prepares_again_what_has_lost_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr("squeezect.preparation.packs.SHARD_BYTES", 2 * 4 * 8 * 8 * 4)
    hu = np.random.default_rng(0).integers(-900, 300, GRID.shape).astype(np.int16)
    scan = Scan(hu, GRID)
    monkeypatch.setattr("squeezect.reading.read_scan", lambda *_, **__: scan)
    path = tmp_path / "scan.mha"
    path.write_text("read by nobody")
    points = {f"v{n}": (15.0, 15.0, 8.0 + n) for n in range(4)}
    sources = dict.fromkeys(points, path)
    store = Store.open(tmp_path / "store", POINT)
    alone = {"alone": path}, {"alone": (14.0, 15.0, 10.0)}
    store.fill(sources, points=points)
    store.fill(alone[0], points=alone[1])
    (pack,) = (store.folder / FOLDER).glob("*")
    shutil.rmtree(pack / "c" / "1")
    shutil.rmtree(store.folder / "alone" / "c")
    filled = store.fill(sources | alone[0], points=points | alone[1])
    assert (filled.skipped, set(filled.done)) == (("v0", "v1"), {"v2", "v3", "alone"})
    for key, point in (points | alone[1]).items():
        expected = prepare(scan, POINT, point_mm=point).values
        assert (store.read(key).values == expected).all()
