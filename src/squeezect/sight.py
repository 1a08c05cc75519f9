"""What networks made of a patch: where their evidence lies, and the outline that they drew.

Both are what the answer was made of, not a second opinion. Each is the mean over the networks and
over the mirrored and turned views that the answer is the mean of, brought back into place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from squeezect.candidates import turned
from squeezect.explanation import FloatMap, explain
from squeezect.preparation.export import image_of
from squeezect.scan import Grid, Shape

if TYPE_CHECKING:
    import torch

    from squeezect.models import Classifier

HALF = 0.5
"""Share from which a voxel is shown as nodule."""


@dataclass(frozen=True)
class Drawn:
    """Measures of an outline.

    Args:
        volume_mm3: what it encloses, voxels counted by their share.
        diameter_mm: of a ball of that volume.
        section_mm: diameter of a disc as large as the largest axial section.
        mean_hu: mean density, each voxel by its share, values beyond the window cut off.
        touches: whether it reaches the end of the patch, so that the whole is larger.
    """

    volume_mm3: float
    diameter_mm: float
    section_mm: float
    mean_hu: float
    touches: bool

    def as_dict(self) -> dict[str, object]:
        """The measures as plain JSON."""
        return {
            "volume_mm3": round(self.volume_mm3, 1),
            "diameter_mm": round(self.diameter_mm, 2),
            "section_mm": round(self.section_mm, 2),
            "mean_hu": round(self.mean_hu, 1),
            "touches_the_end_of_the_patch": self.touches,
        }


@dataclass(frozen=True, eq=False)
class Sight:
    """A patch as networks see it, and what they made of it.

    Args:
        values: of the patch, float32 in [0, 1], shape [z, y, x].
        grid: where its voxels are.
        window_hu: Hounsfield units of 0 and 1.
        evidence: contribution to the log-odds of class 1 where it is positive, shape of the patch;
            None where a network has no class map, or draws an outline, which says more.
        outline: share of each voxel that the networks take for nodule, shape of the patch; None
            where they draw none.
    """

    values: FloatMap
    grid: Grid
    window_hu: tuple[int, int]
    evidence: FloatMap | None
    outline: FloatMap | None

    @property
    def hu(self) -> npt.NDArray[np.int16]:
        """The patch in Hounsfield units, cut off at the window."""
        low, high = self.window_hu
        return np.rint(low + self.values * (high - low)).astype(np.int16)

    @property
    def drawn(self) -> Drawn | None:
        """Measures of the outline, None where there is none."""
        if self.outline is None:
            return None
        share = self.outline.astype(np.float64)
        dz, dy, dx = self.grid.spacing_mm
        volume = float(share.sum()) * dz * dy * dx
        section = float(share.sum((1, 2)).max()) * dy * dx
        rim = np.ones(share.shape, bool)
        rim[1:-1, 1:-1, 1:-1] = False
        return Drawn(
            volume_mm3=volume,
            diameter_mm=(6 * volume / np.pi) ** (1 / 3),
            section_mm=2 * (section / np.pi) ** 0.5,
            mean_hu=float((share * self.hu).sum() / share.sum()),
            touches=bool((share[rim] >= HALF).any()),
        )

    def save_outline(self, path: Path) -> Path:
        """Write the outline as an image file in the scan's space; ends in ``.nii.gz``.

        Raises:
            ValueError: there is no outline.
        """
        import SimpleITK as sitk

        if self.outline is None:
            raise ValueError("these networks draw no outline")
        sitk.WriteImage(image_of(self.outline, self.grid), str(path), useCompression=True)
        return path


def look(
    models: "Sequence[Classifier]",
    values: FloatMap,
    grid: Grid,
    *,
    window_hu: tuple[int, int],
    views: int,
) -> Sight:
    """What networks made of a patch.

    Args:
        models: the networks that answered.
        values: the patch, float32 in [0, 1], shape [z, y, x].
        grid: where its voxels are.
        window_hu: Hounsfield units of 0 and 1.
        views: 1 to 8, as in `mean_view`.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    batch = torch.from_numpy(values)[None, None].to(device)
    evidence, outlines = [], []
    with torch.inference_mode():
        for model in models:
            asked = model.eval().to(device)
            for view in range(views):
                seen = turned(batch, view)
                if asked.localises and not asked.draws:
                    evidence.append(_back(_evidence(asked, seen), view))
                elif asked.draws:
                    outlines.append(_back(asked.outline(seen)[0, 0].float().cpu().numpy(), view))
    found: list[FloatMap | None] = [
        np.mean(maps, axis=0, dtype=np.float32) if len(maps) == views * len(models) else None
        for maps in (evidence, outlines)
    ]
    return Sight(values, grid, window_hu, *found)


def _evidence(model: "Classifier", seen: "torch.Tensor") -> FloatMap:
    shape: Shape = (seen.shape[2], seen.shape[3], seen.shape[4])
    voxels = Grid(shape, (1.0, 1.0, 1.0))
    first, step = model.cells(shape)
    class_map = model.class_map(seen)[0].float().cpu().numpy()
    return explain(class_map, field=voxels, grid=voxels, first=first, step=step).values


def _back(values: FloatMap, view: int) -> FloatMap:
    """Undo what `turned` did to a volume."""
    unmirrored = values[:, :, ::-1] if view >= 4 else values
    return np.rot90(unmirrored, -(view % 4), (1, 2))
