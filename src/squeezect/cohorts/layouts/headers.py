"""Where a volume lies, from its header alone, and which points lie outside it."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from squeezect.cohorts.problems import MISSING_SCAN, OUTSIDE_SCAN, Problem
from squeezect.cohorts.table import Case, portable
from squeezect.errors import Code, CohortError
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
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise CohortError(BAD_HEADER, f"{path.name} has no readable header") from error
    if reader.GetDimension() != 3:
        raise CohortError(BAD_HEADER, f"{path.name} has {reader.GetDimension()} dimensions, not 3")
    _check_voxels(path)
    sx, sy, sz = reader.GetSize()
    dx, dy, dz = reader.GetSpacing()
    x, y, z = reader.GetOrigin()
    # Columns of the matrix are the axes x, y, z of the array.
    axes = np.reshape(reader.GetDirection(), (3, 3)).T[::-1]
    rows = [(float(a), float(b), float(c)) for a, b, c in axes]
    return Grid((sz, sy, sx), (dz, dy, dx), (x, y, z), (rows[0], rows[1], rows[2]))


def _check_voxels(path: Path) -> None:
    if path.suffix.lower() != ".mhd":
        return
    match = re.search(r"^ElementDataFile\s*=\s*(.+?)\s*$", path.read_text("latin-1"), re.MULTILINE)
    name = match[1] if match else "LOCAL"
    # Other forms of this entry (a list, a pattern) are left to whoever reads the voxels.
    if name.upper() != "LOCAL" and len(name.split()) == 1 and not (path.parent / name).exists():
        raise CohortError(MISSING_SCAN, f"{path.name} names its voxels {name}, which do not exist")


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
