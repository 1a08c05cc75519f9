"""Where an answer comes from: the class activation map, brought onto the scan's own grid.

The heat map is not a second opinion. It is the network's output before the last average, so the
mean of one network's map is the log-odds of its answer (Zhou et al., "Learning Deep Features for
Discriminative Localization", 2016). Of several networks the map is the mean of theirs, and adds up
to the mean of their log-odds; their answer is the mean of their probabilities, which is another
number where they disagree. With more than two classes the map sets class 1 against class 0 alone.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from squeezect.errors import PreparationError
from squeezect.preparation.export import BAD_OUTPUT
from squeezect.scan import Grid, Shape, Triple

FloatMap = npt.NDArray[np.float32]

NIFTI = (".nii.gz", ".nii")
NIFTI_ONLY = "give a name that ends in .nii.gz or .nii, in a folder that exists"


@dataclass(frozen=True, eq=False)
class Heatmap:
    """Evidence for class 1, cell by cell, and its picture on the scan's grid.

    Args:
        evidence: contribution of each cell to the log-odds of class 1, float32, shape [d, h, w];
            its mean is the log-odds; those of several networks are averaged.
        cells: grid of the cells: centres of what each cell looks at.
        field: grid of the network's input; beyond it there is no evidence.
        grid: the scan's grid.
    """

    evidence: FloatMap
    cells: Grid
    field: Grid
    grid: Grid

    @property
    def logit(self) -> float:
        """The log-odds of class 1 that the evidence adds up to."""
        return float(self.evidence.mean(dtype=np.float64))

    @cached_property
    def peak_mm(self) -> Triple:
        """The LPS point (x, y, z) of the strongest evidence, in mm, finer than the cells.

        Around its maximum the evidence is taken for a Gaussian, as a thing that several cells see
        in part looks; its summit between the cells is then found from their logarithms.
        """
        middle = np.array(np.unravel_index(self.evidence.argmax(), self.evidence.shape))
        x, y, z = self.cells.to_mm(middle + self._beside(middle)).tolist()
        return (x, y, z)

    @property
    def peak_index(self) -> Shape:
        """The scan voxel [z, y, x] nearest to the strongest evidence."""
        last = np.array(self.grid.shape) - 1
        z, y, x = np.rint(self.grid.to_index(np.array(self.peak_mm))).clip(0, last).astype(int)
        return (int(z), int(y), int(x))

    def _beside(self, middle: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """From the strongest cell to the summit, in cells along [z, y, x], each within a half."""
        offset = np.zeros(3)
        top = float(self.evidence[tuple(middle)])
        if top <= 0:
            return offset
        for axis, size in enumerate(self.evidence.shape):
            if not 0 < middle[axis] < size - 1:
                continue
            line = np.take(np.moveaxis(self.evidence, axis, 0), middle[axis] + (-1, 0, 1), axis=0)
            others = tuple(np.delete(middle, axis))
            before, here, after = np.log(np.maximum(line[(slice(None), *others)], 1e-3 * top))
            bend = before - 2 * here + after
            offset[axis] = 0.5 * (before - after) / bend if bend < 0 else 0.0
        return offset

    @property
    def values(self) -> FloatMap:
        """Evidence for class 1 on the scan's grid, float32, shape of the scan, never negative.

        Made anew at each call; `slab` gives a part of it for less.
        """
        return self.slab(0, self.grid.shape[0])

    def slab(self, start: int, stop: int) -> FloatMap:
        """Evidence on the scan's slices `start` to `stop` (excluded); shape [z, y, x]."""
        nz, ny, nx = self.grid.shape
        rows = [np.arange(start, min(stop, nz)), np.arange(ny), np.arange(nx)]
        values = self._at(rows)
        return np.maximum(values, 0, out=values)

    def plane(self, axis: int, index: int) -> FloatMap:
        """Evidence on one plane of the scan: slice `index` along array axis `axis`, 2-D."""
        rows = [np.arange(n) for n in self.grid.shape]
        rows[axis] = np.array([index])
        plane: FloatMap = np.maximum(self._at(rows), 0).take(0, axis)
        return plane

    def save(self, path: Path | str) -> Path:
        """Write the map on the scan's grid as NIfTI (8 bits, scaled to log-odds).

        Args:
            path: ends in ``.nii.gz`` or ``.nii``, in a folder that exists.

        Raises:
            PreparationError: `bad-output`.
        """
        import nibabel

        path = Path(path)
        if not path.name.endswith(NIFTI) or not path.parent.is_dir():
            raise PreparationError(BAD_OUTPUT, f"cannot write {path}", remedy=NIFTI_ONLY)
        top = float(max(self.evidence.max(), 1e-6))
        grey = np.empty(self.grid.shape, np.uint8)
        for start in range(0, self.grid.shape[0], 16):
            part = self.slab(start, start + 16)
            part *= 255 / (1.5 * top)
            grey[start : start + 16] = np.rint(part, out=part).clip(0, 255)
        image = nibabel.Nifti1Image(  # type: ignore[no-untyped-call]
            grey.T, self.grid.affine_ras()
        )
        image.header.set_slope_inter(1.5 * top / 255, 0)  # type: ignore[no-untyped-call]
        image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
        image.header["descrip"] = b"SqueezeCT evidence for class 1 (log-odds); research only"
        try:
            image.to_filename(str(path))
        except OSError as error:
            raise PreparationError(BAD_OUTPUT, f"cannot write {path}: {error.strerror}") from error
        return path

    def _at(self, rows: list[npt.NDArray[np.int64]]) -> FloatMap:
        """Evidence at the scan voxels of three index lists, one product per axis."""
        matrices = []
        for axis, index in enumerate(rows):
            matrix = _cubic(self._positions(axis, index), self.evidence.shape[axis])
            matrix[~self._inside(axis, index)] = 0
            matrices.append(matrix)
        along_z, along_y, along_x = matrices
        # In this order every product writes its result where the next one reads it in a row.
        planes = along_y @ (self.evidence @ along_x.T)
        result: FloatMap = along_z @ planes.reshape(len(planes), -1)
        return result.reshape(len(along_z), len(along_y), len(along_x))

    def _positions(self, axis: int, index: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return self._along(self.cells, axis, index)

    def _inside(self, axis: int, index: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        position = self._along(self.field, axis, index)
        inside: npt.NDArray[np.bool_] = (position >= -0.5) & (
            position <= self.field.shape[axis] - 0.5
        )
        return inside

    def _along(
        self, other: Grid, axis: int, index: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        # All grids of one scan share their axes, so each axis maps by itself.
        voxels = np.zeros((len(index), 3))
        voxels[:, axis] = index
        position: npt.NDArray[np.float64] = other.to_index(self.grid.to_mm(voxels))[:, axis]
        return position


def _cubic(position: npt.NDArray[np.float64], size: int) -> FloatMap:
    """Cubic convolution (Keys, 1981) at fractional positions as a matrix (positions, size).

    Cubic rather than linear, so that a peak between two cells is found between them.
    """
    position = np.clip(position, 0, size - 1)
    base = np.floor(position).astype(int)
    matrix = np.zeros((len(position), size), np.float32)
    for offset in (-1, 0, 1, 2):
        distance = np.abs(position - (base + offset))
        near = (1.5 * distance - 2.5) * distance**2 + 1
        far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
        weight = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
        # Beyond the last cell the evidence is taken to continue as it ends.
        np.add.at(matrix, (np.arange(len(base)), np.clip(base + offset, 0, size - 1)), weight)
    return matrix


def explain(
    class_map: npt.NDArray[np.floating],
    *,
    field: Grid,
    grid: Grid,
    first: Triple,
    step: Triple,
) -> Heatmap:
    """The heat map of an answer.

    Args:
        class_map: the network's class map, shape (2, d, h, w), for one volume.
        field: grid of the network's input.
        grid: the scan's grid.
        first: centre of cell [0, 0, 0] in input voxels.
        step: distance of cells in input voxels, along [z, y, x].
    """
    evidence = (class_map[1] - class_map[0]).astype(np.float32)
    x, y, z = field.to_mm(first).tolist()
    sz, sy, sx = (np.array(field.spacing_mm) * np.array(step)).tolist()
    d, h, w = evidence.shape
    cells = Grid((d, h, w), (sz, sy, sx), (x, y, z), field.direction)
    return Heatmap(evidence, cells, field, grid)
