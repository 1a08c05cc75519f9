"""Names of what is in the making: by them a later process knows what a killed one left behind.

A disk may be shared, and a process number says nothing without its machine: both are in the name.
"""

import os
import platform
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Literal

from squeezect.preparation.workers import is_running

NAME = re.compile(r"\..+\.(?P<host>[A-Za-z0-9_-]+)\.(?P<process>\d+)\.(?:part|old)")


@cache
def _host() -> str:
    """This machine's name with nothing in it that a file name should not have."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", platform.node())[:64] or "localhost"


def scratch_beside(target: Path, kind: Literal["part", "old"] = "part") -> Path:
    """A hidden place of this very process beside what it is to become.

    Args:
        target: what is made.
        kind: ``part`` for what is not complete, ``old`` for what is being replaced.
    """
    return target.with_name(f".{target.name}.{_host()}.{os.getpid()}.{kind}")


def sweep(folder: Path) -> None:
    """Delete what processes of this machine made by `scratch_beside` and left when they died.

    Everything else stays: other hidden files are somebody's, and what another machine has in the
    making on a shared disk may well be alive.

    Args:
        folder: where to look; not below it.
    """
    for place in folder.glob(".*"):
        made = NAME.fullmatch(place.name)
        if made is None or made["host"] != _host() or is_running(int(made["process"])):
            continue
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink(missing_ok=True)
