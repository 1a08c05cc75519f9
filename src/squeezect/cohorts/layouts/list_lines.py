"""Lines ``path label`` of a text file: told by their form, and found where the files are now."""

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from squeezect.cohorts.problems import UNREADABLE_TABLE
from squeezect.cohorts.sheet import Sheet, header_of, read_text
from squeezect.errors import CohortError

PICTURES = frozenset(
    {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".pgm", ".ppm", ".pnm", ".webp"}
)
"""Endings of the pictures that patches are kept as."""
PATH_COLUMNS = ("path", "file", "filename", "file_name", "image", "image_path", "picture", "patch")
LABEL_COLUMNS = ("label", "class", "target")

_LINE = re.compile(r"(\S.*?)[\s,;]+([^\s,;]+)")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
_NAME = re.compile(r".*\.\w{2,5}")
_LOOKED_AT = 200
_TRIED = 50
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Line:
    """One line of a list.

    Args:
        row: its number in the file; of the row in a table with a header.
        path: as written.
        label: as written.
        whole: False if it is no path and a label.
    """

    row: int
    path: str
    label: str
    whole: bool = True


@dataclass(frozen=True)
class Place:
    """Where the paths of a list start.

    Args:
        base: folder.
        passed: leading parts of each path that are passed over, such as another machine's root.
    """

    base: Path
    passed: int = 0

    def of(self, text: str) -> Path:
        r"""The file that a path of the list stands for; ``\`` is taken as ``/``."""
        path = self.base / text
        if self.passed or ("\\" in text and not there(path)):
            return self.base.joinpath(*_parts(text)[self.passed :] or _parts(text)[-1:])
        return path


def list_text(path: Path) -> str:
    """The text of a list in UTF-8, or in UTF-16 with a byte order mark.

    Raises:
        CohortError: `unreadable-table`.
    """
    try:
        data = path.read_bytes() if path.is_file() else b""
        if data.startswith(_UTF16):
            return data.decode("utf-16")
    except UnicodeDecodeError as error:
        what = f"{path.name} is not UTF-16 text (byte {error.start})"
        raise CohortError(UNREADABLE_TABLE, what) from error
    except OSError:
        pass  # `read_text` says why
    return read_text(path)


def lines_of(path: Path, *, label: str = "") -> list[Line]:
    """Paths and labels of a list, or of a table of pictures.

    Args:
        path: text with a path and a label in each line, apart by white space, a comma or a
            semicolon; blank lines, lines that start with ``#`` and a heading are passed over. Or a
            table with a column of `PATH_COLUMNS` and one of `LABEL_COLUMNS`.
        label: the table's column of the label.

    Raises:
        CohortError: what reading a table says.
    """
    columns = picture_columns(path, label=label)
    if columns is None:
        return list(_lines(list_text(path)))
    rows = Sheet.read(path, needs=columns).rows()
    return [Line(row, values[columns[0]], values[columns[1]]) for row, values in rows]


def picture_columns(path: Path, *, label: str = "") -> tuple[str, str] | None:
    """Columns of path and label, if a CSV is a table of pictures.

    Args:
        path: the CSV.
        label: column of the label; the first of `LABEL_COLUMNS` that it has if "".
    """
    if path.suffix.lower() not in {".csv", ".tsv"}:
        return None
    columns = header_of(path)
    paths = [name for name in columns if name.lower() in PATH_COLUMNS]
    labels = [n for n in columns if n == label or (not label and n.lower() in LABEL_COLUMNS)]
    # A table may have a class of something else beside the label.
    labels.sort(key=lambda name: 0 if label else LABEL_COLUMNS.index(name.lower()))
    if not (paths and labels):
        return None
    first = Sheet.read(path).lines[0][columns.index(paths[0])]
    return (paths[0], labels[0]) if Path(first).suffix.lower() in PICTURES else None


def is_list(path: Path, root: Path) -> bool:
    """Whether most lines of a file are a path and a label, whether or not the files are there.

    Args:
        path: any file.
        root: the data set's folder.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return False
    encoding = "utf-16" if data.startswith(_UTF16) else "utf-8-sig"
    lines = list(_lines(data.decode(encoding, errors="replace")))[:_LOOKED_AT]
    place = find_place([line.path for line in lines if line.whole], (path.parent, root))
    fitting = [
        line
        for line in lines
        if line.whole
        and (there(place.of(line.path)) or (_NUMBER.fullmatch(line.label) and _named(line.path)))
    ]
    return 2 * len(fitting) >= max(len(lines), 1)


def find_place(paths: Sequence[str], bases: Sequence[Path]) -> Place:
    """Where the paths of a list start: as written, or with as few leading parts off as will do.

    All paths of a list start at one place, so that a missing file is told, not replaced by another
    one of its name.

    Args:
        paths: as written.
        bases: folders to try, the list's own first.
    """
    tried = paths[:: max(1, len(paths) // _TRIED)]

    def found(place: Place) -> int:
        return sum(there(place.of(path)) for path in tried)

    if found(Place(bases[0])):
        return Place(bases[0])
    for passed in range(max((len(_parts(path)) for path in tried), default=1)):
        for base in dict.fromkeys(bases):
            if 2 * found(Place(base, passed)) > len(tried):
                return Place(base, passed)
    # Bare names of pictures that lie in one folder below.
    below = [Place(folder) for folder in folders_of(bases[-1])]
    fitting = [place for place in below if 2 * found(place) > len(tried)]
    return fitting[0] if len(fitting) == 1 else Place(bases[0])


def folders_of(folder: Path) -> list[Path]:
    """Folders in a folder, sorted; hidden ones are left out."""
    found = [p for p in folder.iterdir() if p.is_dir()] if folder.is_dir() else []
    return sorted(p for p in found if not p.name.startswith((".", "__MACOSX")))


def there(path: Path) -> bool:
    """Whether there is a file; False also for what can be no path."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _lines(text: str) -> Iterator[Line]:
    first = True
    for row, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip().rstrip(",;")
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        words = [word.strip("\"'") for word in match.groups()] if match else [stripped, ""]
        heading = first and words[0].lower() in PATH_COLUMNS and words[1].lower() in LABEL_COLUMNS
        first = False
        if not heading:
            yield Line(row, words[0], words[1], match is not None)


def _named(path: str) -> bool:
    return _NAME.fullmatch(path) is not None


def _parts(text: str) -> tuple[str, ...]:
    return PurePosixPath(text.replace("\\", "/")).parts
