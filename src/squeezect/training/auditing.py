"""Audit the folds that a data set would be trained in."""

from pathlib import Path

from squeezect.cohorts import Audit, audit_folds, fingerprint, make_folds
from squeezect.cohorts.layouts import read_dataset
from squeezect.preparation import Store
from squeezect.training.crossval import key_of


def audit_cohort(path: Path, *, folds: int = 5, seed: int = 0, store: Path | None = None) -> Audit:
    """Make the folds of a data set and look for anything that their parts share.

    Args:
        path: cohort table or folder of a known data set.
        folds: how many.
        seed: decides them.
        store: prepared volumes of the cohort; those that are there are compared for copies.

    Raises:
        CohortError: if the data set cannot be read or split.
    """
    cohort = read_dataset(path)
    prints = {}
    if store is not None:
        volumes = Store.open(store)
        keys = {case.voxels: key_of(case.scan) for case in cohort.cases}
        prints = {v: fingerprint(volumes.read(k).values) for v, k in keys.items() if k in volumes}
    return audit_folds(cohort, make_folds(cohort, folds=folds, seed=seed), fingerprints=prints)
