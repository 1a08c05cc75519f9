"""The guide's tables of codes are complete and current."""

import re
from itertools import chain
from pathlib import Path

import pytest

from squeezect.preparation import chest
from squeezect.publishing.codes import all_codes, scan_codes, with_tables
from squeezect.reading import codes

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / name for name in ("reading.md", "codes.md")]
MADE = re.compile(r'(?<!class )\bCode\(\s*"([a-z0-9-]+)"')


def test_every_code_of_reading_and_of_the_chest_is_in_the_table():
    names = {code.name for code in scan_codes()}
    assert {code.name for code in codes.ALL} <= names
    assert chest.NO_LUNGS.name in names
    page = PAGES[0].read_text("utf-8")
    for code in scan_codes():
        assert f"| `{code.name}` | {code.cause} | {code.remedy} |" in page


def test_every_code_that_the_source_makes_is_found_once():
    sources = (ROOT / "src" / "squeezect").rglob("*.py")
    made = [name for path in sources for name in MADE.findall(path.read_text("utf-8"))]
    found = [code.name for code in chain(*all_codes().values())]
    assert sorted(found) == sorted(made)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_is_current(page):
    text = page.read_text("utf-8")
    assert with_tables(text) == text


def test_codes_say_what_to_do():
    for code in chain(*all_codes().values()):
        assert code.cause.endswith("."), code.name
        assert code.remedy[0].islower() or code.remedy.startswith("`"), code.name
        assert not code.remedy.endswith("."), code.name
