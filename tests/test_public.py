"""What a user imports: every public name is there, and importing costs next to nothing."""

import ast
import re
import statistics
import subprocess
import sys
import time
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import squeezect

HEAVY = ("torch", "pandas", "SimpleITK", "openvino", "matplotlib", "sklearn", "zarr", "scipy")


@pytest.mark.parametrize("name", sorted(set(squeezect.__all__) - {"__version__"}))
def test_every_public_name_loads(name):
    assert getattr(squeezect, name).__name__ == name


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no_such_name"):
        squeezect.no_such_name  # noqa: B018


@pytest.mark.parametrize("code", ["import squeezect", "from squeezect.cli import app"])
def test_import_loads_nothing_heavy(code):
    found = subprocess.run(  # noqa: S603
        [sys.executable, "-c", f"import sys; {code}; print(sorted(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert [name for name in HEAVY if f"'{name}'" in found] == []


@pytest.mark.parametrize("arguments", [["-c", "import squeezect"], ["-m", "squeezect", "--help"]])
def test_import_and_help_are_quick(arguments):
    def seconds(command):
        started = time.perf_counter()
        subprocess.run([sys.executable, *command], capture_output=True, check=True)  # noqa: S603
        return time.perf_counter() - started

    seconds(arguments)
    empty = statistics.median(seconds(["-c", "pass"]) for _ in range(3))
    ours = statistics.median(seconds(arguments) for _ in range(3))
    # Half a second beyond the interpreter itself, doubled for a busy machine.
    assert ours - empty < 1.0


def test_everything_that_is_imported_is_declared():
    root = Path(__file__).parent.parent
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    told = [*project["dependencies"]]
    told += [line for name in extras if name not in ("dev", "docs") for line in extras[name]]
    declared = {re.split(r"[<>=\[]", line)[0].lower().replace("_", "-") for line in told}
    homes = packages_distributions()
    for path in sorted((root / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for top in {name.split(".")[0] for name in names} - sys.stdlib_module_names:
                found = {d.lower().replace("_", "-") for d in homes.get(top, [top])}
                assert top == "squeezect" or found & declared, f"{path.name} imports {top}"
