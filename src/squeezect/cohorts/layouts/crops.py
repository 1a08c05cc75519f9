"""Nodules cut out of scans: a table of nodules with a small volume and a mask for each."""

from pathlib import Path

from squeezect.cohorts.layouts.closing import close, folder_of
from squeezect.cohorts.parsing import Cells
from squeezect.cohorts.problems import Problem
from squeezect.cohorts.sheet import Sheet
from squeezect.cohorts.table import Case, Cohort

POINT = ("coordX", "coordY", "coordZ")
LABEL = "Diagnosis_value"
NEEDED = ("patient_id", "file")
COLUMNS = ("patient_id", "seriesuid", *POINT, "diameter_mm", LABEL, "file")


def read_nodule_crops(
    folder: Path | str,
    *,
    table: str = "nodules.csv",
    label: str = LABEL,
    check_points: bool = True,
) -> Cohort:
    """Nodules with their crops, labelled 1 where malignant.

    Args:
        folder: holds the table, ``images`` and, if there are any, ``masks`` of the same file names.
        table: its file's name. It needs the columns `NEEDED` and the label; of the other `COLUMNS`,
            those that are not there are unknown. A point needs all three of its coordinates.
        label: the column of the label, 0 or 1; cells may be empty.
        check_points: refuse centres outside their crop (reads the headers).

    Returns:
        One case per nodule; the table's other columns are its `Case.extra`.

    Raises:
        CohortError: `missing-scan`, `missing-column`, `empty-value`, `bad-value`,
            `point-outside-scan`, `bad-header` and what `Cohort.read` says of tables, with row and
            file.
    """
    root = folder_of(folder, f"{table}, images and masks")
    source = root / table
    sheet = Sheet.read(source, needs=(*NEEDED, label))
    if set(POINT) & set(sheet.columns):
        sheet = Sheet.read(source, needs=(*NEEDED, label, *POINT))
    images, masks = root / "images", root / "masks"
    problems: list[Problem] = []
    cases = []
    for row, values in sheet.rows():
        cells = Cells(values, sheet.at(row), problems)
        name = Path(cells.text("file")).name
        case = Case(
            scan=(images if images.is_dir() else root) / name,
            patient=cells.text("patient_id"),
            label=cells.whole(label),
            row=row,
            extra={k: v for k, v in values.items() if k not in {*COLUMNS, label}},
            series=values.get("seriesuid", ""),
            point_mm=cells.point(POINT),
            diameter_mm=cells.number("diameter_mm"),
            mask=masks / name if masks.is_dir() else None,
        )
        cases.append(case)
    return close({source: cases}, problems, check_points=check_points)
