"""The header of NRRD (.nrrd, .nhdr): lines of `field: value`, ended by an empty line."""

import re

import numpy as np

from squeezect.errors import Finding, ReadingError
from squeezect.reading import codes
from squeezect.reading.layout import Layout, data_name, grid_of, numbers, shape_of, whole
from squeezect.scan import FloatArray, Grid, Shape

_NAMES = {
    "i1": "signed char, int8, int8_t",
    "u1": "uchar, unsigned char, uint8, uint8_t",
    "i2": "short, short int, signed short, signed short int, int16, int16_t",
    "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "i4": "int, signed int, int32, int32_t",
    "u4": "uint, unsigned int, uint32, uint32_t",
    "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, "
    "int64_t",
    "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
    "f4": "float",
    "f8": "double",
}
TYPES = {word: kind for kind, words in _NAMES.items() for word in words.split(", ")}
FIELDS = {
    *("content", "number", "type", "blocksize", "dimension", "space", "spacedimension", "sizes"),
    *("spacings", "thicknesses", "axismins", "axismaxs", "centers", "centerings", "labels"),
    *("units", "spaceunits", "min", "max", "oldmin", "oldmax", "endian", "encoding", "lineskip"),
    *("byteskip", "sampleunits", "spaceorigin", "spacedirections", "measurementframe", "kinds"),
    "datafile",
}
"""All that there are, without their blanks."""
SPACES = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
"""Signs that take a point to LPS."""
BARE_SPACES = {"scanner-xyz", "3d-right-handed", "3d-left-handed"}
"""Spaces that say nothing about the patient."""
PLAIN_KINDS = {"domain", "space", "none", "???"}
SKIPS = ("lineskip", "byteskip")
ENDIAN = {"little": "<", "big": ">"}


def nrrd_layout(head: bytes, name: str, *, complete: bool) -> Layout:
    """What a NRRD header says.

    Args:
        head: the first bytes of the file.
        name: what to call it.
        complete: whether these are all of its bytes.

    Raises:
        ReadingError: `broken-file`, `unsafe-link`, `bad-pixels`, `undecodable`, `no-geometry`,
            `unclear-header` or `too-few-slices`.
    """
    fields, end = _parse(head, name, complete=complete)
    kind = TYPES.get(fields.get("type", "").lower())
    plain = set(fields.get("kinds", "").lower().split()) <= PLAIN_KINDS
    if kind is None or not plain:
        what = f"{name} has type '{fields.get('type')}' and kinds '{fields.get('kinds')}'"
        raise ReadingError(codes.BAD_PIXELS, what)
    sizes = [whole(word, f"sizes of {name}") for word in fields.get("sizes", "").split()]
    if fields.get("dimension") != str(len(sizes)):
        raise ReadingError(codes.BROKEN_FILE, f"{name} has {len(sizes)} sizes, not its dimension")
    shape = shape_of(sizes, name)
    encoding = fields.get("encoding", "").lower()
    if encoding not in {"raw", "gzip", "gz"} or {fields.get(k, "0") for k in SKIPS} != {"0"}:
        what = f"{name} has encoding '{encoding}', or lines or bytes to skip"
        raise ReadingError(codes.UNDECODABLE, what)
    order = ENDIAN.get(fields.get("endian", "").lower())
    if order is None and kind not in {"i1", "u1"}:
        raise ReadingError(codes.UNCLEAR_HEADER, f"{name} gives no byte order")
    grid, findings = _grid(fields, shape, name)
    return Layout(
        grid=grid,
        dtype=np.dtype((order or "<") + kind),
        data_file=fields.get("datafile", ""),
        offset=0 if "datafile" in fields else end,
        packed=encoding != "raw",
        findings=tuple(findings),
    )


