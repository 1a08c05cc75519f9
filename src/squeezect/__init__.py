"""SqueezeCT: read a chest CT, classify it with a compact 3D network, judge and explain the answer.

Research software. Not a medical device; not for clinical use.

The public names load on first use, so that ``import squeezect`` stays fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from squeezect.errors import Finding, SqueezeCTError
    from squeezect.scan import Grid, Scan

_HOMES = {
    "Finding": "squeezect.errors",
    "SqueezeCTError": "squeezect.errors",
    "Grid": "squeezect.scan",
    "Scan": "squeezect.scan",
}

__all__ = ["Finding", "Grid", "Scan", "SqueezeCTError", "__version__"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'squeezect' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
