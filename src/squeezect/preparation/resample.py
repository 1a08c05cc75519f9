"""The one resampler: clip to a window and apply one banded matrix per axis, slice by slice.

Every slice is clipped as integers, turned to float and reduced in plane while it is in the
processor's cache; only the reduced planes are kept until the product along z. Neither a float copy
of the scan nor the 1 mm volume is ever made. The matrices are sparse (about six weights a row): all
three products cost little more than reading the scan.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from squeezect.preparation.weights import Matrix

FloatVolume = npt.NDArray[np.float32]
Values = npt.NDArray[np.int16] | FloatVolume

BLOCK = 32
"""Output slices made at a time: few enough to keep memory small and every thread busy."""
LANE = 16
"""Floats in a cache line. Rows are an odd number of lines apart: at a power of two, the columns of
a slice would evict each other from the cache while it is transposed (seven times slower)."""
MAX_THREADS = 8


def resample(
    values: Values,
    matrices: tuple[Matrix, Matrix, Matrix],
    *,
    window: tuple[int, int],
    fill: float = 0.0,
    threads: int | None = None,
) -> FloatVolume:
    """Clip to a window, scale to [0, 1] and apply one matrix per axis.

    Args:
        values: Hounsfield units (int16) or values of a prepared volume (float32), shape [z, y, x].
        matrices: one per axis, shapes (out, in); what a row lacks to a sum of one is `fill`.
        window: values that become 0 and 1.
        fill: value of what lies outside the scan, 0 to 1.
        threads: how many share the work; the processor's cores by default. The values do not
            depend on it.

    Returns:
        float32 in [0, 1], shape of the matrices' rows.

    Example:
        >>> import numpy as np
        >>> hu = np.full((2, 2, 2), 400, np.int16)
        >>> halves = np.full((1, 2), 0.5)
        >>> resample(hu, (halves, halves, halves), window=(-1000, 400)).tolist()
        [[[1.0]]]
    """
    rows, columns = _Axis.of(matrices[1]), _Axis.of(matrices[2])
    scale = np.float32(1 / (window[1] - window[0]))
    inside = [matrix.sum(axis=1, dtype=np.float32) for matrix in matrices]
    out = np.zeros((len(matrices[0]), rows.size, columns.size), np.float32)

    def make(first: int) -> None:
        part = out[first : first + BLOCK]
        depth = _Axis.of(matrices[0][first : first + BLOCK])
        planes = _planes(values[depth.start : depth.stop], rows, columns, window)
        block = (depth.weights @ planes).reshape(len(part), columns.size, -1)[..., : rows.size]
        np.multiply(block.swapaxes(1, 2), scale, out=part)
        if fill:
            covered = np.einsum("i,j,k", inside[0][first : first + BLOCK], *inside[1:])
            part += np.float32(fill) * (1 - covered)
        # Sums of rounded weights may leave [0, 1] by a unit in the last place.
        np.clip(part, 0, 1, out=part)

    starts = range(0, len(out), BLOCK)
    threads = min(threads or _cores(), len(starts))
    if threads == 1:
        for first in starts:
            make(first)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(make, starts))
    return out


@dataclass(frozen=True, eq=False)
class _Axis:
    """A banded matrix as its weights, and the range of inputs that it reads at all."""

    weights: "sparse.csr_array[np.float32]"
    start: int
    stop: int

    @property
    def size(self) -> int:
        return int(self.weights.shape[0])

    @classmethod
    def of(cls, matrix: Matrix) -> "_Axis":
        used = np.flatnonzero(matrix.any(axis=0))
        start, stop = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 0)
        return cls(sparse.csr_array(matrix[:, start:stop].astype(np.float32)), start, stop)


def _planes(values: Values, rows: _Axis, columns: _Axis, window: tuple[int, int]) -> FloatVolume:
    """Slices above the window's lower end, reduced in plane.

    Shape (slices, columns x padded rows): every plane is transposed and flattened.
    """
    used = values[:, rows.start : rows.stop, columns.start : columns.stop]
    height, width = used.shape[1:]
    clipped = np.empty((height, width), used.dtype)
    # Whole numbers wrap around in windows beyond 15 bits; read as unsigned, they are right again.
    lifted = clipped.view(np.uint16) if clipped.dtype == np.int16 else clipped
    floats = np.zeros((height, _padded(width)), np.float32)
    turned = np.zeros((width, _padded(rows.size)), np.float32)
    planes = np.empty((len(used), columns.size * turned.shape[1]), np.float32)
    for plane, part in zip(planes, used, strict=True):
        np.clip(part, *window, out=clipped)
        np.subtract(clipped, window[0], out=clipped)
        floats[:, :width] = lifted
        turned[:, : rows.size] = (rows.weights @ floats)[:, :width].T
        plane[:] = (columns.weights @ turned).ravel()
    return planes


def _padded(size: int) -> int:
    """The next odd number of cache lines that holds `size` floats."""
    lines = -(-size // LANE)
    return (lines | 1) * LANE


def _cores() -> int:
    """Cores that this process may use."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(available or 1, MAX_THREADS))
