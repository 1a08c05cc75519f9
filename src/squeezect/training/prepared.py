"""Prepared volumes of a cohort, whatever its data set: by case, on disk or in memory.

Volumes and patches that are cut out of scans are kept in a store. Data sets that are small volumes
already (8-bit pictures, one npz file) are prepared in memory in seconds, and nothing is written.
Such data has no place in space and no spacing: a voxel counts as 1 mm, and the middle as the point.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from squeezect.candidates import read_patches
from squeezect.cohorts import Case, Cohort
from squeezect.cohorts.layouts.nodulemnist3d import read_volumes
from squeezect.cohorts.table import PICTURES
from squeezect.errors import Code, SqueezeCTError, StoreError
from squeezect.preparation import Preparation, Store, Volume, prepare
from squeezect.preparation.patches import WINDOW_HU
from squeezect.scan import Grid, Scan, pseudonym
from squeezect.training.progress import Progress

NOT_PREPARED_HERE = Code(
    "not-in-memory",
    "There is no prepared volume of this case.",
    "use the keys of the cohort that was prepared",
)


NO_ELEMENT = Code(
    "no-element",
    "A row names a volume that its file of many volumes does not have.",
    "name an array and a number in it, counted from 0, such as train_images/12",
)


class Prepared(Protocol):
    """Prepared volumes by the key of their case; a `Store` is one."""

    @property
    def preparation(self) -> Preparation:
        """How they were prepared."""

    def read(self, key: str) -> Volume:
        """The volume of a key."""


@dataclass(frozen=True)
class InMemory:
    """Prepared volumes in memory.

    Args:
        preparation: how they were prepared.
        volumes: by key.
    """

    preparation: Preparation
    volumes: Mapping[str, Volume]

    def read(self, key: str) -> Volume:
        """The volume of a key.

        Raises:
            StoreError: `not-in-memory`.
        """
        if key not in self.volumes:
            raise StoreError(NOT_PREPARED_HERE, f"no volume {key} among {len(self.volumes)}")
        return self.volumes[key]


def key_of(scan: Path) -> str:
    """The key of a whole scan: a pseudonym of its path."""
    return pseudonym(str(scan.resolve()))


def case_key(case: Case, preparation: Preparation) -> str:
    """The key of a case's volume: of its scan, or of the element, series or point it is about."""
    place = str(case.scan.resolve())
    if case.element:
        return pseudonym(f"{place}#{case.element}")
    if case.dicom_series:
        place += f"#series {case.dicom_series}"
    if preparation.cuts_patches and case.point_mm is not None:
        place += f"@{case.point_mm}"
    return pseudonym(place)


def prepare_cohort(
    cohort: Cohort,
    preparation: Preparation,
    folder: Path,
    *,
    workers: int = 1,
    progress: Progress,
) -> tuple[Prepared, dict[int, SqueezeCTError]]:
    """Prepare every case of a cohort that is not prepared yet.

    Args:
        cohort: whole scans, points in scans, pictures, or elements of an npz file.
        preparation: what to do; crop ``point`` for patches and for data that is small already.
        folder: of the store, where one is needed.
        workers: processes that read and prepare scans.
        progress: who is told.

    Returns:
        The volumes by `case_key`, and why the cases of some rows could not be prepared.

    Raises:
        StoreError: `other-store`.
    """

    def tell(done: int, total: int) -> None:
        progress("preparing", done, total, "cases")

    keys = {case.row: case_key(case, preparation) for case in cohort.cases}
    if all(case.element or case.scan.suffix.lower() in PICTURES for case in cohort.cases):
        return _in_memory(cohort, preparation, keys, progress)
    store = Store.open(folder, preparation)
    points = {
        keys[case.row]: case.point_mm
        for case in cohort.cases
        if preparation.cuts_patches and case.point_mm is not None
    }
    filled = store.fill(
        {keys[case.row]: case.scan for case in cohort.cases},
        points=points,
        series={keys[case.row]: case.dicom_series for case in cohort.cases if case.dicom_series},
        workers=workers,
        progress=tell,
    )
    return store, {row: filled.failed[key] for row, key in keys.items() if key in filled.failed}


def _in_memory(
    cohort: Cohort, preparation: Preparation, keys: Mapping[int, str], progress: Progress
) -> tuple[InMemory, dict[int, SqueezeCTError]]:
    volumes: dict[str, Volume] = {}
    failed: dict[int, SqueezeCTError] = {}
    total = len(cohort.cases)
    for done, (case, outcome) in enumerate(_bytes_of(cohort.cases)):
        progress("preparing", done, total, "cases")
        if isinstance(outcome, SqueezeCTError):
            failed[case.row] = outcome
            continue
        try:
            volumes[keys[case.row]] = _prepared(outcome, preparation)
        except SqueezeCTError as error:
            failed[case.row] = error
    progress("preparing", total, total, "cases")
    return InMemory(preparation, volumes), failed


def _bytes_of(
    cases: Sequence[Case],
) -> Iterator[tuple[Case, npt.NDArray[np.uint8] | SqueezeCTError]]:
    """Grey values [z, y, x] of each case, or why they cannot be read."""
    for path in dict.fromkeys(case.scan for case in cases if case.element):
        for array, group in _by_array(case for case in cases if case.scan == path).items():
            try:
                values = read_volumes(path, array)
            except SqueezeCTError as error:
                yield from ((case, error) for case in group)
                continue
            for case in group:
                yield case, _element(values, case)
    for case in cases:
        if not case.element:
            try:
                yield case, read_patches([case]).values
            except SqueezeCTError as error:
                yield case, error


def _element(values: npt.NDArray[np.uint8], case: Case) -> npt.NDArray[np.uint8] | SqueezeCTError:
    """The volume that a case names by its number in an array, or that there is none."""
    array, _, number = case.element.rpartition("/")
    if number.isdecimal() and int(number) < len(values):
        element: npt.NDArray[np.uint8] = values[int(number)]
        return element
    what = f"{case.scan.name} has no volume {case.element}, {array} holds {len(values)}"
    return StoreError(NO_ELEMENT, what)


def _by_array(cases: Iterator[Case]) -> dict[str, list[Case]]:
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.element.rpartition("/")[0], []).append(case)
    return groups


def _prepared(grey: npt.NDArray[np.uint8], preparation: Preparation) -> Volume:
    """The volume of 8-bit values over [-1000, 400] HU, as these data sets have them."""
    low, high = WINDOW_HU
    hu = np.rint(low + grey.astype(np.float32) * ((high - low) / 255)).astype(np.int16)
    z, y, x = hu.shape
    scan = Scan(hu, Grid((z, y, x), (1.0, 1.0, 1.0)))
    return prepare(scan, preparation, point_mm=scan.grid.centre_mm, threads=1)
