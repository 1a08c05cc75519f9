"""The guide's table of codes is complete and current."""

from pathlib import Path

from squeezect.preparation import chest
from squeezect.publishing.codes import scan_codes, with_tables
from squeezect.reading import codes

PAGE = Path(__file__).parents[2] / "docs" / "reading.md"


def test_every_code_of_reading_and_of_the_chest_is_in_the_table():
    names = {code.name for code in scan_codes()}
    assert {code.name for code in codes.ALL} <= names
    assert chest.NO_LUNGS.name in names
    page = PAGE.read_text("utf-8")
    for code in scan_codes():
        assert f"| `{code.name}` | {code.cause} | {code.remedy} |" in page


def test_the_page_is_current():
    page = PAGE.read_text("utf-8")
    assert with_tables(page) == page


def test_codes_are_unique_and_say_what_to_do():
    found = scan_codes()
    assert len({code.name for code in found}) == len(found)
    for code in found:
        assert code.cause.endswith(".")
        assert code.remedy[0].islower()
        assert not code.remedy.endswith(".")
