"""Between rows of text and cases: what each column allows, and what must agree over rows."""

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from squeezect.cohorts.problems import (
    BAD_VALUE,
    DUPLICATE_SCAN,
    EMPTY_VALUE,
    MISSING_SCAN,
    ONE_CLASS,
    PATIENT_IN_TWO_PARTS,
    TWO_LABELS,
    Problem,
    refuse,
)
from squeezect.cohorts.sheet import Sheet
from squeezect.cohorts.table import SPLITS, Case, Split, patients_of, portable
from squeezect.scan import Triple, pseudonym

COLUMNS = ("scan", "patient", "label", "split")
POINT_COLUMNS = ("x_mm", "y_mm", "z_mm")
DETAIL_COLUMNS = ("series", *POINT_COLUMNS, "diameter_mm", "mask", "element", "fold")

# Tables written by others often hold whole numbers as 1.0, once a cell of the column is empty.
WHOLE = re.compile(r"(\d{1,9})(?:\.0+)?")
UNKNOWN = frozenset({"nan", "na", "n/a", "#n/a", "<na>", "none", "null"})
"""What programs write into a cell of numbers that is not known, in small letters."""


class Cells:
    """The cells of one row, turned into values; what is wrong is collected, not raised.

    Args:
        cells: text by column.
        at: where the row is, in words.
        problems: list that problems are added to.
    """

    def __init__(self, cells: dict[str, str], at: str, problems: list[Problem]) -> None:
        self.cells = cells
        self.at = at
        self.problems = problems

    def text(self, column: str) -> str:
        """A cell that must be filled."""
        value = self.cells[column]
        if not value:
            self._empty(column)
        return value

    def whole(self, column: str) -> int | None:
        """A whole number from 0 up; None if empty, unknown or missing."""
        value = self._known(column)
        match = WHOLE.fullmatch(value)
        if value and not match:
            self._bad(column, "a whole number from 0 up, or empty")
        return int(match[1]) if match else None

    def number(self, column: str) -> float | None:
        """A finite number; None if empty, unknown or missing."""
        value = self._known(column)
        if not value:
            return None
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            return number
        self._bad(column, "a number with a decimal point, or empty")
        return None

    def point(self, columns: Sequence[str]) -> Triple | None:
        """A point from three cells; None if all are empty, unknown or missing."""
        if not any(self._known(c) for c in columns):
            return None
        for column in columns:
            if not self._known(column):
                self._empty(column)
        values = [self.number(c) for c in columns]
        numbers = [v for v in values if v is not None]
        return (numbers[0], numbers[1], numbers[2]) if len(numbers) == 3 else None

    def choice(self, column: str, choices: Sequence[str]) -> str | None:
        """One of some words; None if empty or missing."""
        value = self.cells.get(column, "")
        if value and value not in choices:
            self._bad(column, " or ".join(choices) + ", or empty")
            return None
        return value or None

    def _known(self, column: str) -> str:
        """A cell of numbers, "" where it says that it is not known."""
        value = self.cells.get(column, "")
        return "" if value.lower() in UNKNOWN else value

    def _empty(self, column: str) -> None:
        self.problems.append(Problem(EMPTY_VALUE, f"{self.at}: {column} is empty"))

    def _bad(self, column: str, wanted: str) -> None:
        value = self.cells[column][:40]
        self.problems.append(Problem(BAD_VALUE, f"{self.at}: {column} {value!r} is not {wanted}"))


def read_cases(
    source: Path, *, require_labels: bool, allow_shared: bool = False
) -> tuple[Case, ...]:
    """Cases of a cohort's table; see `Cohort.read`."""
    sheet = Sheet.read(source, needs=COLUMNS[: 3 if require_labels else 2])
    problems: list[Problem] = []
    cases = [
        _case(row, Cells(cells, sheet.at(row), problems), source.parent)
        for row, cells in sheet.rows()
    ]
    filled = [case for case in cases if case.patient and case.scan != source.parent]
    problems += missing_files(filled, source)
    shared = {DUPLICATE_SCAN, PATIENT_IN_TWO_PARTS} if allow_shared else set()
    problems += [p for p in contradictions(filled, source) if p.code not in shared]
    if require_labels and not problems:
        problems += one_class(cases, source)
    refuse(problems)
    return tuple(cases)


def _case(row: int, cells: Cells, folder: Path) -> Case:
    known = {*COLUMNS, *DETAIL_COLUMNS}
    mask = cells.cells.get("mask", "")
    return Case(
        scan=folder / cells.text("scan"),
        patient=cells.text("patient"),
        label=cells.whole("label"),
        row=row,
        split=cast("Split | None", cells.choice("split", SPLITS)),
        extra={name: value for name, value in cells.cells.items() if name not in known},
        series=cells.cells.get("series", ""),
        point_mm=cells.point(POINT_COLUMNS),
        diameter_mm=cells.number("diameter_mm"),
        mask=folder / mask if mask else None,
        element=cells.cells.get("element", ""),
        fold=cells.whole("fold"),
    )


