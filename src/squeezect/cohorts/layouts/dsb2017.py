"""Data Science Bowl 2017: a folder of DICOM slices per patient, with tables of labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from squeezect.cohorts.layouts.closing import close, folder_of
from squeezect.cohorts.parsing import Cells
from squeezect.cohorts.problems import BAD_VALUE, MISSING_SCAN, Problem
from squeezect.cohorts.sheet import Sheet
from squeezect.cohorts.table import Case, Cohort, Split
from squeezect.errors import CohortError

Stage = Literal["stage1", "stage2"]

LABELS: Mapping[Stage, tuple[tuple[str, Split | None], ...]] = {
    "stage1": (("stage1_labels.csv", None), ("stage1_solution.csv", "test")),
    "stage2": (("stage2_solution.csv", "test"),),
}
"""Tables with the labels of each stage, and the split of their patients."""


def read_dsb2017(
    folder: Path | str, *, stage: Stage = "stage1", unlabelled: bool = False
) -> Cohort:
    """Patients of the Data Science Bowl 2017, labelled 1 where cancer was found within a year.

    Patients of a solution, which came out after the contest, have the split ``test``. Rows of
    several tables are numbered on from one to the next.

    Args:
        folder: holds the folder of the stage, with one folder per patient, and its tables.
        stage: the first was for training, the second for the final test.
        unlabelled: also take the patients of the submission's form whose labels are not there.

    Raises:
        CohortError: `missing-scan`, `empty-value`, `bad-value` and what `Cohort.read` says of
            tables, with row and file.
    """
    root = folder_of(folder, f"{stage} and its tables")
    names = list(LABELS[stage])
    if unlabelled:
        names.append((f"{stage}_sample_submission.csv", None))
    names = [(name, split) for name, split in names if (root / name).exists()]
    if not names:
        what = f"{root.name} holds no {LABELS[stage][0][0]}"
        raise CohortError(MISSING_SCAN, what, remedy="put the tables of labels beside the stage")
    problems: list[Problem] = []
    tables: dict[Path, list[Case]] = {}
    for name, split in names:
        known = {case.patient for cases in tables.values() for case in cases}
        cases = _cases(root / name, root / stage, split, problems)
        tables[root / name] = [case for case in cases if case.patient not in known]
    return close(tables, problems)


def _cases(source: Path, folder: Path, split: Split | None, problems: list[Problem]) -> list[Case]:
    form = "submission" in source.name
    sheet = Sheet.read(source, needs=("id", "cancer"), lower=True)
    cases = []
    for row, values in sheet.rows():
        cells = Cells(values, sheet.at(row), problems)
        patient = cells.text("id")
        if Path(patient).name != patient:
            problems.append(Problem(BAD_VALUE, f"{sheet.at(row)}: id is not the name of a folder"))
            continue
        if _is_empty(folder / patient):
            what = f"{sheet.at(row)}: its folder in {folder.name} is empty"
            problems.append(Problem(MISSING_SCAN, what))
        # The form's column holds a made-up probability.
        label = None if form or not cells.text("cancer") else cells.whole("cancer")
        cases.append(Case(folder / patient, patient, label, row, split))
    return cases


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and next(folder.iterdir(), None) is None
