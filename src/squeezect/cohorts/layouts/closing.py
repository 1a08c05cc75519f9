"""What every layout does last: look for the files, check the points, refuse or return a cohort."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from squeezect.cohorts.layouts.headers import GridOf, grid_of, outside_problems
from squeezect.cohorts.parsing import missing_files
from squeezect.cohorts.problems import EMPTY_TABLE, MISSING_SCAN, Problem, refuse
from squeezect.cohorts.table import Case, Cohort
from squeezect.errors import CohortError

Tables = Mapping[Path, Sequence[Case]]
"""Cases by the table that they come from, rows numbered within it."""


def close(
    tables: Tables,
    problems: Sequence[Problem],
    *,
    check_points: bool = True,
    grid: GridOf = grid_of,
) -> Cohort:
    """A cohort of these cases, or one refusal for everything found wrong with them.

    Args:
        tables: what the layout read. Rows of several tables are numbered on from one to the next.
        problems: what is known to be wrong already.
        check_points: read the headers of scans with points and refuse points outside.
        grid: reads the grid of a scan.

    Raises:
        CohortError: the first problem's code; `empty-table` if there is no case.
    """
    found = list(problems)
    for source, cases in tables.items():
        missing = missing_files(cases, source)
        found += missing
        if check_points and not missing:
            found += outside_problems(cases, source, grid=grid)
    refuse(found)
    first = next(iter(tables))
    if not any(tables.values()):
        what = f"{first.name} names no case that is there"
        raise CohortError(EMPTY_TABLE, what, remedy="check the folder and the options")
    everyone = [case for cases in tables.values() for case in cases]
    if len(tables) > 1:
        everyone = [replace(case, row=row) for row, case in enumerate(everyone, start=1)]
    return Cohort(tuple(everyone), first)


def folder_of(path: Path | str, what: str) -> Path:
    """The path, if it is a folder.

    Raises:
        CohortError: `missing-scan`.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise CohortError(
            MISSING_SCAN, f"{folder} is not a folder", remedy=f"name the folder that holds {what}"
        )
    return folder
