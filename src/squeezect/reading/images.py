"""MetaImage, NIfTI and NRRD: one file (or header and data file) is one volume."""

import re
import tempfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from squeezect.errors import Finding, GeometryError, ReadingError
from squeezect.reading import codes
from squeezect.reading.hounsfield import Hu, to_hounsfield
from squeezect.reading.nifti import check_nifti
from squeezect.reading.sources import Limits, Source
from squeezect.scan import Direction, Grid

if TYPE_CHECKING:
    import SimpleITK

FORMATS = {
    ".mhd": "metaimage",
    ".mha": "metaimage",
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".nrrd": "nrrd",
    ".nhdr": "nrrd",
}
SUFFIXES = tuple(FORMATS)

_DATA_FILE = re.compile(rb"^(?:ElementDataFile\s*=|data ?file:)\s*(.*?)\s*$", re.I | re.M)
_INLINE = {b"", b"LOCAL", b"local"}
_BYTES = {"8-bit": 1, "16-bit": 2, "32-bit": 4, "64-bit": 8}


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
        ReadingError: `broken-file`, `too-large`, `unsafe-link`, `bad-pixels`, `no-geometry`,
            `too-few-slices` or `hu-overflow`.
    """
    import SimpleITK

    data = _data_file(source, siblings)
    packed = source.size + (data.size if data else 0)
    loud = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    # ITK prints to the terminal past Python, and quotes headers.
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)  # noqa: FBT003
    try:
        with _on_disk(source, data) as path:
            reader = SimpleITK.ImageFileReader()
            reader.SetFileName(str(path))
            reader.ReadImageInformation()
            _check_information(reader, source, packed, limits, allow)
            nifti = image_format(source.name) == "nifti"
            findings = check_nifti(path, source.name) if nifti else []
            image = reader.Execute()
    except (RuntimeError, OSError, EOFError, zlib.error, MemoryError) as error:
        what = f"{source.name} cannot be read as {image_format(source.name)}"
        raise ReadingError(codes.BROKEN_FILE, what) from error
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(loud)
    return *_to_hu(image, source), findings


def _to_hu(image: "SimpleITK.Image", source: Source) -> tuple[Hu, Grid]:
    import SimpleITK

    if image.GetDimension() == 4:
        image = image[:, :, :, 0]
    stored = SimpleITK.GetArrayViewFromImage(image)
    sx, sy, sz = image.GetSpacing()
    x, y, z = image.GetOrigin()
    # Columns of the matrix are the axes x, y, z of the array.
    axes = np.reshape(image.GetDirection(), (3, 3)).T[::-1]
    rows = [(float(a), float(b), float(c)) for a, b, c in axes]
    direction: Direction = (rows[0], rows[1], rows[2])
    try:
        shape = (stored.shape[0], stored.shape[1], stored.shape[2])
        grid = Grid(shape, (sz, sy, sx), (x, y, z), direction)
    except GeometryError as error:
        raise ReadingError(codes.NO_GEOMETRY, f"{source.name}: {error.what}") from error
    hu = np.empty(stored.shape, np.int16)
    for plane, out in zip(stored, hu, strict=True):
        to_hounsfield(plane, out, where=f" ({source.name})")
    return hu, grid


def _check_information(
    reader: "SimpleITK.ImageFileReader",
    source: Source,
    packed: int,
    limits: Limits,
    allow: Collection[str],
) -> None:
    import SimpleITK

    size = reader.GetSize()
    if len(size) not in {3, 4} or (len(size) == 4 and size[3] != 1):
        what = f"{source.name} has size {' x '.join(map(str, size))}, not three dimensions"
        raise ReadingError(codes.BAD_PIXELS, what)
    kind = SimpleITK.GetPixelIDValueAsString(reader.GetPixelID())
    width = next((n for name, n in _BYTES.items() if name in kind), 0)
    if reader.GetNumberOfComponents() != 1 or not width or "complex" in kind:
        raise ReadingError(codes.BAD_PIXELS, f"{source.name} has {kind} values")
    voxels = int(np.prod([int(n) for n in size], dtype=object))
    if voxels > limits.voxels or limits.swells(packed, voxels * width):
        what = f"{source.name} declares {' x '.join(map(str, size))} voxels in {packed} bytes"
        raise ReadingError(codes.TOO_LARGE, what)
    few = size[2] < 3 and codes.TOO_FEW.name not in allow
    if min(size[:3]) < 1 or few:
        raise ReadingError(codes.TOO_FEW, f"{source.name} has {size[2]} slices")


def _data_file(source: Source, siblings: dict[str, Source]) -> Source | None:
    """The file that a header names, if it lies beside it."""
    if image_format(source.name) == "nifti":
        return None
    # Where the voxels follow the header, only text before them can name a file.
    head = source.head(64 << 10)
    match = _DATA_FILE.search(head.split(b"\n\n")[0] if head[:4] == b"NRRD" else head)
    if match is None or match[1] in _INLINE:
        return None
    name = match[1].decode("utf-8", "replace")
    parts = PurePosixPath(name.replace("\\", "/"))
    if len(parts.parts) != 1 or parts.parts[0] == ".." or re.search(r"[%\s]\S*\d|^LIST", name):
        raise ReadingError(
            codes.UNSAFE_LINK, f"{source.name} names its data file by a path or list"
        )
    folder = source.name.rpartition("/")[0]
    wanted = f"{folder}/{name}" if folder else name
    found = siblings.get(wanted)
    if found is None and source.member is None:
        beside = source.path.parent / name
        if beside.is_file() and not beside.is_symlink():
            found = Source(name, beside.stat().st_size, beside)
    if found is None:
        raise ReadingError(codes.BROKEN_FILE, f"{source.name} lacks its data file")
    return found


@contextmanager
def _on_disk(source: Source, data: Source | None) -> Iterator[Path]:
    """A path that ITK can open: members of an archive get a private copy under safe names."""
    if source.member is None:
        yield source.path
        return
    suffix = next(s for s in sorted(SUFFIXES, key=len, reverse=True) if _ends(source.name, s))
    with tempfile.TemporaryDirectory(prefix="squeezect-") as folder:
        header = Path(folder) / f"scan{suffix}"
        header.write_bytes(source.read())
        if data is not None:
            (Path(folder) / PurePosixPath(data.name).name).write_bytes(data.read())
        yield header


def _ends(name: str, suffix: str) -> bool:
    return name.lower().endswith(suffix)
