"""MetaImage, NIfTI and NRRD: one file (or header and data file) is one volume.

Headers are parsed here and not by a library: what decides which file is opened, and where its
voxels lie, is then what was checked.
"""

import io
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from squeezect.errors import Finding, ReadingError
from squeezect.reading import codes
from squeezect.reading.hounsfield import Hu, Stored, to_hounsfield
from squeezect.reading.layout import Layout
from squeezect.reading.metaimage import metaimage_layout
from squeezect.reading.nifti import HEAD_BYTES as NIFTI_BYTES
from squeezect.reading.nifti import nifti_layout
from squeezect.reading.nrrd import nrrd_layout
from squeezect.reading.sources import HEAD_BYTES, Limits, Source
from squeezect.reading.unpacking import Unpacked
from squeezect.scan import Grid

FORMATS = {
    ".mhd": "metaimage",
    ".mha": "metaimage",
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".nrrd": "nrrd",
    ".nhdr": "nrrd",
}
SUFFIXES = tuple(FORMATS)

_SKIP_BYTES = 1 << 20


def image_format(name: str) -> str:
    """Format by the file's name, "" if it is none of ours."""
    lower = name.lower()
    return next((f for suffix, f in FORMATS.items() if lower.endswith(suffix)), "")


def read_image(
    source: Source, siblings: dict[str, Source], limits: Limits, *, allow: Collection[str] = ()
) -> tuple[Hu, Grid, list[Finding]]:
    """Read a volume.

    Args:
        source: the file, or the header of a pair.
        siblings: files by name, to find a header's data file.
        limits: what to take on.
        allow: codes of refusals to go on in spite of.

    Returns:
        Hounsfield units, their grid (as stored, not canonical), and findings.

    Raises:
        ReadingError: `broken-file`, `too-large`, `unsafe-link`, `bad-pixels`, `undecodable`,
            `no-geometry`, `unclear-header`, `too-few-slices` or `hu-overflow`.
    """
    try:
        layout = _layout(source)
        data = _data_file(source, layout.data_file, siblings) if layout.data_file else source
        _check_size(layout, source, data, limits, allow)
        hu = _read_voxels(layout, data, source.label)
    except (OSError, EOFError, zlib.error, MemoryError) as error:
        why = str(error) if isinstance(error, EOFError | zlib.error) else type(error).__name__
        what = f"{source.label} cannot be read as {image_format(source.name)} ({why})"
        raise ReadingError(codes.BROKEN_FILE, what) from error
    return hu, layout.grid, list(layout.findings)


def image_header(path: Path) -> tuple[Grid, str]:
    """Where a volume lies, from its header alone.

    Args:
        path: a file of one of the formats.

    Returns:
        The grid as stored, and the name of the data file beside it, "" if the voxels are inside.

    Raises:
        ReadingError: `broken-file`, `unsafe-link`, `bad-pixels`, `undecodable`, `no-geometry`,
            `unclear-header` or `hu-overflow`.
    """
    try:
        layout = _layout(Source(path.name, path.stat().st_size, path, named=True))
    except (OSError, EOFError, zlib.error) as error:
        raise ReadingError(codes.BROKEN_FILE, f"{path.name} has no readable header") from error
    return layout.grid, layout.data_file or ""


def holds_whole_numbers(path: Path) -> bool:
    """Whether a volume holds whole numbers only, as masks do; reading rounds all others.

    Args:
        path: a file of one of the formats, sound enough for `read_image`.
    """
    source = Source(path.name, path.stat().st_size, path, named=True)
    layout = _layout(source)
    scale = (layout.slope, layout.intercept)
    if layout.dtype.kind in "iu" and all(float(number).is_integer() for number in scale):
        return True
    data = _data_file(source, layout.data_file, {}) if layout.data_file else source
    return not _read_voxels(layout, data, source.label, convert=_mark_fractions).any()


def _mark_fractions(
    stored: Stored, out: Hu, *, slope: float, intercept: float, where: str = ""
) -> None:
    """Write 1 where a value is no whole number; takes what `to_hounsfield` takes."""
    del where
    values = stored.astype(np.float64) * slope + intercept
    # A little more than what single precision leaves of a scale such as 1/255.
    out[...] = ~(np.abs(values - np.rint(values)) < 1e-3)