def _parse(head: bytes, name: str, *, complete: bool) -> tuple[dict[str, str], int]:
    """Fields by their names without blanks, and where the header ends."""
    if not re.match(rb"NRRD000[1-5]\r?\n", head):
        raise ReadingError(codes.BROKEN_FILE, f"{name} has no NRRD header")
    match = re.compile(rb"\n\r?\n").search(head)
    lines = head[: match.start() if match else len(head)].decode("latin-1").split("\n")[1:]
    fields: dict[str, str] = {}
    for line in lines:
        key, colon, value = line.rstrip("\r").partition(":")
        if key.startswith("#") or value.startswith("=") or not line.strip():
            continue
        key = key.lower().replace(" ", "")
        if not colon or key not in FIELDS:
            raise ReadingError(codes.BROKEN_FILE, f"{name} has a line that is no field of NRRD")
        if key in fields:
            raise ReadingError(codes.UNCLEAR_HEADER, f"{name} gives {key} twice")
        fields[key] = data_name(value.strip(), name) if key == "datafile" else value.strip()
    if match is None and not (complete and "datafile" in fields):
        raise ReadingError(codes.BROKEN_FILE, f"{name} has no end of its header")
    return fields, match.end() if match else len(head)


@np.errstate(all="ignore")  # what overflows is not finite, and is refused
def _grid(fields: dict[str, str], shape: Shape, name: str) -> tuple[Grid, list[Finding]]:
    _check_units(fields, name)
    space = fields.get("space", "").lower()
    if space not in {*SPACES, *BARE_SPACES, ""}:
        raise ReadingError(codes.UNCLEAR_HEADER, f"{name} has space '{space[:40]}'")
    oriented = space in SPACES and "spacedirections" in fields
    flip = np.array(SPACES[space] if oriented else (1, 1, 1), float)
    steps = _steps(fields, name)
    spacing = np.linalg.norm(steps, axis=1)
    if not np.isfinite(steps).all() or spacing.min() <= 0:
        raise ReadingError(codes.NO_GEOMETRY, f"{name} has steps {steps.tolist()} mm")
    origin = np.zeros(3)
    if "spaceorigin" in fields:
        origin = _vectors(fields["spaceorigin"], 1, f"space origin of {name}")[0]
    missing = "" if "spaceorigin" in fields else "no space origin"
    missing = missing if oriented else "no space with directions"
    findings = [Finding(codes.NO_ORIENTATION, missing)] if missing else []
    return grid_of(shape, spacing, origin * flip, steps / spacing[:, None] * flip, name), findings


def _steps(fields: dict[str, str], name: str) -> FloatArray:
    """World step along each axis x, y, z, in the header's own space; shape (3, 3)."""
    told = sorted({"spacedirections", "spacings", "axismins", "axismaxs"} & set(fields))
    if told == ["spacedirections"]:
        return _vectors(fields["spacedirections"], 3, f"space directions of {name}")
    if told == ["spacings"]:
        spacings = numbers(fields["spacings"], 3, f"spacings of {name}")
        if min(spacings) <= 0:
            raise ReadingError(codes.NO_GEOMETRY, f"{name} has spacings {spacings} mm")
        return np.diag(spacings)
    if told:
        raise ReadingError(codes.UNCLEAR_HEADER, f"{name} places its axes by {' and '.join(told)}")
    raise ReadingError(codes.NO_GEOMETRY, f"{name} has no space directions and no spacings")


def _vectors(text: str, count: int, what: str) -> FloatArray:
    """`count` vectors written as (a,b,c); shape (count, 3)."""
    found = re.findall(r"\(([^()]*)\)", text)
    if len(found) != count or re.sub(r"\([^()]*\)", "", text).strip():
        raise ReadingError(codes.NO_GEOMETRY, f"{what} is '{text[:60]}', not {count} vectors")
    return np.array([numbers(inner.replace(",", " "), 3, what) for inner in found])


def _check_units(fields: dict[str, str], name: str) -> None:
    for key in ("spaceunits", "units"):
        words = re.findall(r'"[^"]*"|[^\s"]+', fields.get(key, ""))
        units = {word.strip('" ').lower() for word in words}
        if units - {"mm", "millimeter", "millimeters", "", "???"}:
            what = f"{name} has lengths in {', '.join(sorted(units))[:40]}, not mm"
            raise ReadingError(codes.UNCLEAR_HEADER, what)
