"""Cohort tables, right and wrong, of copies of one scan."""

import csv
import os

from squeezect.preparation import Preparation

PREPARATION = Preparation(size=(48, 48, 48), crop="lungs")


def slices(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def cohort_file(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("scan", "patient", "label"), *rows])
    return path


def bad_cohorts(chest, folder):
    """Rows of bad tables by what is wrong with them, and what the error has to name."""
    copies = [folder / f"s{i}" for i in range(8)]
    for copy in copies:
        copy.mkdir()
        for file in slices(chest):
            os.link(file, copy / file.name)
    good = [(copy.name, f"p{i}", i % 2) for i, copy in enumerate(copies)]
    return {
        "missing file": ([*good[:5], ("nowhere", "p9", 1), *good[5:]], "nowhere"),
        "two labels of a patient": ([*good[:7], ("s7", "p0", 1)], "row"),
        "one class": ([(scan, patient, 0) for scan, patient, _ in good], "label"),
        "fewer patients than folds": (good[:4], "patient"),
    }
