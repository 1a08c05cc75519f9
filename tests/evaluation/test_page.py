"""The page: whole, self-contained, and safe with any text."""

import json

import pytest

from squeezect.evaluation import Block, Card, Estimate, Page, Picture, PictureBlock, TableBlock
from squeezect.evaluation.estimates import undefined
from squeezect.evaluation.page import write_page

DOT = b"\x89PNG\r\n\x1a\n"
NINE = Estimate(0.9, 0.8, 0.95, 100, "Wilson")


def page(*blocks, cards=()):
    return Page("A <b>title</b>", "Lead & more.", {"scans": "3"}, cards, [], blocks)


def test_text_is_never_markup():
    evil = "<script>alert('x')</script>"
    html = page(
        TableBlock(title=evil, text=evil, columns=[evil], rows=[[evil, evil]]),
        PictureBlock(title="p", pictures=[Picture(DOT, f'"{evil}')]),
        cards=[Card(evil, evil, NINE, evil)],
    ).html()
    assert "<script" not in html
    assert '""' not in html.replace('=""', "")
    assert "A &lt;b&gt;title" in html


def test_page_loads_nothing_from_anywhere():
    html = page(PictureBlock(title="p", pictures=[Picture(DOT, "dot"), Picture(b"<svg/>", "s")]))
    html = html.html()
    assert "http://" not in html
    assert "https://" not in html
    assert "default-src 'none'" in html
    assert "data:image/png;base64," in html
    assert "data:image/svg+xml;base64," in html


def test_blocks_without_a_title_belong_to_the_section_before():
    first, second, third = (Block(title=t, text=t or "more") for t in ("One", "", "Two"))
    assert page(first, second, third).sections == [[first, second], [third]]
    assert page(second).html().count("<section") == 1
    assert page(first, second, third).html().count("<section") == 2


def test_titles_become_links():
    block = Block(title="Does it point? (mm)", text="a\n\nb")
    html = page(block).html()
    assert block.anchor == "does-it-point-mm"
    assert 'href="#does-it-point-mm"' in html
    assert "<p>a</p>" in html
    assert "<p>b</p>" in html


def test_estimates_and_what_is_undefined_are_shown():
    html = page(
        TableBlock(title="t", columns=["a", "b", "c"], rows=[["r", NINE, undefined("no case")]]),
        cards=[Card("AUC", "", undefined("one class only"), "meaning")],
    ).html()
    assert "0.900 <small>(0.800 to 0.950)" in html
    assert "undefined: no case" in html
    assert "n/a" in html
    assert "nan" not in html


def test_statement_is_on_every_page():
    assert "Not a medical device" in page().html()


def test_written_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "deep" / "report"
    write_page(folder, page(), {"a": [1, None]}, name="evaluation")
    assert sorted(p.name for p in folder.iterdir()) == ["evaluation.json", "index.html"]
    assert json.loads((folder / "evaluation.json").read_text()) == {"a": [1, None]}
    before = (folder / "index.html").read_text()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_page(folder, page(Block(title="new")), {"a": float("nan")}, name="evaluation")
    assert (folder / "index.html").read_text() == before
    assert len(list(folder.iterdir())) == 2
