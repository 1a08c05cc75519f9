"""SqueezeCT: read a chest CT, classify it with a compact 3D network, judge and explain the answer.

Research software. Not a medical device; not for clinical use.

The public names load on first use, so that ``import squeezect`` stays fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from squeezect.cohorts import Cohort
    from squeezect.errors import Finding, SqueezeCTError
    from squeezect.evaluation import evaluate
    from squeezect.models import create_model
    from squeezect.preparation import Preparation, prepare
    from squeezect.reading import read_scan
    from squeezect.scan import Grid, Scan
    from squeezect.session import Session
    from squeezect.training import cross_validate

_HOMES = {
    "Cohort": "squeezect.cohorts",
    "Finding": "squeezect.errors",
    "Grid": "squeezect.scan",
    "Preparation": "squeezect.preparation",
    "Scan": "squeezect.scan",
    "Session": "squeezect.session",
    "SqueezeCTError": "squeezect.errors",
    "create_model": "squeezect.models",
    "cross_validate": "squeezect.training",
    "evaluate": "squeezect.evaluation",
    "prepare": "squeezect.preparation",
    "read_scan": "squeezect.reading",
}

__all__ = [
    "Cohort",
    "Finding",
    "Grid",
    "Preparation",
    "Scan",
    "Session",
    "SqueezeCTError",
    "__version__",
    "create_model",
    "cross_validate",
    "evaluate",
    "prepare",
    "read_scan",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'squeezect' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
