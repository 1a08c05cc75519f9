"""What a report page is made of: titled blocks of text, tables and pictures."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from squeezect.evaluation.estimates import Estimate


@dataclass(frozen=True, kw_only=True)
class Block:
    """A section of a report page: a heading and text.

    Args:
        title: its heading; empty to go on with the section before.
        text: plain text; a blank line begins a new paragraph.
        data: numbers for the JSON file beside the page.

    Example:
        >>> Block(title="Cohort", text="Two hospitals.").paragraphs
        ['Two hospitals.']
    """

    title: str
    text: str = ""
    data: Mapping[str, object] = field(default_factory=dict)

    @property
    def paragraphs(self) -> list[str]:
        """The text, a paragraph each."""
        return [part.strip() for part in self.text.split("\n\n") if part.strip()]

    @property
    def anchor(self) -> str:
        """The title as a name for links inside the page."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.title.lower()).split())

    def as_dict(self) -> dict[str, object]:
        """Title, text and data as plain JSON."""
        return {"title": self.title, "text": self.text, "data": dict(self.data)}


@dataclass(frozen=True, kw_only=True)
class TableBlock(Block):
    """A section with a table.

    Args:
        columns: headings.
        rows: cells, as many in each row as there are headings; text, or estimates.
        numeric: whether all columns but the first are aligned as numbers.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str | Estimate]]
    numeric: bool = True

    def as_dict(self) -> dict[str, object]:
        """Title, text, data and the table as plain JSON."""
        rows = [
            [cell.as_dict() if isinstance(cell, Estimate) else cell for cell in row]
            for row in self.rows
        ]
        return {**super().as_dict(), "columns": list(self.columns), "rows": rows}


@dataclass(frozen=True)
class Picture:
    """A picture for a page.

    Args:
        image: an SVG or PNG file.
        caption: what it shows, in a sentence.
        wide: whether it takes the whole width of the page.
    """

    image: bytes
    caption: str
    wide: bool = False

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        kind = "image/png" if self.image.startswith(b"\x89PNG") else "image/svg+xml"
        return f"data:{kind};base64,{base64.b64encode(self.image).decode()}"


@dataclass(frozen=True, kw_only=True)
class PictureBlock(Block):
    """A section with pictures side by side.

    Args:
        pictures: in reading order.
    """

    pictures: Sequence[Picture]
