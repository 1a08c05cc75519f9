"""Does it look like Hounsfield units, and is it fit for lungs: from the voxels and the grid."""

from collections.abc import Collection, Sequence

import numpy as np

from squeezect.errors import Finding, ReadingError
from squeezect.reading import codes
from squeezect.reading.hounsfield import FLOOR_HU, Hu
from squeezect.scan import Acquisition, Grid

DARK_HU = -500
"""Air and lung are below, all other tissue above."""
DARK_SHARE = 0.003
"""A field of view wider than a body part holds at least this share of air or lung."""
WIDE_MM = 150.0
"""A field of view from this width on is no crop: air has to be in it."""
NARROW_HU = 300
"""A smaller range than this from almost-lowest to almost-highest value is not CT."""
TISSUE_HU = (-200, 400)
"""The middle of what is not air lies here: between fat and contrast-filled heart or bone."""
TISSUE_SHARE = 0.005
THICK_MM = 3.0
"""Nodules of 6 mm are seen in one or two slices only when they are thicker than this."""
ODD_HU = 300
"""A slice whose mean is this far above, or below, those of both its neighbours is no CT.

On real chests, thinned to one slice in 36 mm and cut the other ways too, no mean was further than
121 HU from both; an intercept of -1024 that is missing makes 800 and more."""
STEP_HU = 700
"""The mean of no two neighbours differs by this much; 287 was the most, where a table begins."""
SHORT_MM = 150.0
"""Lungs are 200 mm and more from top to bottom; less is a part of a chest."""


def check_values(hu: Hu, grid: Grid, *, allow: Collection[str] = ()) -> list[Finding]:
    """Whether values can be Hounsfield units.

    Args:
        hu: values.
        grid: where they are.
        allow: codes of refusals to go on in spite of.

    Raises:
        ReadingError: `not-hounsfield`, unless allowed.
    """
    doubt, small = _doubt(hu, grid)
    if not doubt:
        return []
    if small:
        return [Finding(codes.NO_AIR, doubt)]
    if codes.NOT_HU.name in allow:
        return [Finding(codes.NOT_HU, doubt, overridden=True)]
    raise ReadingError(codes.NOT_HU, f"values are not Hounsfield units: {doubt}")


def check_slices(hu: Hu, names: Sequence[str], *, allow: Collection[str] = ()) -> list[Finding]:
    """Whether each slice has the values that its neighbours let expect.

    Args:
        hu: values, slice by slice in order.
        names: of the slices.
        allow: codes of refusals to go on in spite of.

    Raises:
        ReadingError: `odd-slice`, unless allowed.
    """
    rows, columns = (max(1, n // 64) for n in hu.shape[1:])
    sample = hu[:, ::rows, ::columns].reshape(len(hu), -1)
    means = sample.mean(axis=1)
    # Empty slices at the ends are common in reformatted series.
    blank = sample.min(axis=1) == sample.max(axis=1)
    steps = np.diff(means)
    nearer = np.minimum(np.abs(steps[:-1]), np.abs(steps[1:]))
    alone = np.flatnonzero((steps[:-1] * steps[1:] < 0) & (nearer > ODD_HU)) + 1
    abrupt = np.flatnonzero((np.abs(steps) > STEP_HU) & ~blank[:-1] & ~blank[1:]) + 1
    if not alone.size and not abrupt.size:
        return []
    worst = int((alone if alone.size else abrupt)[0])
    step = f"{means[worst] - means[worst - 1]:+.0f} HU"
    what = f"from slice {worst} to {worst + 1} of {len(hu)} the mean changes by {step}"
    if codes.ODD_SLICE.name in allow:
        return [Finding(codes.ODD_SLICE, what, overridden=True)]
    raise ReadingError(codes.ODD_SLICE, f"{what} ({names[worst]})")


def check_fitness(grid: Grid, acquisition: Acquisition) -> list[Finding]:
    """Whether slices are thin enough and reach far enough for lungs.

    Args:
        grid: canonical.
        acquisition: how it was made.
    """
    findings = []
    thickness = max(grid.spacing_mm[0], acquisition.slice_thickness_mm or 0.0)
    if thickness > THICK_MM + 0.05:
        findings.append(Finding(codes.THICK, f"{thickness:.2f} mm"))
    if grid.size_mm[0] < SHORT_MM:
        findings.append(Finding(codes.SHORT, f"{grid.size_mm[0]:.0f} mm"))
    return findings


def _doubt(hu: Hu, grid: Grid) -> tuple[str, bool]:
    """What speaks against Hounsfield units, "" for nothing; whether a small crop explains it."""
    step = max(1, round((hu.size / 2_000_000) ** (1 / 3)))
    sample = hu[::step, ::step, ::step].ravel()
    # Counts per value: shares and percentiles from them cost less than sorting.
    counts = np.bincount(sample.astype(np.int32) - FLOOR_HU, minlength=4096)
    total = np.cumsum(counts)
    low, high = np.searchsorted(total, [0.001 * total[-1], 0.999 * total[-1]]) + FLOOR_HU
    small = min(grid.size_mm) < WIDE_MM and sorted(grid.size_mm)[1] < WIDE_MM
    if high - low < NARROW_HU:
        return f"they range over {int(high - low)} only, from {int(low)} to {int(high)}", False
    # The floor itself may be padding, so it is no evidence of air.
    dark = counts[1 : DARK_HU - FLOOR_HU].sum() / total[-1]
    bright = counts[DARK_HU - FLOOR_HU :]
    share = bright.sum() / total[-1]
    if share < TISSUE_SHARE and not small:
        return f"{100 * share:.2f} % are above {DARK_HU}: no tissue near 0", False
    middle = int(np.searchsorted(np.cumsum(bright), bright.sum() / 2)) + DARK_HU
    if bright.sum() and not TISSUE_HU[0] <= middle <= TISSUE_HU[1] and not small:
        return f"tissue lies around {middle}, expected near 0", False
    if dark < DARK_SHARE:
        return f"{100 * dark:.2f} % are below {DARK_HU}: no air near -1000", small
    return "", False
