"""Layouts made from synthetic chests: a known nodule keeps its place from any layout's tables."""

from pathlib import Path

import numpy as np
import pytest

from squeezect.cohorts import Case, Cohort, audit, audit_folds, fingerprint, make_folds
from squeezect.cohorts.layouts import read_lidc, read_luna16
from squeezect.cohorts.layouts.dicom_tree import find_series, grid_of_series
from squeezect.cohorts.layouts.headers import grid_of
from squeezect.phantom import Nodule, chest_grid, thorax, write_cohort, write_dicom
from squeezect.phantom.dicom import DicomStyle
from squeezect.scan import AXIAL

SEED = 3


@pytest.fixture(scope="module")
def chest():
    grid = chest_grid(SEED, spacing_mm=1.4, thickness_mm=2.5)
    return thorax(SEED, grid=grid, nodules=2, noise_hu=0.0)


def write_luna(root, scan, nodules, *, flipped):
    """One volume as LUNA16 has it, stored with its axes x and y reversed if asked."""
    uid, grid, hu = "1.2.3", scan.grid, scan.hu
    x, y, z = grid.origin_mm
    matrix = "1 0 0 0 1 0 0 0 1"
    if flipped:
        matrix = "-1 0 0 0 -1 0 0 0 1"
        x, y, _ = grid.to_mm((0, grid.shape[1] - 1, grid.shape[2] - 1)).tolist()
        hu = hu[:, ::-1, ::-1]
    folder = root / "subset0"
    folder.mkdir(parents=True)
    numbers = [" ".join(map(str, values[::-1])) for values in (grid.spacing_mm, grid.shape)]
    (folder / f"{uid}.mhd").write_text(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        f"CompressedData = False\nTransformMatrix = {matrix}\nOffset = {x} {y} {z}\n"
        "CenterOfRotation = 0 0 0\nAnatomicalOrientation = RAI\n"
        f"ElementSpacing = {numbers[0]}\nDimSize = {numbers[1]}\n"
        f"ElementType = MET_SHORT\nElementDataFile = {uid}.raw\n"
    )
    np.ascontiguousarray(hu, "<i2").tofile(folder / f"{uid}.raw")
    rows = [",".join(map(str, (uid, *n.centre_mm, n.diameter_mm))) for n in nodules]
    (root / "annotations.csv").write_text(
        "\n".join(["seriesuid,coordX,coordY,coordZ,diameter_mm", *rows])
    )


@pytest.mark.parametrize("flipped", [False, True])
def test_annotations_hit_the_nodules_of_flipped_scans_too(tmp_path, chest, flipped):
    scan, truth = chest
    write_luna(tmp_path, scan, truth.nodules, flipped=flipped)
    cohort = read_luna16(tmp_path, table="annotations")
    assert len(cohort) == 2
    for case, nodule in zip(cohort.cases, truth.nodules, strict=True):
        grid = grid_of(case.scan)
        assert (grid.direction == AXIAL) is not flipped
        hu = np.fromfile(case.scan.with_suffix(".raw"), "<i2").reshape(grid.shape)
        at = np.rint(grid.to_index(case.point_mm)).astype(int)
        assert hu[tuple(at)] > -100
        assert np.abs(grid.to_mm(at) - nodule.centre_mm).max() <= 1.25
        assert case.diameter_mm == nodule.diameter_mm


def circle(grid, nodule, index):
    """A reader's outline of a round nodule in a slice: through the pixels just outside."""
    z = grid.to_mm((index, 0, 0))[2]
    square = (nodule.diameter_mm / 2) ** 2 - (z - nodule.centre_mm[2]) ** 2
    if square <= 0:
        return None
    radius = np.sqrt(square) + grid.spacing_mm[1] / 2
    angles = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    x, y, _ = nodule.centre_mm
    points = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)
    at = grid.to_index(np.column_stack([points, np.full(400, z)]))
    pixels = np.rint(at[:, :0:-1]).astype(int).tolist()
    kept = [p for p, before in zip(pixels, pixels[-1:] + pixels, strict=False) if p != before]
    edges = "".join(f"<edgeMap><xCoord>{c}</xCoord><yCoord>{r}</yCoord></edgeMap>" for c, r in kept)
    place = f"<imageZposition>{z:.4f}</imageZposition><inclusion>TRUE</inclusion>"
    return f"<roi>{place}{edges}</roi>"


def test_outlines_give_back_centre_and_diameter(tmp_path, chest):
    scan, _ = chest
    nodules = [Nodule((-70.0, 5.0, z), d) for z, d in ((-60.0, 24.0), (10.0, 12.0))]
    folder = tmp_path / "LIDC-IDRI-0001" / "study" / "series"
    write_dicom(scan, folder, DicomStyle(shuffle=1))
    (series,) = find_series(tmp_path)
    assert grid_of_series(folder).isclose(scan.grid, tolerance_mm=0.01)
    drawn = [
        "<unblindedReadNodule><characteristics><malignancy>5</malignancy></characteristics>"
        + "".join(filter(None, (circle(scan.grid, n, i) for i in range(scan.grid.shape[0]))))
        + "</unblindedReadNodule>"
        for n in nodules
    ]
    (folder / "1.xml").write_text(
        '<LidcReadMessage xmlns="http://www.nih.gov"><ResponseHeader><SeriesInstanceUid>'
        f"{series.uid}</SeriesInstanceUid></ResponseHeader>"
        f"<readingSession>{''.join(drawn)}</readingSession></LidcReadMessage>"
    )
    cohort = read_lidc(tmp_path)
    assert len(cohort) == 2
    for case, nodule in zip(cohort.cases, nodules, strict=True):
        offset_mm = np.abs(np.subtract(case.point_mm, nodule.centre_mm))
        assert (offset_mm[:2] < 0.7).all()
        assert offset_mm[2] < 1.25
        assert case.diameter_mm == pytest.approx(nodule.diameter_mm, abs=1.4)
        assert case.label == 1


def test_a_synthetic_cohort_is_read_and_split_without_leaks(tmp_path):
    table = write_cohort(tmp_path / "chests", patients=12, seed=5)
    cohort = Cohort.read(table)
    assert len({c.patient for c in cohort.cases}) == 12
    assert audit_folds(cohort, make_folds(cohort, folds=2)).ok


def test_synthetic_patients_are_told_apart_and_their_copies_found():
    """The same patient with other spacing and a nodule is a copy; another patient is not."""
    cells = {
        seed: [
            thorax(seed, grid=chest_grid(seed, spacing_mm=s, thickness_mm=t), nodules=n)[0]
            for s, t, n in ((2.5, 2.5, 0), (3.0, 4.0, 1))
        ]
        for seed in range(6)
    }
    prints = {
        f"{seed}-{i}": fingerprint(scan.hu.clip(-1000, 400))
        for seed, scans in cells.items()
        for i, scan in enumerate(scans)
    }
    cases = [
        [Case(Path(f"{seed}-{i}"), f"{seed}-{i}", 0, seed + 1) for seed in cells] for i in (0, 1)
    ]
    found = audit({"train": cases[0], "test": cases[1]}, fingerprints=prints)
    assert [leak.rows for leak in found.rows] == [(n, n) for n in range(1, 7)]
    assert {leak.kind for leak in found.rows} == {"near-duplicate"}
