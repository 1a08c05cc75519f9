"""Blocks of a report as Markdown, for pages that are kept beside the source."""

from collections.abc import Sequence

from squeezect.evaluation.blocks import Block, TableBlock
from squeezect.evaluation.estimates import Estimate


def markdown(blocks: Sequence[Block], *, level: int = 2) -> str:
    """Headings, paragraphs and tables; pictures are left out.

    Args:
        blocks: what a page is made of.
        level: of the headings.

    Example:
        >>> print(markdown([TableBlock(title="", columns=["a", "b"], rows=[["x", "1"]])]), end="")
        | a | b |
        |---|---|
        | x | 1 |
    """
    parts = []
    for block in blocks:
        if block.title:
            parts.append(f"{'#' * level} {block.title}")
        parts += block.paragraphs
        if isinstance(block, TableBlock):
            parts.append(_table(block))
    return "\n\n".join(parts) + "\n"


def _table(block: TableBlock) -> str:
    lines = [_line(block.columns), "|" + "---|" * len(block.columns)]
    lines += [_line(row) for row in block.rows]
    return "\n".join(lines)


def _line(cells: Sequence[str | Estimate]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
