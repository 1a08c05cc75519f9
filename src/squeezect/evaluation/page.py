"""Write a self-contained HTML page and its JSON file, whole or not at all."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from squeezect.evaluation.blocks import Block, PictureBlock, TableBlock
from squeezect.evaluation.estimates import Estimate

if TYPE_CHECKING:
    from jinja2 import Template


@dataclass(frozen=True)
class Card:
    """A number shown large, with its interval drawn on a scale from 0 to 1.

    Args:
        title: what it is.
        note: under which condition, in a few words.
        estimate: the number.
        meaning: what it says, in plain words.
    """

    title: str
    note: str
    estimate: Estimate
    meaning: str


@dataclass(frozen=True)
class Page:
    """A report page.

    Args:
        title: its heading.
        lead: a sentence or two below the heading.
        facts: short facts in a row below the lead, by name.
        cards: numbers shown large.
        cautions: what a reader must know before believing the numbers.
        blocks: its sections.
    """

    title: str
    lead: str
    facts: Mapping[str, str]
    cards: Sequence[Card]
    cautions: Sequence[str]
    blocks: Sequence[Block]

    @property
    def sections(self) -> list[list[Block]]:
        """The blocks, those without a title together with the titled one before them."""
        grouped: list[list[Block]] = []
        for block in self.blocks:
            if block.title or not grouped:
                grouped.append([])
            grouped[-1].append(block)
        return grouped

    def html(self) -> str:
        """The page as one HTML file that loads nothing from anywhere."""
        return _template().render(page=self)


@cache
def _template() -> "Template":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("squeezect.evaluation"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.tests["table"] = lambda block: isinstance(block, TableBlock)
    environment.tests["pictures"] = lambda block: isinstance(block, PictureBlock)
    environment.tests["estimate"] = lambda cell: isinstance(cell, Estimate)
    return environment.get_template("page.html.j2")


def write_page(folder: Path, page: Page, data: Mapping[str, object], *, name: str) -> None:
    """Write ``index.html`` and ``<name>.json`` into a folder.

    Args:
        folder: made if it is not there.
        page: what to show.
        data: what to put into the JSON file; no NaN.
        name: of the JSON file, without its ending.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(data, indent=1, allow_nan=False)
    html = page.html()
    write_atomically(folder / f"{name}.json", text)
    write_atomically(folder / "index.html", html)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that it is there whole or not at all."""
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(scratch).chmod(0o644)
        Path(scratch).replace(path)
    except OSError:
        Path(scratch).unlink(missing_ok=True)
        raise
