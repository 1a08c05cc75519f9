"""Gzip and zlib streams, read through to their end: what is damaged is an error, not zeros."""

import io
import zlib
from typing import Any, BinaryIO

CHUNK_BYTES = 256 << 10


class Unpacked(io.RawIOBase):
    """What a stream holds; zlib compares its checksum and size once the end is read.

    Args:
        file: at the start of one zlib stream, or of one or several gzip members.

    Raises:
        EOFError: if the stream ends before its end.
        zlib.error: if it is damaged, or something else follows it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._stream = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)
        self._rest = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Unpack the next bytes; 0 at the end, when all checks have passed."""
        view = memoryview(buffer).cast("B")
        while len(view):
            if self._stream.eof:
                self._rest = self._stream.unused_data or self._file.read(CHUNK_BYTES)
                if not self._rest:
                    return 0
                self._stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
            self._rest = self._rest or self._file.read(CHUNK_BYTES)
            ended = not self._rest
            part = self._stream.decompress(self._rest, len(view))
            self._rest = self._stream.unconsumed_tail
            if part:
                view[: len(part)] = part
                return len(part)
            if ended and not self._stream.eof:
                raise EOFError("the stream ends before its end")
        return 0
