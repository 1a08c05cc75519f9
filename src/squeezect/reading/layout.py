"""What the header of an image file says: where its numbers are, what they mean, and their grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import numpy.typing as npt

from squeezect.errors import Finding, GeometryError, ReadingError
from squeezect.reading import codes
from squeezect.scan import Direction, Grid, Shape


@dataclass(frozen=True)
class Layout:
    """One volume in one file.

    Args:
        grid: shape and place, as stored.
        dtype: of one number, with its byte order.
        data_file: bare name of the file that holds the numbers; "" if the header's own does.
        offset: bytes of that file before its (packed) data; None if the data end with the file.
        packed: whether the data are one gzip or zlib stream.
        packed_size: bytes of that stream, None if not declared.
        skip: bytes before the numbers once the data are unpacked.
        slope: of the rescale to Hounsfield units.
        intercept: of the rescale.
        findings: what the header leaves open.
    """

    grid: Grid
    dtype: np.dtype[Any]
    data_file: str = ""
    offset: int | None = 0
    packed: bool = False
    packed_size: int | None = None
    skip: int = 0
    slope: float = 1.0
    intercept: float = 0.0
    findings: tuple[Finding, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of the data once unpacked."""
        rows, columns = self.grid.shape[1:]
        return self.skip + self.grid.shape[0] * rows * columns * self.dtype.itemsize


def data_name(text: str, name: str) -> str:
    """The bare name of a data file.

    Args:
        text: what the header calls it.
        name: of the header, for the message.

    Raises:
        ReadingError: `unsafe-link` for a path, list or pattern: on no system may it be more than a
            name.
    """
    bare = PurePosixPath(text).name == text == PureWindowsPath(text).name
    listed = text.partition(" ")[0].upper() == "LIST" or "%" in text
    if not bare or listed or text in {"", ".."} or not text.isprintable():
        what = f"{name} names its data file by a path, list or pattern"
        raise ReadingError(codes.UNSAFE_LINK, what)
    return text


def shape_of(sizes: Sequence[int], name: str) -> Shape:
    """Sizes along x, y, z as the shape [z, y, x].

    Raises:
        ReadingError: `bad-pixels` unless there are three, `too-few-slices` if one is below 1.
    """
    if len(sizes) != 3:
        what = f"{name} has size {' x '.join(map(str, sizes))}, not three dimensions"
        raise ReadingError(codes.BAD_PIXELS, what)
    x, y, z = sizes
    if min(sizes) < 1:
        raise ReadingError(codes.TOO_FEW, f"{name} has size {x} x {y} x {z}")
    return z, y, x


def grid_of(
    shape: Shape,
    spacing: npt.ArrayLike,
    origin: npt.ArrayLike,
    axes: npt.ArrayLike,
    name: str,
) -> Grid:
    """A grid from a header's numbers.

    Args:
        shape: [z, y, x].
        spacing: along x, y, z in mm.
        origin: LPS point (x, y, z) in mm.
        axes: LPS unit vectors of the axes x, y and z.
        name: what to call the file.

    Raises:
        ReadingError: `no-geometry`.
    """
    sx, sy, sz = np.asarray(spacing, float).tolist()
    x, y, z = np.asarray(origin, float).tolist()
    rows = [(a, b, c) for a, b, c in np.asarray(axes, float).tolist()]
    direction: Direction = (rows[2], rows[1], rows[0])
    try:
        return Grid(shape, (sz, sy, sx), (x, y, z), direction)
    except GeometryError as error:
        raise ReadingError(codes.NO_GEOMETRY, f"{name}: {error.what}") from error


def numbers(text: str, count: int, what: str) -> list[float]:
    """`count` numbers from a header's text; "nan" is let through to be refused by the grid.

    Args:
        text: the numbers, between blanks.
        count: how many there have to be.
        what: file and field, for the message.

    Raises:
        ReadingError: `no-geometry`.
    """
    try:
        # Python alone reads 1_0 as ten.
        values = [float(word) for word in text.replace("_", "?").split()]
    except ValueError:
        values = []
    if len(values) != count:
        raise ReadingError(codes.NO_GEOMETRY, f"{what} is '{text[:60]}', not {count} numbers")
    return values


def whole(text: str, what: str) -> int:
    """A whole number from a header's text.

    Raises:
        ReadingError: `broken-file`.
    """
    try:
        return int(text.replace("_", "?"))
    except ValueError as error:
        message = f"{what} is '{text[:60]}', not a whole number"
        raise ReadingError(codes.BROKEN_FILE, message) from error
