"""What a DICOM file says of its slices, read without its pixels and without trusting it."""

import io
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import BinaryIO, Literal

from pydicom import dcmread
from pydicom.dataset import Dataset

from squeezect.errors import ReadingError
from squeezect.reading import codes
from squeezect.reading.sources import HEAD_BYTES, Limits, Source
from squeezect.reading.values import (
    DICOM_ERRORS,
    TAGS,
    number,
    numbers,
    positive,
    text,
    whole,
    words,
)
from squeezect.scan import pseudonym

DEFLATED = b"1.2.840.10008.1.2.1.99"
CT_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "enhanced CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "legacy converted enhanced CT",
}
ORIGIN = ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID")
"""Slices that contradict each other in one of these are no one volume."""
DICOM_SUFFIXES = {".dcm", ".dicom", ".ima"}
DIRECTORY_CLASS = "1.2.840.10008.1.3.10"

PixelKind = Literal["", "int", "float"]


@dataclass(frozen=True)
class Pixels:
    """How the pixels of a file are stored.

    Args:
        kind: whole numbers, floating point, or "" for none.
        syntax: UID of the transfer syntax.
        offset: of the first pixel in the (inflated) file; 0 where they are encapsulated.
        nbytes: declared length of the uncompressed pixels; -1 where they are encapsulated.
        little_endian: byte order.
        deflated: whether the file has to be inflated first.
        rows: height of a frame.
        columns: width of a frame.
        frames: how many.
        samples: per pixel.
        photometric: interpretation, e.g. ``MONOCHROME2``.
        allocated: bits per stored value.
        stored: bits that count.
        high_bit: place of the highest bit that counts.
        signed: whether the highest bit is a sign.
        lossy: whether the header says that the pixels were compressed with loss.
    """

    kind: PixelKind = ""
    syntax: str = ""
    offset: int = 0
    nbytes: int = -1
    little_endian: bool = True
    deflated: bool = False
    rows: int = 0
    columns: int = 0
    frames: int = 1
    samples: int = 1
    photometric: str = ""
    allocated: int = 0
    stored: int = 0
    high_bit: int = 0
    signed: bool = False
    lossy: bool = False


@dataclass(frozen=True)
class Header:
    """One slice: a file, or a frame of one.

    Args:
        source: the file.
        frame: number of the frame, from 0.
        pixels: how the file stores its pixels.
        sop_class: UID of the kind of object.
        modality: e.g. ``CT``.
        series: SeriesInstanceUID.
        origin: patient, study and frame of reference, each a hash or "" where it is missing.
        acquisition: AcquisitionNumber, None if missing.
        description: of the series.
        image_type: words of ImageType.
        position_mm: ImagePositionPatient, None if missing or no three finite numbers.
        orientation: ImageOrientationPatient, None if missing or no six finite numbers.
        spacing_mm: PixelSpacing (between rows, between columns), None if missing or not positive.
        thickness_mm: SliceThickness.
        slope: of the rescale; None if missing.
        intercept: of the rescale; None if missing.
        rescale_type: unit of rescaled values.
        lookup: whether a modality lookup table is there instead of a rescale.
        padding: PixelPaddingValue as stored.
        padding_limit: PixelPaddingRangeLimit as stored.
        manufacturer: of the scanner.
        kernel: of the reconstruction.
        voltage_kv: of the tube.
        contrast: the agent, None if not stated.
    """

    source: Source
    frame: int = 0
    pixels: Pixels = Pixels()
    sop_class: str = ""
    modality: str = ""
    series: str = ""
    origin: tuple[str, ...] = ()
    acquisition: int | None = None
    description: str = ""
    image_type: tuple[str, ...] = ()
    position_mm: tuple[float, ...] | None = None
    orientation: tuple[float, ...] | None = None
    spacing_mm: tuple[float, ...] | None = None
    thickness_mm: float | None = None
    slope: float | None = None
    intercept: float | None = None
    rescale_type: str = ""
    lookup: bool = False
    padding: int | None = None
    padding_limit: int | None = None
    manufacturer: str = ""
    kernel: str = ""
    voltage_kv: float | None = None
    contrast: str | None = None

    @property
    def name(self) -> str:
        """File, as it may be shown, and frame where there are several."""
        frame = f" frame {self.frame + 1}" if self.pixels.frames > 1 else ""
        return self.source.label + frame


