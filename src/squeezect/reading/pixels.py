"""Pixels of slices, decoded by threads straight into one array of Hounsfield units."""

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import numpy as np

from squeezect.errors import ReadingError
from squeezect.reading import codes
from squeezect.reading.codestream import declared_size, is_whole
from squeezect.reading.header import Header, dicom_body
from squeezect.reading.hounsfield import Hu, Stored, to_hounsfield
from squeezect.reading.sources import LIMITS, Deadline
from squeezect.reading.values import DICOM_ERRORS

NATIVE = {
    "",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.1.98",
    "1.2.840.10008.1.2.2",
    "1.2.840.113619.5.2",
}
JPEG_LS = {"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"}
LOSSY = {
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.53",
    "1.2.840.10008.1.2.4.55",
    "1.2.840.10008.1.2.4.81",
}
"""Transfer syntaxes that always lose something; JPEG 2000 may or may not."""
DECODER_ERRORS = (*DICOM_ERRORS, RuntimeError, MemoryError)


def decode_into(
    out: Hu, headers: Sequence[Header], deadline: Deadline, *, threads: int | None = None
) -> None:
    """Decode slices, one per plane of `out`.

    Args:
        out: Hounsfield units, shape (slices, rows, columns).
        headers: of the slices, in this order.
        deadline: when to give up.
        threads: that share the work.

    Raises:
        ReadingError: `undecodable`, `broken-file`, `bad-pixels`, `hu-overflow`, `too-slow`.
    """
    slots = sorted(range(len(headers)), key=lambda i: (headers[i].source.name, headers[i].frame))
    files = [list(g) for _, g in groupby(slots, key=lambda i: id(headers[i].source))]

    def decode(file: list[int]) -> None:
        deadline.check(headers[file[0]].name)
        _decode_file(out, headers, file)

    workers = threads or min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(decode, file) for file in files]
        try:
            for future in futures:
                future.result()
        finally:
            for future in futures:
                future.cancel()


def check_pixels(header: Header, limits_voxels: int) -> None:
    """Refuse from the header alone what cannot become Hounsfield units.

    Raises:
        ReadingError: `no-pixel-data`, `bad-pixels`, `too-large` or `broken-file`.
    """
    p = header.pixels
    if not p.kind:
        raise ReadingError(codes.NO_PIXELS, f"{header.name} has no pixels")
    wrong = ""
    if p.kind == "float" or p.allocated not in {8, 16} or not 1 <= p.stored <= p.allocated:
        wrong = f"{p.stored} of {p.allocated} bits stored"
    elif p.samples != 1 or not p.photometric.startswith("MONOCHROME"):
        wrong = f"{p.samples} samples per pixel, {p.photometric or 'no interpretation'}"
    elif min(p.rows, p.columns, p.frames) < 1 or not p.stored - 1 <= p.high_bit < p.allocated:
        wrong = f"{p.frames} frames of {p.rows} x {p.columns} pixels, high bit {p.high_bit}"
    elif header.lookup and header.slope is None:
        wrong = "a lookup table in place of a rescale"
    elif header.slope == 0:
        wrong = "a rescale slope of 0"
    if wrong:
        raise ReadingError(codes.BAD_PIXELS, f"{header.name} has {wrong}")
    if p.frames * p.rows * p.columns > limits_voxels:
        what = f"{header.name} declares {p.frames} x {p.rows} x {p.columns} voxels"
        raise ReadingError(codes.TOO_LARGE, what)
    needed = p.frames * p.rows * p.columns * p.allocated // 8
    if p.syntax in NATIVE and p.nbytes < needed:
        what = f"{header.name} holds {max(p.nbytes, 0)} bytes of pixels, needs {needed}"
        raise ReadingError(codes.BROKEN_FILE, what)


