"""NoduleMNIST3D: one npz file with small volumes and labels, split by its authors.

Yang et al., "MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D biomedical image
classification", 2023.
"""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from squeezect.cohorts.table import Case, Cohort, Split
from squeezect.errors import Code, CohortError

BAD_ARCHIVE = Code(
    "bad-archive",
    "The file is not an npz archive with images and labels of as many cases.",
    "download nodulemnist3d.npz again",
)

PARTS: dict[str, Split] = {"train": "train", "val": "train", "test": "test"}
"""Parts in the file and the split of their cases; folds are drawn afresh within ``train``."""


def read_nodulemnist3d(path: Path | str) -> Cohort:
    """Cases of NoduleMNIST3D (or another 3D set of MedMNIST), labelled as in the file.

    The file does not say who is whose nodule, so every case counts as a patient of its own.

    Args:
        path: ``nodulemnist3d.npz`` or ``nodulemnist3d_64.npz``.

    Returns:
        Cases whose `Case.element` names array and index, e.g. ``train_images/12``; the part that
        the authors gave it is in `Case.extra` as ``part``.

    Raises:
        CohortError: `bad-archive`.
    """
    source = Path(path)
    cases: list[Case] = []
    for part, labels in _labels(source).items():
        first = len(cases) + 1
        cases += [
            Case(
                scan=source,
                patient=f"{part}-{index}",
                label=label,
                row=first + index,
                split=PARTS[part],
                extra={"part": part},
                element=f"{part}_images/{index}",
            )
            for index, label in enumerate(labels)
        ]
    return Cohort(tuple(cases), source)


def read_volumes(path: Path, array: str) -> npt.NDArray[np.uint8]:
    """All volumes of one array of the file.

    Args:
        path: the npz file.
        array: its name, such as ``train_images``.

    Returns:
        uint8, shape (cases, z, y, x).

    Raises:
        CohortError: `bad-archive`.
    """
    with _archive(path) as archive:
        _check_volumes(path, archive, array)
        return _read(path, archive, array)


def _labels(source: Path) -> dict[str, list[int]]:
    """Labels by part, after a look whether as many volumes are there, and nothing else."""
    labels: dict[str, list[int]] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    with _archive(source) as archive:
        _check_names(source, archive)
        for part in PARTS:
            count, *size = _check_volumes(source, archive, f"{part}_images")
            shapes[part] = tuple(size)
            labels[part] = _check_labels(source, _read(source, archive, f"{part}_labels"), part)
            if len(labels[part]) != count or not count:
                what = f"{count} volumes in {part}_images, {len(labels[part])} in {part}_labels"
                raise CohortError(BAD_ARCHIVE, f"{source.name} has {what}")
            if shapes[part] != shapes["train"]:
                what = f"{part}_images hold volumes of {shapes[part]}, train_images of"
                raise CohortError(BAD_ARCHIVE, f"{source.name}: {what} {shapes['train']} voxels")
    return labels


@contextmanager
def _archive(source: Path) -> Iterator[zipfile.ZipFile]:
    """The open archive; what is wrong with its bytes becomes a refusal."""
    try:
        with zipfile.ZipFile(source) as archive:
            yield archive
    except (OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        what = f"{source.name} is not an npz archive of plain arrays"
        raise CohortError(BAD_ARCHIVE, what) from error


def _check_names(source: Path, archive: zipfile.ZipFile) -> None:
    """All arrays of all parts are there, and no part beside them."""
    there = {name.removesuffix(".npy") for name in archive.namelist()}
    wanted = [f"{part}_{kind}" for part in PARTS for kind in ("images", "labels")]
    missing = [name for name in wanted if name not in there]
    if missing:
        found = ", ".join(sorted(there)[:10]) or "none"
        what = f"{source.name} lacks the array {missing[0]}; its arrays are {found}"
        raise CohortError(BAD_ARCHIVE, what)
    for name in sorted(there - set(wanted)):
        if name.endswith(("_images", "_labels")):
            what = f"{source.name} holds {name}, of a part that is none of {', '.join(PARTS)}"
            raise CohortError(BAD_ARCHIVE, what)


def _check_volumes(source: Path, archive: zipfile.ZipFile, array: str) -> tuple[int, ...]:
    """Shape (cases, z, y, x) of an array of volumes, from its header: nothing is unpacked."""
    try:
        with archive.open(f"{array}.npy") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0
            if version != (1, 0):
                read = np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
    except (ValueError, KeyError) as error:
        raise CohortError(BAD_ARCHIVE, f"{source.name} holds no array {array}") from error
    if len(shape) != 4 or dtype != np.uint8:
        what = f"{source.name}: {array} is {dtype} of shape {shape}, not 8-bit volumes"
        raise CohortError(BAD_ARCHIVE, what)
    return tuple(shape)


def _check_labels(source: Path, labels: npt.NDArray[np.generic], part: str) -> list[int]:
    """Labels of a part as whole numbers from 0 up, one for each case."""
    array = f"{source.name}: {part}_labels"
    if labels.dtype.kind not in "iub" or labels.ndim == 0 or labels.size != len(labels):
        what = f"{labels.dtype} of shape {labels.shape}, not one whole number for each case"
        raise CohortError(BAD_ARCHIVE, f"{array} is {what}")
    numbers = [int(label) for label in labels.ravel()]
    bad = next((index for index, number in enumerate(numbers) if number < 0), None)
    if bad is not None:
        raise CohortError(BAD_ARCHIVE, f"{array}[{bad}] is {numbers[bad]}, not a class from 0 up")
    return numbers


def _read(source: Path, archive: zipfile.ZipFile, array: str) -> npt.NDArray[Any]:
    """An array of the archive; nothing is unpickled."""
    try:
        with archive.open(f"{array}.npy") as file:
            values: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, KeyError) as error:
        what = f"{source.name}: {array} is not a plain array that can be read"
        raise CohortError(BAD_ARCHIVE, what) from error
    return values
