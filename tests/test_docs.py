"""The guide runs: every Python block, in order, page by page, in a fresh folder."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.filterwarnings("default")
def test_every_python_block_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "guide"}
    for block in BLOCK.findall(page.read_text("utf-8")):
        exec(compile(block, page.name, "exec"), names)  # noqa: S102


@pytest.mark.parametrize("page", [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")], ids=str)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_every_command_of_a_page_exists(page):
    from squeezect.cli import app

    verbs = {c.name or c.callback.__name__ for c in app.registered_commands}
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    text = page.read_text("utf-8")
    console = "\n".join(re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    assert set(re.findall(r"^squeezect (\w[\w-]*)", console, re.MULTILINE)) <= verbs
    assert set(re.findall(r"^make (\w+)", console, re.MULTILINE)) <= targets


def test_the_page_of_results_holds_the_tables_as_they_were_written(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from results import MARKED, assembled

    page = (ROOT / "docs/results.md").read_text("utf-8")
    assert assembled(page, ROOT / "docs/results") == page
    kept = {path.stem for path in (ROOT / "docs/results").glob("*.md")}
    assert {match[1] for match in MARKED.findall(page)} == kept


def test_every_decision_is_in_the_index():
    index = (ROOT / "docs/decisions/index.md").read_text("utf-8")
    pages = {p.name for p in (ROOT / "docs/decisions").glob("*.md")} - {"index.md"}
    assert pages == set(re.findall(r"\((\S+\.md)\)", index))


def test_the_installed_version_is_the_cited_one():
    from squeezect import __version__

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project.get("version", __version__) == __version__
    assert __version__ in (ROOT / "CITATION.cff").read_text("utf-8")