def read_headers(source: Source, limits: Limits) -> list[Header]:
    """The slices of one file; empty if it is no DICOM file, or a DICOMDIR.

    Args:
        source: the file.
        limits: what to take on.

    Raises:
        ReadingError: `broken-file`, `too-large`, `unreadable-file`, `unsafe-archive`.
    """
    start = source.head(1024)
    if not looks_like_dicom(start):
        _check_filled(source, start)
        return []
    try:
        return _parse(source, limits)
    except DICOM_ERRORS as error:
        if isinstance(error, ReadingError):
            raise
        # The text of the error may quote values; its kind says enough.
        what = f"{source.label} has no readable DICOM header ({type(error).__name__})"
        raise ReadingError(codes.BROKEN_FILE, what) from error


def _check_filled(source: Source, start: bytes) -> None:
    """Refuse what a broken copy leaves of a DICOM file; other files are none of our business."""
    suffix = PurePosixPath(source.name).suffix.lower()
    # Many names have no suffix, or end in a number or a UID.
    named = suffix in DICOM_SUFFIXES
    if named or not suffix or suffix[1:].isdigit():
        if not start:
            raise ReadingError(codes.BROKEN_FILE, f"{source.label} is empty")
        if not start.strip(b"\0"):
            raise ReadingError(codes.BROKEN_FILE, f"{source.label} starts with zeros only")
    if named:
        raise ReadingError(codes.BROKEN_FILE, f"{source.label} does not start as DICOM does")


def looks_like_dicom(start: bytes) -> bool:
    """Whether a file starts as DICOM does, with or without preamble."""
    bare = start[:2] in (b"\x08\x00", b"\x02\x00") and start[3:4] == b"\x00"
    return start[128:132] == b"DICM" or (bare and len(start) > 16)


def dicom_body(source: Source, limits: Limits) -> bytes | None:
    """The whole file, inflated, if its data set is deflated; else None.

    Raises:
        ReadingError: `broken-file` or `too-large`.
    """
    start = source.head(1024)
    if DEFLATED not in start[132:]:
        return None
    if start[132:138] != b"\x02\x00\x00\x00UL":
        raise ReadingError(codes.BROKEN_FILE, f"{source.label} does not say how long its header is")
    end = 144 + int(struct.unpack("<I", start[140:144])[0])
    data = source.read()
    most = max(4096 * 4096 * 2, limits.ratio * len(data))
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        body = inflater.decompress(data[end:], min(most, limits.file_bytes))
    except zlib.error as error:
        raise ReadingError(codes.BROKEN_FILE, f"{source.label} cannot be inflated") from error
    if inflater.unconsumed_tail:
        raise ReadingError(codes.TOO_LARGE, f"{source.label} inflates to more than {most} bytes")
    plain = DEFLATED[:-3].ljust(len(DEFLATED), b"\0")
    return data[:end].replace(DEFLATED, plain) + body


def _parse(source: Source, limits: Limits) -> list[Header]:
    inflated = dicom_body(source, limits)
    if inflated is not None:
        headers = _parse_file(source, io.BytesIO(inflated), len(inflated))
        return [replace(h, pixels=replace(h.pixels, deflated=True)) for h in headers]
    if source.member is not None and source.size > HEAD_BYTES:
        # Most headers lie within the first part of a file: do not unpack the rest for them.
        try:
            return _parse_file(source, io.BytesIO(source.head()), source.size, partial=True)
        except DICOM_ERRORS:
            pass
    with source.open() as file:
        return _parse_file(source, file, source.size)


