"""A store gives back what was put in, whole or not at all, whatever happens to the processes."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from squeezect.errors import Code, Finding, StoreError
from squeezect.phantom import chest_grid, thorax
from squeezect.preparation import Preparation, Store, check_chest, prepare
from squeezect.preparation.scratch import scratch_beside
from squeezect.preparation.sources import fingerprint
from squeezect.scan import Grid, Scan

HOW = Preparation(size=(24, 24, 24))


def small_chest(seed):
    return thorax(seed, grid=chest_grid(seed, spacing_mm=5.0, thickness_mm=5.0))[0]


def write_image(scan, path):
    """A scan as MetaImage."""
    image = sitk.GetImageFromArray(scan.hu)
    image.SetOrigin(scan.grid.origin_mm)
    image.SetSpacing(scan.grid.spacing_mm[::-1])
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture(scope="module")
def volume():
    scan = small_chest(1)
    lungs, _ = check_chest(scan)
    code = Code("odd-thing", "Something is odd.", "look at it", "warn")
    scan = replace(scan, findings=(Finding(code, "5 mm", "below z = 3 mm", overridden=True),))
    return prepare(scan, HOW, lungs=lungs)


@pytest.fixture
def store(tmp_path):
    return Store.open(tmp_path / "store", HOW)


@pytest.fixture
def sources(tmp_path):
    """Three scans as files, by key."""
    return {f"p{n}": write_image(small_chest(n), tmp_path / f"p{n}.mha") for n in (1, 2, 3)}


def same(one, other):
    return (
        (one.values == other.values).all()
        and one.grid == other.grid
        and (one.preparation, one.lungs, one.findings, one.identity)
        == (other.preparation, other.lungs, other.findings, other.identity)
    )


def hidden(store):
    return [p.name for p in store.folder.iterdir() if p.name.startswith(".")]


def test_what_was_written_is_read(store, volume):
    store.write("a", volume)
    again = Store.open(str(store.folder), HOW).read("a")
    assert same(again, volume)
    assert again.values.dtype == np.float32
    assert list(store) == ["a"]
    assert "a" in store
    assert store.missing(["b", "a", "c"]) == ["b", "c"]
    assert hidden(store) == []


def test_writing_again_replaces(store, volume):
    store.write("a", volume)
    other = replace(volume, values=1 - volume.values)
    store.write("a", other)
    assert same(store.read("a"), other)
    assert list(store) == ["a"]
    assert hidden(store) == []


def test_another_preparation_is_refused(store, volume):
    other = Preparation(size=(24, 24, 24), crop="lungs")
    with pytest.raises(StoreError, match=r"another way.*\[other-store\]"):
        Store.open(store.folder, other)
    with pytest.raises(StoreError, match=r"\[other-store\]"):
        store.write("a", replace(volume, preparation=other))
    assert list(store) == []


def test_foreign_folders_are_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(StoreError, match=r"\[other-store\]"):
        Store.open(tmp_path, HOW)
    with pytest.raises(StoreError, match=r"\[other-store\]"):
        Store.open(tmp_path / "thesis.txt", HOW)
    (tmp_path / "store.json").write_text("{")
    with pytest.raises(StoreError, match=r"\[other-store\]"):
        Store.open(tmp_path, HOW)


@pytest.mark.parametrize("key", ["", "..", "../a", "a/b", ".a", "a b", "a" * 129, "é"])
def test_keys_that_could_leave_the_folder_are_refused(key, store, volume, tmp_path):
    with pytest.raises(StoreError, match=r"\[bad-key\]"):
        store.write(key, volume)
    with pytest.raises(StoreError, match=r"\[bad-key\]"):
        store.fill({key: tmp_path})
    assert key not in store


@pytest.mark.parametrize("key", ["store.json", "Store.JSON", "zarr.json"])
def test_keys_that_are_names_of_the_stores_own_files_are_refused(key, store, volume, tmp_path):
    index = (store.folder / "store.json").read_bytes()
    for keep in (lambda: store.write(key, volume), lambda: store.fill({key: tmp_path})):
        with pytest.raises(StoreError, match=r"use another name.*\[bad-key\]"):
            keep()
    assert (store.folder / "store.json").read_bytes() == index


def test_missing_and_damaged_volumes_are_named(store, volume):
    with pytest.raises(StoreError, match=r"volume a .*\[not-stored\]"):
        store.read("a")
    store.write("a", volume)
    chunk = max(store.folder.glob("a/c/**/*"), key=lambda p: p.stat().st_size * p.is_file())
    chunk.write_bytes(chunk.read_bytes()[:1000])
    with pytest.raises(StoreError, match=r"volume a .*\[damaged-volume\]"):
        store.read("a")
    store.write("a", volume)
    index = store.folder / "a" / "zarr.json"
    index.write_text(index.read_text().replace(HOW.digest, "0" * 12))
    with pytest.raises(StoreError, match=r"volume a .*\[damaged-volume\]"):
        store.read("a")
    index.write_text("{")
    with pytest.raises(StoreError, match=r"volume a .*\[damaged-volume\]"):
        store.read("a")


KILLED = """
import os, signal, sys
from pathlib import Path
from squeezect.preparation import Preparation, Store
import squeezect.preparation.store as module
module.Store._publish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
folder, other = map(Path, sys.argv[1:])
store = Store.open(folder, Preparation(size=(24, 24, 24)))
store.write("a", Store.open(other, store.preparation).read("a"))
"""


def test_a_killed_writer_leaves_nothing_that_counts(store, volume, tmp_path, sources):
    other = Store.open(tmp_path / "other", HOW)
    other.write("a", volume)
    command = [sys.executable, "-c", KILLED, str(store.folder), str(other.folder)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL  # noqa: S603
    assert hidden(store)
    assert list(store) == []
    assert store.missing(["a"]) == ["a"]
    store.fill({})
    assert hidden(store) == []


def test_scratch_of_a_living_process_is_left_alone(store):
    mine = scratch_beside(store.folder / "a")
    mine.mkdir()
    store.fill({})
    assert mine.exists()


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
def test_scratch_of_a_dead_process_that_nobody_buried_is_swept(store, monkeypatch):
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
        monkeypatch.setattr(os, "getpid", lambda: dead.pid)
        for kind in ("part", "old"):
            scratch_beside(store.folder / "a.b", kind).mkdir()
        store.fill({})
    assert hidden(store) == []


def test_hidden_folders_of_others_are_left_alone(store, monkeypatch):
    # No process has this number: what another machine has in the making looks dead from here.
    monkeypatch.setattr(os, "getpid", lambda: 2**22 + 1)
    mine = scratch_beside(store.folder / "a")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("squeezect.preparation.scratch._host", lambda: "other-host")
        theirs = scratch_beside(store.folder / "a")
    names = {".git", ".dvc", ".a.99999", ".notes.2024", theirs.name}
    for name in (*names, mine.name):
        (store.folder / name).mkdir()
        (store.folder / name / "HEAD").write_text("precious")
    store.fill({})
    assert set(hidden(store)) == names
    assert all((store.folder / name / "HEAD").is_file() for name in names)


def test_filling_prepares_each_scan_once(store, sources):
    seen = []
    filled = store.fill(sources, progress=lambda done, total: seen.append((done, total)))
    assert (filled.done, filled.skipped, filled.failed) == (("p1", "p2", "p3"), (), {})
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    again = store.fill(sources)
    assert (again.done, again.skipped) == ((), ("p1", "p2", "p3"))
    volume = store.read("p2")
    expected = prepare(small_chest(2), HOW)
    assert np.abs(volume.values - expected.values).max() < 1e-6
    assert volume.grid.isclose(expected.grid)
    assert volume.lungs.volume_l > 2


def test_changed_and_moved_sources_are_prepared_anew(store, sources, tmp_path):
    store.fill(sources)
    before = store.read("p1")
    write_image(small_chest(9), sources["p1"])
    moved = sources["p2"].rename(tmp_path / "moved.mha")
    filled = store.fill({**sources, "p2": moved})
    assert filled.done == ("p1", "p2")
    assert filled.skipped == ("p3",)
    assert not (store.read("p1").values == before.values).all()


def test_a_failing_scan_is_reported_and_stops_no_other(store, sources, tmp_path):
    broken = tmp_path / "broken.mha"
    broken.write_bytes(b"ObjectType = Image\nnot really\n")
    filled = store.fill({"a": broken, **sources, "z": tmp_path / "absent.mha"})
    assert filled.done == ("p1", "p2", "p3")
    assert set(filled.failed) == {"a", "z"}
    assert "absent.mha" in str(filled.failed["z"])
    assert store.missing(["a", "z"]) == ["a", "z"]
    assert hidden(store) == []


def test_a_chest_can_be_required(store, tmp_path):
    hu = np.full((30, 30, 30), -1000, np.int16)
    hu[5:25, 5:25, 5:25] = 40
    scan = Scan(hu, Grid(hu.shape, (5.0, 5.0, 5.0)))
    block = {"block": write_image(scan, tmp_path / "block.mha")}
    filled = store.fill(block, require_chest=True)
    assert filled.failed["block"].code == "no-lungs"
    assert store.fill(block).done == ("block",)
    noted = [f for f in store.read("block").findings if f.code.name == "no-lungs"]
    assert [f.severity for f in noted] == ["warn"]
    # What is stored already is judged all the same.
    again = store.fill(block, require_chest=True)
    assert (again.done, again.skipped) == ((), ())
    assert str(again.failed["block"]) == str(filled.failed["block"])


def test_a_stored_volume_without_figures_of_lungs_is_prepared_again_for_a_chest(store, sources):
    store.fill(sources)
    kept = store.read("p1")
    store.write("p1", replace(kept, lungs=None), source=fingerprint(sources["p1"]))
    assert store.fill(sources).skipped == ("p1", "p2", "p3")
    filled = store.fill(sources, require_chest=True)
    assert (filled.done, filled.skipped, filled.failed) == (("p1",), ("p2", "p3"), {})
    assert store.read("p1").lungs == kept.lungs


def test_workers_change_nothing(store, sources, tmp_path):
    other = Store.open(tmp_path / "other", HOW)
    filled = other.fill({**sources, "z": tmp_path / "absent.mha"}, workers=2)
    assert sorted(filled.done) == ["p1", "p2", "p3"]
    assert set(filled.failed) == {"z"}
    store.fill(sources)
    for key in sources:
        assert same(other.read(key), store.read(key))


FILLING = """
import sys
from pathlib import Path
from squeezect.preparation import Preparation, Store
if __name__ == "__main__":
    folder, *images = map(Path, sys.argv[1:])
    store = Store.open(folder, Preparation(size=(24, 24, 24)))
    store.fill({p.stem: p for p in images}, workers=2)
