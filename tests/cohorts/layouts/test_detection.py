"""Every data set is known by what is in it."""

import numpy as np
import pytest

from squeezect.cohorts import Cohort
from squeezect.cohorts.layouts import detect_layout, read_dataset, read_luna16, read_patients
from squeezect.errors import CohortError


@pytest.mark.parametrize(
    ("mark", "layout"),
    [
        ("cohort.csv", "table"),
        ("stage1_labels.csv", "dsb2017"),
        ("stage2_solution.csv", "dsb2017"),
        ("subset3/a.mhd", "luna16"),
        ("nodules.csv", "nodule-crops"),
        ("train.txt", "patch-lists"),
        ("LIDC-IDRI-0007/a/b/1.dcm", "lidc-idri"),
        ("tree/a/b/158.xml", "lidc-idri"),
    ],
)
def test_folders_are_known_by_their_content(tmp_path, mark, layout):
    path = tmp_path / mark
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert detect_layout(tmp_path) == layout


def test_files_are_known_by_their_ending(tmp_path):
    for name, layout in (("x.csv", "table"), ("x.npz", "nodulemnist3d")):
        (tmp_path / name).touch()
        assert detect_layout(tmp_path / name) == layout


def test_anything_else_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(CohortError, match="unknown-layout"):
            read_dataset(path)


def test_reading_by_detection_is_reading_by_name(luna):
    who = dict.fromkeys(luna.grids, "p")
    assert read_dataset(luna.folder) == read_luna16(luna.folder)
    assert read_dataset(luna.folder, patients=who) == read_luna16(luna.folder, patients=who)


def test_every_layout_is_read(tmp_path):
    """Each reader is reached: it refuses an empty folder in its own words."""
    words = {
        "dsb2017": "stage2_solution.csv",
        "luna16": "candidates.csv",
        "lidc-idri": "names no case",
        "nodule-crops": "nodules.csv",
        "patch-lists": "train.txt",
        "nodulemnist3d": "plain arrays",
        "table": "cohort.csv",
    }
    for layout, word in words.items():
        with pytest.raises(CohortError, match=word):
            read_dataset(tmp_path, layout=layout)


def test_a_cohort_of_any_layout_can_be_saved_as_a_table(luna):
    cohort = read_luna16(luna.folder)
    table = luna.folder / "cohort.csv"
    cohort.save(table)
    again = Cohort.read(table)
    assert again.cases == cohort.cases
    assert read_dataset(table).digest == again.digest


@pytest.mark.parametrize(
    "header", ["series,patient", "seriesuid,patient_id", "Series UID,Subject ID"]
)
def test_patients_are_read_from_the_tables_that_archives_give(tmp_path, header):
    path = tmp_path / "metadata.csv"
    path.write_text(f"{header},Modality\n1.2,p,CT\n1.2,p,CT\n1.3,q,CT\n")
    assert read_patients(path) == {"1.2": "p", "1.3": "q"}


@pytest.mark.parametrize(
    ("text", "code"),
    [("a,b\n1,2\n", "missing-column"), ("series,patient\n1.2,p\n1.2,q\n", "unreadable-table")],
)
def test_other_tables_of_patients_are_refused(tmp_path, text, code):
    path = tmp_path / "patients.csv"
    path.write_text(text)
    with pytest.raises(CohortError, match=code) as caught:
        read_patients(path)
    assert "patients.csv" in str(caught.value)


@pytest.mark.real
def test_real_crops_tell_patients(real_data):
    who = read_patients(real_data("lidc-nodules-3d") / "nodules.csv")
    assert len(set(who.values())) == 437


def test_planar_headers_are_refused(tmp_path):
    import SimpleITK

    from squeezect.cohorts.layouts.headers import grid_of

    path = tmp_path / "flat.mha"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((4, 4), np.int16)), str(path))
    with pytest.raises(CohortError, match="not three dimensions"):
        grid_of(path)
