"""Prepared volumes on disk: one zarr array per scan, or per scan with points; whole or not there.

A scan is prepared into a hidden folder that is renamed when it is complete, so a killed run leaves
nothing half-written, and the next one goes on with what is missing.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from squeezect.errors import Code, SqueezeCTError, StoreError
from squeezect.preparation.chunks import create, lost
from squeezect.preparation.packs import Packs, Patch, write_pack
from squeezect.preparation.pipeline import Preparation, Volume
from squeezect.preparation.records import lungs_from, volume_facts, volume_from
from squeezect.preparation.scratch import scratch_beside, sweep
from squeezect.preparation.sources import by_scan, marks_of, no_chest, prepare_into
from squeezect.preparation.workers import run_each
from squeezect.scan import Triple

INDEX = "store.json"
RESERVED = (INDEX, "zarr.json")
KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")

OTHER_STORE = Code(
    "other-store",
    "The folder holds volumes that were prepared in another way, or something else entirely.",
    "name another folder, or delete this one",
)
NOT_STORED = Code(
    "not-stored",
    "The store has no complete volume of this scan.",
    "prepare the cohort again; what is there is kept",
)
BAD_KEY = Code(
    "bad-key",
    "A name in the store has characters that a folder's name should not have.",
    "use up to 128 letters, digits, points, hyphens and underscores",
)
DAMAGED = Code(
    "damaged-volume",
    "A stored volume cannot be read back: its files were changed or the disk is failing.",
    "delete its folder and prepare the cohort again",
)


@dataclass(frozen=True)
class Filled:
    """What filling a store did.

    Args:
        done: keys prepared now.
        skipped: keys that were there already, from the same source.
        failed: why a scan could not be prepared, by key.
    """

    done: tuple[str, ...]
    skipped: tuple[str, ...]
    failed: Mapping[str, SqueezeCTError] = field(default_factory=dict)


@dataclass(frozen=True)
class Store:
    """A folder of volumes prepared in one way.

    Args:
        folder: where they are.
        preparation: how they were prepared.

    Example:
        >>> import tempfile
        >>> from squeezect.phantom import thorax
        >>> from squeezect.preparation import prepare
        >>> how = Preparation(size=(16, 16, 16))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = Store.open(Path(folder) / "store", how)
        ...     store.write("patient-1", prepare(thorax(1)[0], how))
        ...     "patient-1" in store, store.missing(["patient-1", "patient-2"])
        (True, ['patient-2'])
    """

    folder: Path
    preparation: Preparation

    @classmethod
    def open(cls, folder: Path | str, preparation: Preparation | None = None) -> Self:
        """Open or begin a store.

        Args:
            folder: of the store.
            preparation: how its volumes are made; None opens a store that is there.

        Raises:
            StoreError: `other-store`, if the folder holds anything but volumes of `preparation`.
        """
        folder = Path(folder)
        index = folder / INDEX
        if preparation is None:
            preparation = _preparation_in(index)
        if index.is_file():
            found = _digest_in(index)
            if found != preparation.digest:
                raise StoreError(
                    OTHER_STORE,
                    f"store {folder} was prepared in another way "
                    f"(digest {found or 'unknown'}, asked for {preparation.digest})",
                )
            return cls(folder, preparation)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise StoreError(OTHER_STORE, f"{folder} is not empty and holds no store")
        folder.mkdir(parents=True, exist_ok=True)
        facts = {"digest": preparation.digest, "preparation": preparation.model_dump(mode="json")}
        scratch = scratch_beside(index)
        scratch.write_text(json.dumps(facts, indent=1), "utf-8")
        scratch.replace(index)
        return cls(folder, preparation)

    @cached_property
    def _packs(self) -> Packs:
        return Packs(self.folder)

    def __reduce__(self) -> tuple[type[Self], tuple[Path, Preparation]]:
        # What is known of the packs stays behind: it may be large, and another process looks anew.
        return type(self), (self.folder, self.preparation)

    def __contains__(self, key: str) -> bool:
        return self._alone(key) or self._packs.find(key) is not None

    def _alone(self, key: str) -> bool:
        """Whether a volume has a folder of its own."""
        return KEY.fullmatch(key) is not None and (self.folder / key / "zarr.json").is_file()

    def __iter__(self) -> Iterator[str]:
        alone = (p.parent.name for p in self.folder.glob("[!.]*/zarr.json"))
        return iter(sorted(self._packs.keys().union(alone)))

    def missing(self, keys: Collection[str]) -> list[str]:
        """Those keys that have no complete volume."""
        return [key for key in keys if key not in self]

    def read(self, key: str) -> Volume:
        """The prepared volume of a scan.

        Raises:
            StoreError: `not-stored`, or `damaged-volume`.
        """
        import zarr

        alone = self._alone(key)
        place = None if alone else self._packs.find(key)
        if not alone and place is None:
            raise StoreError(NOT_STORED, f"no volume {key} in store {self.folder}")
        try:
            if place is not None:
                values, facts = place[0].read(place[1])
            else:
                array = zarr.open_array(self.folder / key, mode="r")
                if gone := lost(self.folder / key, array.attrs, axes=array.ndim):
                    raise FileNotFoundError(f"{gone.relative_to(self.folder)} is missing")
                values, facts = np.ascontiguousarray(array[:], np.float32), dict(array.attrs)
            volume = volume_from(facts, values, self.preparation)
        except (ValueError, LookupError, TypeError, RuntimeError, OSError) as error:
            what = f"volume {key} in store {self.folder} cannot be read ({error})"
            raise StoreError(DAMAGED, what) from error
        return volume

    def write(self, key: str, volume: Volume, *, source: str = "") -> None:
        """Keep a volume, replacing an older one of the same key.

        Args:
            key: its name in the store.
            volume: prepared as this store's are.
            source: fingerprint of the file or folder it came from.

        Raises:
            StoreError: `other-store`, if it was prepared in another way; `bad-key`.
        """
        from squeezect import __version__

        _check_key(key)
        if volume.preparation.digest != self.preparation.digest:
            raise StoreError(OTHER_STORE, f"volume {key} was prepared in another way")
        scratch = scratch_beside(self.folder / key)
        shutil.rmtree(scratch, ignore_errors=True)
        array = create(
            scratch,
            shape=volume.values.shape,
            chunks=volume.values.shape,
            attributes={**volume_facts(volume), "source": source, "squeezect": __version__},
        )
        array[:] = volume.values
        self._publish(scratch, self.folder / key)

    def write_patches(self, scan: Path, patches: Iterable[Patch], *, count: int) -> None:
        """Keep patches of one scan together; newer ones of the same key count.

        Args:
            scan: file or folder that they were cut from.
            patches: keys, fingerprints of the source, and volumes prepared as this store's are.
            count: how many there are at most.
        """
        write_pack(self.folder, scan, patches, count=count)

    def _publish(self, scratch: Path, target: Path) -> None:
        """Let a complete volume take its place, whatever is there."""
        while True:
            if target.exists():
                old = scratch_beside(target, "old")
                target.rename(old)
                shutil.rmtree(old, ignore_errors=True)
            try:
                scratch.rename(target)
            except OSError:
                # Another process has published the same key meanwhile; replace that one.
                if not target.exists():
                    raise
            else:
                return

    def fill(
        self,
        sources: Mapping[str, Path],
        *,
        points: Mapping[str, Triple] | None = None,
        series: Mapping[str, str] | None = None,
        workers: int = 1,
        require_chest: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Filled:
        """Prepare the scans that are missing or whose files have changed.

        A scan that cannot be read or prepared is reported and does not stop the others. No worker
        holds more than one scan at a time. Figures of the lungs are stored with every volume.

        Args:
            sources: file or folder of each key.
            points: LPS points (x, y, z) in mm that patches are cut around, by key. A scan of many
                points is read once.
            series: UIDs of the series to read, by key, where a folder or zip may hold several;
                a scan without it fails as `no-such-series`.
            workers: processes; 1 works in this one.
            require_chest: report scans without lungs (`no-lungs`) as failed.
            progress: called with (done, total), first before any work.

        Raises:
            StoreError: `bad-key`.
        """
        for key in sources:
            _check_key(key)
        sweep(self.folder)
        points, series = points or {}, series or {}
        marks = marks_of(sources, points, series)
        skipped, failed = self._kept(sources, marks, require_chest=require_chest)
        there = failed.keys() | skipped
        todo = by_scan(sources, {k: m for k, m in marks.items() if k not in there}, points, series)
        done: list[str] = []
        if progress is not None:
            progress(len(there), len(sources))
        threads = max(1, (os.cpu_count() or 1) // max(1, min(workers, len(todo))))
        task = partial(prepare_into, self, threads=threads, require_chest=require_chest)
        for source, outcome in run_each(task, todo, workers=workers):
            self._packs.look()
            errors = source.all_failed(outcome) if isinstance(outcome, Exception) else outcome
            for key, mark in source.marks.items():
                if key not in errors or self._mark_of(key) == mark:
                    done.append(key)
                else:
                    failed[key] = errors[key]
            if progress is not None:
                progress(len(skipped) + len(done) + len(failed), len(sources))
        # A worker of a killed run may have died only now.
        sweep(self.folder)
        return Filled(tuple(done), skipped, failed)

    def _kept(
        self, sources: Mapping[str, Path], marks: Mapping[str, str], *, require_chest: bool
    ) -> tuple[tuple[str, ...], dict[str, SqueezeCTError]]:
        """Keys of complete volumes of these very sources, and those that lack a required chest."""
        kept: list[str] = []
        failed: dict[str, SqueezeCTError] = {}
        for key, path in sources.items():
            if self._mark_of(key) != marks[key]:
                continue
            if require_chest and not self.preparation.cuts_patches:
                lungs = lungs_from(self._facts(key))
                if lungs is None:
                    continue  # prepared again, which looks at the lungs
                if error := no_chest(path, lungs):
                    failed[key] = error
                    continue
            kept.append(key)
        return tuple(kept), failed

    def _mark_of(self, key: str) -> str | None:
        """Fingerprint of the source that a stored volume was made from; None if it is not whole."""
        if not self._alone(key):
            place = self._packs.find(key)
            return place[0].marks[place[1]] if place and place[0].whole(place[1]) else None
        facts = self._facts(key)
        if lost(self.folder / key, facts, axes=len(self.preparation.size)):
            return None
        return str(facts["source"]) if "source" in facts else None

    def _facts(self, key: str) -> dict[str, Any]:
        """What a folder of one volume says of it; nothing if it cannot be read."""
        try:
            facts = json.loads((self.folder / key / "zarr.json").read_text("utf-8"))
            return dict(facts["attributes"])
        except (OSError, ValueError, LookupError, TypeError):
            return {}


def _check_key(key: str) -> None:
    if not KEY.fullmatch(key):
        raise StoreError(BAD_KEY, f"key {key!r} cannot name a volume in a store")
    # Some file systems do not tell small letters from large ones.
    if key.lower() in RESERVED:
        what = f"key {key!r} is the name of a file that a store keeps its facts in"
        raise StoreError(BAD_KEY, what, remedy=f"use another name than {' and '.join(RESERVED)}")


def _digest_in(index: Path) -> str:
    try:
        return str(json.loads(index.read_text("utf-8"))["digest"])
    except (ValueError, LookupError, TypeError):
        return ""


def _preparation_in(index: Path) -> Preparation:
    try:
        return Preparation.model_validate(json.loads(index.read_text("utf-8"))["preparation"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise StoreError(OTHER_STORE, f"folder {index.parent} is not a store") from error
