"""The tables of codes in the guide, made from the code.

    python -m squeezect.publishing.codes docs/reading.md docs/codes.md

writes the tables between the markers of the pages; tests hold the pages to them.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules, walk_packages

import squeezect
import squeezect.preparation
import squeezect.reading
from squeezect.errors import Code

BEGIN, END = "<!-- codes: begin -->", "<!-- codes: end -->"
BEGIN_ALL, END_ALL = "<!-- all codes: begin -->", "<!-- all codes: end -->"
MEANINGS = {"refuse": "Refused", "warn": "Read, with a warning", "note": "Read, with a note"}
PACKAGES = (squeezect.reading, squeezect.preparation)

STATIONS: Mapping[str, tuple[str, ...]] = {
    "Reading": ("scan", "reading", "phantom"),
    "Preparation": ("preparation",),
    "Cohorts and leaks": ("cohorts",),
    "Networks": ("models", "nodules"),
    "Evaluation": ("evaluation",),
    "Weights, engines and answers": (
        *("checkpoint", "runtime", "explanation", "candidates"),
        *("sight", "points", "session", "publishing", "demo"),
    ),
    "Training, comparison and search": ("training",),
    "Command line": ("commands", "cli"),
}
"""Parts of the package by the heading of their codes, from the lowest floor up: nothing imports
upwards, so the first part that has a code is where it is made."""


def scan_codes() -> tuple[Code, ...]:
    """Every code that reading, checking or preparing a scan can end in, by name."""
    found: dict[str, Code] = {}
    for package in PACKAGES:
        for module in iter_modules(package.__path__, f"{package.__name__}."):
            found |= {code.name: code for code in _codes_in(module.name)}
    return tuple(found[name] for name in sorted(found))


def all_codes() -> dict[str, tuple[Code, ...]]:
    """Every code of the package by heading, in the order of their names.

    Raises:
        RecipeError: `needs-lightning`, as training has codes too.
    """
    modules = [m.name for m in walk_packages(squeezect.__path__, "squeezect.")]
    told: set[int] = set()
    found: dict[str, tuple[Code, ...]] = {}
    for heading, parts in STATIONS.items():
        homes = [name for name in modules if name.split(".")[1] in parts]
        fresh = {id(code): code for home in homes for code in _codes_in(home)}
        own = [code for mark, code in fresh.items() if mark not in told]
        told |= set(fresh)
        found[heading] = tuple(sorted(own, key=lambda code: code.name))
    return found


def _codes_in(module: str) -> Iterator[Code]:
    return (value for value in vars(import_module(module)).values() if isinstance(value, Code))


def code_tables() -> str:
    """The codes of scans as Markdown: one table for each severity."""
    codes = scan_codes()
    return _tables(
        (title, [code for code in codes if code.severity == severity])
        for severity, title in MEANINGS.items()
    )


def all_tables() -> str:
    """All codes as Markdown: one table for each part of the package."""
    return _tables(all_codes().items())


def _tables(groups: Iterable[tuple[str, Iterable[Code]]]) -> str:
    parts = []
    for title, codes in groups:
        rows = [f"| `{code.name}` | {code.cause} | {code.remedy} |" for code in codes]
        parts += [f"### {title}", "", "| code | cause | remedy |", "| --- | --- | --- |", *rows, ""]
    return "\n".join(parts)


def with_tables(page: str) -> str:
    """A page with its tables renewed."""
    for begin, end, tables in ((BEGIN, END, code_tables), (BEGIN_ALL, END_ALL, all_tables)):
        if begin in page:
            head, rest = page.split(begin)
            _, tail = rest.split(end)
            page = f"{head}{begin}\n{tables()}\n{end}{tail}"
    return page


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(with_tables(path.read_text("utf-8")), "utf-8")
