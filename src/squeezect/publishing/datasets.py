"""What a path holds that weights can be scored on: patches on lists, crops, or whole scans."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from squeezect.candidates import is_picture
from squeezect.cohorts import Case, Cohort
from squeezect.cohorts.layouts import (
    detect_layout,
    read_dataset,
    read_nodule_crops,
    read_patch_lists,
)
from squeezect.cohorts.layouts.crops import LABEL
from squeezect.cohorts.layouts.list_lines import folders_of, is_list, picture_columns
from squeezect.cohorts.sheet import header_of
from squeezect.errors import Code, CohortError, EvaluationError
from squeezect.reading.sources import open_sources

NO_LISTS = Code(
    "no-lists",
    "A folder holds no list of patches, no table of crops and no cohort.",
    "name the folder that holds train.txt, val.txt or another list, or nodules.csv, or a CSV",
)
NO_DATA = Code(
    "no-such-data",
    "There is no file or folder at the path of a data set.",
    "check the spelling of the path",
)
UNSAFE_NAME = Code(
    "unsafe-name",
    "A member of an archive would be unpacked outside of its folder.",
    "unpack it with a tool you trust and give the folder",
)
TWO_LABELS = Code(
    "contradicting-labels",
    "One picture or nodule has two labels.",
    "keep the line whose label is right",
)
UNUSED_LABEL = Code(
    "unused-label-column",
    "A column of the label was named for data that has no columns.",
    "leave --label out: lists have the label in each line",
)
ANY_KIND = "patches on lists (path label), crops with nodules.csv, or a CSV of scans"
LISTS = {".txt", ".lst"}
TABLES = {".csv", ".tsv"}

Kind = Literal["patches", "crops", "scans"]


@dataclass(frozen=True)
class Dataset:
    """What there is to be scored.

    Args:
        root: folder of lists or table; of whole scans, what their reader takes.
        kind: what a case is.
        names: of the lists or the table, relative to `root`.
        notes: what was passed over.
    """

    root: Path
    kind: Kind
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@contextmanager
def opened(data: Path) -> Iterator[Path]:
    """A data set as a folder or file: a zip is unpacked for as long as it is needed.

    Raises:
        EvaluationError: `no-such-data` or `unsafe-name`.
        ReadingError: `unsafe-archive` or `too-large`.
    """
    if not data.exists():
        raise EvaluationError(NO_DATA, f"no file or folder {data}")
    if not (data.is_file() and data.suffix.lower() == ".zip"):
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="squeezect-") as scratch:
        root = Path(scratch)
        with open_sources(data) as sources:
            for source in sources:
                target = root.joinpath(*_inside(source.name, data))
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read())
        yield root


def _inside(name: str, archive: Path) -> tuple[str, ...]:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or any(part in {"..", "/"} or ":" in part or "\0" in part for part in parts):
        raise EvaluationError(UNSAFE_NAME, f"{archive.name} holds the member {name[:80]!r}")
    return parts


def find_dataset(place: Path, *, points: bool) -> Dataset:
    """What a path holds.

    Args:
        place: folder, list or table.
        points: whether the weights judge points of 3D patches; where a folder holds lists and a
            table of crops, they are about the crops.

    Raises:
        EvaluationError: `no-such-data` or `no-lists`.
    """
    if not place.exists():
        raise EvaluationError(NO_DATA, f"no file or folder {place}")
    if place.is_file():
        return _of_file(place)
    lists, passed = _lists_in(place, [place])
    table = _crop_table(place)
    if table is not None and (points or not lists):
        return Dataset(place, "crops", (table.name,), _beside(place, table, lists))
    if lists:
        return Dataset(place, "patches", lists, passed)
    found = _scans_in(place)
    if found is not None:
        return found
    held = [path for path in place.iterdir() if not path.name.startswith((".", "__MACOSX"))]
    if len(held) == 1 and held[0].is_dir():
        return find_dataset(held[0], points=points)
    return _below(place, passed)


def _of_file(path: Path) -> Dataset:
    ending = path.suffix.lower()
    if ending == ".npz":
        return Dataset(path, "scans")
    if ending not in LISTS | TABLES:
        what = f"{path.name} is one file, not {ANY_KIND}"
        remedy = "name the folder that holds its list or table"
        raise EvaluationError(NO_LISTS, what, remedy=remedy)
    if picture_columns(path) is not None or (ending in LISTS and is_list(path, path.parent)):
        return Dataset(path.parent, "patches", (path.name,))
    columns = header_of(path) if ending in TABLES else ()
    if "file" in columns:
        return Dataset(path.parent, "crops", (path.name,))
    if "scan" in columns:
        return Dataset(path, "scans")
    if is_list(path, path.parent):
        return Dataset(path.parent, "patches", (path.name,))
    if ending in LISTS:
        what = f"most lines of {path.name} are not a path and a label"
        raise EvaluationError(NO_LISTS, what, remedy="write a picture's path and 0 or 1 per line")
    what = f"{path.name} has no column file, scan or path; it has {', '.join(columns[:12])}"
    raise EvaluationError(NO_LISTS, what, remedy="name the columns as the guide does")


def _lists_in(root: Path, folders: Sequence[Path]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Lists in some folders of a data set, and what was passed over, by name."""
    lists, passed = [], []
    for path in sorted(path for folder in folders for path in folder.iterdir()):
        ending, name = path.suffix.lower(), path.relative_to(root).as_posix()
        if not path.is_file() or path.name.startswith(".") or ending not in LISTS | TABLES:
            continue
        if picture_columns(path) is not None or (
            not {"file", "scan"} & set(header_of(path) if ending in TABLES else ())
            and is_list(path, root)
        ):
            lists.append(name)
        elif ending in LISTS:
            passed.append(name)
    notes = f"passed over, for most lines are not a path and a label: {', '.join(passed)}"
    return tuple(lists), (notes,) if passed else ()


