"""A short description of a volume by which copies of it are known again.

Copies keep it nearly unchanged when they are resampled, brightened, contrasted, made noisier or
flipped in storage; volumes of other people do not come close. It does not survive another field of
view: prepare the volumes alike first.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from squeezect.errors import Code, CohortError

SIDE = 32
"""Cells of a fingerprint along each axis."""

ALIKE = 0.93
"""Likeness from which two volumes count as copies; docs/decisions/cohorts-audit.md measures it."""

BLOCK = 256

NO_VOLUME = Code(
    "no-volume",
    "What should be a volume is empty, not of three axes, or not finite.",
    "pass the prepared volume [z, y, x]",
)

Array = npt.NDArray[np.float32]


def fingerprint(values: npt.ArrayLike) -> bytes:
    """Describe a volume by its fine detail on a coarse grid.

    The volume is averaged over 32 cells per axis; what differs from the surroundings of a cell, in
    units of its spread, is kept in 8 bits.

    Args:
        values: volume [z, y, x] of any size, in any linear unit.

    Returns:
        32,768 bytes, to be compared by `likeness`.

    Raises:
        CohortError: `no-volume`.

    Example:
        >>> volume = np.random.default_rng(0).random((40, 50, 60))
        >>> likeness(fingerprint(volume), fingerprint(2 * volume[::-1] - 1)) > 0.99
        True
    """
    cells = np.asarray(values, np.float32)
    if cells.ndim != 3 or not cells.size or not np.isfinite(cells).all():
        raise CohortError(NO_VOLUME, f"values of shape {cells.shape} are no finite volume")
    for axis, size in enumerate(cells.shape):
        cells = np.moveaxis(np.tensordot(_averages(size), cells, (1, axis)), 0, axis)
    detail = cells - _blurred(cells)
    spread = float(detail.std())
    if spread <= 1e-6 * float(np.abs(cells).max()):
        detail, spread = np.zeros_like(detail), 1.0
    steps: npt.NDArray[np.int8] = np.clip(np.rint(detail * (24 / spread)), -127, 127).astype("i1")
    return steps.tobytes()


def likeness(one: bytes, other: bytes) -> float:
    """How alike two volumes are: 1 for copies, near 0 for strangers; flips do not matter."""
    return float(_likeness(_unpacked([one]), _unpacked([other]))[0, 0])


def near_duplicates(
    fingerprints: Sequence[bytes], *, alike: float = ALIKE
) -> Iterator[tuple[int, int, float]]:
    """Pairs of copies among fingerprints: the positions of both, and their likeness."""
    for i in range(0, len(fingerprints), BLOCK):
        rows = _unpacked(fingerprints[i : i + BLOCK])
        for j in range(i, len(fingerprints), BLOCK):
            found = _likeness(rows, _unpacked(fingerprints[j : j + BLOCK]))
            for a, b in np.argwhere(found >= alike).tolist():
                if i + a < j + b:
                    yield i + a, j + b, float(found[a, b])


def _averages(size: int) -> Array:
    """Matrix (SIDE, size) that averages voxels over cells, each by the share it covers."""
    edges = np.linspace(0, size, SIDE + 1)
    low = np.arange(size)
    cover = np.minimum(low + 1, edges[1:, None]) - np.maximum(low, edges[:-1, None])
    cover = np.clip(cover, 0, None)
    return np.asarray(cover / cover.sum(axis=1, keepdims=True), np.float32)


def _blurred(cells: Array) -> Array:
    """Average of each cell and its neighbours, weighted 1, 2, 1 along every axis."""
    for axis in range(3):
        padded = np.pad(cells, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        before, here, after = (
            np.take(padded, range(start, start + SIDE), axis=axis) for start in (0, 1, 2)
        )
        cells = np.asarray((before + 2 * here + after) / 4, np.float32)
    return cells


def _unpacked(fingerprints: Sequence[bytes]) -> Array:
    """Unit vectors, shape (n, SIDE, SIDE, SIDE)."""
    if any(len(f) != SIDE**3 for f in fingerprints):
        raise CohortError(NO_VOLUME, f"a fingerprint does not have {SIDE**3} bytes")
    detail = np.frombuffer(b"".join(fingerprints), np.int8).astype(np.float32)
    detail = detail.reshape(-1, SIDE**3)
    length = np.linalg.norm(detail, axis=1, keepdims=True)
    # Volumes without any detail are copies of each other and of nothing else.
    blank = np.full(SIDE**3, SIDE**-1.5, np.float32)
    unit = np.where(length > 0, detail / np.maximum(length, 1), blank)
    return np.asarray(unit.reshape(-1, SIDE, SIDE, SIDE), np.float32)


def _likeness(first: Array, second: Array) -> Array:
    """Cosine of every two, the best over the eight flips; shape (n, m)."""
    rows = first.reshape(len(first), -1)
    best = np.full((len(first), len(second)), -1.0, np.float32)
    for flip in range(8):
        steps = [-1 if flip >> axis & 1 else 1 for axis in range(3)]
        turned = second[:, :: steps[0], :: steps[1], :: steps[2]]
        best = np.maximum(best, rows @ turned.reshape(len(second), -1).T)
    return best
