"""Values of DICOM tags as plain Python, from headers that are not to be trusted."""

import math
import struct
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from squeezect.reading.names import printable

DICOM_ERRORS = (
    InvalidDicomError,
    BytesLengthException,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    EOFError,
    OSError,
    NotImplementedError,
    RecursionError,
    AssertionError,
    struct.error,
    zlib.error,
)
"""What pydicom and its converters raise on damaged files."""

_KEYWORDS = """
    SOPClassUID SOPInstanceUID ImageType Modality SeriesInstanceUID SeriesDescription
    PatientID StudyInstanceUID FrameOfReferenceUID AcquisitionNumber
    Manufacturer KVP ConvolutionKernel ContrastBolusAgent SliceThickness GantryDetectorTilt
    ImagePositionPatient ImageOrientationPatient PixelSpacing Rows Columns NumberOfFrames
    SamplesPerPixel PhotometricInterpretation BitsAllocated BitsStored HighBit
    PixelRepresentation RescaleSlope RescaleIntercept RescaleType ModalityLUTSequence
    PixelPaddingValue PixelPaddingRangeLimit LossyImageCompression
    SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence
"""
TAGS = {keyword: Tag(keyword) for keyword in _KEYWORDS.split()}
"""What is read of a header, by keyword; the rest is passed over."""

_NEEDS_THE_REST = {
    "PatientID",
    "SeriesDescription",
    "Manufacturer",
    "ConvolutionKernel",
    "ContrastBolusAgent",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
}
"""Tags whose value hangs on other tags too: the character set, the sign of the pixels."""


def value_of(dataset: Dataset, keyword: str) -> object:
    """A tag's value, None if it is missing, empty or cannot be converted."""
    try:
        raw: object = dataset.get_item(TAGS.get(keyword, keyword))
        if (
            isinstance(raw, RawDataElement)
            and isinstance(raw.value, bytes)
            and keyword not in _NEEDS_THE_REST
        ):
            return _converted(raw.tag, raw.VR, raw.value, raw.is_implicit_VR, raw.is_little_endian)
        value: object = dataset.get(keyword)
    except DICOM_ERRORS:
        return None
    return value


@lru_cache(maxsize=2048)
def _converted(
    tag: BaseTag,
    vr: str | None,
    value: bytes,
    implicit: bool,  # noqa: FBT001 - part of a key
    little: bool,  # noqa: FBT001 - part of a key
) -> object:
    """What pydicom makes of a stored value; the slices of a series share most of theirs."""
    raw = RawDataElement(tag, vr, len(value), value, 0, implicit, little)
    return convert_raw_data_element(raw).value


def text(dataset: Dataset, keyword: str) -> str:
    """A tag as text, "" if it is missing."""
    value = value_of(dataset, keyword)
    return printable(value.strip(" \0")) if isinstance(value, str | UID) else ""


def words(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """A tag of one or several words."""
    value = value_of(dataset, keyword)
    if isinstance(value, str):
        return (printable(value.strip()),) if value.strip() else ()
    return tuple(printable(str(v).strip()) for v in value) if isinstance(value, Sequence) else ()


def number(dataset: Dataset, keyword: str) -> float | None:
    """A tag as one finite number, None if it is none."""
    found = numbers(dataset, keyword, 1)
    return found[0] if found else None


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """A tag as `count` finite numbers, None if it is not."""
    value = value_of(dataset, keyword)
    if value is None or isinstance(value, bytes):
        return None
    several = isinstance(value, Sequence) and not isinstance(value, str)
    parts: Sequence[Any] = value if several else [value]  # type: ignore[assignment]
    try:
        found = tuple(float(part) for part in parts)
    except DICOM_ERRORS:
        return None
    return found if len(found) == count and all(map(math.isfinite, found)) else None


def whole(dataset: Dataset, keyword: str, default: int | None) -> int | None:
    """A tag as a whole number, or the default."""
    value = number(dataset, keyword)
    return default if value is None else int(value)


def positive(values: tuple[float, ...] | None) -> tuple[float, ...] | None:
    """Numbers that are all above 0, else None."""
    return values if values and min(values) > 0 else None
