"""Many patches of one scan in one array: what a store keeps of scans with several points.

A data set of candidates has hundreds of points in a scan. A folder for each would make millions of
small files; here they lie one after another in a zarr array of their scan, whose chunks, one patch
each, are gathered in shards of some megabytes. A pack is complete or not there at all.
"""

import json
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from squeezect.preparation.chunks import create, lost
from squeezect.preparation.pipeline import Volume
from squeezect.preparation.records import volume_facts
from squeezect.preparation.resample import FloatVolume
from squeezect.preparation.scratch import scratch_beside

FOLDER = "+points"
"""Where a store keeps its packs; no key of a volume can have this name."""

FACTS = "pack.json"
SHARD_BYTES = 32 << 20

Patch = tuple[str, str, Volume]
"""Key, fingerprint of the source, and the volume."""


@dataclass(frozen=True, eq=False)
class Pack:
    """Volumes in one array.

    Args:
        folder: of the array.
        keys: of its volumes, in their order.
        marks: what would tell that the source of each has changed.
        origins_mm: of their grids, which are alike in everything else.
        facts: what `volume_facts` says of all of them.
    """

    folder: Path
    keys: tuple[str, ...]
    marks: tuple[str, ...]
    origins_mm: tuple[tuple[float, float, float], ...]
    facts: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path) -> "Pack":
        """The pack in a folder; its voxels are not read.

        Raises:
            ValueError, LookupError, TypeError, OSError: if it was changed or is damaged.
        """
        found = json.loads((folder / FACTS).read_bytes())
        origins = tuple((float(x), float(y), float(z)) for x, y, z in found["origins_mm"])
        return cls(folder, tuple(found["keys"]), tuple(found["marks"]), origins, found["facts"])

    @cached_property
    def array(self) -> Any:
        """The zarr array (volumes, z, y, x)."""
        import zarr

        return zarr.open_array(self.folder, mode="r")

    @cached_property
    def _attributes(self) -> dict[str, Any]:
        return dict(self.array.attrs)

    def lost(self, number: int) -> Path | None:
        """The file that a volume should be in and that is not there, or None."""
        shards = self.array.shards or self.array.chunks
        return lost(self.folder, self._attributes, axes=4, number=number // shards[0])

    def whole(self, number: int) -> bool:
        """Whether a volume has all its files."""
        try:
            return self.lost(number) is None
        except (ValueError, LookupError, TypeError, OSError):
            return False

    def read(self, number: int) -> tuple[FloatVolume, dict[str, Any]]:
        """Values and facts of one volume.

        Raises:
            ValueError, LookupError, TypeError, OSError: if it was changed or is damaged.
        """
        if gone := self.lost(number):
            raise FileNotFoundError(f"{gone.relative_to(self.folder)} is missing")
        grid = {**self.facts["grid"], "origin_mm": self.origins_mm[number]}
        values = np.ascontiguousarray(self.array[number], np.float32)
        return values, {**self.facts, "grid": grid}


@dataclass(eq=False)
class Packs:
    """The packs of a store, by the keys of their volumes; the newest speaks for a key.

    Args:
        folder: of the store.
    """

    folder: Path
    _places: dict[str, tuple[Pack, int]] = field(default_factory=dict, repr=False)
    _loaded: frozenset[str] = frozenset()
    _changed_ns: int = -1

    def find(self, key: str) -> tuple[Pack, int] | None:
        """Pack and number of a volume; packs are looked for if their folder has changed."""
        if self._time_ns() != self._changed_ns:
            self.look()
        return self._places.get(key)

    def keys(self) -> set[str]:
        """Of all volumes."""
        self.look()
        return set(self._places)

    def look(self) -> None:
        """See what has been published, by whatever process, and what is gone."""
        changed_ns = self._time_ns()
        names = frozenset(p.name for p in (self.folder / FOLDER).glob("*"))
        if gone := self._loaded - names:
            kept = self._places.items()
            self._places = {k: place for k, place in kept if place[0].folder.name not in gone}
        for name in sorted(names - self._loaded, key=_written_ns):
            try:
                pack = Pack.load(self.folder / FOLDER / name)
            except (ValueError, LookupError, TypeError, OSError):
                continue  # damaged: its volumes are missing, and are prepared again
            self._places.update((key, (pack, n)) for n, key in enumerate(pack.keys))
        self._loaded, self._changed_ns = names, changed_ns

    def _time_ns(self) -> int:
        try:
            return (self.folder / FOLDER).stat().st_mtime_ns
        except FileNotFoundError:
            return -1


def _written_ns(name: str) -> int:
    """When a pack was written, from the name of its folder."""
    time_ns = name.rpartition("-")[2]
    return int(time_ns) if time_ns.isdecimal() else 0


def write_pack(store: Path, scan: Path, patches: Iterable[Patch], *, count: int) -> None:
    """Keep patches of a scan as one pack, which replaces those that hold nothing else.

    Args:
        store: its folder.
        scan: file or folder that they were cut from.
        patches: prepared alike; they are taken one by one and written by the shard.
        count: how many there are at most.
    """
    name = blake2b(str(scan.resolve()).encode(), digest_size=8).hexdigest()
    scratch = scratch_beside(store / name)
    shutil.rmtree(scratch, ignore_errors=True)
    facts = _written(scratch, patches, count)
    if facts is None:
        return
    (scratch / FACTS).write_text(json.dumps(facts), "utf-8")
    (store / FOLDER).mkdir(exist_ok=True)
    place = store / FOLDER / f"{name}-{time.time_ns()}"
    scratch.rename(place)
    keys = set(facts["keys"])
    for other in (store / FOLDER).glob(f"{name}-*"):
        if other != place and keys.issuperset(_keys_in(other)):
            shutil.rmtree(other, ignore_errors=True)
    for key in keys:
        if (store / key).exists():
            shutil.rmtree(store / key, ignore_errors=True)


def _keys_in(folder: Path) -> tuple[str, ...]:
    try:
        return Pack.load(folder).keys
    except (ValueError, LookupError, TypeError, OSError):
        return ()


def _written(folder: Path, patches: Iterable[Patch], count: int) -> dict[str, Any] | None:
    """Write the array; returns what goes beside it, or None if there is no patch."""
    array: Any = None
    facts: dict[str, Any] = {"keys": [], "marks": [], "origins_mm": [], "facts": {}}
    waiting: list[FloatVolume] = []
    shard = 1
    for key, mark, volume in patches:
        if array is None:
            shard = max(1, min(count, SHARD_BYTES // volume.values.nbytes))
            array = _created(folder, volume, count, shard)
            facts["facts"] = volume_facts(volume)
        waiting.append(volume.values)
        facts["keys"].append(key)
        facts["marks"].append(mark)
        facts["origins_mm"].append(volume.grid.origin_mm)
        if len(waiting) == shard:
            array[len(facts["keys"]) - shard : len(facts["keys"])] = np.stack(waiting)
            waiting = []
    if waiting:
        array[len(facts["keys"]) - len(waiting) : len(facts["keys"])] = np.stack(waiting)
    return facts if facts["keys"] else None


def _created(folder: Path, volume: Volume, count: int, shard: int) -> Any:
    from squeezect import __version__

    return create(
        folder,
        shape=(count, *volume.values.shape),
        chunks=(1, *volume.values.shape),
        shards=(shard, *volume.values.shape),
        attributes={"squeezect": __version__},
    )
