"""From a scan's files to its volume in a store, and how to tell that the files have changed."""

from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from squeezect.errors import Code, SqueezeCTError, StoreError
from squeezect.preparation.chest import NO_LUNGS, check_chest
from squeezect.preparation.pipeline import prepare

if TYPE_CHECKING:
    from squeezect.preparation.store import Store

NOT_PREPARED = Code(
    "not-prepared",
    "A scan could not be prepared, for a reason that lies in its files or in this machine.",
    "see what `squeezect inspect` says about it",
)


@dataclass(frozen=True)
class Source:
    """A scan to be stored: its key, where it is, and what would tell that it has changed."""

    key: str
    path: Path
    mark: str

    def __str__(self) -> str:
        return f"scan {self.path}"


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


def prepare_into(
    store: "Store", source: Source, *, threads: int, require_chest: bool
) -> SqueezeCTError | None:
    """Read, check, prepare and store one scan; the worker processes' task.

    Args:
        store: where the volume goes.
        source: the scan.
        threads: how many share the work of one scan.
        require_chest: `no-lungs` is a failure.

    Returns:
        What went wrong, or None.
    """
    from squeezect.reading import read_scan

    try:
        scan = read_scan(source.path, threads=threads)
        lungs, findings = check_chest(scan, threads=threads)
        if require_chest and any(finding.code is NO_LUNGS for finding in findings):
            what = f"{source}: lung volume {lungs.volume_l:.2f} l"
            return StoreError(NO_LUNGS, what)
        # Going on without a chest is the caller's choice, and is recorded as one.
        noted = [replace(f, overridden=f.severity == "refuse") for f in findings]
        scan = replace(scan, findings=(*scan.findings, *noted))
        volume = prepare(scan, store.preparation, lungs=lungs, threads=threads)
        store.write(source.key, volume, source=source.mark)
    except SqueezeCTError as error:
        return error
    except (OSError, MemoryError, ValueError, LookupError, ArithmeticError) as error:
        # What decoders and disks raise; one odd file must not stop a night's work.
        return StoreError(NOT_PREPARED, f"{source}: {type(error).__name__}: {error}")
    return None
