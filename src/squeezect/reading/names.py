"""What is shown of the names of files, which may name a patient, and of text from headers."""

import re

from squeezect.scan import pseudonym

_PLAIN = re.compile(
    r"(?:im|img|i|image|ct|slice)?[-_]?(?:\d{1,4}|00\d{2,6})(?:-\d{1,4})?(?:\.(?:dcm|ima|dicom))?",
    re.IGNORECASE,
)
"""Names that only count: ``IM_0113.dcm``, ``1-001.dcm``, ``000042``."""


def shown_name(name: str) -> str:
    """A file's name without folders if it only counts, else a pseudonym of it.

    Args:
        name: path of the file, with ``/`` between its parts.

    Example:
        >>> shown_name("DOE^JANE/IM_0113.dcm")
        'IM_0113.dcm'
        >>> shown_name("DOE^JANE.dcm")
        'file e0f4c49b2349'
    """
    last = name.rsplit("/", 1)[-1]
    return last if _PLAIN.fullmatch(last) else f"file {pseudonym(name)}"


def printable(text: str) -> str:
    """Text without what could steer a terminal; each such character becomes a question mark."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "?" for c in text)
