"""Nodules put into nodule-free lungs: new positives whose place is known.

Few scans hold a nodule, and a label for a whole scan says nothing of where it is. A nodule painted
into the lung of a negative training volume answers both: it balances the classes, and the network
can be told which cells of its map are to rise. The paper names the unbalanced patients as the
cause of its failure. Nodules are painted, or drawn from a bank of real ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from squeezect.cohorts import Case
from squeezect.errors import Code, RecipeError
from squeezect.nodules import Bank, Nodule, random_pose
from squeezect.nodules.inserting import blended
from squeezect.nodules.naming import names_of, names_person, series_of
from squeezect.nodules.shape import body_of, radii_mm, render
from squeezect.scan import Shape, Triple, pseudonym
from squeezect.training.augmentation import VolumeArray
from squeezect.training.painting import paint
from squeezect.training.recipe import Insertion

LUNG_HU = (-960.0, -500.0)
TRIES = 400

BANK_NAMES_NOBODY = Code(
    "bank-names-nobody",
    "Nodules of the bank may be of patients who judge: one side names series only, the other "
    "patients only.",
    "build the bank again with squeezect nodule-bank from a table with patient_id and seriesuid, "
    "or name the cohort's patients and series",
)


@dataclass(frozen=True)
class Mark:
    """An ellipsoid in a volume, in voxels along [z, y, x].

    Args:
        centre: of the nodule.
        radii: of the nodule.
    """

    centre: Triple
    radii: Triple


UNKNOWN, NOTHING, INSERTED = -1.0, 0.0, 1.0
"""First number of a row of marks: nothing is known, nothing is there, a nodule is there."""


def row_of(mark: Mark | None, *, known: bool) -> npt.NDArray[np.float32]:
    """What training is told of a volume: (state, centre z, y, x, radii z, y, x)."""
    if mark is None:
        return np.array([NOTHING if known else UNKNOWN, *[0.0] * 6], np.float32)
    return np.array([INSERTED, *mark.centre, *mark.radii], np.float32)


def insert_nodule(
    values: VolumeArray,
    how: Insertion,
    *,
    voxel_mm: Triple,
    window_hu: tuple[float, float],
    random: np.random.Generator,
    bank: Bank | None = None,
) -> tuple[VolumeArray, Mark | None]:
    """A copy of a volume with one nodule in its lungs.

    Args:
        values: float32, shape [z, y, x], the window scaled to [0, 1].
        how: sizes and densities.
        voxel_mm: spacing along [z, y, x].
        window_hu: what 0 and 1 stand for.
        random: source of all draws.
        bank: real nodules to draw from; None paints.

    Returns:
        The volume and where the nodule is; the volume as it was and None if no place was found.
    """
    spacing = np.array(voxel_mm)
    diameter = float(np.exp(random.uniform(*np.log(how.diameter_mm))))
    if bank is not None and random.random() < how.bank_share:
        return _insert_real(
            values, bank, diameter, voxel_mm=voxel_mm, window_hu=window_hu, random=random
        )
    stretch = random.uniform(0.85, 1.15, 3)
    radii = diameter / 2 * stretch / stretch.prod() ** (1 / 3) / spacing
    centre = _place(values, radii, window_hu=window_hu, random=random)
    if centre is None:
        return values, None
    low, high = window_hu
    density = (random.uniform(*how.density_hu) - low) / (high - low)
    result = values.copy()
    paint(result, centre, radii, density=density, random=random)
    at = tuple(float(v) for v in centre)
    size = tuple(float(v) for v in radii)
    return result, Mark((at[0], at[1], at[2]), (size[0], size[1], size[2]))


def open_bank(how: Insertion | None, *, judged: Sequence[Case] = ()) -> Bank | None:
    """The bank that a recipe names, without the nodules of some cases' patients and series.

    Args:
        how: the recipe's insertion.
        judged: cases that a network is judged or tuned on.

    Raises:
        PreparationError: `bad-nodule-bank`.
        RecipeError: `bank-names-nobody`, with rows, where names cannot tell whose a nodule is.
    """
    if how is None or not how.bank:
        return None
    bank = Bank.load(how.bank)
    # Tables of candidates have hundreds of rows about one scan.
    scans = [*{(case.patient, case.series): case for case in reversed(judged)}.values()]
    _check_names(bank, scans, Path(how.bank).name)
    # A bank may know by the series whom the cohort knows by name, and the other way round.
    return bank.without({name for case in scans for name in names_of(case)})


def _check_names(bank: Bank, judged: Sequence[Case], file: str) -> None:
    """Refuse where a nodule and a case may be of one patient and no name of theirs would tell.

    They share a kind of name if both name a person or both name a series. Nodules without any
    name were made up, and are nobody's.
    """
    by_series = sorted(c.row for c in judged if not names_person(c))
    by_person = sorted(c.row for c in judged if not series_of(c))
    no_series = sum(bool(n.patient) and not n.series for n in bank.nodules)
    no_person = sum(bool(n.series) and not _names_person(n) for n in bank.nodules)
    for rows, nodules, theirs, ours in (
        (by_series, no_series, "patient only", "series only"),
        (by_person, no_person, "series only", "patient only"),
    ):
        if rows and nodules:
            first = ", ".join(map(str, rows[:3])) + (", ..." if len(rows) > 3 else "")
            what = (
                f"{nodules} of {len(bank)} nodules of {file} name their {theirs}, "
                f"cases to be judged (row {first}) their {ours}"
            )
            raise RecipeError(BANK_NAMES_NOBODY, what)


def _names_person(nodule: Nodule) -> bool:
    # Banks made before they said it hold the series, or its pseudonym's pseudonym, as the patient.
    names = {"", nodule.series, pseudonym(nodule.series)}
    return nodule.person and nodule.patient not in names


def _insert_real(
    values: VolumeArray,
    bank: Bank,
    diameter: float,
    *,
    voxel_mm: Triple,
    window_hu: tuple[float, float],
    random: np.random.Generator,
) -> tuple[VolumeArray, Mark | None]:
    nodule, scale = bank.draw(diameter, random=random)
    body, pose = body_of(nodule), random_pose(random, scale=scale)
    radii = np.array(radii_mm(body, pose)) / np.array(voxel_mm)
    centre = _place(values, radii, window_hu=window_hu, random=random)
    if centre is None:
        return values, None
    drawn = render(body, pose, centre=centre, spacing_mm=voxel_mm, shape=_shape(values))
    low, high = window_hu
    result = values.copy()
    mixed = blended(values[drawn.box] * np.float32(high - low) + np.float32(low), drawn)
    scaled = ((mixed - low) / (high - low)).clip(0, 1)
    result[drawn.box] = np.where(drawn.share > 0, scaled, values[drawn.box])
    z, y, x = centre.tolist()
    rz, ry, rx = radii.tolist()
    return result, Mark((z, y, x), (rz, ry, rx))


def _shape(values: VolumeArray) -> Shape:
    depth, height, width = values.shape
    return depth, height, width


def _place(
    values: VolumeArray,
    radii: npt.NDArray[np.float64],
    *,
    window_hu: tuple[float, float],
    random: np.random.Generator,
) -> npt.NDArray[np.float64] | None:
    """A centre whose surroundings are lung, up to a vessel or two."""
    low, high = ((hu - window_hu[0]) / (window_hu[1] - window_hu[0]) for hu in LUNG_HU)
    reach = np.maximum(1, np.ceil(radii)).astype(int)
    room = np.array(values.shape) - 2 * reach - 1
    if (room <= 0).any():
        return None
    for _ in range(TRIES):
        corner = random.integers(0, room)
        z, y, x = (slice(c, c + 2 * r + 1) for c, r in zip(corner, reach, strict=True))
        box = values[z, y, x]
        if ((box > low) & (box < high)).mean() >= 0.85:
            centre: npt.NDArray[np.float64] = corner + reach + random.uniform(-0.5, 0.5, 3)
            return centre
    return None
