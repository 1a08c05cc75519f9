"""LIDC-IDRI's XML files: what up to four readers drew and rated, in one file per scan."""

from collections.abc import Iterator
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
    try:
        nodules = [
            _reading(nodule)
            for session in _children(root, "readingSession")
            for nodule in _children(session, "unblindedReadNodule")
        ]
    except ValueError as error:
        raise CohortError(BAD_XML, f"{path.name} holds a number that is none: {error}") from error
    return series, [reading for reading in nodules if reading is not None]


def _root(path: Path) -> Element:
    data = path.read_bytes()
    # The files have no document type; one could declare entities that expand without end.
    if b"<!DOCTYPE" in data:
        raise CohortError(BAD_XML, f"{path.name} declares a document type")
    try:
        return ElementTree.fromstring(data)  # noqa: S314
    except ElementTree.ParseError as error:
        raise CohortError(BAD_XML, f"{path.name} is not XML: {error}") from error


def _reading(nodule: Element) -> Reading | None:
    ratings = {
        _name(entry): int(_text(entry))
        for entry in _children(next(_children(nodule, "characteristics"), nodule), None)
        if _name(entry) in RATINGS
    }
    outlines = tuple(_outline(roi) for roi in _children(nodule, "roi"))
    return Reading(outlines, ratings) if ratings and outlines else None


def _outline(roi: Element) -> Outline:
    values = {_name(entry): _text(entry) for entry in roi}
    pixels = []
    for edge in _children(roi, "edgeMap"):
        point = {_name(entry): _text(entry) for entry in edge}
        pixels.append((float(point.get("xCoord", "")), float(point.get("yCoord", ""))))
    if not pixels:
        raise ValueError("an outline without points")
    z_mm = float(values.get("imageZposition", ""))
    return Outline(z_mm, tuple(pixels), hole=values.get("inclusion", "TRUE").upper() == "FALSE")


def _children(element: Element, name: str | None) -> Iterator[Element]:
    return (child for child in element if name is None or _name(child) == name)


def _name(element: Element) -> str:
    """Tag without its namespace."""
    return element.tag.rpartition("}")[2]


def _text(element: Element) -> str:
    return (element.text or "").strip()