def _crop_table(folder: Path) -> Path | None:
    """The table of crops of a folder, if it has one.

    Raises:
        EvaluationError: `no-lists`, if there are several.
    """
    if (folder / "nodules.csv").is_file():
        return folder / "nodules.csv"
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() in TABLES)
    tables = [path for path in tables if path.is_file() and picture_columns(path) is None]
    fitting = [path for path in tables if "file" in header_of(path)]
    if len(fitting) > 1:
        named = ", ".join(path.name for path in fitting)
        what = f"{folder} holds several tables of crops: {named}"
        raise EvaluationError(NO_LISTS, what, remedy="name the one that is meant")
    if fitting:
        return fitting[0]
    return tables[0] if (folder / "images").is_dir() and len(tables) == 1 else None


def _beside(folder: Path, table: Path, lists: Sequence[str]) -> tuple[str, ...]:
    """What lies beside a table of crops and might have been meant."""
    tables = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in TABLES and p != table]
    names = [p.name for p in tables if p.is_file() and "file" in header_of(p)]
    others = list(dict.fromkeys([*names, *lists]))
    told = f"{table.name} is scored; passed over beside it: {', '.join(others)}"
    return (told,) if others else ()


def _scans_in(folder: Path) -> Dataset | None:
    tables = [path for path in folder.glob("*.csv") if "scan" in header_of(path)]
    if len(tables) == 1:
        return Dataset(tables[0], "scans")
    try:
        layout = detect_layout(folder)
    except CohortError:
        return None
    return None if layout in {"patch-lists", "nodule-crops"} else Dataset(folder, "scans")


def _below(place: Path, passed: tuple[str, ...]) -> Dataset:
    """What the folders of a folder hold that holds nothing itself."""
    folders = folders_of(place)
    tables = [folder for folder in folders if (folder / "nodules.csv").is_file()]
    lists, more = _lists_in(place, folders)
    if lists and not tables:
        return Dataset(place, "patches", lists, (*passed, *more))
    if len(tables) == 1 and not lists:
        return Dataset(tables[0], "crops", ("nodules.csv",))
    beside = "; ".join(("", *passed, *more))
    if tables:
        named = ", ".join(sorted({f.name for f in tables} | {Path(n).parts[0] for n in lists}))
        what = f"{place} holds several data sets: {named}"
        raise EvaluationError(NO_LISTS, what, remedy="name the one that is meant")
    pictures = any(is_picture(path) for path in list(place.iterdir())[:50])
    found = " but pictures" if pictures else ""
    raise EvaluationError(NO_LISTS, f"{place} holds none of {ANY_KIND}{found}{beside}")


def cases_of(dataset: Dataset, name: str, label: str | None) -> tuple[Sequence[Case], str]:
    """Cases of one list or table, each once; what copies were passed over, in words.

    Args:
        dataset: what there is.
        name: of the list or table.
        label: column of the label in a table.

    Raises:
        EvaluationError: `contradicting-labels` or `unused-label-column`.
        CohortError: what the reader says.
    """
    if dataset.kind == "scans":
        return read_dataset(dataset.root).cases, ""
    if dataset.kind == "crops":
        # A centre a little outside a tight crop is no reason to refuse: preparing judges it.
        column = label or LABEL
        found = read_nodule_crops(
            dataset.root, table=name, label=column, check_points=False, masks=False
        )
        return _once(found, name)
    if label is not None and picture_columns(dataset.root / name, label=label) is None:
        raise EvaluationError(UNUSED_LABEL, f"{name} is a list; it has no column {label}")
    found = read_patch_lists(dataset.root, lists={name: "test"}, label=label or "")
    return _once(found, name)


def _once(cohort: Cohort, name: str) -> tuple[Sequence[Case], str]:
    """Every picture or nodule once, with its label if any of its rows has one."""
    groups: dict[object, list[Case]] = {}
    for case in cohort.cases:
        groups.setdefault((case.scan.resolve(), case.point_mm), []).append(case)
    kept = []
    for group in groups.values():
        labelled = {case.label: case for case in reversed(group) if case.label is not None}
        if len(labelled) > 1:
            first, second = sorted(case.row for case in labelled.values())[:2]
            what = f"rows {first} and {second} of {name} are one {group[0].scan.name}, labelled "
            raise EvaluationError(TWO_LABELS, what + " and ".join(map(str, sorted(labelled))))
        label = next(iter(labelled), None)
        kept.append(replace(group[0], label=label))
    copies = len(cohort.cases) - len(kept)
    return kept, f"{copies} copies of cases in {name} were scored once" if copies else ""
