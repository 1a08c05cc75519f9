"""Put the tables that commands wrote into docs/results.md, between its markers.

    squeezect evaluate --weights nodule PATCHES --out scores
    squeezect ablate PATCHES --recipe nodule --out ablation
    python scripts/results.py nodule-scores=scores/scores.md nodule-ablation=ablation/ablation.md

NAME=FILE keeps FILE as docs/results/NAME.md. The page then gets, between ``<!-- begin NAME -->``
and ``<!-- end NAME -->``, what is kept there; without arguments it is only brought up to date.
"""

import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
MARKED = re.compile(r"(<!-- begin ([\w-]+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)


def assembled(page: str, kept: Path) -> str:
    """The page with every marked part as it is kept in a folder."""

    def part(match: re.Match[str]) -> str:
        text = (kept / f"{match[2]}.md").read_text("utf-8").strip()
        return f"{match[1]}\n{text}\n\n{match[3]}"

    return MARKED.sub(part, page)


def main() -> None:
    kept, page = DOCS / "results", DOCS / "results.md"
    for argument in sys.argv[1:]:
        name, _, file = argument.partition("=")
        if f"<!-- begin {name} -->" not in page.read_text("utf-8"):
            sys.exit(f"{page.name} has no part {name!r}")
        (kept / f"{name}.md").write_text(Path(file).read_text("utf-8"), "utf-8")
    page.write_text(assembled(page.read_text("utf-8"), kept), "utf-8")


if __name__ == "__main__":
    main()
