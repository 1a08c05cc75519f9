"""Audit the folds that a data set would be, or is, trained in."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from squeezect.candidates import Patches, read_patches
from squeezect.cohorts import (
    Audit,
    AuditRules,
    Case,
    Cohort,
    Folds,
    audit,
    audit_folds,
    fingerprint,
    make_folds,
)
from squeezect.cohorts.layouts import detect_layout, read_dataset
from squeezect.errors import CohortError
from squeezect.preparation import Store
from squeezect.training.prepared import Prepared, case_key
from squeezect.training.teachers import Teachers

SURELY_ALIKE = 0.97
"""Likeness from which training refuses: strangers of one synthetic anatomy reach 0.956 on small
volumes, and a copy that was recoloured or made noisy 0.98."""

MOST_COMPARED = 2000
"""Volumes of which every two are compared; of more than these, only equal ones count as copies."""

EQUAL = 0.9999
"""Likeness of volumes that are equal but for rounding."""


def audit_cohort(path: Path, *, folds: int = 5, seed: int = 0, store: Path | None = None) -> Audit:
    """Make the folds of a data set and look for anything that their parts share.

    Tables and lists of patches are also taken as they are split: what their own train and test
    rows share is found although training would refuse it. Equal pictures on lists of patches count
    as copies.

    Args:
        path: cohort table or folder of a known data set.
        folds: how many.
        seed: decides them.
        store: prepared volumes of the cohort; those that are there are compared for copies.

    Raises:
        CohortError: if the data set cannot be read or split.
    """
    layout = detect_layout(path)
    plain = path.is_file() and layout == "table"
    cohort = Cohort.read(path, allow_shared=True) if plain else read_dataset(path)
    prints = _pictures(cohort) if layout == "patch-lists" else {}
    if store is not None:
        volumes = Store.open(store)
        keys = {case.voxels: case_key(case, volumes.preparation) for case in cohort.cases}
        prints |= {v: fingerprint(volumes.read(k).values) for v, k in keys.items() if k in volumes}
    found = audit_folds(cohort, make_folds(cohort, folds=folds, seed=seed), fingerprints=prints)
    given = _as_split(cohort, prints, Teachers.beside(path) if plain else None)
    return replace(found, rows=(*given.rows, *found.rows))


def _pictures(cohort: Cohort) -> dict[str, bytes]:
    """Fingerprints of equal patches; none where the pictures are not such patches."""
    try:
        return equal_patches(cohort.cases, read_patches(cohort.cases))
    except CohortError:
        return {}


def _as_split(cohort: Cohort, prints: Mapping[str, bytes], teachers: Teachers | None) -> Audit:
    """The audit of a table's own train and test rows, and of what was pseudo-labelled in it."""
    test = [case for case in cohort.cases if case.split == "test"]
    train = [c for c in cohort.cases if c.split != "test" and c.label is not None]
    taught = teachers.taught(cohort) if teachers else []
    rules = AuditRules(transductive=bool(teachers and teachers.transductive))
    parts = {"train": train, "test": test}
    found = audit(parts, fingerprints=prints, pseudo_labelled=taught, rules=rules)
    return replace(found, rows=tuple(replace(leak, where="as split") for leak in found.rows))


def audit_patches(
    learn: Sequence[Case], judged: Sequence[Case], patches: Patches, held: Patches
) -> tuple[Audit, dict[str, object]]:
    """Look for anything that the patches of two lists share, equal pictures among it.

    Args:
        learn: cases to learn from.
        judged: cases that judge.
        patches: the pictures of `learn`.
        held: those of `judged`.

    Returns:
        The audit, and facts about how copies were looked for.
    """
    both = Patches(
        np.concatenate([patches.values, held.values]),
        np.concatenate([patches.labels, held.labels]),
    )
    prints = equal_patches([*learn, *judged], both)
    parts = {"train": learn, "validation": judged}
    found = audit(parts, fingerprints=prints, rules=AuditRules(alike=EQUAL))
    return found, {"exact_copies_only": True}


def equal_patches(cases: Sequence[Case], patches: Patches) -> dict[str, bytes]:
    """Fingerprints by voxels of the patches that are there more than once."""
    marks = [hashlib.sha256(values.tobytes()).digest() for values in patches.values]
    times = Counter(marks)
    return {
        case.voxels: fingerprint(values[None])
        for case, values, mark in zip(cases, patches.values, marks, strict=True)
        if times[mark] > 1
    }


def audit_prepared(
    cohort: Cohort,
    folds: Folds,
    volumes: Prepared,
    *,
    taught: Mapping[int, Sequence[Case]] | None = None,
    transductive: bool = False,
) -> tuple[Audit, dict[str, object]]:
    """Look for leaks between the parts, copies of prepared volumes among them.

    Args:
        cohort: the cases.
        folds: their parts.
        volumes: prepared volumes of all cases.
        taught: cases that teach by pseudo-labels, by fold.
        transductive: pseudo-labels of test scans were asked for.

    Returns:
        The audit, and facts about how copies were looked for.
    """
    prints = fingerprints_of(cohort, volumes)
    rules = AuditRules(alike=SURELY_ALIKE, transductive=transductive)
    found = audit_folds(
        cohort, folds, fingerprints=prints, pseudo_labelled=taught or {}, rules=rules
    )
    return found, {"exact_copies_only": len(cohort) > MOST_COMPARED}


def fingerprints_of(cohort: Cohort, volumes: Prepared) -> dict[str, bytes]:
    """Fingerprints by voxels: of all volumes, or only of equal ones where there are too many."""
    how = volumes.preparation
    # Patches of one scan share its name: one of them speaks for it, and only that one is read.
    keys = {c.voxels: case_key(c, how) for c in cohort.cases}
    read = {name: volumes.read(key).values for name, key in keys.items()}
    if len(cohort) > MOST_COMPARED:
        marks = {name: hashlib.sha256(values.tobytes()).digest() for name, values in read.items()}
        times = Counter(marks.values())
        read = {name: values for name, values in read.items() if times[marks[name]] > 1}
    return {name: fingerprint(values) for name, values in read.items()}
