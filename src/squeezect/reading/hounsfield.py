"""Stored values to Hounsfield units: rescale, padding to air, nothing lost on the way."""

from typing import Any

import numpy as np
import numpy.typing as npt

from squeezect.errors import ReadingError
from squeezect.reading import codes

Hu = npt.NDArray[np.int16]
Stored = npt.NDArray[np.integer[Any] | np.floating[Any]]

FLOOR_HU = -1024
"""Nothing is thinner than air; lower values are padding outside the field of view, in any format.

All of them (-2000, -2048, -3024, ...) become this lowest value of a scanner's scale.
"""
TISSUE_HU = (-900, 3071)
"""A padding value that rescales into this range is believed only as far as it fills the corners."""
USUAL_PADDING = (63536, 63488, 62512)
"""-2000, -2048 and -3024 read as unsigned."""


def to_hounsfield(
    stored: Stored,
    out: Hu,
    *,
    slope: float = 1.0,
    intercept: float = 0.0,
    padding: tuple[int, int] | None = None,
    where: str = "",
) -> None:
    """Rescale one slice (or volume) of stored numbers.

    Args:
        stored: whole or floating-point numbers.
        out: Hounsfield units, int16, of the same shape.
        slope: of the rescale.
        intercept: of the rescale.
        padding: lowest and highest stored value that mean "nothing here".
        where: names the slice in an error.

    Raises:
        ReadingError: `hu-overflow`, or `bad-pixels` for values that are not finite.
    """
    outside = _padded(stored, slope, intercept, padding)
    exact = stored.dtype.itemsize <= 2 and stored.dtype.kind in "iu"
    exact = exact and slope == 1 and intercept.is_integer() and abs(intercept) < 1 << 24
    if exact:
        values: Stored = stored.astype(np.int32)
        values += int(intercept)
    else:
        values = stored.astype(np.float64) * slope + intercept
        if not np.isfinite(values).all():
            raise ReadingError(codes.BAD_PIXELS, f"values that are not finite numbers{where}")
        np.rint(values, out=values)
    if outside is not None:
        values[outside] = FLOOR_HU
    highest = float(values.max(initial=FLOOR_HU))
    if highest > np.iinfo(np.int16).max:
        what = f"rescaled value {highest:.0f} is beyond {np.iinfo(np.int16).max} HU{where}"
        raise ReadingError(codes.OVERFLOW, what)
    np.maximum(values, FLOOR_HU, out=out, casting="unsafe")


def _padded(
    stored: Stored,
    slope: float,
    intercept: float,
    padding: tuple[int, int] | None,
) -> npt.NDArray[np.bool_] | None:
    """Where padding is; None for nowhere, or where the floor takes care of it anyway."""
    masks = []
    if padding is not None:
        low, high = padding
        ends = (low * slope + intercept, high * slope + intercept)
        if max(ends) > FLOOR_HU:
            mask = (stored >= low) & (stored <= high)
            tissue = max(ends) > TISSUE_HU[0] and min(ends) < TISSUE_HU[1]
            if mask.any():
                masks.append(_from_corners(mask) if tissue else mask)
    if stored.dtype == np.uint16 and slope > 0:
        usual = [v for v in USUAL_PADDING if v * slope + intercept > np.iinfo(np.int16).max]
        if usual and int(stored.max(initial=0)) >= min(usual):
            masks.append(np.isin(stored, usual))
    return np.logical_or.reduce(masks) if masks else None


def _from_corners(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The part of a mask that hangs together with the corners of its slice."""
    from scipy import ndimage

    planes = []
    for plane in mask.reshape(-1, *mask.shape[-2:]):
        labels, _ = ndimage.label(plane)
        corners = set(labels[[0, 0, -1, -1], [0, -1, 0, -1]].tolist()) - {0}
        planes.append(np.isin(labels, list(corners)))
    return np.stack(planes).reshape(mask.shape)
