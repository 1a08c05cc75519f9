"""Laws of the synthetic chest: one patient on any grid, and truth that is true."""

import json

import numpy as np
import pydicom
import pytest

from squeezect.cohorts import Cohort
from squeezect.phantom import (
    DicomStyle,
    Nodule,
    chest_grid,
    thorax,
    write_cohort,
    write_dicom,
)
from squeezect.phantom.dicom import SYNTAXES
from squeezect.preparation import find_lungs
from squeezect.reading import read_scan
from squeezect.scan import Grid

COARSE = {"spacing_mm": 3.0, "thickness_mm": 4.0}


@pytest.fixture(scope="module")
def patient():
    return thorax(3, grid=chest_grid(3, **COARSE), nodules=2)


def test_the_same_seed_is_the_same_scan(patient):
    again, truth = thorax(3, grid=chest_grid(3, **COARSE), nodules=2)
    assert (again.hu == patient[0].hu).all()
    assert truth == patient[1]
    assert (thorax(4, grid=patient[0].grid)[0].hu != again.hu).any()


def test_the_healthy_twin_differs_only_at_the_nodules(patient):
    scan, truth = patient
    twin, _ = thorax(3, grid=scan.grid)
    places = scan.grid.to_mm(np.argwhere(twin.hu != scan.hu))
    centres = np.array([n.centre_mm for n in truth.nodules])
    radii = np.array([n.diameter_mm / 2 for n in truth.nodules])
    away = np.linalg.norm(places[:, None] - centres, axis=2) - radii
    assert away.min(1).max() < 0.2 * radii.max() + 4
    assert len(places) > 20


def test_nodules_are_bright_where_the_truth_says(patient):
    scan, truth = patient
    for nodule in truth.nodules:
        index = tuple(np.rint(scan.grid.to_index(nodule.centre_mm)).astype(int))
        assert -150 < scan.hu[index] < 150
        assert 8 <= nodule.diameter_mm <= 30


def test_one_patient_sampled_twice_is_one_patient():
    grid = Grid((120, 160, 160), (2.0, 2.0, 2.0), (-159.0, -159.0, -270.0))
    fine = thorax(5, grid=grid, noise_hu=0)[0]
    coarse = thorax(5, grid=grid.resized((60, 80, 80)), noise_hu=0)[0]
    means = fine.hu.reshape(60, 2, 80, 2, 80, 2).mean((1, 3, 5))
    # Edges fall differently into voxels; inside of organs the two agree.
    assert np.median(np.abs(means - coarse.hu)) < 5
    assert np.corrcoef(means.ravel(), coarse.hu.ravel())[0, 1] > 0.98


def test_there_are_two_lungs_of_plausible_volume(patient):
    scan, truth = patient
    figures = find_lungs(scan).figures
    assert 3 < truth.lung_volume_l < 8
    assert figures.volume_l == pytest.approx(truth.lung_volume_l, rel=0.12)
    assert 0.35 < figures.left_l / figures.volume_l < 0.65


def test_a_nodule_of_your_own_is_where_you_put_it():
    mine = Nodule((-70.0, 0.0, -120.0), 20.0)
    scan, truth = thorax(1, grid=chest_grid(1, **COARSE), nodules=[mine])
    assert truth.nodules == (mine,)
    index = np.rint(scan.grid.to_index(mine.centre_mm)).astype(int)
    assert scan.hu[tuple(index)] > -150


@pytest.fixture(scope="module")
def small():
    grid = Grid((6, 40, 40), (4.0, 8.0, 8.0), (-156.0, -156.0, -120.0))
    return thorax(2, grid=grid)[0]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_transfer_syntax_gives_the_values_back(small, tmp_path, syntax):
    write_dicom(small, tmp_path / "scan", DicomStyle(syntax=syntax, padding=None))
    scan = read_scan(tmp_path / "scan")
    assert (scan.hu == small.hu).all()
    assert scan.grid.isclose(small.grid)


@pytest.mark.parametrize(
    "style",
    [
        DicomStyle(shuffle=1),
        DicomStyle(unsigned=True),
        DicomStyle(monochrome1=True, padding=None),
        DicomStyle(bits_stored=12, padding=None),
        DicomStyle(thickness_mm=9.0),
    ],
    ids=lambda s: next(f for f in vars(s) if getattr(s, f) != getattr(DicomStyle(), f)),
)
def test_styles_change_the_files_and_not_the_scan(small, tmp_path, style):
    write_dicom(small, tmp_path / "scan", style)
    scan = read_scan(tmp_path / "scan")
    inside = scan.hu > -1000
    limit = 1023 if style.bits_stored == 12 else 4000
    assert np.abs(scan.hu[inside].clip(None, limit) - small.hu[inside].clip(None, limit)).max() == 0
    assert scan.grid.isclose(small.grid)


def test_files_are_real_ct_slices(small, tmp_path):
    files = write_dicom(small, tmp_path / "scan", DicomStyle(patient="DOE^JOHN"))
    assert len(files) == small.grid.shape[0]
    first = pydicom.dcmread(files[0])
    assert first.SOPClassUID.name == "CT Image Storage"
    assert first.PatientName == "DOE^JOHN"
    assert len({pydicom.dcmread(f).SOPInstanceUID for f in files}) == len(files)


def test_a_cohort_on_disk_is_what_its_tables_say(tmp_path):
    told = []
    path = write_cohort(tmp_path / "cohort", patients=4, seed=1, progress=lambda *a: told.append(a))
    assert told[-1] == (4, 4)
    cohort = Cohort.read(path)
    truth = json.loads((path.parent / "truth.json").read_text())
    assert sum(case.label for case in cohort.cases) == 2
    for case in cohort.cases:
        nodules = truth[case.scan.name]
        assert bool(nodules) == bool(case.label)
        scan = read_scan(case.scan)
        for nodule in nodules:
            index = np.rint(scan.grid.to_index(nodule["centre_mm"])).astype(int)
            assert scan.hu[tuple(index)] > -250
