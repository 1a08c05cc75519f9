"""The one resampler: the paper's steps along an axis, composed into one small banded matrix.

To 1 mm, pad to a cube, resize to 128: each step is linear and separable, so along an axis all of
them are one matrix, and the volume is three matrix products, slab by slab. The 1 mm volume is never
made. Matrices are banded; products skip the blocks where they are zero.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from squeezect.scan import Grid, Shape

Matrix = npt.NDArray[np.float64]
FloatVolume = npt.NDArray[np.float32]

SLAB = 16
"""Slices turned to float at a time."""

BLOCK = 32
"""Output positions per product: small enough to skip most zeros, large enough to be fast."""


def linear_matrix(size_in: int, size_out: int) -> Matrix:
    """Linear interpolation from `size_in` to `size_out` samples over one field, edges held.

    Samples sit in the middle of their cells (half-pixel centres); shape (size_out, size_in).
    """
    position = (np.arange(size_out) + 0.5) * size_in / size_out - 0.5
    position = position.clip(0, size_in - 1)
    lower = np.minimum(position.astype(int), max(size_in - 2, 0))
    weight = position - lower
    matrix = np.zeros((size_out, size_in))
    rows = np.arange(size_out)
    matrix[rows, lower] = 1 - weight
    if size_in > 1:
        matrix[rows, lower + 1] = weight
    return matrix


def area_matrix(size_in: int, size_out: int) -> Matrix:
    """Mean over each output cell, with the exact share of every input cell; rows sum to one."""
    edges = np.arange(size_out + 1) * size_in / size_out
    cells = np.arange(size_in)
    top = np.minimum(edges[1:, None], cells + 1)
    bottom = np.maximum(edges[:-1, None], cells)
    overlap: Matrix = np.maximum(top - bottom, 0) * size_out / size_in
    return overlap


def resize_matrix(size_in: int, size_out: int) -> Matrix:
    """Averaging when reducing, linear interpolation when enlarging: no voxel is ever skipped."""
    if size_out < size_in:
        return area_matrix(size_in, size_out)
    return linear_matrix(size_in, size_out)


def to_spacing_matrix(size_in: int, size_out: int) -> Matrix:
    """Linear, as the paper has it; averaging where linear would skip voxels (beyond a factor 2)."""
    if size_in > 2 * size_out:
        return area_matrix(size_in, size_out)
    return linear_matrix(size_in, size_out)


@dataclass(frozen=True, eq=False)
class Plan:
    """How a grid becomes a cube: one matrix per axis, and where the cube's voxels are.

    Args:
        matrices: from the scan's samples to the cube's, along [z, y, x].
        grid: of the cube.
    """

    matrices: tuple[Matrix, Matrix, Matrix]
    grid: Grid


def plan(grid: Grid, *, spacing_mm: float, size: Shape) -> Plan:
    """The paper's steps for one grid: to `spacing_mm`, centred padding to a cube, to `size`.

    The number of samples at `spacing_mm` is rounded, so that the field is kept outer face to outer
    face; the exact spacing that results is in the plan's grid. Where the padding is odd, the extra
    sample lies at the end.

    Args:
        grid: the scan's, or the part of it to use.
        spacing_mm: the intermediate spacing.
        size: of the result along [z, y, x].
    """
    samples = [max(1, round(extent / spacing_mm)) for extent in grid.size_mm]
    side = max(samples)
    matrices, first, step = [], [], []
    for count, kept, target in zip(grid.shape, samples, size, strict=True):
        before = (side - kept) // 2
        resize = resize_matrix(side, target)[:, before : before + kept]
        matrices.append(resize @ to_spacing_matrix(count, kept))
        first.append((0.5 * side / target - before) * count / kept - 0.5)
        step.append(side / target * count / kept)
    sz, sy, sx = (np.array(grid.spacing_mm) * np.array(step)).tolist()
    x, y, z = grid.to_mm(first).tolist()
    cube = Grid(size, (sz, sy, sx), (x, y, z), grid.direction)
    return Plan((matrices[0], matrices[1], matrices[2]), cube)


def resample(
    hu: npt.NDArray[np.int16],
    matrices: tuple[Matrix, Matrix, Matrix],
    *,
    window_hu: tuple[int, int],
    workers: int = 2,
) -> FloatVolume:
    """Clip to a window, scale to [0, 1] and apply one matrix per axis.

    Args:
        hu: Hounsfield units, shape [z, y, x].
        matrices: one per axis, shapes (out, in); rows of zeros give 0, the window's lower end.
        window_hu: lower and upper end.
        workers: threads.

    Returns:
        float32, shape of the matrices' rows.
    """
    low, high = window_hu
    depth = Banded(matrices[0] / (high - low))
    rows, columns = Banded(matrices[1]), Banded(matrices[2])
    starts = range(depth.start, depth.stop, SLAB)

    def flat(start: int) -> FloatVolume:
        stop = min(start + SLAB, depth.stop)
        part = hu[start:stop, rows.start : rows.stop, columns.start : columns.stop]
        values = np.subtract(part.clip(low, high), low, dtype=np.float32, casting="unsafe")
        narrow = columns.along_last(values)
        return rows.along_last(np.ascontiguousarray(narrow.swapaxes(1, 2)))

    with ThreadPoolExecutor(workers) as pool:
        slabs = np.concatenate(list(pool.map(flat, starts)))
    # Slabs are [z, x, y]; the last product turns them into [z, y, x].
    stack = slabs.reshape(len(slabs), -1)
    cube = depth.along_first(stack).reshape(-1, *slabs.shape[1:])
    return np.ascontiguousarray(cube.swapaxes(1, 2))


class Banded:
    """A banded matrix as a row of dense blocks, and the range of inputs that it reads at all.

    Args:
        matrix: dense, shape (out, in).
    """

    def __init__(self, matrix: Matrix) -> None:
        used = np.flatnonzero(matrix.any(axis=0))
        self.start = int(used[0]) if len(used) else 0
        self.stop = int(used[-1]) + 1 if len(used) else 1
        self.size = len(matrix)
        self.blocks: list[tuple[slice, slice, FloatVolume]] = []
        for first in range(0, self.size, BLOCK):
            block = matrix[first : first + BLOCK]
            columns = np.flatnonzero(block.any(axis=0))
            if len(columns):
                reads = slice(int(columns[0]) - self.start, int(columns[-1]) + 1 - self.start)
                dense = block[:, columns[0] : columns[-1] + 1].astype(np.float32)
                self.blocks.append((slice(first, first + len(block)), reads, dense))

    def along_last(self, values: FloatVolume) -> FloatVolume:
        """Apply to the last axis of values whose last axis is the range `start` to `stop`."""
        out = np.zeros((*values.shape[:-1], self.size), np.float32)
        flat_in = values.reshape(-1, values.shape[-1])
        flat_out = out.reshape(-1, self.size)
        for writes, reads, dense in self.blocks:
            flat_out[:, writes] = flat_in[:, reads] @ dense.T
        return out

    def along_first(self, values: FloatVolume) -> FloatVolume:
        """Apply to the first axis of a matrix whose rows are the range `start` to `stop`."""
        out = np.zeros((self.size, values.shape[1]), np.float32)
        for writes, reads, dense in self.blocks:
            out[writes] = dense @ values[reads]
        return out
