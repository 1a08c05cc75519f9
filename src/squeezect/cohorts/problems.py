"""What can be wrong with a table of cases, gathered so that one message tells several at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from squeezect.errors import Code, CohortError

SHOWN = 3
"""Problems spelled out in one message; the others are counted."""

UNREADABLE_TABLE = Code(
    "unreadable-table",
    "The file is not a delimited text table in UTF-8.",
    'save it as "CSV UTF-8" with one header line and as many values in every row',
)
EMPTY_TABLE = Code(
    "empty-table",
    "The table has no data rows.",
    "write a header line and one row per scan",
)
MISSING_COLUMN = Code(
    "missing-column",
    "A column that is needed is not in the header.",
    "name the columns exactly as shown",
)
EMPTY_VALUE = Code(
    "empty-value",
    "A cell that must be filled is empty.",
    "fill it or remove the row",
)
BAD_VALUE = Code(
    "bad-value",
    "A cell holds something that its column does not allow.",
    "write what is asked for, and leave empty what is not known",
)
MISSING_SCAN = Code(
    "missing-scan",
    "A file or folder that the table names does not exist.",
    "correct the path (relative paths start at the table's folder) or remove the row",
)
DUPLICATE_SCAN = Code(
    "duplicate-scan",
    "One scan is listed twice.",
    "keep one row per scan",
)
TWO_LABELS = Code(
    "two-labels",
    "The scans of one patient have different labels.",
    "give every scan of a patient the same label",
)
ONE_CLASS = Code(
    "too-few-classes",
    "The labels do not cover two or more classes.",
    "label the classes 0, 1, ... and give at least one scan of each",
)
PATIENT_IN_TWO_PARTS = Code(
    "patient-in-two-parts",
    "One patient is in two parts that must not share patients.",
    "put all scans of a patient into the same part",
)
UNKNOWN_SERIES = Code(
    "unknown-series",
    "A row names a series that no scan of the data set has.",
    "add the scan, correct the series UID or remove the row",
)
OUTSIDE_SCAN = Code(
    "point-outside-scan",
    "A point lies outside the field of its scan.",
    "check the point's unit and axes (LPS millimetres x, y, z) and the scan's header",
)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: its code, and what and where in a sentence."""

    code: Code
    what: str


def refuse(problems: Sequence[Problem]) -> None:
    """Raise one error for all problems; return if there are none.

    Args:
        problems: in the order in which to tell them; the first gives code and remedy.

    Raises:
        CohortError: the first problem's code, with the first few problems in its text.
    """
    if not problems:
        return
    told = "; ".join(p.what for p in problems[:SHOWN])
    more = len(problems) - SHOWN
    if more > 0:
        told += f"; and {more} more {'problem' if more == 1 else 'problems'}"
    raise CohortError(problems[0].code, told)
