"""LIDC-IDRI's XML files: what up to four readers drew and rated, in one file per scan."""

import math
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from xml.etree import ElementTree

from squeezect.cohorts.layouts.readings import RATINGS, Outline, Reading
from squeezect.errors import Code, CohortError

BAD_XML = Code(
    "bad-xml",
    "A file of readings is not the XML that LIDC-IDRI has.",
    "download the file again or remove it",
)

Element = ElementTree.Element

CHILDREN: Mapping[str, tuple[str, ...]] = {
    "LidcReadMessage": ("ResponseHeader", "readingSession"),
    "readingSession": (
        "annotationVersion",
        "servicingRadiologistID",
        "unblindedReadNodule",
        "nonNodule",
    ),
    "unblindedReadNodule": ("noduleID", "characteristics", "roi"),
    "characteristics": RATINGS,
    "roi": ("imageZposition", "imageSOP_UID", "inclusion", "edgeMap"),
}
"""Names of elements by the element that they are in."""


def read_readings(path: Path) -> tuple[str, list[Reading]] | None:
    """The series that a file is about, and the nodules of 3 mm and more in it.

    Smaller nodules and other findings are only a point without ratings there, and are passed over.

    Args:
        path: the file.

    Returns:
        Series UID and readings; None for the readings of a chest X-ray.

    Raises:
        CohortError: `bad-xml`.
    """
    root = _root(path)
    if _name(root) == "IdriReadMessage":
        return None
    series = next((_text(e) for e in root.iter() if _name(e) == "SeriesInstanceUid"), "")
    if _name(root) != "LidcReadMessage" or not series:
        raise CohortError(BAD_XML, f"{path.name} is not a LidcReadMessage with a SeriesInstanceUid")
    found: list[Reading | None] = []
    where = path.name
    try:
        for reader, session in enumerate(_sessions(root), start=1):
            where = f"{path.name}, reader {reader}"
            _check_names(session)
            for number, nodule in enumerate(_children(session, "unblindedReadNodule"), start=1):
                where = f"{path.name}, reader {reader}, nodule {number}"
                found.append(_reading(nodule))
    except ValueError as error:
        raise CohortError(BAD_XML, f"{where}: {error}") from error
    return series, [reading for reading in found if reading is not None]


def _root(path: Path) -> Element:
    data = path.read_bytes()
    # The files have no document type; one could declare entities that expand without end.
    if b"<!DOCTYPE" in data:
        raise CohortError(BAD_XML, f"{path.name} declares a document type")
    try:
        return ElementTree.fromstring(data)  # noqa: S314
    except ElementTree.ParseError as error:
        raise CohortError(BAD_XML, f"{path.name} is not XML: {error}") from error


def _sessions(root: Element) -> list[Element]:
    _check_names(root)
    sessions = list(_children(root, "readingSession"))
    if not sessions:
        raise ValueError("there is no readingSession")
    return sessions


def _reading(nodule: Element) -> Reading | None:
    _check_names(nodule)
    characteristics = next(_children(nodule, "characteristics"), None)
    if characteristics is not None:
        _check_names(characteristics)
    ratings = {
        _name(entry): _rating(entry)
        for entry in (() if characteristics is None else characteristics)
        if _name(entry) in RATINGS
    }
    outlines = tuple(_outline(roi) for roi in _children(nodule, "roi"))
    return Reading(outlines, ratings) if ratings and outlines else None


def _outline(roi: Element) -> Outline:
    _check_names(roi)
    pixels = tuple(
        (_coordinate(edge, "xCoord"), _coordinate(edge, "yCoord"))
        for edge in _children(roi, "edgeMap")
    )
    if not pixels:
        raise ValueError("an outline has no edgeMap")
    hole = any(_text(entry).upper() == "FALSE" for entry in _children(roi, "inclusion"))
    return Outline(_coordinate(roi, "imageZposition"), pixels, hole=hole)


def _coordinate(element: Element, name: str) -> float:
    """The number in a child that must be there."""
    child = next(_children(element, name), None)
    if child is None:
        raise ValueError(f"{_name(element)} has no {name}")
    return _number(child)


def _rating(element: Element) -> int:
    rating = _number(element)
    if not rating.is_integer():
        raise ValueError(f"{_name(element)} {rating} is not a whole number")
    return int(rating)


def _number(element: Element) -> float:
    text = _text(element)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{_name(element)} {text[:40]!r} is not a number")
    return number


def _check_names(element: Element) -> None:
    """Refuse misspelt children, which would otherwise be lost without a word.

    Raises:
        ValueError: if a child is named almost as one that is read.
    """
    known = CHILDREN[_name(element)]
    for name in dict.fromkeys(map(_name, element)):
        near = [] if name in known else get_close_matches(name, known, n=1, cutoff=0.8)
        if near:
            raise ValueError(f"{_name(element)} has {name}; is {near[0]} meant?")


def _children(element: Element, name: str) -> Iterator[Element]:
    return (child for child in element if _name(child) == name)


def _name(element: Element) -> str:
    """Tag without its namespace."""
    return element.tag.rpartition("}")[2]


def _text(element: Element) -> str:
    return (element.text or "").strip()
