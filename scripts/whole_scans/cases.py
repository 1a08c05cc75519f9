"""Who is in the study: synthetic patients, two real scans, and nodules of patients kept apart.

Nothing of a test case is seen in training: neither the phantom's or patient's scan, nor a nodule of
a patient whose nodules are inserted into test scans.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from squeezect.nodules import (
    Bank,
    Implant,
    erase_nodule,
    find_place,
    insert_nodule_into_scan,
    random_pose,
)
from squeezect.phantom import chest_grid, thorax
from squeezect.phantom.cohort import Patient, draw_patients
from squeezect.preparation import Lungs, find_lungs
from squeezect.reading import read_scan
from squeezect.scan import Scan, Triple, pseudonym

SIZES_MM = (4.0, 6.0, 8.0, 12.0, 20.0, 30.0)
SMALLEST_MM, LARGEST_MM = 4.0, 30.0
TRAIN, TEST = 32, 40
REAL_PLACES = 6
SEED = 41

# Nodules that readers of LIDC-IDRI marked: LPS centre in mm, and a diameter that covers them.
KNOWN: dict[str, list[tuple[Triple, float]]] = {
    "lidc-idri-0001": [((56.2, 86.3, -115.9), 36.0)],
    "lidc-idri-0132": [
        ((92.3, -118.0, 381.0), 36.0),
        ((-57.7, -93.3, 364.5), 12.0),
        ((-62.6, -99.8, 307.5), 12.0),
        ((-45.9, -120.2, 423.0), 14.0),
        ((-6.7, -133.1, 418.5), 14.0),
        ((-54.0, -135.2, 367.5), 16.0),
    ],
}
TRAIN_SCAN, TEST_SCAN = "lidc-idri-0001", "lidc-idri-0132"


@dataclass(frozen=True, eq=False)
class Chest:
    """A scan without nodules, and its lungs.

    Args:
        name: of the case.
        scan: Hounsfield units.
        avoid: where nothing is to be inserted: LPS points in mm and radii in mm.
    """

    name: str
    scan: Scan
    avoid: tuple[tuple[Triple, float], ...] = ()

    @cached_property
    def lungs(self) -> Lungs:
        return find_lungs(self.scan, threads=1)

    def with_nodule(
        self, bank: Bank, diameter_mm: float, *, random: np.random.Generator
    ) -> tuple[Scan, Implant] | None:
        """The scan with one nodule of a size; None where the lungs have no room."""
        nodule, scale = bank.draw(diameter_mm, random=random)
        pose = random_pose(random, scale=scale)
        point = find_place(
            self.scan, diameter_mm, random=random, lungs=self.lungs, avoid=self.avoid
        )
        if point is None:
            return None
        return insert_nodule_into_scan(self.scan, nodule, point, pose=pose)


def banks(path: Path) -> tuple[Bank, Bank]:
    """Nodules for training and for testing, of different patients."""
    named = {name: pseudonym(name.upper()) for name in KNOWN}
    bank = Bank.load(path)
    train, test = bank.split(0.3, seed=SEED)
    return train.without({named[TEST_SCAN]}), test.without({named[TRAIN_SCAN]})


def phantoms(part: str) -> Iterator[Chest]:
    """Synthetic patients of a part, without nodules; scanners vary as in the demo's cohort."""
    seed, count = (SEED, TRAIN) if part == "train" else (SEED + 1, TEST)
    for patient in draw_patients(count, seed=seed):
        yield Chest(f"{part}-{patient.number:03d}", _drawn(patient))


def _drawn(patient: Patient) -> Scan:
    grid = chest_grid(
        patient.seed, spacing_mm=patient.spacing_mm, thickness_mm=patient.thickness_mm
    )
    return thorax(patient.seed, grid=grid, noise_hu=patient.noise_hu, sharpness=patient.sharpness)[
        0
    ]


def real(name: str, folder: Path) -> Chest:
    """A real scan whose known nodules were covered by lung of the same patient."""
    random = np.random.default_rng((SEED, 5))
    found = [p for p in (folder / name, folder / f"{name}.zip") if p.exists()]
    scan = read_scan(found[0])
    lungs = find_lungs(scan, threads=1)
    # The diameters cover the nodules, so none of them is borrowed to cover another.
    nodules = [(point, diameter / 2) for point, diameter in KNOWN[name]]
    for point, diameter in KNOWN[name]:
        erased = erase_nodule(scan, point, diameter, random=random, lungs=lungs, avoid=nodules)
        if erased is None:
            raise SystemExit(f"{name}: no lung to cover the nodule at {point} with")
        scan = erased
    return Chest(name, scan, tuple((p, d / 2 + 4) for p, d in KNOWN[name]))


def log_uniform(random: np.random.Generator) -> float:
    """A diameter of a training nodule in mm."""
    return float(np.exp(random.uniform(np.log(SMALLEST_MM), np.log(LARGEST_MM))))