def _layout(source: Source) -> Layout:
    kind = image_format(source.name)
    if kind == "nifti":
        packed = source.name.lower().endswith(".gz")
        with source.open() as file, _opened(file, packed=packed) as unpacked:
            return nifti_layout(unpacked.read(NIFTI_BYTES), source.label, packed=packed)
    head = source.head(HEAD_BYTES)
    parse = metaimage_layout if kind == "metaimage" else nrrd_layout
    return parse(head, source.label, complete=len(head) == source.size)


def _check_size(
    layout: Layout, source: Source, data: Source, limits: Limits, allow: Collection[str]
) -> None:
    z, y, x = layout.grid.shape
    if z * y * x > limits.voxels or limits.swells(data.size, layout.size):
        what = f"{source.label} declares {x} x {y} x {z} voxels in {data.size} bytes"
        raise ReadingError(codes.TOO_LARGE, what)
    if z < 3 and codes.TOO_FEW.name not in allow:
        raise ReadingError(codes.TOO_FEW, f"{source.label} has {z} slices")


def _read_voxels(
    layout: Layout, data: Source, name: str, *, convert: Callable[..., None] = to_hounsfield
) -> Hu:
    """Unpack and rescale plane by plane, up to the very end of the data."""
    hu = np.empty(layout.grid.shape, np.int16)
    with data.open() as file:
        offset = data.size - layout.size if layout.offset is None else layout.offset
        found = data.size - offset
        declared = layout.packed_size if layout.packed else layout.size
        if offset < 0 or (declared is not None and found != declared):
            what = f"{name} declares {declared} bytes of data, but there are {found}"
            raise ReadingError(codes.BROKEN_FILE, what)
        file.seek(offset)
        with _opened(file, packed=layout.packed) as values:
            _skip(values, layout.skip)
            try:
                _fill(hu, values, layout, name, convert)
            except ReadingError:
                # Values that cannot be often come of damage, which then goes first.
                _skip(values, layout.size)
                raise
            # Only at its end does a packed stream prove sound.
            if values.read(1):
                raise ReadingError(codes.BROKEN_FILE, f"{name} goes on after its last slice")
    return hu


def _fill(
    hu: Hu, values: BinaryIO, layout: Layout, name: str, convert: Callable[..., None]
) -> None:
    width = layout.dtype.itemsize * hu[0].size
    for number, plane in enumerate(hu):
        part = values.read(width)
        if len(part) < width:
            what = f"{name} ends in slice {number + 1} of {len(hu)}"
            raise ReadingError(codes.BROKEN_FILE, what)
        stored = np.frombuffer(part, layout.dtype).reshape(plane.shape)
        convert(
            stored.astype(layout.dtype.newbyteorder("="), copy=False),
            plane,
            slope=layout.slope,
            intercept=layout.intercept,
            where=f" ({name})",
        )


@contextmanager
def _opened(file: BinaryIO, *, packed: bool) -> Iterator[BinaryIO]:
    yield cast("BinaryIO", io.BufferedReader(Unpacked(file), _SKIP_BYTES)) if packed else file


def _skip(file: BinaryIO, size: int) -> None:
    while size > 0 and (part := file.read(min(size, _SKIP_BYTES))):
        size -= len(part)


def _data_file(source: Source, name: str, siblings: dict[str, Source]) -> Source:
    """The file beside a header that it names; never one anywhere else."""
    folder = source.name.rpartition("/")[0]
    found = siblings.get(f"{folder}/{name}" if folder else name)
    if source.member is None:
        beside = source.path.parent / name
        if found is None and beside.is_file():
            found = Source(name, beside.stat().st_size, beside)
        if found is not None and found.path.resolve().parent != source.path.parent.resolve():
            what = f"{source.label} names a data file that is a link out of its folder"
            raise ReadingError(codes.UNSAFE_LINK, what)
    if found is None:
        raise ReadingError(codes.BROKEN_FILE, f"{source.label} lacks its data file")
    return found
