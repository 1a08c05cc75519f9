"""What a compressed frame itself declares, before a decoder trusts it with memory."""

import struct

import numpy as np

_SOF = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""JPEG and JPEG-LS markers that start a frame."""


def declared_size(frame: bytes) -> tuple[int, int] | None:
    """Rows and columns that a JPEG, JPEG-LS or JPEG 2000 stream declares; None if it does not say.

    Args:
        frame: the start of the stream is enough.
    """
    if frame[:4] == b"\xff\x4f\xff\x51":
        return _jpeg2000(frame, 2)
    if frame[4:8] == b"jP  ":
        start = frame.find(b"\xff\x4f\xff\x51")
        return _jpeg2000(frame, start + 2) if start >= 0 else None
    if frame[:2] == b"\xff\xd8":
        return _jpeg(frame)
    return None


def is_whole(frame: bytes) -> bool:
    """Whether a JPEG or JPEG-LS stream runs to its end marker without a foreign one; others pass.

    Decoders return half a picture without a word for a stream that is cut or overwritten.

    Args:
        frame: the whole stream; padding after it does not matter.
    """
    if frame[:3] != b"\xff\xd8\xff":
        return True
    frame = frame.rstrip(b"\0")
    start = frame.find(b"\xff\xda")
    if start < 0 or frame[-2:] != b"\xff\xd9":
        return False
    data = np.frombuffer(frame, np.uint8)[start + 2 : -2]
    after = data[1:][data[:-1] == 0xFF]
    # JPEG stuffs a zero byte, JPEG-LS a zero bit, after 0xFF; then there are restarts, and
    # tables and further scans of progressive streams.
    return bool(data[-1:] != 0xFF) and not bool((after >= 0xE0).any())


def _jpeg2000(frame: bytes, at: int) -> tuple[int, int] | None:
    if len(frame) < at + 22:
        return None
    width, height, left, top = struct.unpack(">4I", frame[at + 6 : at + 22])
    return height - top, width - left


def _jpeg(frame: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _SOF:
            rows, columns = struct.unpack(">HH", frame[at + 5 : at + 9])
            return rows, columns
        else:
            at += 2 + struct.unpack(">H", frame[at + 2 : at + 4])[0]
    return None
