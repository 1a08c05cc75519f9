"""The header of NIfTI 1 and 2, read strictly: where it contradicts itself, nobody has to choose."""

import math
import struct
from itertools import product
from typing import Any, Literal

import numpy as np

from squeezect.errors import Finding, ReadingError
from squeezect.reading import codes
from squeezect.reading.layout import Layout, grid_of, shape_of
from squeezect.scan import FloatArray, Grid, Shape

HEAD_BYTES = 544
CLOSE_MM = 0.1
"""Two statements about one voxel's place agree within this."""
UNITS_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
"""Unknown (taken as mm, as every reader does), metre, millimetre, micrometre."""
TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_LPS = np.array([-1.0, -1.0, 1.0])


def _fields(itemsize: int, **fields: tuple[str, int]) -> np.dtype[Any]:
    formats, offsets = zip(*fields.values(), strict=True)
    layout: Any = {"names": list(fields), "formats": formats, "offsets": offsets}
    dtype: np.dtype[Any] = np.dtype(layout | {"itemsize": itemsize})
    return dtype


_FIRST = _fields(
    348,
    dim=("8i2", 40),
    kind=("i2", 70),
    bits=("i2", 72),
    pixdim=("8f4", 76),
    vox_offset=("f4", 108),
    scale=("2f4", 112),
    units=("u1", 123),
    form_codes=("2i2", 252),
    quaternion=("3f4", 256),
    offset=("3f4", 268),
    rows=("(3,4)f4", 280),
    magic=("S4", 344),
)
_SECOND = _fields(
    540,
    magic=("S8", 4),
    kind=("i2", 12),
    bits=("i2", 14),
    dim=("8i8", 16),
    pixdim=("8f8", 104),
    vox_offset=("i8", 168),
    scale=("2f8", 176),
    form_codes=("2i4", 344),
    quaternion=("3f8", 352),
    offset=("3f8", 376),
    rows=("(3,4)f8", 400),
    units=("i4", 500),
)


def nifti_layout(head: bytes, name: str, *, packed: bool) -> Layout:
    """What the header of a single-file NIfTI says.

    Args:
        head: its first `HEAD_BYTES`, unpacked.
        name: what to call it.
        packed: whether the file is packed as a whole.

    Raises:
        ReadingError: `broken-file`, `bad-pixels`, `no-geometry`, `unclear-header` or
            `too-few-slices`.
    """
    header, order = _unpack(head, name)
    kind = TYPES.get(int(header["kind"]))
    if kind is None:
        raise ReadingError(codes.BAD_PIXELS, f"{name} has values of type {header['kind']}")
    dtype = np.dtype(order + kind)
    if header["bits"] != 8 * dtype.itemsize:
        what = f"{name} has {header['bits']} bits for values of {dtype.itemsize} bytes"
        raise ReadingError(codes.BROKEN_FILE, what)
    used = int(header["dim"][0])
    sizes = [int(n) for n in header["dim"][1 : 1 + used]]
    while len(sizes) > 3 and sizes[-1] in {0, 1}:
        sizes.pop()
    grid, findings = _grid(header, shape_of(sizes, name), name)
    slope, intercept = _rescale(float(header["scale"][0]), float(header["scale"][1]), name)
    return Layout(
        grid=grid,
        dtype=dtype,
        packed=packed,
        skip=_start(header, name),
        slope=slope,
        intercept=intercept,
        findings=tuple(findings),
    )


def _unpack(head: bytes, name: str) -> tuple[Any, Literal["<", ">"]]:
    """The header's fields, and the file's byte order."""
    orders: tuple[Literal["<"], Literal[">"]] = ("<", ">")
    for order in orders:
        size = struct.unpack(order + "i", head[:4].ljust(4, b"\0"))[0]
        fields = {348: _FIRST, 540: _SECOND}.get(size)
        if fields is None:
            continue
        if len(head) < size:
            raise ReadingError(codes.BROKEN_FILE, f"{name} ends inside its header")
        header = np.frombuffer(head[:size], fields.newbyteorder(order))[0]
        # A file of type ni1 or ni2 is half of a pair, one without a name is Analyze.
        if header["magic"] not in {b"n+1", b"n+2\0\r\n\x1a\n"} or not 1 <= header["dim"][0] <= 7:
            raise ReadingError(codes.BROKEN_FILE, f"{name} is no single-file NIfTI")
        return header, order
    raise ReadingError(codes.BROKEN_FILE, f"{name} has no NIfTI header")


