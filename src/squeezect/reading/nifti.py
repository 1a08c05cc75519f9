"""What the NIfTI library forgives in silence: cut files become zeros, and so do values like NaN."""

import gzip
import struct
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from squeezect.errors import Finding, ReadingError
from squeezect.reading import codes

FLOATS = {16: "f4", 64: "f8"}
CHUNK = 1 << 24


def check_nifti(path: Path, name: str) -> list[Finding]:
    """Refuse a file that is shorter than its header says, or whose numbers are not finite.

    Args:
        path: ``.nii`` or ``.nii.gz``.
        name: what to call it.

    Returns:
        `no-orientation`, if the header gives neither qform nor sform.

    Raises:
        ReadingError: `broken-file` or `bad-pixels`.
        OSError, EOFError, zlib.error: if the file is not what its name says.
    """
    packed = path.name.lower().endswith(".gz")
    with cast("BinaryIO", gzip.open(path, "rb")) if packed else path.open("rb") as file:
        head = file.read(540)
        if len(head) < 348:
            raise ReadingError(codes.BROKEN_FILE, f"{name} ends inside its header")
        order, kind, expected, start = _layout(head)
        float_type = FLOATS.get(kind)
        if not packed:
            found = path.stat().st_size
        elif float_type is None and _unpacked_size(path) == expected % (1 << 32):
            found = expected
        else:
            found = _read_through(file, len(head))
        if found < expected:
            raise ReadingError(
                codes.BROKEN_FILE, f"{name} has {found} of the {expected} bytes it declares"
            )
        if float_type is not None:
            file.seek(start)
            _check_finite(file, order + float_type, expected - start, name)
    codes_at = slice(252, 256) if _is_first(head) else slice(344, 352)
    oriented = any(head[codes_at])
    return [] if oriented else [Finding(codes.NO_ORIENTATION, "qform and sform codes are 0")]


def _is_first(head: bytes) -> bool:
    return 348 in struct.unpack("<i", head[:4]) + struct.unpack(">i", head[:4])


def _layout(head: bytes) -> tuple[str, int, int, int]:
    """Byte order, datatype, bytes that the file needs, and where its values begin."""
    order = "<" if struct.unpack("<i", head[:4])[0] in {348, 540} else ">"
    if _is_first(head):
        dims = struct.unpack(order + "8h", head[40:56])
        kind, bits = struct.unpack(order + "2h", head[70:74])
        start = int(struct.unpack(order + "f", head[108:112])[0])
    else:
        kind, bits = struct.unpack(order + "2h", head[12:16])
        dims = struct.unpack(order + "8q", head[16:80])
        start = int(struct.unpack(order + "q", head[168:176])[0])
    used = dims[1 : 1 + max(0, min(7, int(dims[0])))]
    voxels = int(np.prod([max(1, int(n)) for n in used], dtype=object))
    return order, kind, max(start, 0) + voxels * bits // 8, max(start, 0)


def _unpacked_size(path: Path) -> int:
    """What the end of a gzip file says its size is, modulo 2^32."""
    with path.open("rb") as file:
        file.seek(-4, 2)
        return int(struct.unpack("<I", file.read(4))[0])


def _read_through(file: BinaryIO, done: int) -> int:
    while part := file.read(CHUNK):
        done += len(part)
    return done


def _check_finite(file: BinaryIO, kind: str, size: int, name: str) -> None:
    while size > 0 and (part := file.read(min(CHUNK, size))):
        size -= len(part)
        width = np.dtype(kind).itemsize
        values = np.frombuffer(part[: len(part) // width * width], kind)
        if not np.isfinite(values).all():
            raise ReadingError(codes.BAD_PIXELS, f"{name} has values that are not finite numbers")
