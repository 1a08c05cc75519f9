"""The table of a run's answers."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from squeezect.cohorts import Case, Cohort
from squeezect.errors import Code, CohortError
from squeezect.scan import pseudonym

MORE_CLASSES = Code(
    "more-than-two-classes",
    "A cohort to train on has labels other than 0 and 1.",
    "label what is looked for 1 and everything else 0, or leave the row out",
)


def judged_rows(
    cohort: Cohort, rows: Sequence[int], *, part: str, fold: int, probability: np.ndarray
) -> pd.DataFrame:
    """One row per judged case: who it is by pseudonym, its part and fold, label and probability.

    Args:
        cohort: the cases.
        rows: of the cohort.
        part: ``validation`` or ``test``.
        fold: whose network judges.
        probability: of class 1, by row.
    """
    cases = [cohort.case(row) for row in rows]
    columns = [dict(c.extra) | _known_diameter(c) for c in cases]
    extras = sorted({name for found in columns for name in found})
    own = {
        "row": list(rows),
        "patient": [pseudonym(c.patient) for c in cases],
        "part": part,
        "fold": fold,
        "label": [label_of(c) for c in cases],
        "probability": np.round(probability, 9),
    }
    # The cohort's own columns come along, for subgroups and baselines in the report.
    more = {
        f"cohort_{name}" if name in own else name: [found.get(name, "") for found in columns]
        for name in extras
    }
    return pd.DataFrame({**own, **more})


def read_judged(path: Path) -> pd.DataFrame:
    """A table of `judged_rows` from its file; the cohort's own columns stay the text they are."""
    own = {"row": "int64", "fold": "int64", "label": "int64", "probability": "float64"}
    kinds: defaultdict[str, str] = defaultdict(lambda: "str", own)
    return pd.read_csv(path, dtype=kinds, keep_default_na=False)


def require_two_classes(cohort: Cohort) -> None:
    """Refuse labels that the loss and the scores have no place for.

    Raises:
        CohortError: `more-than-two-classes`.
    """
    for case in cohort.labelled:
        if case.label not in (0, 1):
            where = f"row {case.row} of {cohort.source}"
            raise CohortError(MORE_CLASSES, f"label {case.label} in {where}, expected 0 or 1")


def _known_diameter(case: Case) -> dict[str, str]:
    """The nodule's diameter as a column, for the baseline that knows nothing else."""
    return {} if case.diameter_mm is None else {"diameter_mm": f"{case.diameter_mm:g}"}


def label_of(case: Case) -> int:
    """A case's class as a number; -1 where nobody knows it."""
    return -1 if case.label is None else case.label
