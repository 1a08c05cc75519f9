"""NoduleMNIST3D: labels from the archive, voxels untouched, nothing unpickled."""

import numpy as np
import pytest

from squeezect.cohorts.layouts import read_nodulemnist3d
from squeezect.cohorts.layouts.nodulemnist3d import read_volumes
from squeezect.errors import CohortError


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
    ("change", "words"),
    [
        ({"val_labels": None}, "lacks the array val_labels; its arrays are test_images, "),
        ({"test_images": None}, "lacks the array test_images"),
        (
            {"hold_images": np.zeros((2, 28, 28, 28), np.uint8)},
            "holds hold_images, of a part that is none of train, val, test",
        ),
        ({"hold_labels": np.zeros((2, 1), np.uint8)}, "holds hold_labels, of a part"),
        (
            {"train_labels": np.zeros((5, 1), np.uint8)},
            "has 6 volumes in train_images, 5 in train_labels",
        ),
        (
            {
                "val_images": np.zeros((0, 28, 28, 28), np.uint8),
                "val_labels": np.zeros((0, 1), np.uint8),
            },
            "has 0 volumes in val_images",
        ),
        ({"train_labels": np.zeros((6, 2), np.uint8)}, "train_labels is uint8 of shape (6, 2)"),
        ({"train_labels": np.zeros((6, 1))}, "train_labels is float64"),
        ({"train_labels": np.uint8(1)}, "train_labels is uint8 of shape ()"),
        ({"train_labels": np.array([0, 1, 0, -1, 0, 1])}, "train_labels[3] is -1"),
        ({"train_labels": np.array([{"a": 1}] * 6, object)}, "train_labels is not a plain array"),
        (
            {"train_images": np.zeros((6, 28, 28), np.uint8)},
            "train_images is uint8 of shape (6, 28, 28), not 8-bit volumes",
        ),
        ({"test_images": np.zeros((4, 28, 28, 28))}, "test_images is float64"),
        (
            {"test_images": np.zeros((4, 64, 64, 64), np.uint8)},
            "test_images hold volumes of (64, 64, 64), train_images of (28, 28, 28) voxels",
        ),
    ],
)
def test_other_archives_are_refused(archive, change, words):
    path = archive(**change)
    with pytest.raises(CohortError, match="bad-archive") as caught:
        read_nodulemnist3d(path)
    assert "nodulemnist3d.npz" in str(caught.value)
    assert words in str(caught.value)


def test_other_arrays_do_not_matter(archive):
    assert len(read_nodulemnist3d(archive(spacing_mm=np.ones(3)))) == 13


@pytest.mark.parametrize("array", ["val_images", "val_labels"])
def test_a_volume_that_is_cut_short_is_refused(archive, array):
    """An unpacked array that is shorter than its header says, as an aborted program leaves it."""
    import io
    import zipfile

    path = archive()
    with zipfile.ZipFile(path) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    files[f"{array}.npy"] = files[f"{array}.npy"][:-1]
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    path.write_bytes(whole.getvalue())
    with pytest.raises(CohortError, match=rf"{array} is not a plain array.*bad-archive"):
        read_volumes(path, array) if "images" in array else read_nodulemnist3d(path)


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
