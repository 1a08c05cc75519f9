"""NoduleMNIST3D: labels from the archive, voxels untouched, nothing unpickled."""

import numpy as np
import pytest

from squeezect.cohorts.layouts import read_nodulemnist3d
from squeezect.errors import CohortError

SIZES = {"train": 6, "val": 3, "test": 4}


def arrays():
    rng = np.random.default_rng(0)
    made = {}
    for part, size in SIZES.items():
        made[f"{part}_images"] = rng.integers(0, 255, (size, 28, 28, 28), np.uint8)
        made[f"{part}_labels"] = (np.arange(size) % 2).astype(np.uint8)[:, None]
    return made


@pytest.fixture
def archive(tmp_path):
    """Function that writes an archive, with some arrays replaced or (None) left out."""

    def write(**change):
        made = {k: v for k, v in (arrays() | change).items() if v is not None}
        np.savez_compressed(tmp_path / "nodulemnist3d.npz", **made)
        return tmp_path / "nodulemnist3d.npz"

    return write


def test_cases_name_array_and_index(archive):
    path = archive()
    cohort = read_nodulemnist3d(path)
    assert len(cohort) == 13
    assert [c.split for c in cohort.cases] == ["train"] * 9 + ["test"] * 4
    with np.load(path) as data:
        for case in cohort.cases:
            array, index = case.element.split("/")
            assert data[array.replace("images", "labels")][int(index), 0] == case.label
            assert array == f"{case.extra['part']}_images"
    assert [c.row for c in cohort.cases] == list(range(1, 14))
    assert len({c.patient for c in cohort.cases}) == 13


def test_voxels_are_not_unpacked(archive, monkeypatch):
    path = archive()
    read = np.lib.format.read_array

    def guarded(file, **options):
        array = read(file, **options)
        assert array.ndim < 3
        return array

    monkeypatch.setattr(np.lib.format, "read_array", guarded)
    assert len(read_nodulemnist3d(path)) == 13


@pytest.mark.parametrize(
    "change",
    [
        {"val_labels": None},
        {"test_images": None},
        {"train_labels": np.zeros((5, 1), np.uint8)},
        {"train_labels": np.zeros((6, 2), np.uint8)},
        {"train_labels": np.zeros((6, 1))},
        {"train_labels": np.array([{"a": 1}] * 6, object)},
        {"train_images": np.zeros((6, 28, 28), np.uint8)},
    ],
)
def test_other_archives_are_refused(archive, change):
    path = archive(**change)
    with pytest.raises(CohortError, match="bad-archive") as caught:
        read_nodulemnist3d(path)
    assert "nodulemnist3d.npz" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\3\4 broken", b"text", None])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "nodulemnist3d.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CohortError, match="bad-archive"):
        read_nodulemnist3d(path)


def test_a_plain_array_is_refused(tmp_path):
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(CohortError, match="bad-archive"):
        read_nodulemnist3d(tmp_path / "a.npz")