def read_stored(header: Header) -> Stored:
    """The stored values of one slice, shape (rows, columns); bits that do not count are cleared.

    Raises:
        ReadingError: `undecodable` or `broken-file`.
    """
    if header.pixels.syntax in NATIVE:
        return _native(header)
    try:
        return _decoded(header)
    except DECODER_ERRORS as error:
        if isinstance(error, ReadingError):
            raise
        syntax = _syntax_name(header.pixels.syntax)
        what = f"{header.name} cannot be decoded from {syntax} ({type(error).__name__})"
        raise ReadingError(codes.UNDECODABLE, what) from error


def _decode_file(out: Hu, headers: Sequence[Header], slots: Sequence[int]) -> None:
    for slot in slots:
        header = headers[slot]
        to_hounsfield(
            read_stored(header),
            out[slot],
            slope=1.0 if header.slope is None else header.slope,
            intercept=header.intercept or 0.0,
            padding=_padding(header),
            where=f" ({header.name})",
        )


def _padding(header: Header) -> tuple[int, int] | None:
    if header.padding is None:
        return None
    limit = header.padding if header.padding_limit is None else header.padding_limit
    return min(header.padding, limit), max(header.padding, limit)


def _native(header: Header) -> Stored:
    p = header.pixels
    count = p.rows * p.columns
    nbytes = count * p.allocated // 8
    offset = p.offset + header.frame * nbytes
    inflated = dicom_body(header.source, LIMITS) if p.deflated else None
    if inflated is not None:
        data = inflated[offset : offset + nbytes]
    else:
        with header.source.open() as file:
            file.seek(offset)
            data = file.read(nbytes)
    if len(data) < nbytes:
        raise ReadingError(codes.BROKEN_FILE, f"{header.name} ends within its pixels")
    order = "<" if p.little_endian else ">"
    dtype = np.dtype(f"{order}{'i' if p.signed else 'u'}{p.allocated // 8}")
    stored = np.frombuffer(data, dtype).reshape(p.rows, p.columns)
    if p.stored == p.allocated:
        return stored.astype(dtype.newbyteorder("="), copy=False)
    # Shift the bits that count to the top and back: this clears the others and keeps the sign.
    left = p.allocated - 1 - p.high_bit
    return (stored << left) >> (p.allocated - p.stored)


def _decoded(header: Header) -> Stored:
    from pydicom import dcmread
    from pydicom.encaps import get_frame
    from pydicom.pixels.decoders.base import get_decoder

    p = header.pixels
    data = header.source.read()
    dataset = dcmread(io.BytesIO(data), force=True, specific_tags=_PIXEL_TAGS)
    frame = get_frame(dataset.PixelData, header.frame, number_of_frames=p.frames)
    declared = declared_size(frame)
    if declared is not None and declared != (p.rows, p.columns):
        what = f"{header.name} declares {p.rows} x {p.columns} pixels, its compressed stream "
        raise ReadingError(codes.BAD_PIXELS, f"{what}{declared[0]} x {declared[1]}")
    if not is_whole(frame):
        raise ReadingError(codes.BROKEN_FILE, f"{header.name} has a cut or damaged JPEG stream")
    # Of the two decoders of JPEG-LS this one notices damage.
    plugin = "pyjpegls" if p.syntax in JPEG_LS else ""
    decoder = get_decoder(p.syntax)
    try:
        values, _ = decoder.as_array(dataset, index=header.frame, raw=True, decoding_plugin=plugin)
    except BaseException as error:
        # Decoders written in Rust panic past Exception; all else goes on as it came.
        if type(error).__name__ != "PanicException":
            raise
        raise ReadingError(codes.UNDECODABLE, f"{header.name} makes its decoder panic") from None
    if values.shape != (p.rows, p.columns) or values.dtype.kind not in "iu":
        what = f"{header.name} decodes to {values.shape} {values.dtype}"
        raise ReadingError(codes.BAD_PIXELS, what)
    stored: Stored = values
    return stored


def _syntax_name(uid: str) -> str:
    from pydicom.uid import UID

    name = UID(uid).name
    return f"{name} ({uid})" if name != uid else f"transfer syntax {uid}"


_PIXEL_TAGS = [
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
]