"""


def test_filling_goes_on_where_it_was_killed(store, tmp_path):
    scans = {f"p{n}": small_chest(n) for n in range(1, 4)}
    files = {key: write_image(scan, tmp_path / f"{key}.mha") for key, scan in scans.items()}
    for n in range(4, 40):
        copy = tmp_path / f"p{n}.mha"
        copy.hardlink_to(files[f"p{1 + n % 3}"])
        files[copy.stem] = copy
    script = tmp_path / "filling.py"
    script.write_text(FILLING)
    command = [sys.executable, str(script), str(store.folder), *map(str, files.values())]
    running = subprocess.Popen(command, start_new_session=True)  # noqa: S603
    for _ in range(600):
        if len(list(store)) >= 2 or running.poll() is not None:
            break
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    kept = list(store)
    assert 2 <= len(kept) < len(files)
    for key in kept:
        assert store.read(key).values.shape == HOW.size
    filled = store.fill(files)
    assert set(filled.skipped) == set(kept)
    assert set(filled.done) == set(files) - set(kept)
    assert hidden(store) == []


def test_nothing_stored_names_the_source(store, tmp_path):
    folder = tmp_path / "DOE^JOHN"
    folder.mkdir()
    path = write_image(small_chest(1), folder / "DOE.mha")
    store.fill({"p": path})
    text = "".join(p.read_text("utf-8") for p in store.folder.rglob("*.json"))
    assert "DOE" not in text
    assert str(tmp_path) not in text
    facts = json.loads((store.folder / "p" / "zarr.json").read_text())["attributes"]
    assert facts["source"] == fingerprint(path)
    assert facts["digest"] == HOW.digest
    assert facts["preparation"]["window_hu"] == [-1000, 400]


def test_a_fingerprint_sees_names_sizes_and_times(tmp_path):
    folder = tmp_path / "scan"
    folder.mkdir()
    marks = [fingerprint(folder)]
    (folder / "1.dcm").write_bytes(b"12")
    marks.append(fingerprint(folder))
    (folder / "1.dcm").write_bytes(b"123")
    marks.append(fingerprint(folder))
    os.utime(folder / "1.dcm", (1, 1))
    marks.append(fingerprint(folder))
    (folder / "1.dcm").rename(folder / "2.dcm")
    marks.append(fingerprint(folder))
    marks.append(fingerprint(folder / "2.dcm"))
    assert len(set(marks)) == len(marks)
    assert fingerprint(folder) == fingerprint(folder)
