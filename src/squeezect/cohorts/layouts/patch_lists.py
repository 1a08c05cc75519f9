"""Lists of 2D patches: text files with a path and a label in each line."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from squeezect.cohorts.layouts.closing import close, folder_of
from squeezect.cohorts.layouts.list_lines import find_place, lines_of
from squeezect.cohorts.layouts.patients import read_patients
from squeezect.cohorts.parsing import Cells
from squeezect.cohorts.problems import MISSING_SCAN, UNKNOWN_SERIES, UNREADABLE_TABLE, Problem
from squeezect.cohorts.sheet import Sheet
from squeezect.cohorts.table import Case, Cohort, Split
from squeezect.errors import Code, CohortError

OTHER_CANDIDATES = Code(
    "other-candidates",
    "The numbers or labels of the patches do not fit the table of candidates.",
    "give the very table that the patches were cut by",
)

LISTS: Mapping[str, Split] = {"train.txt": "train", "val.txt": "test"}
POINT = ("coordX", "coordY", "coordZ")
NUMBER = re.compile(r"(\d+)\D*$")


def read_patch_lists(
    folder: Path | str,
    *,
    lists: Mapping[str, Split] = LISTS,
    candidates: Path | str | None = None,
    patients: Mapping[str, str] | Path | str | None = None,
    label: str = "",
) -> Cohort:
    """Patches with their labels; the rows of one list are the lines of its file.

    Rows of several lists are numbered on from one to the next.

    Args:
        folder: holds the lists. Paths in them are relative to the list or to the folder; if none is
            there, leading parts (another machine's folders) are passed over, as few as will do.
        lists: split of each list's patches; lists that are not there are passed over, if one is.
            A list has a path and a label in each line, see `lines_of`.
        candidates: LUNA16's ``candidates.csv``, if at hand. It gives each patch the series and the
            point that it was cut around, by the number in its file's name (counted from 0 or 1,
            whichever fits the labels). Without it every patch counts as a patient of its own,
            although several may show one nodule.
        patients: patient of each series, see `read_patients`; without it a series is a patient.
        label: column of the label in lists that are tables; ``label``, ``class`` or ``target``.

    Raises:
        CohortError: `missing-scan`, `bad-value`, `unreadable-table`, `unknown-series`,
            `other-candidates`, with row and file.
    """
    root = folder_of(folder, " and ".join(lists))
    problems: list[Problem] = []
    there = [name for name in lists if (root / name).exists()]
    if not there:
        raise CohortError(
            MISSING_SCAN, f"{root.name} holds no {' or '.join(lists)}", remedy="name the lists"
        )
    tables = {root / name: _cases(root, name, lists[name], label, problems) for name in there}
    if candidates is not None and not problems:
        sheet = Sheet.read(Path(candidates), needs=("seriesuid", *POINT, "class"))
        first = _first_number(tables, sheet)
        who = None if patients is None else read_patients(patients)
        for path, cases in tables.items():
            tables[path] = [_placed(case, sheet, first, who, problems) for case in cases]
    return close(tables, problems, check_points=False)


def _cases(root: Path, name: str, split: Split, label: str, problems: list[Problem]) -> list[Case]:
    source = root / name
    lines = lines_of(source, label=label)
    place = find_place([line.path for line in lines], (source.parent, root))
    cases = []
    for line in lines:
        at = f"row {line.row} of {source.name}"
        if not line.whole:
            problems.append(Problem(UNREADABLE_TABLE, f"{at} is not a path and a label"))
            continue
        found = Cells({"label": line.label}, at, problems).whole("label")
        scan = place.of(line.path)
        cases.append(Case(scan, f"{source.stem}-{line.row}", found, line.row, split))
    return cases


def _first_number(tables: Mapping[Path, Sequence[Case]], sheet: Sheet) -> int:
    """Number of the first row of the candidates, 0 or 1: the one that agrees with all labels."""
    column = sheet.columns.index("class")
    labels = [int(line[column] in {"1", "1.0"}) for line in sheet.lines]
    pairs = [(path, case, _number(case)) for path, cases in tables.items() for case in cases]
    misfit = ""
    for first in (0, 1):
        for path, case, number in pairs:
            if not first <= number < len(labels) + first or labels[number - first] != case.label:
                misfit = misfit or f"row {case.row} of {path.name} does not fit {sheet.name}"
                break
        else:
            return first
    raise CohortError(OTHER_CANDIDATES, misfit)


def _number(case: Case) -> int:
    match = NUMBER.search(case.scan.stem)
    return int(match[1]) if match else -1


def _placed(
    case: Case,
    sheet: Sheet,
    first: int,
    who: Mapping[str, str] | None,
    problems: list[Problem],
) -> Case:
    index = _number(case) - first
    values = dict(zip(sheet.columns, sheet.lines[index], strict=True))
    cells = Cells(values, sheet.at(index + 1), problems)
    series = values["seriesuid"]
    if who is not None and series not in who:
        what = f"{sheet.at(index + 1)}: its series has no known patient"
        problems.append(Problem(UNKNOWN_SERIES, what))
    patient = series if who is None else who.get(series, "")
    return replace(case, patient=patient, series=series, point_mm=cells.point(POINT))
