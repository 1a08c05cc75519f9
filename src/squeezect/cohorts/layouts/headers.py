"""Where a volume lies, from its header alone, and which points lie outside it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from squeezect.cohorts.problems import MISSING_SCAN, OUTSIDE_SCAN, Problem
from squeezect.cohorts.table import Case, portable
from squeezect.errors import Code, CohortError, ReadingError
from squeezect.reading.images import image_header
from squeezect.scan import Grid

BAD_HEADER = Code(
    "bad-header",
    "The header of a volume cannot be read, or is not of a volume.",
    "download the file again or remove its rows",
)

MARGIN_MM = 5.0
"""Points this far outside are let pass: centres found by machines may lie on the very edge."""

GridOf = Callable[[Path], Grid]


def grid_of(path: Path) -> Grid:
    """The grid of a volume in a single file (MetaImage, NIfTI, NRRD), without reading its voxels.

    Args:
        path: the file.

    Raises:
        CohortError: `bad-header`, or `missing-scan` if a MetaImage header's voxel file is missing.
    """
    try:
        grid, voxels = image_header(path)
    except ReadingError as error:
        raise CohortError(BAD_HEADER, f"{error.what} [{error.code}]") from error
    if voxels and not (path.parent / voxels).exists():
        what = f"{path.name} names its voxels {voxels}, which do not exist"
        raise CohortError(MISSING_SCAN, what)
    return grid


def outside_problems(
    cases: Sequence[Case], source: Path, *, grid: GridOf = grid_of, margin_mm: float = MARGIN_MM
) -> list[Problem]:
    """A problem for each case whose point is outside its scan, or whose scan has a bad header.

    Args:
        cases: those with a point are looked at; each scan's header is read once.
        source: the table that they come from, for messages.
        grid: reads the grid of a scan.
        margin_mm: how far outside the field a point may be, in mm along each axis.
    """
    by_scan: dict[Path, list[Case]] = {}
    for case in cases:
        if case.point_mm is not None:
            by_scan.setdefault(case.scan, []).append(case)
    problems = []
    for path, group in by_scan.items():
        try:
            field = grid(path)
        except CohortError as error:
            what = f"row {group[0].row} of {source.name}: {error.what}"
            problems.append(Problem(error.kind, what))
            continue
        beyond_mm = _beyond_mm(field, [case.point_mm for case in group])
        for case, mm in zip(group, beyond_mm, strict=True):
            if mm > margin_mm:
                scan = portable(path, source.parent)
                what = f"point {case.point_mm} mm is {mm:.0f} mm outside {scan}"
                problems.append(Problem(OUTSIDE_SCAN, f"row {case.row} of {source.name}: {what}"))
    return problems


def _beyond_mm(grid: Grid, points_mm: Sequence[object]) -> list[float]:
    """How far each point is outside the field, in mm along the worst axis; 0 inside."""
    index = grid.to_index(np.array(points_mm, float))
    excess = np.maximum(-0.5 - index, index - np.array(grid.shape) + 0.5)
    beyond: list[float] = (excess * np.array(grid.spacing_mm)).max(axis=1).clip(0).tolist()
    return beyond
