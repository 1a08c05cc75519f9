"""Arrays on disk that show it when one of their files is lost, cut short or changed.

A chunk that is not there reads as zeros, which is how zarr spares the room for empty ones: a store
that was copied in part would pass for volumes of air. So empty chunks are written too, and an array
says that it has all of them. Every chunk ends in its CRC-32C: Blosc goes by the length that a chunk
claims, past the end of one that was cut short, and whatever lies there in memory may pass for
values. Arrays of earlier releases have neither, and are read as they are.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

MARK = "chunks"
ALL = "all"
"""Attribute of an array whose empty chunks were written."""


def create(
    folder: Path,
    *,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    shards: tuple[int, ...] | None = None,
    attributes: Mapping[str, Any],
) -> Any:
    """A new float32 array of which every chunk will have been written.

    Args:
        folder: where it will be.
        shape: of the array.
        chunks: shape of what is read at once; whole but along the first axis.
        shards: shape of what is in one file, a chunk by default; whole but along the first axis.
        attributes: plain JSON that is kept beside the values.
    """
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec

    return zarr.create_array(
        folder,
        shape=shape,
        chunks=chunks,
        shards=shards,
        dtype="float32",
        # A third smaller than raw values, and read in a hundredth of a training step.
        compressors=(BloscCodec(cname="lz4", clevel=5, shuffle="shuffle"), Crc32cCodec()),
        attributes={**attributes, MARK: ALL},
        config={"write_empty_chunks": True},
    )


def lost(folder: Path, facts: Mapping[str, Any], *, axes: int, number: int = 0) -> Path | None:
    """The file of a chunk that should be there and is not, or None.

    Args:
        folder: of an array.
        facts: its attributes.
        axes: how many it has.
        number: of the file along the first axis.
    """
    if facts.get(MARK) != ALL:
        return None
    file = folder.joinpath("c", str(number), *["0"] * (axes - 1))
    return None if file.is_file() else file