def _start(header: Any, name: str) -> int:
    """Where the voxels begin: never inside the header or its four bytes of extension flags."""
    start = float(header["vox_offset"])
    least = header.dtype.itemsize + 4
    if not start.is_integer() or start < least:
        what = f"{name} has its voxels at byte {start:g}, but its header ends at {least}"
        raise ReadingError(codes.BROKEN_FILE, what)
    return int(start)


def _rescale(slope: float, intercept: float, name: str) -> tuple[float, float]:
    """Slope 0 means stored values; beside an intercept, writers and readers disagree."""
    if (slope == 0 or math.isnan(slope)) and (intercept == 0 or math.isnan(intercept)):
        return 1.0, 0.0
    if slope == 0 or not math.isfinite(slope) or not math.isfinite(intercept):
        what = f"{name} has scl_slope {slope:g} with scl_inter {intercept:g}"
        raise ReadingError(codes.UNCLEAR_HEADER, what)
    return slope, intercept


@np.errstate(all="ignore")  # what overflows is not finite, and is refused
def _grid(header: Any, shape: Shape, name: str) -> tuple[Grid, list[Finding]]:
    unit = UNITS_MM.get(int(header["units"]) & 7)
    if unit is None:
        what = f"{name} has lengths in unit {int(header['units']) & 7} of NIfTI"
        raise ReadingError(codes.UNCLEAR_HEADER, what)
    spacing = unit * np.asarray(header["pixdim"][1:4], float)
    if not np.isfinite(spacing).all() or spacing.min() <= 0:
        what = f"{name} has pixdim {' x '.join(f'{v:g}' for v in spacing)} mm"
        raise ReadingError(codes.NO_GEOMETRY, what)
    qform_code, sform_code = map(int, header["form_codes"])
    qform = _qform(header, spacing, unit, name) if qform_code > 0 else None
    affine = qform
    if sform_code > 0:
        affine = unit * np.asarray(header["rows"], float)
        _check_sform(affine, qform, spacing, shape, name)
    if affine is None:
        finding = Finding(codes.NO_ORIENTATION, "qform and sform codes are 0")
        return grid_of(shape, spacing, np.zeros(3), np.eye(3), name), [finding]
    # The sform goes first: a quaternion in single precision turns by up to 0.0003.
    lengths = np.linalg.norm(affine[:, :3], axis=0)
    axes = (affine[:, :3] / lengths).T * _LPS
    return grid_of(shape, lengths, affine[:, 3] * _LPS, axes, name), []


def _qform(header: Any, spacing: FloatArray, unit: float, name: str) -> FloatArray:
    """Index (x, y, z) to RAS mm, from the quaternion; shape (3, 4)."""
    b, c, d = map(float, header["quaternion"])
    rest = 1.0 - (b * b + c * c + d * d)
    if not rest > -1e-5:
        raise ReadingError(codes.NO_GEOMETRY, f"{name} has quaternion {b:g}, {c:g}, {d:g}")
    # What is left of single precision below this is noise.
    a = math.sqrt(rest) if rest > 1e-7 else 0.0
    a, b, c, d = np.array([a, b, c, d]) / math.hypot(a, b, c, d)
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    steps = spacing * [1.0, 1.0, -1.0 if header["pixdim"][0] < 0 else 1.0]
    return np.column_stack([turn * steps, unit * np.asarray(header["offset"], float)])


def _check_sform(
    sform: FloatArray, qform: FloatArray | None, spacing: FloatArray, shape: Shape, name: str
) -> None:
    """Refuse an sform that is not one, or that contradicts what else the header says."""
    lengths = np.linalg.norm(sform[:, :3], axis=0)
    if not np.isfinite(sform).all() or lengths.min() <= 0:
        raise ReadingError(codes.NO_GEOMETRY, f"{name} has sform {sform.tolist()}")
    last = np.array(shape[::-1]) - 1
    if qform is not None:
        corners = np.array([[*corner, 1] for corner in product(*([0, n] for n in last))])
        apart = float(np.linalg.norm(corners @ (sform - qform).T, axis=1).max())
        if not apart <= CLOSE_MM:
            what = f"{name} has sform and qform that differ by {apart:.2f} mm"
            raise ReadingError(codes.UNCLEAR_HEADER, what)
    elif (np.abs(lengths - spacing) * last).max() > CLOSE_MM:
        told = [" x ".join(f"{v:.4g}" for v in values) for values in (lengths, spacing)]
        what = f"{name} has steps of {told[0]} mm by its sform, {told[1]} mm by its pixdim"
        raise ReadingError(codes.UNCLEAR_HEADER, what)
