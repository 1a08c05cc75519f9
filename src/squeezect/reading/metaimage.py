"""The header of MetaImage (.mhd, .mha): lines of `key = value`, the last names the data."""

import re

import numpy as np

from squeezect.errors import Finding, ReadingError
from squeezect.reading import codes
from squeezect.reading.layout import Layout, data_name, grid_of, numbers, shape_of, whole

TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
"""MET_LONG is missing: its size depends on the machine."""
SPACING = ("ElementSpacing", "ElementSize")
PLACE = ("Offset", "Position", "Origin")
AXES = ("TransformMatrix", "Rotation", "Orientation")
ORDER = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
RESCALE = {"ElementToIntensityFunctionSlope": 1.0, "ElementToIntensityFunctionOffset": 0.0}
KEYS = {
    *("ObjectType", "NDims", "DimSize", "ElementType", "ElementNumberOfChannels"),
    *("BinaryData", "CompressedData", "CompressedDataSize", "HeaderSize", "DistanceUnits"),
    *(*SPACING, *PLACE, *AXES, *ORDER, *RESCALE, "ElementDataFile"),
}
"""What is looked at; other keys may say anything, and twice."""
LOCAL = {"LOCAL", "Local", "local"}

# As the library does it: blanks before the key, and = or : after it.
_LINE = re.compile(r"[ \t]*([^\s=:]+)[ \t]*[=:](.*)", re.DOTALL)


def metaimage_layout(head: bytes, name: str, *, complete: bool) -> Layout:
    """What a MetaImage header says.

    Args:
        head: the first bytes of the file.
        name: what to call it.
        complete: whether these are all of its bytes.

    Raises:
        ReadingError: `broken-file`, `unsafe-link`, `bad-pixels`, `undecodable`, `no-geometry`,
            `unclear-header` or `too-few-slices`.
    """
    fields, end = _parse(head, name, complete=complete)
    local = fields["ElementDataFile"] in LOCAL
    data_file = "" if local else data_name(fields["ElementDataFile"], name)
    if fields.get("ObjectType", "Image") != "Image" or "DimSize" not in fields:
        raise ReadingError(codes.BROKEN_FILE, f"{name} is no MetaImage of one volume")
    kind = fields.get("ElementType", "of unknown type")
    if kind not in TYPES or fields.get("ElementNumberOfChannels", "1") != "1":
        raise ReadingError(codes.BAD_PIXELS, f"{name} has {kind} values, or several channels")
    sizes = [whole(word, f"DimSize of {name}") for word in fields["DimSize"].split()]
    if fields.get("NDims", "3") != str(len(sizes)):
        raise ReadingError(codes.BROKEN_FILE, f"{name} has {len(sizes)} sizes, not NDims")
    shape = shape_of(sizes, name)
    _check_units(fields, name)
    spacing = _first(fields, SPACING, 3, name)
    if spacing is None:
        raise ReadingError(codes.NO_GEOMETRY, f"{name} has no ElementSpacing")
    place, axes = _first(fields, PLACE, 3, name), _first(fields, AXES, 9, name)
    missing = [keys[0] for keys, got in ((PLACE, place), (AXES, axes)) if got is None]
    matrix = np.reshape(axes or np.eye(3), (3, 3))
    skipped = whole(fields.get("HeaderSize", "0"), f"HeaderSize of {name}")
    if skipped < -1 or (skipped and local):
        raise ReadingError(codes.BROKEN_FILE, f"{name} has HeaderSize {skipped}")
    packed_size = fields.get("CompressedDataSize")
    return Layout(
        grid=grid_of(shape, spacing, place or (0, 0, 0), matrix, name),
        dtype=np.dtype(_order(fields, name) + TYPES[kind]),
        data_file=data_file,
        offset=end if local else skipped if skipped >= 0 else None,
        packed=_is(fields, "CompressedData", name),
        packed_size=whole(packed_size, f"CompressedDataSize of {name}") if packed_size else None,
        findings=tuple(Finding(codes.NO_ORIENTATION, f"no {key}") for key in missing),
    )


def _parse(head: bytes, name: str, *, complete: bool) -> tuple[dict[str, str], int]:
    """Fields up to the one that names the data, which is the last; and where the header ends."""
    fields: dict[str, str] = {}
    end = 0
    lines = head.split(b"\n")
    # What follows the last line end may be half a line.
    for line in lines if complete else lines[:-1]:
        end = min(end + len(line) + 1, len(head))
        match = _LINE.match(line.decode("latin-1"))
        if match is None and line.strip():
            break
        if match is None:
            continue
        key, value = match[1], match[2].strip()
        if key in KEYS and fields.get(key, value) != value:
            raise ReadingError(codes.UNCLEAR_HEADER, f"{name} gives {key} twice")
        fields[key] = value
        if key == "ElementDataFile":
            return fields, end
    what = f"{name} names no ElementDataFile within {len(head)} bytes"
    raise ReadingError(codes.BROKEN_FILE, what)


def _first(
    fields: dict[str, str], keys: tuple[str, ...], count: int, name: str
) -> list[float] | None:
    """Numbers under the first of these keys that is there."""
    key = next((key for key in keys if key in fields), None)
    return None if key is None else numbers(fields[key], count, f"{key} of {name}")


def _is(fields: dict[str, str], key: str, name: str) -> bool:
    value = fields.get(key, "False")
    if value.lower() not in {"true", "false", "1", "0"}:
        raise ReadingError(codes.BROKEN_FILE, f"{key} of {name} is '{value[:60]}'")
    return value.lower() in {"true", "1"}


def _order(fields: dict[str, str], name: str) -> str:
    orders = {_is(fields, key, name) for key in ORDER if key in fields}
    if len(orders) > 1:
        raise ReadingError(codes.UNCLEAR_HEADER, f"{name} gives two byte orders")
    return ">" if True in orders else "<"


def _check_units(fields: dict[str, str], name: str) -> None:
    """Refuse text, lengths that are not mm, and values that some readers rescale."""
    if not _is(fields, "BinaryData", name):
        raise ReadingError(codes.UNDECODABLE, f"{name} holds its values as text")
    if fields.get("DistanceUnits", "mm").lower() not in {"mm", "?", ""}:
        what = f"{name} has lengths in {fields['DistanceUnits'][:20]}, not mm"
        raise ReadingError(codes.UNCLEAR_HEADER, what)
    for key, plain in RESCALE.items():
        if key in fields and numbers(fields[key], 1, f"{key} of {name}") != [plain]:
            raise ReadingError(codes.UNCLEAR_HEADER, f"{name} has {key} {fields[key][:20]}")
