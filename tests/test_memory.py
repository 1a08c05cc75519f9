"""How training asks the system for memory: what is told to PyTorch and glibc, and that it helps."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from squeezect.memory import HUGE_PAGES, SWITCH, ask_for_huge_pages, keep_freed_memory

FAULTS = """
import resource
from squeezect.cli import app
try:
    app(["models"])
except SystemExit:
    pass
import torch
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.zeros(25_000_000)  # 100 MB
print("faults", resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
GRANTED = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def faults(switch: str) -> int:
    environment = {name: value for name, value in os.environ.items() if name != HUGE_PAGES}
    found = subprocess.run(  # noqa: S603
        [sys.executable, "-c", FAULTS],
        env=environment | {SWITCH: switch},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return int(found.rsplit("faults", 1)[1])


@pytest.mark.skipif(
    not GRANTED.exists() or "[madvise]" not in GRANTED.read_text("utf-8"),
    reason="needs a system that grants huge pages to those that ask",
)
def test_the_command_line_gets_large_tensors_in_large_pages():
    # 100 MB are 24,414 pages of 4 KB, and 48 of 2 MB.
    assert faults("0") > 20_000
    assert faults("1") < 5_000


@pytest.mark.parametrize(
    ("switch", "told", "then"),
    [("1", None, "1"), (None, None, "1"), ("0", None, None), ("1", "0", "0"), ("0", "1", "1")],
)
def test_what_the_user_said_stands(monkeypatch, switch, told, then):
    for name, value in ((SWITCH, switch), (HUGE_PAGES, told)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    if told is None:  # so that what is set here is taken back afterwards
        monkeypatch.setenv(HUGE_PAGES, "")
        del os.environ[HUGE_PAGES]
    ask_for_huge_pages()
    assert os.environ.get(HUGE_PAGES) == then


def test_the_allocator_is_left_alone_where_switched_off(monkeypatch):
    monkeypatch.setenv(SWITCH, "0")
    assert not keep_freed_memory()