def _parse_file(
    source: Source, file: BinaryIO, size: int, *, partial: bool = False
) -> list[Header]:
    dataset = dcmread(file, stop_before_pixels=True, specific_tags=list(TAGS.values()), force=True)
    explicit, little = not dataset.is_implicit_VR, dataset.is_little_endian is not False
    offset, nbytes, kind = _find_pixels(file, explicit=explicit, little=little)
    if partial and not kind:
        raise EOFError
    header = _header(source, dataset)
    if not (header.sop_class or header.modality or header.pixels.rows):
        raise EOFError
    if header.sop_class == DIRECTORY_CLASS:
        return []
    if nbytes >= 0 and offset + nbytes > size:
        what = f"{source.label} ends {offset + nbytes - size} bytes before its pixels do"
        raise ReadingError(codes.BROKEN_FILE, what)
    syntax = str(getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID", "") or "")
    pixels = replace(
        header.pixels,
        kind=kind,
        syntax=syntax,
        offset=offset,
        nbytes=nbytes,
        little_endian=little,
    )
    header = replace(header, pixels=pixels)
    if pixels.frames > 1 or "PerFrameFunctionalGroupsSequence" in dataset:
        from squeezect.reading.frames import split_frames

        return split_frames(header, dataset)
    return [header]


def _find_pixels(file: BinaryIO, *, explicit: bool, little: bool) -> tuple[int, int, PixelKind]:
    """Offset, length and kind of the pixels; the file stands at their tag or at its end."""
    order = "<" if little else ">"
    element = file.read(12)
    if len(element) < 8:
        return 0, -1, ""
    tag = struct.unpack(order + "HH", element[:4])
    if tag[0] != 0x7FE0 or tag[1] not in {0x0008, 0x0009, 0x0010}:
        return 0, -1, ""
    kind: PixelKind = "int" if tag[1] == 0x0010 else "float"
    place = element[8:12] if explicit else element[4:8]
    length = struct.unpack(order + "I", place.ljust(4, b"\0"))[0]
    if length == 0xFFFFFFFF:
        return 0, -1, kind
    return file.tell() - len(element) + (12 if explicit else 8), length, kind


def _header(source: Source, dataset: Dataset) -> Header:
    signed = whole(dataset, "PixelRepresentation", 0) == 1
    allocated = whole(dataset, "BitsAllocated", 0) or 0
    stored = whole(dataset, "BitsStored", allocated) or allocated
    pixels = Pixels(
        rows=whole(dataset, "Rows", 0) or 0,
        columns=whole(dataset, "Columns", 0) or 0,
        frames=whole(dataset, "NumberOfFrames", 1) or 1,
        samples=whole(dataset, "SamplesPerPixel", 1) or 1,
        photometric=text(dataset, "PhotometricInterpretation"),
        allocated=allocated,
        stored=stored,
        high_bit=whole(dataset, "HighBit", stored - 1) or 0,
        signed=signed,
        lossy=text(dataset, "LossyImageCompression") == "01",
    )
    contrast = text(dataset, "ContrastBolusAgent")
    return Header(
        source=source,
        pixels=pixels,
        sop_class=text(dataset, "SOPClassUID"),
        modality=text(dataset, "Modality"),
        series=text(dataset, "SeriesInstanceUID"),
        origin=tuple(_hashed(text(dataset, keyword)) for keyword in ORIGIN),
        acquisition=whole(dataset, "AcquisitionNumber", None),
        description=text(dataset, "SeriesDescription"),
        image_type=words(dataset, "ImageType"),
        position_mm=numbers(dataset, "ImagePositionPatient", 3),
        orientation=numbers(dataset, "ImageOrientationPatient", 6),
        spacing_mm=positive(numbers(dataset, "PixelSpacing", 2)),
        thickness_mm=number(dataset, "SliceThickness"),
        slope=number(dataset, "RescaleSlope"),
        intercept=number(dataset, "RescaleIntercept"),
        rescale_type=text(dataset, "RescaleType"),
        lookup="ModalityLUTSequence" in dataset,
        padding=_as_stored(whole(dataset, "PixelPaddingValue", None), pixels),
        padding_limit=_as_stored(whole(dataset, "PixelPaddingRangeLimit", None), pixels),
        manufacturer=text(dataset, "Manufacturer"),
        kernel=" ".join(words(dataset, "ConvolutionKernel")),
        voltage_kv=number(dataset, "KVP"),
        contrast=contrast or None,
    )


def _hashed(identity: str) -> str:
    return pseudonym(identity) if identity else ""


def _as_stored(value: int | None, pixels: Pixels) -> int | None:
    """A padding value with the sign of the pixels: headers often write it with the other one."""
    if value is None:
        return None
    span = 1 << max(pixels.allocated, 1)
    value %= span
    return value - span if pixels.signed and value >= span // 2 else value
