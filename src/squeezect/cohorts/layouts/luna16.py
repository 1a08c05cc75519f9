"""LUNA16: ten subsets of MetaImage volumes, with tables of candidates and annotations.

Setio et al., "Validation, comparison, and combination of algorithms for automatic detection of
pulmonary nodules in computed tomography images: the LUNA16 challenge", 2017.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from squeezect.cohorts.layouts.closing import close, folder_of
from squeezect.cohorts.layouts.patients import read_patients
from squeezect.cohorts.parsing import Cells
from squeezect.cohorts.problems import MISSING_SCAN, UNKNOWN_SERIES, Problem
from squeezect.cohorts.sheet import Sheet
from squeezect.cohorts.table import Case, Cohort
from squeezect.errors import CohortError

LunaTable = Literal["candidates", "candidates_V2", "annotations", "annotations_excluded", "scans"]

POINT = ("coordX", "coordY", "coordZ")
LABEL_COLUMNS: Mapping[LunaTable, tuple[str, ...]] = {
    "candidates": ("class",),
    "candidates_V2": ("class",),
    "annotations": ("diameter_mm",),
    "annotations_excluded": ("diameter_mm",),
}


def read_luna16(
    folder: Path | str,
    *,
    table: LunaTable = "candidates",
    patients: Mapping[str, str] | Path | str | None = None,
    partial: bool = False,
    check_points: bool = True,
) -> Cohort:
    """Cases of LUNA16, each with the number of its subset as its fold.

    Args:
        folder: holds ``subset0`` ... ``subset9`` and the tables, these perhaps in ``CSVFILES``.
        table: whose rows become cases. ``candidates`` are labelled by their class,
            ``annotations`` are all 1, ``annotations_excluded`` are unlabelled; ``scans`` are whole
            volumes, labelled 1 where they have an annotation.
        patients: patient of each series, see `read_patients`. Without it every series counts as a
            patient of its own, although one patient of LUNA16 has two.
        partial: leave out the rows whose volume was not downloaded.
        check_points: refuse points outside their volume (reads the headers).

    Raises:
        CohortError: `missing-scan`, `unknown-series`, `point-outside-scan`, `bad-header` and what
            `Cohort.read` says of tables, with row and file.
    """
    root = folder_of(folder, "subset0 to subset9")
    sheet, source = _sheet(root, table)
    volumes = _volumes(root)
    listed = _listed(root)
    positive = _annotated(root) if table == "scans" else frozenset[str]()
    who = None if patients is None else read_patients(patients)
    problems: list[Problem] = []
    cases = []
    for row, cells in sheet.rows():
        series, at = cells["seriesuid"], sheet.at(row)
        if series not in volumes and (series in listed or not listed):
            if not partial:
                what = f"{at}: no file subset*/*.mhd is its volume"
                problems.append(Problem(MISSING_SCAN, what))
        elif series not in volumes:
            problems.append(Problem(UNKNOWN_SERIES, f"{at}: seriesuids.csv lacks its series"))
        elif who is not None and series not in who:
            problems.append(Problem(UNKNOWN_SERIES, f"{at}: its series has no known patient"))
        else:
            scan, subset = volumes[series]
            read = Cells(cells, at, problems)
            case = Case(
                scan=scan,
                patient=who[series] if who else series,
                label=_label(read, table, known=series in positive),
                row=row,
                series=series,
                point_mm=None if table == "scans" else read.point(POINT),
                diameter_mm=_diameter_mm(read),
                fold=subset,
            )
            cases.append(case)
    return close({source: cases}, problems, check_points=check_points)


def _sheet(root: Path, table: LunaTable) -> tuple[Sheet, Path]:
    if table == "scans":
        source = _find(root, "seriesuids.csv")
        return Sheet.read(source, needs=("seriesuid",), header=False), source
    source = _find(root, f"{table}.csv")
    return Sheet.read(source, needs=("seriesuid", *POINT, *LABEL_COLUMNS[table])), source


def _find(root: Path, name: str) -> Path:
    for place in (root / name, root / "CSVFILES" / name):
        if place.exists():
            return place
    raise CohortError(
        MISSING_SCAN,
        f"{root.name} holds no {name}, nor does its CSVFILES",
        remedy="put LUNA16's tables beside its subsets",
    )


def _volumes(root: Path) -> dict[str, tuple[Path, int]]:
    """Volume and subset of each series; some programs unpack ``subset0`` into ``subset0``."""
    volumes = {}
    for path in sorted(root.glob("subset*/**/*.mhd")):
        match = re.fullmatch(r"subset(\d+)", path.relative_to(root).parts[0])
        if match:
            volumes[path.stem] = (path, int(match[1]))
    return volumes


def _listed(root: Path) -> frozenset[str]:
    """All series of the data set; empty where the table that lists them is missing."""
    try:
        sheet, _ = _sheet(root, "scans")
    except CohortError as error:
        if error.kind != MISSING_SCAN:
            raise
        return frozenset()
    return frozenset(series for (series,) in sheet.lines)


def _annotated(root: Path) -> frozenset[str]:
    sheet, _ = _sheet(root, "annotations")
    return frozenset(cells["seriesuid"] for _, cells in sheet.rows())


def _label(cells: Cells, table: LunaTable, *, known: bool) -> int | None:
    if table == "scans":
        return int(known)
    if table == "annotations_excluded":
        return None
    if table == "annotations":
        return 1
    return cells.whole("class") if cells.text("class") else None


def _diameter_mm(cells: Cells) -> float | None:
    """The diameter; a negative one stands for unknown."""
    diameter_mm = cells.number("diameter_mm")
    return None if diameter_mm is None or diameter_mm < 0 else diameter_mm
