"""Pixels of slices, decoded by threads straight into one array of Hounsfield units."""

import io
import os
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from squeezect.errors import ReadingError
from squeezect.reading import codes
from squeezect.reading.codestream import declared_size, is_whole
from squeezect.reading.header import Header, Pixels, dicom_body
from squeezect.reading.hounsfield import Hu, Stored, to_hounsfield
from squeezect.reading.sources import LIMITS, Deadline, Limits
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
RLE = "1.2.840.10008.1.2.5"
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
        _decode_file(out, headers, file, deadline)

    workers = threads or min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(decode, file) for file in files]
        try:
            for future in futures:
                future.result()
        finally:
            for future in futures:
                future.cancel()


def check_pixels(header: Header, limits: Limits) -> None:
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
    elif p.syntax not in {*NATIVE, RLE} and p.high_bit != p.stored - 1:
        wrong = f"high bit {p.high_bit} for {p.stored} bits in a compressed stream"
    elif header.lookup and header.slope is None:
        wrong = "a lookup table in place of a rescale"
    elif header.slope == 0:
        wrong = "a rescale slope of 0"
    if wrong:
        raise ReadingError(codes.BAD_PIXELS, f"{header.name} has {wrong}")
    if p.frames * p.rows * p.columns > limits.voxels:
        what = f"{header.name} declares {p.frames} x {p.rows} x {p.columns} voxels"
        raise ReadingError(codes.TOO_LARGE, what)
    needed = pixel_bytes(header)
    if limits.inflates(header.source.packed, needed):
        what = f"{header.name} declares {needed} bytes of pixels in {header.source.packed}"
        raise ReadingError(codes.TOO_LARGE, what)
    if p.syntax in NATIVE and p.nbytes < needed:
        what = f"{header.name} holds {max(p.nbytes, 0)} bytes of pixels, needs {needed}"
        raise ReadingError(codes.BROKEN_FILE, what)


def pixel_bytes(header: Header) -> int:
    """How many bytes the pixels of a whole file take once decoded."""
    p = header.pixels
    return p.frames * p.rows * p.columns * p.allocated // 8


def _decode_file(
    out: Hu, headers: Sequence[Header], slots: Sequence[int], deadline: Deadline
) -> None:
    wanted = [headers[slot] for slot in slots]
    deadline.check(wanted[0].name)
    stored = _native(wanted) if wanted[0].pixels.syntax in NATIVE else _decoded(wanted)
    with closing(stored):
        for slot, header, values in zip(slots, wanted, stored, strict=True):
            to_hounsfield(
                values,
                out[slot],
                slope=1.0 if header.slope is None else header.slope,
                intercept=header.intercept or 0.0,
                padding=_padding(header),
                where=f" ({header.name})",
            )
            deadline.check(header.name)


def _padding(header: Header) -> tuple[int, int] | None:
    if header.padding is None:
        return None
    limit = header.padding if header.padding_limit is None else header.padding_limit
    return min(header.padding, limit), max(header.padding, limit)


def _native(headers: Sequence[Header]) -> Generator[Stored, None, None]:
    """Frames of one file as stored; bits that do not count are cleared."""
    source, p = headers[0].source, headers[0].pixels
    nbytes = p.rows * p.columns * p.allocated // 8
    order = "<" if p.little_endian else ">"
    dtype = np.dtype(f"{order}{'i' if p.signed else 'u'}{p.allocated // 8}")
    inflated = dicom_body(source, LIMITS) if p.deflated else None
    with source.open() if inflated is None else io.BytesIO(inflated) as file:
        for header in headers:
            file.seek(p.offset + header.frame * nbytes)
            data = file.read(nbytes)
            if len(data) < nbytes:
                raise ReadingError(codes.BROKEN_FILE, f"{header.name} ends within its pixels")
            stored = np.frombuffer(data, dtype).reshape(p.rows, p.columns)
            yield _counting(stored.astype(dtype.newbyteorder("="), copy=False), p)


def _counting(stored: npt.NDArray[Any], p: Pixels) -> Stored:
    """Stored values without the bits that do not count."""
    if p.stored == p.allocated:
        return stored
    # Shift the bits that count to the top and back: this clears the others and keeps the sign.
    left = p.allocated - 1 - p.high_bit
    kept: Stored = (stored << left) >> (p.allocated - p.stored)
    return kept


def _decoded(headers: Sequence[Header]) -> Generator[Stored, None, None]:
    """Frames of one compressed file, which is read and parsed once; in rising order."""
    header = headers[0]
    try:
        dataset, encoded = _encoded(header)
        frames = enumerate(encoded)
        for header in headers:
            frame = next((f for index, f in frames if index == header.frame), None)
            if frame is None:
                raise ReadingError(codes.BROKEN_FILE, f"{header.name} is not in the file")
            yield _decode_frame(header, dataset, frame)
    except DECODER_ERRORS as error:
        if isinstance(error, ReadingError):
            raise
        syntax = _syntax_name(header.pixels.syntax)
        what = f"{header.name} cannot be decoded from {syntax} ({type(error).__name__})"
        raise ReadingError(codes.UNDECODABLE, what) from error


def _encoded(header: Header) -> tuple[Dataset, Iterator[bytes]]:
    """The pixel description of a file, for one frame, and its frames as they are compressed."""
    from pydicom import dcmread
    from pydicom.encaps import generate_frames

    dataset = dcmread(io.BytesIO(header.source.read()), force=True, specific_tags=list(_PIXEL_TAGS))
    offsets = None
    if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
        offsets = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    frames = generate_frames(
        dataset.PixelData, number_of_frames=header.pixels.frames, extended_offsets=offsets
    )
    for keyword in ("PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.NumberOfFrames = 1
    if header.pixels.syntax == RLE:
        # It keeps all bits in their places, as uncompressed pixels do: which ones count is our say.
        dataset.BitsStored = header.pixels.allocated
    return dataset, frames


def _decode_frame(header: Header, dataset: Dataset, frame: bytes) -> Stored:
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder

    p = header.pixels
    declared = declared_size(frame)
    if declared is not None and declared != (p.rows, p.columns):
        what = f"{header.name} declares {p.rows} x {p.columns} pixels, its compressed stream "
        raise ReadingError(codes.BAD_PIXELS, f"{what}{declared[0]} x {declared[1]}")
    if not is_whole(frame):
        raise ReadingError(codes.BROKEN_FILE, f"{header.name} has a cut or damaged JPEG stream")
    dataset.PixelData = encapsulate([frame])
    # Of the two decoders of JPEG-LS this one notices damage.
    plugin = "pyjpegls" if p.syntax in JPEG_LS else ""
    try:
        values, _ = get_decoder(p.syntax).as_array(dataset, raw=True, decoding_plugin=plugin)
    except BaseException as error:
        # Decoders written in Rust panic past Exception; all else goes on as it came.
        if type(error).__name__ != "PanicException":
            raise
        raise ReadingError(codes.UNDECODABLE, f"{header.name} makes its decoder panic") from None
    if values.shape != (p.rows, p.columns) or values.dtype.kind not in "iu":
        what = f"{header.name} decodes to {values.shape} {values.dtype}"
        raise ReadingError(codes.BAD_PIXELS, what)
    stored: Stored = values
    return _counting(stored, p) if p.syntax == RLE else stored


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
