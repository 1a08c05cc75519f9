"""From a scan's files to its volumes in a store, and how to tell that the files have changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from squeezect.errors import Code, SqueezeCTError, StoreError
from squeezect.preparation.chest import NO_LUNGS, check_chest, judge_lungs
from squeezect.preparation.lungs import LungFigures
from squeezect.preparation.pipeline import Volume, prepare
from squeezect.scan import Scan, Triple, pseudonym

if TYPE_CHECKING:
    from squeezect.preparation.store import Store

NOT_PREPARED = Code(
    "not-prepared",
    "A scan could not be prepared, for a reason that lies in its files or in this machine.",
    "see what `squeezect inspect` says about it",
)


Failures = Mapping[str, SqueezeCTError]
"""What went wrong, by the key of a volume."""


@dataclass(frozen=True)
class Source:
    """A scan to be stored, whole or as patches around points.

    Args:
        path: where it is.
        marks: what would tell that it has changed, by the key of each of its volumes.
        points: LPS points (x, y, z) in mm that patches are cut around, by key.
        series: UID of the series to read, "" to leave the choice to the reader.
    """

    path: Path
    marks: Mapping[str, str]
    points: Mapping[str, Triple] = field(default_factory=dict)
    series: str = ""

    def __str__(self) -> str:
        return f"scan {self.path}"

    def all_failed(self, error: SqueezeCTError) -> Failures:
        """One error as that of every key."""
        return dict.fromkeys(self.marks, error)


def fingerprint(path: Path) -> str:
    """What tells that a scan has moved or changed: place, names, sizes and times, not contents."""
    path = Path(path).resolve()
    digest = blake2b(str(path).encode(), digest_size=8)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        try:
            facts = file.stat()
        except OSError:
            continue
        name = file.relative_to(path)
        digest.update(f"{name} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def marks_of(
    sources: Mapping[str, Path], points: Mapping[str, Triple], series: Mapping[str, str]
) -> dict[str, str]:
    """What tells that the source of each key has changed: its files, its series and its point."""
    files = {path: fingerprint(path) for path in set(sources.values())}
    marks = {key: files[path] for key, path in sources.items()}
    # A series UID would say whose scan it is.
    marks |= {key: f"{marks[key]} {pseudonym(uid)}" for key, uid in series.items() if key in marks}
    return {key: f"{m} {points[key]}" if key in points else m for key, m in marks.items()}


def by_scan(
    sources: Mapping[str, Path],
    marks: Mapping[str, str],
    points: Mapping[str, Triple],
    series: Mapping[str, str],
) -> list[Source]:
    """One job for each scan, in the order of first appearance."""
    groups: dict[tuple[Path, str], dict[str, str]] = {}
    for key, mark in marks.items():
        groups.setdefault((sources[key], series.get(key, "")), {})[key] = mark
    return [
        Source(path, group, {key: points[key] for key in group if key in points}, uid)
        for (path, uid), group in groups.items()
    ]


def prepare_into(store: "Store", source: Source, *, threads: int, require_chest: bool) -> Failures:
    """Read, check, prepare and store one scan or its patches; the worker processes' task.

    Args:
        store: where the volumes go.
        source: the scan.
        threads: how many share the work of one scan.
        require_chest: `no-lungs` is a failure.

    Returns:
        What went wrong, by key. Patches of other points are stored all the same.
    """
    from squeezect.reading import read_scan

    # A crop around a nodule may hold two slices or one.
    allow = ("too-few-slices",) if store.preparation.cuts_patches else ()
    try:
        scan = read_scan(source.path, series=source.series or None, threads=threads, allow=allow)
        if store.preparation.cuts_patches:
            return _patches_into(store, source, scan, threads)
        _whole_into(store, source, scan, threads=threads, require_chest=require_chest)
    except SqueezeCTError as error:
        return source.all_failed(error)
    except (OSError, MemoryError, ValueError, LookupError, ArithmeticError) as error:
        # What decoders and disks raise; one odd file must not stop a night's work.
        what = f"{source}: {type(error).__name__}: {error}"
        return source.all_failed(StoreError(NOT_PREPARED, what))
    return {}


def no_chest(path: Path, lungs: LungFigures) -> SqueezeCTError | None:
    """The error of a scan without lungs, where a chest is required; None for a chest."""
    if not any(finding.code is NO_LUNGS for finding in judge_lungs(lungs)):
        return None
    return StoreError(NO_LUNGS, f"scan {path}: lung volume {lungs.volume_l:.2f} l")


def _whole_into(
    store: "Store", source: Source, scan: Scan, *, threads: int, require_chest: bool
) -> None:
    lungs, findings = check_chest(scan, threads=threads)
    if require_chest and (error := no_chest(source.path, lungs)):
        raise error
    # Going on without a chest is the caller's choice, and is recorded as one.
    noted = [replace(f, overridden=f.severity == "refuse") for f in findings]
    scan = replace(scan, findings=(*scan.findings, *noted))
    volume = prepare(scan, store.preparation, lungs=lungs, threads=threads)
    for key, mark in source.marks.items():
        store.write(key, volume, source=mark)


def _patches_into(store: "Store", source: Source, scan: Scan, threads: int) -> Failures:
    failed: dict[str, SqueezeCTError] = {}

    def patches() -> Iterator[tuple[str, str, Volume]]:
        for key, mark in source.marks.items():
            point = source.points.get(key)
            try:
                yield key, mark, prepare(scan, store.preparation, point_mm=point, threads=threads)
            except SqueezeCTError as error:
                failed[key] = error

    if len(source.marks) > 1:
        store.write_patches(source.path, patches(), count=len(source.marks))
    else:
        for key, mark, volume in patches():
            store.write(key, volume, source=mark)
    return failed
