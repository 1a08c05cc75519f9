"""A prepared volume as an image file, to look at what a network sees."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from squeezect.errors import Code, PreparationError
from squeezect.preparation.pipeline import Preparation, prepare
from squeezect.scan import Grid

if TYPE_CHECKING:
    from SimpleITK import Image

FORMATS = (".nii.gz", ".nii", ".mha", ".nrrd")

BAD_OUTPUT = Code(
    "bad-output",
    "The file to write has no known kind, or its folder cannot be written to.",
    f"give a name that ends in one of {', '.join(FORMATS)}, in a folder that exists",
)


def prepare_file(
    path: Path, preparation: Preparation, out: Path, *, series: str | None = None
) -> Path:
    """Prepare one scan and write the volume as an image that any viewer opens in its place.

    Args:
        path: a scan.
        preparation: what to do.
        out: file to write; replaced if it is there, and only when the new one is complete.
        series: which series, where there are several.

    Returns:
        `out`.

    Raises:
        ReadingError: the scan cannot be read.
        PreparationError: `bad-output`, `no-lungs-to-crop`.
    """
    import SimpleITK as sitk

    from squeezect.reading import read_scan

    if not out.name.endswith(FORMATS) or not out.parent.is_dir():
        raise PreparationError(BAD_OUTPUT, f"cannot write {out}")
    volume = prepare(read_scan(path, series=series), preparation)
    image = image_of(volume.values, volume.grid)
    scratch = out.with_name(f".{out.name}")
    try:
        sitk.WriteImage(image, str(scratch), useCompression=True)
        scratch.replace(out)
    except (RuntimeError, OSError) as error:
        scratch.unlink(missing_ok=True)
        raise PreparationError(BAD_OUTPUT, f"cannot write {out}") from error
    return out


def image_of(values: npt.NDArray[np.float32], grid: Grid) -> "Image":
    """Values on a grid as SimpleITK has them, in the same place.

    Args:
        values: shape of the grid, [z, y, x].
        grid: where they are.
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(values)
    image.SetOrigin(grid.origin_mm)
    image.SetSpacing(grid.spacing_mm[::-1])
    # SimpleITK wants the axes x, y, z as columns.
    image.SetDirection(np.array(grid.direction[::-1]).T.ravel().tolist())
    return image
