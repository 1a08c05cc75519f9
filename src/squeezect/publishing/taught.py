"""Whether weights are scored on patients whom they learned from."""

import json
from collections.abc import Sequence
from pathlib import Path

from squeezect.candidates import weights_folder
from squeezect.cohorts import Case
from squeezect.errors import SqueezeCTError
from squeezect.scan import pseudonym

SEEN = "seen.json"
"""Pseudonyms of the patients who had a part in weights, kept beside them by training."""


def taught_by(name: str, cases: Sequence[Case]) -> str:
    """A warning if patients of some cases taught weights; "" if none did or nobody knows.

    Args:
        name: shipped weights, a run, or a checkpoint folder.
        cases: with the names of their patients.
    """
    patients = {pseudonym(case.patient) for case in cases}
    shared = len(patients & _seen(name))
    if not shared:
        return ""
    return f"{shared} of {len(patients)} patients taught these weights: this score is no judgement"


def _seen(name: str) -> set[str]:
    folders = sorted(path.parent for path in Path(name).glob(f"fold-*/{SEEN}"))
    found: set[str] = set()
    try:
        for folder in folders or [weights_folder(name)]:
            kept = json.loads((folder / SEEN).read_text("utf-8"))
            found |= set(kept["patients"])
    except (OSError, ValueError, KeyError, TypeError, SqueezeCTError):
        return found
    return found
