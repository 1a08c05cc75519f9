"""A point outside its scan, in a plain table, is refused by row and file before training."""

import csv

import pytest

from squeezect.cohorts import Cohort
from squeezect.errors import PreparationError
from squeezect.phantom import chest_grid, thorax, write_dicom
from squeezect.preparation import Preparation
from squeezect.training import cross_validate


def test_a_point_outside_its_scan_is_told_by_row_and_file(recipe, tmp_path):
    scan, truth = thorax(1, grid=chest_grid(1, spacing_mm=4.0, thickness_mm=5.0), nodules=1)
    write_dicom(scan, tmp_path / "chest")
    inside = truth.nodules[0].centre_mm
    rows = [("chest", f"SECRET{i}", i % 2, *(v + 5 * i for v in inside)) for i in range(8)]
    rows[4] = ("chest", "SECRET4", 0, inside[0], inside[1], 9999.0)
    with (tmp_path / "points.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("scan", "patient", "label", "x_mm", "y_mm", "z_mm"), *rows])
    plan = recipe.model_copy(
        update={"preparation": Preparation(crop="point", size=(16, 16, 16)), "tune_fraction": 0.0}
    )
    cohort = Cohort.read(tmp_path / "points.csv")
    with pytest.raises(PreparationError, match=r"row 5 of .*points\.csv.*9999") as caught:
        cross_validate(cohort, plan, tmp_path / "run")
    assert caught.value.code == "unprepared-scans"
    assert "point-outside" in str(caught.value)
    assert "SECRET" not in str(caught.value)