def missing_files(cases: Sequence[Case], source: Path) -> list[Problem]:
    """A problem for each scan or mask that is not there; each file is looked for once."""
    there: dict[Path, bool] = {}
    problems = []
    for case in cases:
        for kind, path in (("scan", case.scan), ("mask", case.mask)):
            if path is None:
                continue
            if path not in there:
                there[path] = path.exists()
            if not there[path]:
                what = f"{_at(case.row, source)}: {kind} {_written(path, source)} does not exist"
                problems.append(Problem(MISSING_SCAN, what))
    return problems


def contradictions(cases: Sequence[Case], source: Path) -> list[Problem]:
    """Scans listed twice, patients with two labels for whole scans, patients on both sides."""
    problems = []
    seen: dict[object, dict[str, int]] = {}
    resolved = {path: path.resolve() for path in {c.scan for c in cases}}
    for case in cases:
        rows = seen.setdefault((resolved[case.scan], case.element, case.point_mm), {})
        # A table may have a series' UID, or the name that results give it.
        name = _shown(case.dicom_series)
        # A row that names no series may be about any of them.
        alike = [r for s, r in rows.items() if "" in {s, name} or s == name]
        if alike:
            scan = _written(case.scan, source)
            what = f"rows {alike[0]} and {case.row} of {source.name} are the same scan {scan}"
            problems.append(Problem(DUPLICATE_SCAN, what))
        rows.setdefault(name, case.row)
    for group in patients_of(cases).values():
        # Nodules of one patient may differ; a scan's label speaks of the patient.
        labels: dict[int, int] = {}
        for case in group:
            if case.point_mm is None and case.label is not None:
                labels.setdefault(case.label, case.row)
        if len(labels) > 1:
            first, second = sorted(labels.values())[:2]
            what = f"rows {first} and {second} of {source.name} are one patient with two labels"
            problems.append(Problem(TWO_LABELS, what))
        sides = {case.split or "train": case.row for case in group}
        if len(sides) > 1:
            what = f"rows {sides['train']} (train) and {sides['test']} (test) of {source.name} "
            problems.append(Problem(PATIENT_IN_TWO_PARTS, what + "are one patient"))
    return problems


def _shown(series: str) -> str:
    """The name of a series in results, from that name or its UID."""
    return pseudonym(series) if "." in series else series


def one_class(cases: Sequence[Case], source: Path) -> list[Problem]:
    """A problem if the labels are not 0, 1, ... with two classes at least."""
    labels = {c.label for c in cases if c.label is not None}
    if len(labels) >= 2 and labels == set(range(len(labels))):
        return []
    found = ", ".join(map(str, sorted(labels)[:10])) or "none"
    return [Problem(ONE_CLASS, f"labels of {source.name} are {found}, not 0 and 1 (or 0, 1, 2...)")]


def _at(row: int, source: Path) -> str:
    return f"row {row} of {source.name}"


def _written(path: Path, source: Path) -> str:
    """A path as the table has it, or as short as can be; never over two lines."""
    text = portable(path, source.parent)
    return text if text.isprintable() else repr(text)


def write_cases(cases: Sequence[Case], path: Path) -> None:
    """Write a table of cases; see `Cohort.save`."""
    extra = list(dict.fromkeys(name for case in cases for name in case.extra))
    records = [_record(case, path.parent) for case in cases]
    used = [c for c in ("split", *DETAIL_COLUMNS) if any(r[c] != "" for r in records)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS[:3], *used, *extra])
    for case, record in zip(cases, records, strict=True):
        known = [record[c] for c in (*COLUMNS[:3], *used)]
        writer.writerow([*known, *(case.extra.get(name, "") for name in extra)])
    scratch = path.with_name(path.name + ".part")
    scratch.write_text(text.getvalue(), "utf-8")
    scratch.replace(path)


def _record(case: Case, folder: Path) -> dict[str, object]:
    blank = {"label": case.label, "diameter_mm": case.diameter_mm, "fold": case.fold}
    point = case.point_mm or ("", "", "")
    return {
        "scan": portable(case.scan, folder),
        "patient": case.patient,
        "split": case.split or "",
        "series": case.series,
        "mask": portable(case.mask, folder) if case.mask else "",
        "element": case.element,
        **dict(zip(POINT_COLUMNS, point, strict=True)),
        **{name: "" if value is None else value for name, value in blank.items()},
    }
