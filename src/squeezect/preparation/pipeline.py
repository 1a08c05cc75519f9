"""What to do to a scan before a network sees it, as data; and doing it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from squeezect.errors import Code, Finding, PreparationError
from squeezect.preparation.lungs import LungFigures, find_lungs, grown
from squeezect.preparation.resample import FloatVolume, plan, resample
from squeezect.scan import Grid, Scan, Shape

ALGORITHM = 1
"""Raised when the same parameters begin to give other values, so that stores are made anew."""

BAD_PREPARATION = Code(
    "bad-preparation",
    "A field of the preparation has a value that it cannot take.",
    "correct the field",
)
NO_CROP = Code(
    "no-lungs-to-crop",
    "A crop to the lungs was asked for, but no lungs were found.",
    "check that this is a chest CT, or prepare it with crop = none",
)


class Preparation(BaseModel):
    """How a scan becomes the input of a network; the defaults are the paper's.

    Args:
        size: of the input along [z, y, x], in voxels.
        spacing_mm: the intermediate spacing, in mm.
        window_hu: Hounsfield units that become 0 and 1; what lies outside is clipped.
        crop: ``none``, or ``lungs`` to use only the box around the lungs.
        crop_margin_mm: kept around that box, in mm.

    Example:
        >>> Preparation().size
        (128, 128, 128)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: Shape = (128, 128, 128)
    spacing_mm: float = Field(default=1.0, gt=0, le=20)
    window_hu: tuple[int, int] = (-1000, 400)
    crop: Literal["none", "lungs"] = "none"
    crop_margin_mm: float = Field(default=10.0, ge=0, le=200)

    @field_validator("size")
    @classmethod
    def _size_is_usable(cls, size: Shape) -> Shape:
        if not all(8 <= n <= 1024 for n in size):
            raise ValueError("every side must be between 8 and 1024 voxels")
        return size

    @field_validator("window_hu")
    @classmethod
    def _window_is_open(cls, window: tuple[int, int]) -> tuple[int, int]:
        if not -32000 <= window[0] < window[1] <= 32000:
            raise ValueError("the lower end must be below the upper one, both within 16 bits")
        return window

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that change whenever prepared values could."""
        text = json.dumps({"algorithm": ALGORITHM, **self.model_dump(mode="json")}, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def parse_preparation(fields: Mapping[str, object]) -> Preparation:
    """A preparation from plain values.

    Raises:
        PreparationError: `bad-preparation`, naming the field and its value.
    """
    try:
        return Preparation.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        raise PreparationError(
            BAD_PREPARATION, f"{name} = {first['input']!r}: {first['msg']}"
        ) from error


@dataclass(frozen=True, eq=False)
class Volume:
    """A scan as a network sees it.

    Args:
        values: float32 in [0, 1], shape [z, y, x]; air is 0.
        grid: where the voxels are.
        preparation: how it was made.
        lungs: figures of the lungs, where they were looked for.
        findings: of the scan.
        identity: pseudonym of the scan.
    """

    values: FloatVolume
    grid: Grid
    preparation: Preparation
    lungs: LungFigures | None = None
    findings: tuple[Finding, ...] = ()
    identity: str = ""


def prepare(
    scan: Scan, preparation: Preparation | None = None, *, lungs: LungFigures | None = None
) -> Volume:
    """Turn a scan into network input: clip, to 1 mm, pad to a cube, resize.

    Args:
        scan: a CT.
        preparation: what to do; the paper's recipe by default.
        lungs: figures of the lungs, if they have been found already.

    Returns:
        The volume, on its own grid in the same space.

    Raises:
        PreparationError: `no-lungs-to-crop`.

    Source: B. B. Ahn, 2017, section on preprocessing.
    """
    preparation = preparation or Preparation()
    hu, grid = scan.hu, scan.grid
    if preparation.crop == "lungs":
        lungs = lungs or find_lungs(scan).figures
        if lungs.volume_l == 0:
            raise PreparationError(NO_CROP, "no lungs found in the scan")
        start, stop = grown(lungs, grid, margin_mm=preparation.crop_margin_mm)
        hu = hu[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
        grid = grid.crop(start, (hu.shape[0], hu.shape[1], hu.shape[2]))
    how = plan(grid, spacing_mm=preparation.spacing_mm, size=preparation.size)
    values = resample(hu, how.matrices, window_hu=preparation.window_hu)
    # Sums of rounded weights may leave [0, 1] by a unit in the last place.
    np.clip(values, 0, 1, out=values)
    return Volume(values, how.grid, preparation, lungs, scan.findings, scan.identity)


def prepare_file(
    path: Path, preparation: Preparation, out: Path, *, series: str | None = None
) -> Path:
    """Prepare one scan and write the volume as an image that any viewer opens in place.

    Args:
        path: a scan.
        preparation: what to do.
        out: ``.nii.gz``, ``.mha`` or ``.nrrd``.
        series: which series, where there are several.
    """
    import SimpleITK as sitk

    from squeezect.reading import read_scan

    volume = prepare(read_scan(path, series=series), preparation)
    image = sitk.GetImageFromArray(volume.values)
    image.SetOrigin(volume.grid.origin_mm)
    image.SetSpacing(volume.grid.spacing_mm[::-1])
    image.SetDirection(np.array(volume.grid.direction[::-1]).T.ravel().tolist())
    sitk.WriteImage(image, str(out), useCompression=True)
    return out
