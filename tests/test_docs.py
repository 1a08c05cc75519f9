"""The guide runs: every Python block, in order, page by page, in a fresh folder."""

import doctest
import json
import re
import shlex
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
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


ALL_PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "CONTRIBUTING.md"]
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands_of(page):
    """Words of every console line of a page, continued lines joined, comments left out."""
    console = "\n".join(CONSOLE.findall(page.read_text("utf-8"))).replace("\\\n", " ")
    return [shlex.split(line, comments=True) for line in console.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def verbs():
    from typer.main import get_command

    from squeezect.cli import app

    return get_command(app).commands


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_of_a_page_can_be_typed(page, verbs):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    extras = set(PROJECT["optional-dependencies"])
    for program, *words in filter(None, commands_of(page)):
        if program == "squeezect":
            # Options, their values and the number of arguments are checked, nothing is run.
            verbs[words[0]].make_context(words[0], list(words[1:]))
        elif program == "make":
            assert {word for word in words if "=" not in word} <= targets
        elif program == "pip":
            assert set(re.findall(r"[a-z]+", words[1])) <= extras, words
        elif program == "python":
            assert script(words).exists(), words


def script(words):
    """The file that `python ...` would run."""
    if words[0] != "-m":
        return ROOT / words[0]
    place = ROOT / words[1].replace(".", "/")
    return place if place.is_dir() else place.with_suffix(".py")


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_option_in_the_prose_of_a_page_exists(page, verbs):
    for verb, rest in re.findall(r"`squeezect ([a-z-]+)([^`]*)`", page.read_text("utf-8")):
        known = {option for parameter in verbs[verb].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known | {"--help"}, (verb, rest)


def test_every_verb_prints_json(verbs):
    without = [
        name
        for name, verb in verbs.items()
        if not any("--json" in parameter.opts for parameter in verb.params)
    ]
    assert without == []


@pytest.mark.filterwarnings("default")
def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    import torch

    from squeezect.checkpoint import Card, Checkpoint
    from squeezect.models import create_model
    from squeezect.phantom import chest_grid, thorax, write_dicom
    from squeezect.preparation import Preparation

    monkeypatch.chdir(tmp_path)
    scan, _ = thorax(1, grid=chest_grid(1, spacing_mm=3.5, thickness_mm=5.0), nodules=1)
    write_dicom(scan, "patient01")
    torch.manual_seed(0)
    options = {"width": 0.25, "depth": 3, "dropout": 0.0}
    weights = create_model("squeezenet3d-modern", options=options).state_dict()
    how = Preparation(size=(48, 48, 48), crop="lungs")
    card = Card(model="squeezenet3d-modern", options=options, preparation=how)
    Checkpoint(card, weights).save(tmp_path / "demo" / "run" / "fold-0")
    facts = {"status": "finished", "thresholds": {"half": 0.5, "sensitivity-90": 0.25}}
    (tmp_path / "demo" / "run" / "run.json").write_text(json.dumps(facts))
    (block,) = BLOCK.findall((ROOT / "README.md").read_text("utf-8"))
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})  # noqa: S102
    assert (tmp_path / "heat.nii.gz").exists()


SOURCES = ROOT / "src" / "squeezect"
TAUGHT = sorted(p for p in SOURCES.rglob("*.py") if ">>> " in p.read_text("utf-8"))


@pytest.mark.parametrize("path", TAUGHT, ids=lambda path: path.relative_to(SOURCES).as_posix())
@pytest.mark.filterwarnings("default")
def test_the_examples_of_a_module_are_true(path):
    parts = path.relative_to(SOURCES).with_suffix("").parts
    name = ".".join(("squeezect", *(part for part in parts if part != "__init__")))
    found = doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS)
    assert not found.failed


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

    assert PROJECT.get("version", __version__) == __version__
    assert __version__ in (ROOT / "CITATION.cff").read_text("utf-8")
