"""The table of codes in the guide, made from the code.

    python -m squeezect.publishing.codes docs/reading.md

writes the table between the markers of the page; a test holds the page to it.
"""

import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import squeezect.preparation
import squeezect.reading
from squeezect.errors import Code

BEGIN, END = "<!-- codes: begin -->", "<!-- codes: end -->"
MEANINGS = {"refuse": "Refused", "warn": "Read, with a warning", "note": "Read, with a note"}
PACKAGES = (squeezect.reading, squeezect.preparation)


def scan_codes() -> tuple[Code, ...]:
    """Every code that reading, checking or preparing a scan can end in, by name."""
    found: dict[str, Code] = {}
    for package in PACKAGES:
        for module in iter_modules(package.__path__, f"{package.__name__}."):
            members = vars(import_module(module.name)).values()
            found |= {code.name: code for code in members if isinstance(code, Code)}
    return tuple(found[name] for name in sorted(found))


def code_tables() -> str:
    """The codes as Markdown: one table for each severity."""
    parts = []
    for severity, title in MEANINGS.items():
        rows = [
            f"| `{code.name}` | {code.cause} | {code.remedy} |"
            for code in scan_codes()
            if code.severity == severity
        ]
        parts += [f"### {title}", "", "| code | cause | remedy |", "| --- | --- | --- |", *rows, ""]
    return "\n".join(parts)


def with_tables(page: str) -> str:
    """A page with its tables renewed."""
    head, rest = page.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n{code_tables()}\n{END}{tail}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text("utf-8")), "utf-8")
