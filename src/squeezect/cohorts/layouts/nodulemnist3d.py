"""NoduleMNIST3D: one npz file with small volumes and labels, split by its authors.

Yang et al., "MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D biomedical image
classification", 2023.
"""

import zipfile
from pathlib import Path

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
    for part, split in PARTS.items():
        labels = _labels(source, part)
        first = len(cases) + 1
        cases += [
            Case(
                scan=source,
                patient=f"{part}-{index}",
                label=label,
                row=first + index,
                split=split,
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
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{array}.npy") as file:
            values = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CohortError(BAD_ARCHIVE, f"{path.name} holds no array {array}") from error
    if values.ndim != 4 or values.dtype != np.uint8:
        what = f"{path.name}: {array} is {values.dtype} of shape {values.shape}, not 8-bit volumes"
        raise CohortError(BAD_ARCHIVE, what)
    return values


def _labels(source: Path, part: str) -> list[int]:
    """Labels of a part, after a look whether as many volumes are there."""
    try:
        with zipfile.ZipFile(source) as archive:
            with archive.open(f"{part}_labels.npy") as file:
                labels = np.lib.format.read_array(file, allow_pickle=False)
            shape = _shape(archive, f"{part}_images.npy")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        what = f"{source.name} does not hold {part}_images and {part}_labels as plain arrays"
        raise CohortError(BAD_ARCHIVE, what) from error
    whole = labels.dtype.kind in "iub" and labels.size == len(labels)
    if not whole or len(shape) != 4 or shape[0] != len(labels):
        what = f"{source.name}: {part}_images {shape} do not fit {part}_labels {labels.shape}"
        raise CohortError(BAD_ARCHIVE, what)
    return [int(label) for label in labels.ravel()]


def _shape(archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    """Shape of an array in the archive, from its header: the voxels are not unpacked."""
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0
        shape, _, _ = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(file)
    return tuple(shape)
