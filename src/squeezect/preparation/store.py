"""Prepared volumes on disk: one zarr array per scan, whole or not there at all.

A scan is prepared into a hidden folder that is renamed when it is complete, so a killed run leaves
nothing half-written, and the next one goes on with what is missing.
"""

import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self, cast

import numpy as np

from squeezect.errors import Code, SqueezeCTError, StoreError
from squeezect.preparation.pipeline import Preparation, Volume, prepare
from squeezect.scan import Direction, Grid, Shape, Triple

INDEX = "store.json"

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
    """

    folder: Path
    preparation: Preparation

    @classmethod
    def open(cls, folder: Path, preparation: Preparation) -> Self:
        """Open or begin a store.

        Raises:
            StoreError: `other-store`, if the folder holds anything but volumes of `preparation`.
        """
        index = folder / INDEX
        if index.is_file():
            found = json.loads(index.read_text("utf-8"))
            if found.get("digest") != preparation.digest:
                raise StoreError(OTHER_STORE, f"store {folder} was prepared in another way")
            return cls(folder, preparation)
        if folder.exists() and any(folder.iterdir()):
            raise StoreError(OTHER_STORE, f"folder {folder} is not empty and holds no store")
        folder.mkdir(parents=True, exist_ok=True)
        facts = {"digest": preparation.digest, "preparation": preparation.model_dump(mode="json")}
        scratch = folder / f".{INDEX}.{os.getpid()}"
        scratch.write_text(json.dumps(facts, indent=1), "utf-8")
        scratch.replace(index)
        return cls(folder, preparation)

    def __contains__(self, key: str) -> bool:
        return (self.folder / key / "zarr.json").is_file()

    def __iter__(self) -> Iterator[str]:
        return (p.parent.name for p in sorted(self.folder.glob("[!.]*/zarr.json")))

    def missing(self, keys: Collection[str]) -> list[str]:
        """Those keys that have no complete volume."""
        return [key for key in keys if key not in self]

    def read(self, key: str) -> Volume:
        """The prepared volume of a scan.

        Raises:
            StoreError: `not-stored`.
        """
        import zarr

        if key not in self:
            raise StoreError(NOT_STORED, f"no volume {key} in store {self.folder}")
        array = zarr.open_array(self.folder / key, mode="r")
        facts = cast("dict[str, Any]", dict(array.attrs))
        values = np.ascontiguousarray(np.asarray(array[:]), np.float32)
        return Volume(values, _grid(facts["grid"]), self.preparation, identity=facts["identity"])

    def write(self, key: str, volume: Volume, *, source: str = "") -> None:
        """Keep a volume, replacing an older one of the same key.

        Args:
            key: its name in the store.
            volume: prepared as this store's are.
            source: fingerprint of the file or folder it came from.

        Raises:
            StoreError: `other-store`, if it was prepared in another way.
        """
        import zarr
        from zarr.codecs import BloscCodec

        from squeezect import __version__

        if volume.preparation.digest != self.preparation.digest:
            raise StoreError(OTHER_STORE, f"volume {key} was prepared in another way")
        scratch = self.folder / f".{key}.{os.getpid()}"
        shutil.rmtree(scratch, ignore_errors=True)
        array = zarr.create_array(
            scratch,
            shape=volume.values.shape,
            chunks=volume.values.shape,
            dtype="float32",
            compressors=BloscCodec(cname="lz4", clevel=5, shuffle="shuffle"),
            attributes={
                "digest": self.preparation.digest,
                "grid": _grid_facts(volume.grid),
                "identity": volume.identity,
                "source": source,
                "findings": [finding.as_dict() for finding in volume.findings],
                "lungs": volume.lungs.as_dict() if volume.lungs else None,
                "squeezect": __version__,
            },
        )
        array[:] = volume.values
        target = self.folder / key
        if target.exists():
            old = self.folder / f".{key}.{os.getpid()}.old"
            target.rename(old)
            scratch.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            scratch.rename(target)

    def fill(
        self,
        sources: Mapping[str, Path],
        *,
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> Filled:
        """Prepare the scans that are missing or whose files have changed.

        A scan that cannot be read or prepared is reported and does not stop the others. No worker
        holds more than one scan at a time.

        Args:
            sources: file or folder of each key.
            workers: processes; 1 works in this one.
            progress: called with (done, total).
        """
        self._sweep()
        marks = {key: fingerprint(path) for key, path in sources.items()}
        todo = [key for key in sources if self._source_of(key) != marks[key]]
        skipped = tuple(key for key in sources if key not in set(todo))
        done: list[str] = []
        failed: dict[str, SqueezeCTError] = {}
        for key, error in self._prepared(todo, sources, marks, workers):
            if error is None:
                done.append(key)
            else:
                failed[key] = error
            if progress is not None:
                progress(len(skipped) + len(done) + len(failed), len(sources))
        if progress is not None:
            progress(len(sources), len(sources))
        return Filled(tuple(done), skipped, failed)

    def _prepared(
        self,
        todo: list[str],
        sources: Mapping[str, Path],
        marks: Mapping[str, str],
        workers: int,
    ) -> Iterator[tuple[str, SqueezeCTError | None]]:
        if workers == 1 or len(todo) < 2:
            for key in todo:
                yield key, _prepare_one(self, key, sources[key], marks[key])
            return
        # Spawned, not forked: a fork would copy the threads' locks of whatever runs here.
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
        try:
            yield from self._pooled(pool, todo, sources, marks)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _pooled(
        self,
        pool: ProcessPoolExecutor,
        todo: list[str],
        sources: Mapping[str, Path],
        marks: Mapping[str, str],
    ) -> Iterator[tuple[str, SqueezeCTError | None]]:
        running: dict[Future[SqueezeCTError | None], str] = {
            pool.submit(_prepare_one, self, key, sources[key], marks[key]): key for key in todo
        }
        while running:
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield running.pop(future), future.result()

    def _source_of(self, key: str) -> str | None:
        import zarr

        if key not in self:
            return None
        return str(zarr.open_array(self.folder / key, mode="r").attrs["source"])

    def _sweep(self) -> None:
        """Delete what killed runs left behind; folders of running processes are theirs."""
        for scratch in self.folder.glob(".*"):
            parts = scratch.name.split(".")
            owner = next((int(p) for p in reversed(parts) if p.isdigit()), 0)
            if scratch.is_dir() and not (owner and _alive(owner)):
                shutil.rmtree(scratch, ignore_errors=True)


def fingerprint(path: Path) -> str:
    """What tells that a file or folder has changed: names, sizes and times, not contents."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    digest = blake2b(digest_size=8)
    for file in files:
        try:
            facts = file.stat()
        except OSError:
            continue
        digest.update(f"{file.name} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _prepare_one(store: Store, key: str, source: Path, mark: str) -> SqueezeCTError | None:
    from squeezect.reading import read_scan

    try:
        store.write(key, prepare(read_scan(source), store.preparation), source=mark)
    except SqueezeCTError as error:
        return error
    return None


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _grid_facts(grid: Grid) -> dict[str, object]:
    return {
        "shape": grid.shape,
        "spacing_mm": grid.spacing_mm,
        "origin_mm": grid.origin_mm,
        "direction": grid.direction,
    }


def _grid(facts: Mapping[str, Any]) -> Grid:
    def triple(values: Any) -> Triple:
        x, y, z = (float(v) for v in values)
        return (x, y, z)

    d, h, w = (int(n) for n in facts["shape"])
    shape: Shape = (d, h, w)
    first, second, third = (triple(row) for row in facts["direction"])
    direction: Direction = (first, second, third)
    return Grid(shape, triple(facts["spacing_mm"]), triple(facts["origin_mm"]), direction)
