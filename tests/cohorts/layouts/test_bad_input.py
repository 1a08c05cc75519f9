"""What can be wrong with a data set, layout by layout: told with row and file wherever it can be.

`TOLD` holds a planted fault for each layout and kind of fault; `CANNOT` says why a layout cannot
have one. The last test holds the two to be complete.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import get_args

import numpy as np
import pytest
import SimpleITK
from tests.cohorts.layouts.miniatures import SERIES, candidates, xml

from squeezect.cohorts import Cohort
from squeezect.cohorts.layouts import (
    LayoutName,
    read_dsb2017,
    read_lidc,
    read_luna16,
    read_nodule_crops,
    read_nodulemnist3d,
    read_patch_lists,
)
from squeezect.errors import CohortError

FAULTS = ("missing volume", "wrong column", "point outside", "unknown series")
READERS = {
    "table": lambda folder, **_: Cohort.read(folder / "cohort.csv"),
    "dsb2017": read_dsb2017,
    "luna16": lambda luna, **options: read_luna16(luna.folder, **options),
    "lidc-idri": read_lidc,
    "nodule-crops": read_nodule_crops,
    "patch-lists": read_patch_lists,
    "nodulemnist3d": lambda write, **change: read_nodulemnist3d(write(**change)),
}
FIXTURES = {
    "table": "plain",
    "dsb2017": "bowl",
    "luna16": "luna",
    "lidc-idri": "lidc",
    "nodule-crops": "crops",
    "patch-lists": "patches",
    "nodulemnist3d": "archive",
}


@dataclass(frozen=True)
class Told:
    """A fault and how it is told.

    Args:
        code: of the refusal.
        words: row and file among them.
        spoil: plants the fault; what it returns are further options of the reader.
        options: of the reader.
    """

    code: str
    words: str
    spoil: Callable[[object], Mapping[str, object] | None] = lambda _: None
    options: Mapping[str, object] = field(default_factory=dict)


def swap(name, old, new):
    """Function that replaces the first `old` in a file of the data set."""

    def spoil(folder):
        path = next(getattr(folder, "folder", folder).glob(name))
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return spoil


def drop(pattern):
    """Function that deletes the files of a pattern."""

    def spoil(folder):
        found = list(getattr(folder, "folder", folder).glob(pattern))
        assert found
        for path in found:
            path.unlink()

    return spoil


def far_away(luna):
    luna.rewrite("candidates", lambda rows: [*rows[:2], [*rows[2][:3], "9999", "0"], *rows[3:]])


def strange_series(luna):
    luna.rewrite("candidates", lambda rows: [*rows[:3], ["9.9", *rows[3][1:]], *rows[4:]])


def stray_readings(folder):
    (folder / "stray.xml").write_text(xml("1.2.3", [[]]))


def cut_by(*, patients=None, header=None):
    """Function that gives patch lists the table that they were cut by."""

    def spoil(folder):
        table = candidates(folder / "candidates.csv", first=0)
        if header:
            table.write_text(table.read_text().replace(*header))
        return {"candidates": table, "patients": patients}

    return spoil


TOLD = {
    ("table", "missing volume"): Told(
        "missing-scan",
        "row 2 of cohort.csv: scan gone.mha",
        swap("cohort.csv", "b.mha", "gone.mha"),
    ),
    ("table", "wrong column"): Told(
        "missing-column",
        "cohort.csv lacks the column 'patient'",
        swap("cohort.csv", "patient", "person"),
    ),
    ("dsb2017", "missing volume"): Told(
        "missing-scan",
        "row 1 of stage1_labels.csv: its folder in stage1 is empty",
        drop("stage1/*1/*.dcm"),
    ),
    ("dsb2017", "wrong column"): Told(
        "missing-column",
        "stage1_labels.csv lacks the column 'cancer'",
        swap("stage1_labels.csv", "cancer", "label"),
    ),
    ("luna16", "missing volume"): Told(
        "missing-scan",
        "row 1 of candidates.csv: no file subset*/*.mhd is its volume",
        drop("subset0/*100.mhd"),
    ),
    ("luna16", "wrong column"): Told(
        "missing-column",
        "candidates.csv lacks the column 'coordX'",
        swap("candidates.csv", "coordX", "X"),
    ),
    ("luna16", "point outside"): Told(
        "point-outside-scan", "row 2 of candidates.csv: point (", far_away
    ),
    ("luna16", "unknown series"): Told(
        "unknown-series", "row 3 of candidates.csv: seriesuids.csv lacks its series", strange_series
    ),
    ("lidc-idri", "missing volume"): Told(
        "unknown-series",
        "-12/158.xml is about a series that no folder holds",
        drop(f"**/*-{SERIES[1][-2:]}/*.dcm"),
    ),
    ("lidc-idri", "wrong column"): Told(
        "bad-xml",
        "158.xml, reader 1, nodule 1: characteristics has malignacy; is malignancy meant?",
        swap("**/*-12/158.xml", "<malignancy>3</malignancy>", "<malignacy>3</malignacy>"),
    ),
    ("lidc-idri", "point outside"): Told(
        "point-outside-scan",
        "row 3 of tree: point (",
        swap("**/*-12/158.xml", "<imageZposition>-92.5", "<imageZposition>407.5"),
    ),
    ("lidc-idri", "unknown series"): Told(
        "unknown-series", "stray.xml is about a series that no folder holds", stray_readings
    ),
    ("nodule-crops", "missing volume"): Told(
        "missing-scan",
        "row 3 of nodules.csv: scan images/P2_R_2.nii.gz",
        drop("images/P2_R_2.nii.gz"),
    ),
    ("nodule-crops", "wrong column"): Told(
        "missing-column",
        "nodules.csv lacks the column 'coordX'",
        swap("nodules.csv", "coordX", "x"),
    ),
    ("nodule-crops", "point outside"): Told(
        "point-outside-scan",
        "row 2 of nodules.csv: point (99.0",
        swap("nodules.csv", "1.2.1,14.0", "1.2.1,99.0"),
    ),
    ("patch-lists", "missing volume"): Told(
        "missing-scan", "row 2 of train.txt: scan train/image_1.jpg", drop("train/image_1.jpg")
    ),
    ("patch-lists", "wrong column"): Told(
        "missing-column",
        "candidates.csv lacks the column 'coordZ'",
        cut_by(header=("coordZ", "z")),
    ),
    ("patch-lists", "unknown series"): Told(
        "unknown-series",
        "row 8 of candidates.csv: its series has no known patient",
        cut_by(patients={"1.2.0": "a", "1.2.1": "b"}),
    ),
    ("nodulemnist3d", "missing volume"): Told(
        "bad-archive",
        "nodulemnist3d.npz has 2 volumes in val_images, 3 in val_labels",
        options={"val_images": np.zeros((2, 28, 28, 28), np.uint8)},
    ),
    ("nodulemnist3d", "wrong column"): Told(
        "bad-archive",
        "nodulemnist3d.npz lacks the array val_labels; its arrays are test_images,",
        options={"val_labels": None, "val_label": np.zeros((3, 1), np.uint8)},
    ),
}
CANNOT = {
    ("table", "point outside"): "told when the scan is opened: tests/training/test_bad_points.py",
    ("table", "unknown series"): "a row names its file, a series is only noted",
    ("dsb2017", "point outside"): "labels are of whole scans",
    ("dsb2017", "unknown series"): "a patient is a folder: a missing volume",
    ("nodule-crops", "unknown series"): "a row names its file, a series is only noted",
    ("patch-lists", "point outside"): "patches are cut already; their points are never looked up",
    ("nodulemnist3d", "point outside"): "there are no points",
    ("nodulemnist3d", "unknown series"): "there are no series",
}


@pytest.fixture
def plain(tmp_path):
    """Three small volumes and a table."""
    for name in "abc":
        image = SimpleITK.GetImageFromArray(np.zeros((4, 4, 4), np.int16))
        SimpleITK.WriteImage(image, str(tmp_path / f"{name}.mha"))
    lines = ["scan,patient,label", "a.mha,P1,0", "b.mha,P2,1", "c.mha,P3,0"]
    (tmp_path / "cohort.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.mark.parametrize("layout", get_args(LayoutName))
def test_the_miniatures_are_read_while_nothing_is_wrong(request, layout):
    assert len(READERS[layout](request.getfixturevalue(FIXTURES[layout]))) > 2


@pytest.mark.parametrize(("layout", "fault"), TOLD)
def test_a_fault_is_told_with_row_and_file(request, layout, fault):
    data, told = request.getfixturevalue(FIXTURES[layout]), TOLD[layout, fault]
    options = told.spoil(data) or told.options
    with pytest.raises(CohortError) as caught:
        READERS[layout](data, **options)
    assert caught.value.code == told.code
    assert told.words in str(caught.value)


def test_every_layout_has_every_fault_or_cannot_have_it():
    assert not set(TOLD) & set(CANNOT)
    assert {*TOLD, *CANNOT} == {(layout, f) for layout in get_args(LayoutName) for f in FAULTS}
