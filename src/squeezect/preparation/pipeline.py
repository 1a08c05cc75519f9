"""What to do to a scan before a network sees it, as data; and doing it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from squeezect.errors import Code, Finding, PreparationError
from squeezect.preparation.lungs import LungFigures, find_lungs
from squeezect.preparation.resample import FloatVolume, resample
from squeezect.preparation.weights import Outside, Padding, Plan, plan, plan_around
from squeezect.scan import Grid, Scan, Shape, Triple

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
NO_POINT = Code(
    "no-point",
    "Input is cut around a point, but no point was given.",
    "give the point, or use a network that judges whole scans",
)
POINT_OUTSIDE = Code(
    "point-outside",
    "The point around which a patch is asked for does not lie in the scan.",
    "check that the point is in LPS millimetres (x, y, z) and belongs to this scan",
)

SMALLEST_FIELD = 8
"""Voxels along each side of a whole scan, at least; a patch may be one voxel deep."""
POINT_MARGIN_MM = 5.0
"""A case's point may lie this far outside: centres found by machines lie on the very edge."""


class Preparation(BaseModel):
    """How a scan becomes the input of a network; the defaults are the paper's.

    Args:
        crop: ``none``, ``lungs`` to use only the box around the lungs, or ``point`` to cut a patch
            of `size` voxels of `spacing_mm` around the point that a case is about.
        size: of the input along [z, y, x], in voxels.
        spacing_mm: of the intermediate step, in mm; None goes straight from the scan's voxels to
            `size`, which blurs less. Of a patch, the size of its voxels; None keeps the scan's.
        window_hu: Hounsfield units that become 0 and 1; what lies outside is clipped.
        outside: what a patch shows beyond the scan: ``air`` (`fill_hu`), or ``edge`` to go on with
            the outermost voxels.
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

    # Before the size, whose smallest value depends on it.
    crop: Literal["none", "lungs", "point"] = "none"
    size: Shape = (128, 128, 128)
    spacing_mm: float | None = Field(default=1.0, gt=0, le=20)
    window_hu: tuple[int, int] = (-1000, 400)
    outside: Outside = "air"
    crop_margin_mm: float = Field(default=10.0, ge=0, le=200)
    pad: Padding = "cube"
    fill_hu: int = Field(default=AIR_HU, ge=-32000, le=32000)

    @field_validator("size")
    @classmethod
    def _size_is_usable(cls, size: Shape, info: ValidationInfo) -> Shape:
        least = 1 if info.data.get("crop") == "point" else SMALLEST_FIELD
        if not all(least <= n <= 1024 for n in size):
            raise ValueError(f"every side of size must be between {least} and 1024 voxels")
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
    def cuts_patches(self) -> bool:
        """Whether input is a patch around a point, not a whole scan."""
        return self.crop == "point"

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that change whenever prepared values could."""
        # Whole scans keep the digest that they had before patches were prepared in this way.
        fields = self.model_dump(mode="json", exclude=set() if self.cuts_patches else {"outside"})
        text = json.dumps({"algorithm": ALGORITHM, **fields}, sort_keys=True)
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
    point_mm: npt.ArrayLike | None = None,
    threads: int | None = None,
) -> Volume:
    """Turn a scan into network input: clip, to 1 mm, pad to a cube, resize; or cut a patch.

    Args:
        scan: a CT.
        preparation: what to do; the paper's recipe by default.
        lungs: figures of its lungs, if they have been found already.
        point_mm: LPS point (x, y, z) in mm that a patch is cut around; for crop ``point`` only.
        threads: how many share the work; the processor's cores by default.

    Returns:
        The volume, on its own grid in the same space.

    Raises:
        PreparationError: `no-lungs-to-crop`; `no-point` or `point-outside` for a patch.

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
    how = _plan(grid, preparation, point_mm)
    values = resample(
        hu,
        how.matrices,
        window=preparation.window_hu,
        fill=preparation.fill,
        threads=threads,
    )
    return Volume(values, how.grid, preparation, lungs, scan.findings, scan.identity)


def _plan(grid: Grid, preparation: Preparation, point_mm: npt.ArrayLike | None) -> Plan:
    size, spacing = preparation.size, preparation.spacing_mm
    if not preparation.cuts_patches:
        return plan(grid, size=size, spacing_mm=spacing, pad=preparation.pad)
    if point_mm is None:
        raise PreparationError(NO_POINT, f"input of {size} voxels is cut around a point")
    check_point(grid, point_mm, margin_mm=POINT_MARGIN_MM)
    steps: Triple = grid.spacing_mm if spacing is None else (spacing,) * 3
    return plan_around(grid, point_mm, shape=size, spacing_mm=steps, outside=preparation.outside)


def check_point(grid: Grid, point_mm: npt.ArrayLike, *, margin_mm: float = 0.0) -> None:
    """Make sure that a point lies in a field.

    Args:
        grid: the field.
        point_mm: LPS point (x, y, z) in mm.
        margin_mm: how far outside it may lie, along each axis.

    Raises:
        PreparationError: `point-outside`.
    """
    index = grid.to_index(point_mm)
    beyond = np.maximum(-0.5 - index, index - np.array(grid.shape) + 0.5)
    if not (beyond * np.array(grid.spacing_mm) <= margin_mm + 1e-9).all():
        x, y, z = np.asarray(point_mm, float).tolist()
        where = np.round(index, 1).tolist()
        what = f"point ({x:g}, {y:g}, {z:g}) mm is at index {where} of a scan of {grid.shape}"
        raise PreparationError(POINT_OUTSIDE, what)
