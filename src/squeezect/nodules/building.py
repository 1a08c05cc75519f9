"""A bank from a folder of crops: what ``squeezect nodule-bank`` does."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from squeezect.cohorts.layouts.crops import read_nodule_crops
from squeezect.errors import Code, CohortError
from squeezect.nodules.bank import Bank, Nodule
from squeezect.nodules.naming import names_person, series_of
from squeezect.reading import read_scan
from squeezect.reading.images import holds_whole_numbers, image_format
from squeezect.scan import pseudonym

MARGIN = 2

NO_MASKS = Code(
    "no-masks",
    "The folder of crops has no masks, or a mask does not fit its crop.",
    "give a folder with nodules.csv, images and masks of the same names",
)
UNCLEAR_MASK = Code(
    "unclear-mask",
    "A mask has no voxel above 0, or values between whole numbers, such as shares of voxels.",
    "write 1 for the nodule's voxels and 0 for all others, or remove the row",
)


def build_bank(
    folder: Path | str,
    *,
    source: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Bank:
    """The nodules of a folder of crops.

    Args:
        folder: ``nodules.csv``, ``images`` and ``masks``; see `read_nodule_crops`.
        source: where they come from and under which licence; kept in the bank.
        progress: called with (done, total).

    Returns:
        One nodule per row, in the order of the rows; the same crops give the same bank.

    Raises:
        CohortError: `no-masks`, `unclear-mask`, and what `read_nodule_crops` refuses.
        ReadingError: what `read_scan` refuses in a crop or a mask.
    """
    cohort = read_nodule_crops(folder, check_points=False)
    nodules = []
    for done, case in enumerate(cohort.cases):
        if progress is not None:
            progress(done, len(cohort.cases))
        if case.mask is None or not case.mask.is_file():
            raise CohortError(NO_MASKS, f"row {case.row} of {cohort.source}: no mask")
        hu, spacing = _array(case.scan)
        inside = _inside(case.mask, hu.shape, f"row {case.row} of {cohort.source}")
        name = pseudonym(f"{case.series} {case.point_mm}")
        whole = hu.clip(-1024, 3071)
        box = _around(inside)
        # A study's UID is no person, but still keeps the nodules of one patient together.
        who = (pseudonym(case.patient), series_of(case), names_person(case))
        nodules.append(Nodule(whole[box], inside[box], spacing, name, *who))
    if progress is not None:
        progress(len(nodules), len(nodules))
    return Bank(tuple(nodules), source)


def _inside(path: Path, shape: tuple[int, ...], where: str) -> npt.NDArray[np.bool_]:
    """The voxels of a nodule: those above 0."""
    mask, _ = _array(path)
    if mask.shape != shape:
        raise CohortError(NO_MASKS, f"{where}: mask {mask.shape} for {shape}")
    # Reading rounds to whole Hounsfield units, by which a soft mask would lose its rim.
    if image_format(path.name) and not holds_whole_numbers(path):
        raise CohortError(UNCLEAR_MASK, f"{where}: mask {path.name} is not of whole numbers")
    if not (mask > 0).any():
        raise CohortError(UNCLEAR_MASK, f"{where}: mask {path.name} is empty")
    return mask > 0


def _around(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """The box of a mask and `MARGIN` voxels around it: the rest of a crop is of no use here."""
    z, y, x = (
        slice(max(0, int(at.min()) - MARGIN), int(at.max()) + 1 + MARGIN) for at in np.nonzero(mask)
    )
    return (z, y, x)


def _array(path: Path) -> tuple[npt.NDArray[np.int16], tuple[float, float, float]]:
    """Values [z, y, x], z up, y to the back and x to the left, and their spacing in mm."""
    # Crops are small, and masks are no Hounsfield units; neither says anything against them.
    scan = read_scan(path, allow=("too-few-slices", "not-hounsfield"))
    return scan.hu, scan.grid.spacing_mm
