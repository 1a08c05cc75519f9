"""What to do to a scan before a network sees it, as data; and doing it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from squeezect.errors import Code, Finding, PreparationError
from squeezect.preparation.lungs import LungFigures, find_lungs
from squeezect.preparation.resample import FloatVolume, resample
from squeezect.preparation.weights import Padding, plan
from squeezect.scan import Grid, Scan, Shape

AIR_HU = -1000
ALGORITHM = 2
"""Raised when the same parameters begin to give other values, so that stores are made anew."""

BAD_PREPARATION = Code(
    "bad-preparation",
    "A field of the preparation has a value that it cannot take.",
    "correct the field",
)
NO_CROP = Code(
    "no-lungs-to-crop",
    "A crop to the lungs was asked for, but no lungs were found.",
    "check that this is a chest CT, or prepare it with crop none",
)


class Preparation(BaseModel):
    """How a scan becomes the input of a network; the defaults are the paper's.

    Args:
        size: of the input along [z, y, x], in voxels.
        spacing_mm: of the intermediate step, in mm; None goes straight from the scan's voxels to
            `size`, which blurs less.
        window_hu: Hounsfield units that become 0 and 1; what lies outside is clipped.
        crop: ``none``, or ``lungs`` to use only the box around the lungs.
        crop_margin_mm: kept around that box, in mm.
        pad: ``cube`` pads the field to a cube around its centre, so that proportions are kept
            (voxels are cubic if `size` is); ``none`` stretches the field to fill `size`.
        fill_hu: Hounsfield units of that padding; air by default.

    Raises:
        pydantic.ValidationError: a field is unknown or cannot take its value; `parse_preparation`
            says the same as a `PreparationError`.

    Example:
        >>> Preparation().size
        (128, 128, 128)
        >>> Preparation(size=(64, 64, 64), crop="lungs").digest != Preparation().digest
        True
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: Shape = (128, 128, 128)
    spacing_mm: float | None = Field(default=1.0, gt=0, le=20)
    window_hu: tuple[int, int] = (-1000, 400)
    crop: Literal["none", "lungs"] = "none"
    crop_margin_mm: float = Field(default=10.0, ge=0, le=200)
    pad: Padding = "cube"
    fill_hu: int = Field(default=AIR_HU, ge=-32000, le=32000)

    @field_validator("size")
    @classmethod
    def _size_is_usable(cls, size: Shape) -> Shape:
        if not all(8 <= n <= 1024 for n in size):
            raise ValueError("every side of size must be between 8 and 1024 voxels")
        return size

    @field_validator("window_hu")
    @classmethod
    def _window_is_open(cls, window: tuple[int, int]) -> tuple[int, int]:
        if not -32000 <= window[0] < window[1] <= 32000:
            raise ValueError(
                "the lower end of window_hu must be below the upper one, both within +-32000 HU"
            )
        return window

    @property
    def fill(self) -> float:
        """What `fill_hu` becomes in the network's input, 0 to 1."""
        low, high = self.window_hu
        return (min(max(self.fill_hu, low), high) - low) / (high - low)

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
    scan: Scan,
    preparation: Preparation | None = None,
    *,
    lungs: LungFigures | None = None,
    threads: int | None = None,
) -> Volume:
    """Turn a scan into network input: clip, to 1 mm, pad to a cube, resize.

    Args:
        scan: a CT.
        preparation: what to do; the paper's recipe by default.
        lungs: figures of its lungs, if they have been found already.
        threads: how many share the work; the processor's cores by default.

    Returns:
        The volume, on its own grid in the same space.

    Raises:
        PreparationError: `no-lungs-to-crop`.

    Source: B. B. Ahn, "The Compact 3D Convolutional Neural Network for Medical Images", 2017.

    Example:
        >>> from squeezect.phantom import thorax
        >>> volume = prepare(thorax(1)[0], Preparation(size=(32, 32, 32)))
        >>> volume.values.shape, float(volume.values[0, 0, 0])
        ((32, 32, 32), 0.0)
    """
    preparation = preparation or Preparation()
    hu, grid = scan.hu, scan.grid
    if preparation.crop == "lungs":
        lungs = lungs or find_lungs(scan, threads=threads).figures
        if lungs.volume_l == 0:
            raise PreparationError(NO_CROP, f"no lungs found in scan {scan.identity or 'given'}")
        first, shape = lungs.box(grid, margin_mm=preparation.crop_margin_mm)
        hu = hu[tuple(slice(a, a + n) for a, n in zip(first, shape, strict=True))]
        grid = grid.crop(first, shape)
    how = plan(grid, size=preparation.size, spacing_mm=preparation.spacing_mm, pad=preparation.pad)
    values = resample(
        hu,
        how.matrices,
        window=preparation.window_hu,
        fill=preparation.fill,
        threads=threads,
    )
    return Volume(values, how.grid, preparation, lungs, scan.findings, scan.identity)
