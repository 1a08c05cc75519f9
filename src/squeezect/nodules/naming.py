"""Whose nodule is it: pseudonyms of the patient and the series of a case.

Data sets do not agree on who a patient is: LUNA16 knows its series only, LIDC-IDRI, whose scans
these are, names the patients too. A nodule is only kept apart from a case for sure where both name
a person, or both name a series.
"""

import re

from squeezect.cohorts import Case
from squeezect.scan import pseudonym

# Numbers of twelve digits are accession numbers far more often than pseudonyms without a letter.
PSEUDONYM = re.compile(r"(?![0-9]+$)[0-9a-f]{12}")
UID = re.compile(r"[012](\.\d+){4,}")


def series_of(case: Case) -> str:
    """Pseudonym of a case's series, "" if unknown; tables have its UID, or the pseudonym itself."""
    series = case.series or (case.patient if UID.fullmatch(case.patient) else "")
    return series if not series or PSEUDONYM.fullmatch(series) else pseudonym(series)


def names_of(case: Case) -> set[str]:
    """All names under which a bank may hold the patient or the series of a case."""
    names = {pseudonym(case.patient), series_of(case)} - {""}
    if case.series.isdecimal():
        names.add(case.series)  # as a pseudonym, and in banks made when it was taken for one
    # A pseudonym without a letter is given a pseudonym of its own where a table has it.
    return names | {pseudonym(name) for name in names if name.isdecimal()}


def names_person(case: Case) -> bool:
    """Whether the patient of a case is more than another name of a series or study."""
    same = case.patient in {case.series, series_of(case)}
    return not same and not UID.fullmatch(case.patient)
