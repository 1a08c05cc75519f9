"""Read any CT, or refuse it with a reason: never a silent wrong volume."""

from squeezect.reading.inspection import Inspection, SeriesReport, inspect
from squeezect.reading.reader import read_scan
from squeezect.reading.slices import read_slice
from squeezect.reading.sources import LIMITS, Limits

__all__ = [
    "LIMITS",
    "Inspection",
    "Limits",
    "SeriesReport",
    "inspect",
    "read_scan",
    "read_slice",
]
