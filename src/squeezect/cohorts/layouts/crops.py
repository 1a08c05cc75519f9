"""Nodules cut out of scans: a table of nodules with a small volume and a mask for each."""

from pathlib import Path

from squeezect.cohorts.layouts.closing import close, folder_of
from squeezect.cohorts.parsing import Cells
from squeezect.cohorts.problems import Problem
from squeezect.cohorts.sheet import Sheet
from squeezect.cohorts.table import Case, Cohort

POINT = ("coordX", "coordY", "coordZ")
COLUMNS = ("patient_id", "seriesuid", *POINT, "diameter_mm", "Diagnosis_value", "file")


def read_nodule_crops(folder: Path | str, *, check_points: bool = True) -> Cohort:
    """Nodules with their crops, labelled 1 where malignant.

    Args:
        folder: holds ``nodules.csv`` with the columns `COLUMNS`, ``images`` and, if there are any,
            ``masks`` of the same file names.
        check_points: refuse centres outside their crop (reads the headers).

    Returns:
        One case per nodule; the table's other columns are its `Case.extra`.

    Raises:
        CohortError: `missing-scan`, `empty-value`, `bad-value`, `point-outside-scan`, `bad-header`
            and what `Cohort.read` says of tables, with row and file.
    """
    root = folder_of(folder, "nodules.csv, images and masks")
    source = root / "nodules.csv"
    sheet = Sheet.read(source, needs=COLUMNS)
    masks = root / "masks"
    problems: list[Problem] = []
    cases = []
    for row, values in sheet.rows():
        cells = Cells(values, sheet.at(row), problems)
        name = Path(cells.text("file")).name
        case = Case(
            scan=root / "images" / name,
            patient=cells.text("patient_id"),
            label=cells.whole("Diagnosis_value"),
            row=row,
            extra={k: v for k, v in values.items() if k not in COLUMNS},
            series=cells.text("seriesuid"),
            point_mm=cells.point(POINT),
            diameter_mm=cells.number("diameter_mm"),
            mask=masks / name if masks.is_dir() else None,
        )
        cases.append(case)
    return close({source: cases}, problems, check_points=check_points)
