"""Ways in which two parts of a study can share what they must not share, each looked for alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np

from squeezect.cohorts.fingerprints import near_duplicates
from squeezect.cohorts.table import Case

LeakKind = Literal[
    "same-patient",
    "same-series",
    "same-file",
    "near-duplicate",
    "overlapping-candidates",
    "pseudo-labelled-test",
]
PSEUDO = "pseudo-labelled"
LEARNING = frozenset({"train", PSEUDO})
"""Parts that may share patients: both only teach."""

Parts = Mapping[str, Sequence[Case]]
Copies = Sequence[tuple[str, str, float]]
"""Voxels of two cases that are copies, and how alike they are."""


@dataclass(frozen=True)
class Leak:
    """One way in which two parts are not apart.

    Args:
        kind: what they share.
        parts: names of the two parts.
        rows: number of a row in each that shows it.
        detail: how it was seen, and how often.
        where: the fold, "" for none.
        allowed: True for a pseudo-labelled test scan that was asked for (transductive use).
    """

    kind: LeakKind
    parts: tuple[str, str]
    rows: tuple[int, int]
    detail: str
    where: str = ""
    allowed: bool = False

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        (part, other), (row, second) = self.parts, self.rows
        return f"{place}{self.kind}: row {row} ({part}) and row {second} ({other}), {self.detail}"


def shared(parts: Parts, kind: LeakKind, key: Callable[[Case], object]) -> Iterator[Leak]:
    """Leaks by a key that cases of two parts have in common; falsy keys say nothing."""
    homes: dict[object, dict[str, list[Case]]] = {}
    for part, cases in parts.items():
        for case in cases:
            value = key(case)
            if value:
                homes.setdefault(value, {}).setdefault(part, []).append(case)
    for home in homes.values():
        for part, other in pairs(home):
            one, two = home[part], home[other]
            detail = f"{len(one)} and {len(two)} rows"
            yield Leak(kind, (part, other), (one[0].row, two[0].row), detail)


def file_keys(parts: Parts) -> dict[str, object]:
    """What tells the file of each case from others, by `Case.voxels`: links are followed."""
    cases = {case.voxels: case for group in parts.values() for case in group}
    keys: dict[Path, object] = {}
    for case in cases.values():
        if case.scan not in keys:
            keys[case.scan] = _file_key(case.scan)
    # A case that names no series of a folder may be about any: there the folder is what counts.
    vague = {keys[case.scan] for case in cases.values() if not case.dicom_series}
    return {
        voxels: (file, case.element, "" if file in vague else case.dicom_series)
        for voxels, case in cases.items()
        for file in [keys[case.scan]]
    }


def _file_key(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return str(path.absolute())
    return (found.st_dev, found.st_ino)


def copies_among(fingerprints: Mapping[str, bytes], alike: float) -> Copies:
    """All pairs of voxels that are copies of each other."""
    names = sorted(fingerprints)
    prints = [fingerprints[name] for name in names]
    return [(names[i], names[j], value) for i, j, value in near_duplicates(prints, alike=alike)]


def copied(parts: Parts, copies: Copies, files: Mapping[str, object]) -> Iterator[Leak]:
    """Leaks by copies of a volume under another name."""
    homes: dict[str, dict[str, Case]] = {}
    for part, cases in parts.items():
        for case in cases:
            homes.setdefault(case.voxels, {}).setdefault(part, case)
    for one, two, value in copies:
        if one not in homes or two not in homes or files[one] == files[two]:
            continue
        for part, other in pairs(parts):
            for left, right in ((homes[one], homes[two]), (homes[two], homes[one])):
                if part in left and other in right:
                    rows = (left[part].row, right[other].row)
                    yield Leak("near-duplicate", (part, other), rows, f"likeness {value:.3f}")


def overlapping(parts: Parts, files: Mapping[str, object], overlap_mm: float) -> Iterator[Leak]:
    """Leaks by points of one scan that are closer than `overlap_mm`."""
    scans: dict[object, dict[str, list[Case]]] = {}
    for part, cases in parts.items():
        for case in cases:
            if case.point_mm is not None:
                scan = case.series or files[case.voxels]
                scans.setdefault(scan, {}).setdefault(part, []).append(case)
    for home in scans.values():
        for part, other in pairs(home):
            leak = _closest(home[part], home[other], overlap_mm)
            if leak:
                rows, detail = leak
                yield Leak("overlapping-candidates", (part, other), rows, detail)


def _closest(
    cases: Sequence[Case], others: Sequence[Case], overlap_mm: float
) -> tuple[tuple[int, int], str] | None:
    """Rows of the two closest points, their distance and the number of overlaps, if any."""
    from scipy.spatial import cKDTree

    first = cKDTree(np.array([case.point_mm for case in cases]))
    second = cKDTree(np.array([case.point_mm for case in others]))
    found, place = second.query(first.data)
    distances_mm, nearest = np.atleast_1d(found), np.atleast_1d(place)
    best = int(distances_mm.argmin())
    if distances_mm[best] >= overlap_mm:
        return None
    # Counting takes distances up to and including the radius.
    count = int(first.count_neighbors(second, np.nextafter(overlap_mm, 0)))
    detail = f"{distances_mm[best]:.1f} mm apart, such pairs in the scan: {count}"
    return (cases[best].row, others[int(nearest[best])].row), detail


def marked_test(pseudo_labelled: Sequence[Case]) -> Iterator[Leak]:
    """Leaks by pseudo-labelled cases whose own table puts them into the test part."""
    for case in pseudo_labelled:
        if case.split == "test":
            detail = "its table says split test"
            yield Leak("pseudo-labelled-test", (PSEUDO, "test"), (case.row, case.row), detail)


def apart(part: str, other: str) -> bool:
    """Whether two parts must not share anything."""
    return part != other and not {part, other} <= LEARNING


def pairs(names: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Every two parts that must not share anything."""
    return (pair for pair in combinations(names, 2) if apart(*pair))
