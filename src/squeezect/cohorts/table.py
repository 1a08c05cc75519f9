"""A cohort: which scans, of which patients, with which label; and its plain table.

The columns ``scan``, ``patient`` and ``label`` are needed, ``split`` may be there, and so may the
columns of `POINT_COLUMNS`, which turn a row from a whole scan into a point in it, and ``series``,
which says what a folder or zip of several series is read for. Every other column is kept as it is,
for tables of subgroups.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from squeezect.errors import Code, CohortError
from squeezect.scan import Triple

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")
PICTURES = (".png", ".jpg", ".jpeg")
"""How the files of patches end."""

UNKNOWN_ROW = Code(
    "unknown-row",
    "A row number is not in the cohort, or is there twice.",
    "use the row numbers of this very cohort",
)


@dataclass(frozen=True, slots=True)
class Case:
    """One scan, or one point in a scan, with its patient and label.

    Args:
        scan: file or folder that holds the voxels.
        patient: who it is; cases of one patient never go into different parts.
        label: class 0, 1, ...; None if unlabelled.
        row: number of the data row that it comes from, 1 for the first.
        split: ``train`` or ``test`` where a test set was set aside beforehand.
        extra: further columns by name.
        series: UID of the series that it is of, "" if unknown; see `dicom_series`.
        point_mm: LPS point (x, y, z) in mm that the case is about; None for the whole scan.
        diameter_mm: diameter of the nodule in mm; None if unknown.
        mask: file with the nodule's mask on the grid of `scan`, if there is one.
        element: which array and index inside a file of many, e.g. ``train_images/12``.
        fold: number of the fold that the data set's authors put it into; None if they did not.
    """

    scan: Path
    patient: str
    label: int | None
    row: int
    split: Split | None = None
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)
    series: str = ""
    point_mm: Triple | None = None
    diameter_mm: float | None = None
    mask: Path | None = None
    element: str = ""
    fold: int | None = None

    @property
    def dicom_series(self) -> str:
        """The series to read, "" where none is named or where a file is one volume anyway.

        Data sets of pictures and images name the series that they were cut out of, too.
        """
        if not self.series or self.element:
            return ""
        from squeezect.reading.images import SUFFIXES

        return "" if self.scan.name.lower().endswith((*PICTURES, *SUFFIXES)) else self.series

    @property
    def voxels(self) -> str:
        """Which voxels it is about: the scan's path, and after a # the element or series in it."""
        part = self.element or self.dicom_series
        return f"{self.scan}#{part}" if part else str(self.scan)


@dataclass(frozen=True)
class Cohort:
    """Cases and the table that they come from.

    Args:
        cases: in the order of their rows.
        source: the table's file, for messages and relative paths.

    Raises:
        CohortError: `unknown-row`, if two cases have the same row number.

    Example:
        >>> case = Case(Path("a.mha"), patient="p1", label=1, row=1)
        >>> Cohort((case,), Path("cohort.csv")).case(1).label
        1
    """

    cases: tuple[Case, ...]
    source: Path

    def __post_init__(self) -> None:
        if len(self._by_row) < len(self.cases):
            raise CohortError(UNKNOWN_ROW, f"{self.source.name}: row numbers repeat")

    @classmethod
    def read(
        cls, path: Path | str, *, require_labels: bool = True, allow_shared: bool = False
    ) -> Self:
        """Read a cohort from its table.

        Args:
            path: text table with the columns ``scan`` (path, relative to the table or absolute),
                ``patient`` and ``label`` (0, 1, ...; empty for unlabelled), and perhaps ``split``
                (``train`` or ``test``), separated by commas, semicolons or tabs.
            require_labels: False also takes tables without labels or with one class only.
            allow_shared: True also takes scans that are listed twice and patients in train and
                test, so that an audit can tell of them.

        Raises:
            CohortError: everything that is wrong with the table, the first few in one message:
                `unreadable-table`, `empty-table`, `missing-column`, `empty-value`, `bad-value`,
                `missing-scan`, `duplicate-scan`, `two-labels`, `too-few-classes`,
                `patient-in-two-parts`.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as folder:
            ...     for name in ("a.mha", "b.mha"):
            ...         Path(folder, name).touch()
            ...     table = Path(folder, "cohort.csv")
            ...     _ = table.write_text("scan,patient,label\\na.mha,p1,0\\nb.mha,p2,1")
            ...     [case.label for case in Cohort.read(table).cases]
            [0, 1]
        """
        from squeezect.cohorts.parsing import read_cases

        source = Path(path)
        cases = read_cases(source, require_labels=require_labels, allow_shared=allow_shared)
        return cls(cases, source)

    def save(self, path: Path | str) -> None:
        """Write the cohort as a table that `read` takes; rows are numbered anew.

        Args:
            path: the table; scans in or below its folder are written relative to it.
        """
        from squeezect.cohorts.parsing import write_cases

        write_cases(self.cases, Path(path))

    def __len__(self) -> int:
        return len(self.cases)

    @cached_property
    def _by_row(self) -> dict[int, Case]:
        return {case.row: case for case in self.cases}

    def case(self, row: int) -> Case:
        """The case of a row number.

        Raises:
            CohortError: `unknown-row`.
        """
        if row not in self._by_row:
            raise CohortError(UNKNOWN_ROW, f"{self.source.name} has no row {row} in this cohort")
        return self._by_row[row]

    def only(self, rows: Collection[int]) -> Self:
        """The cohort with just these rows; row numbers stay."""
        keep = {self.case(row).row for row in rows}
        return replace(self, cases=tuple(c for c in self.cases if c.row in keep))

    def without(self, rows: Collection[int]) -> Self:
        """The cohort without these rows; row numbers stay."""
        drop = {self.case(row).row for row in rows}
        return replace(self, cases=tuple(c for c in self.cases if c.row not in drop))

    @property
    def labelled(self) -> tuple[Case, ...]:
        """Cases with a label."""
        return tuple(c for c in self.cases if c.label is not None)

    @property
    def unlabelled(self) -> tuple[Case, ...]:
        """Cases without a label."""
        return tuple(c for c in self.cases if c.label is None)

    @cached_property
    def classes(self) -> int:
        """Number of classes: one more than the highest label, 2 at least."""
        return max([2, *(c.label + 1 for c in self.cases if c.label is not None)])

    @cached_property
    def digest(self) -> str:
        """Hash of the content, 16 hexadecimal digits: the same wherever the folder is moved to."""
        folder = self.source.parent.resolve()
        state = hashlib.blake2b(digest_size=8)
        for case in self.cases:
            state.update(json.dumps(_content(case, folder), sort_keys=True).encode())
        return state.hexdigest()


def portable(path: Path, folder: Path) -> str:
    """A path relative to `folder` if it is in or below it, else absolute; with forward slashes."""
    whole = path.absolute()
    base = folder.absolute()
    return (whole.relative_to(base) if whole.is_relative_to(base) else whole).as_posix()


def patients_of(cases: Iterable[Case]) -> dict[str, list[Case]]:
    """Cases by patient, in the order of first appearance."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.patient, []).append(case)
    return groups


def _content(case: Case, folder: Path) -> list[object]:
    mask = portable(case.mask, folder) if case.mask else ""
    place = [portable(case.scan, folder), mask, case.element, case.series]
    what = [case.point_mm, case.diameter_mm, case.fold, dict(case.extra)]
    return [case.row, case.patient, case.label, case.split, *place, *what]
