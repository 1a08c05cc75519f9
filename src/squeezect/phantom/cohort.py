"""A cohort of synthetic patients on disk: DICOM series, a table of labels, and the truth."""

import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from squeezect.phantom.dicom import DicomStyle, write_dicom
from squeezect.phantom.thorax import chest_grid, thorax

THICKNESSES_MM = (1.25, 2.0, 2.5, 3.0, 5.0)
TEST_SHARE = 0.3


@dataclass(frozen=True)
class Patient:
    """One synthetic patient to write.

    Args:
        number: from 1.
        seed: of the anatomy.
        nodules: how many.
        test: in the part that training never sees.
        spacing_mm: in plane.
        thickness_mm: of the slices.
        noise_hu: standard deviation of the noise.
        sharpness: of the kernel.
    """

    number: int
    seed: int
    nodules: int
    test: bool
    spacing_mm: float
    thickness_mm: float
    noise_hu: float
    sharpness: float

    @property
    def folder(self) -> str:
        """Folder of the series, relative to the cohort."""
        return f"patient{self.number:03d}"


def draw_patients(count: int, *, seed: int = 0, nodule_share: float = 0.5) -> list[Patient]:
    """Who is in a cohort: nodules and test part spread evenly, scanners at random.

    Args:
        count: patients.
        seed: decides everything.
        nodule_share: share of patients with one or two nodules.
    """
    random = np.random.default_rng((seed, 4))
    sick = random.permutation(count) < round(count * nodule_share)
    test = np.zeros(count, bool)
    for group in (np.flatnonzero(sick), np.flatnonzero(~sick)):
        test[random.permutation(group)[: round(TEST_SHARE * len(group))]] = True
    return [
        Patient(
            number=i + 1,
            seed=seed * 100_000 + i,
            nodules=int(random.integers(1, 3)) if sick[i] else 0,
            test=bool(test[i]),
            spacing_mm=float(random.uniform(1.9, 2.3)),
            thickness_mm=float(random.choice(THICKNESSES_MM)),
            noise_hu=float(random.uniform(10, 35)),
            sharpness=float(random.choice([0.5, 0.7, 1.0])),
        )
        for i in range(count)
    ]


def write_cohort(
    folder: Path,
    *,
    patients: int = 96,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write synthetic patients as DICOM series with ``cohort.csv`` and ``truth.json``.

    Half of the patients have one or two nodules of 8-30 mm; in-plane spacing, slice thickness
    (1.25-5 mm), noise and kernel vary. The folder appears when all of it is written.

    Args:
        folder: to make.
        patients: how many.
        seed: decides everything.
        workers: processes.
        progress: called with (done, total).

    Returns:
        Path of ``cohort.csv``: columns scan, patient, label, split, diameter_mm.
    """
    scratch = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    drawn = draw_patients(patients, seed=seed)
    truth = dict(_written(drawn, scratch, workers, progress))
    rows = ["scan,patient,label,split,diameter_mm"]
    for patient in drawn:
        largest = max((n["diameter_mm"] for n in truth[patient.folder]), default="")
        split = "test" if patient.test else "train"
        label = int(patient.nodules > 0)
        rows.append(f"{patient.folder},P{patient.number:03d},{label},{split},{largest}")
    (scratch / "cohort.csv").write_text("\n".join(rows) + "\n", "utf-8")
    (scratch / "truth.json").write_text(json.dumps(truth, indent=1), "utf-8")
    scratch.rename(folder)
    return folder / "cohort.csv"


Found = tuple[str, list[dict[str, Any]]]


def _written(
    drawn: Sequence[Patient],
    folder: Path,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> list[Found]:
    jobs = [(patient, folder) for patient in drawn]
    found: list[Found] = []
    if workers == 1:
        results = map(_write_one, jobs)
        for result in results:
            found.append(result)
            _tell(progress, len(found), len(drawn))
        return found
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for result in pool.map(_write_one, jobs):
            found.append(result)
            _tell(progress, len(found), len(drawn))
    return found


def _tell(progress: Callable[[int, int], None] | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


def _write_one(job: tuple[Patient, Path]) -> Found:
    patient, folder = job
    grid = chest_grid(
        patient.seed, spacing_mm=patient.spacing_mm, thickness_mm=patient.thickness_mm
    )
    scan, truth = thorax(
        patient.seed,
        grid=grid,
        nodules=patient.nodules,
        noise_hu=patient.noise_hu,
        sharpness=patient.sharpness,
    )
    style = DicomStyle(shuffle=patient.number, patient=f"PHANTOM^{patient.number:04d}")
    write_dicom(scan, folder / patient.folder, style)
    nodules: list[dict[str, Any]] = [
        {
            "centre_mm": [round(v, 2) for v in nodule.centre_mm],
            "diameter_mm": round(nodule.diameter_mm, 2),
        }
        for nodule in truth.nodules
    ]
    return patient.folder, nodules
