"""Read any CT, or refuse it with a reason: never a silent wrong volume."""

from squeezect.reading.reader import read_scan
from squeezect.reading.sources import LIMITS, Limits

__all__ = ["LIMITS", "Limits", "read_scan"]
