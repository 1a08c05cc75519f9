"""Nodules cut out of scans: a table, images and masks, and centres inside the crops."""

import pytest

from squeezect.cohorts import make_folds
from squeezect.cohorts.layouts import read_nodule_crops
from squeezect.errors import CohortError


def refusal(root):
    with pytest.raises(CohortError) as caught:
        read_nodule_crops(root)
    return caught.value.code, str(caught.value)


def change(root, old, new):
    path = root / "nodules.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_nodules_are_rows_with_image_and_mask(crops):
    cohort = read_nodule_crops(crops)
    case = cohort.case(3)
    assert case.scan == crops / "images" / "P2_R_2.nii.gz"
    assert case.mask == crops / "masks" / "P2_R_2.nii.gz"
    assert (case.patient, case.label, case.series) == ("P2", 0, "1.2.2")
    assert (case.point_mm, case.diameter_mm) == ((15.0, -36.0, -195.0), 8.0)
    assert case.extra == {"Texture": "Solid"}
    assert [c.label for c in cohort.cases] == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("coordX", "x", "missing-column", "nodules.csv lacks the column 'coordX'"),
        ("P2_R_2", "P2_R_9", "missing-scan", "row 3 of nodules.csv: scan images/P2_R_9.nii.gz"),
        ("1.2.1,14.0", "1.2.1,99.0", "point-outside-scan", "row 2 of nodules.csv: point (99.0"),
        ("1.2.1,14.0", "1.2.1,left", "bad-value", "row 2 of nodules.csv: coordX 'left'"),
        ("P3,1.2.3", ",1.2.3", "empty-value", "row 4 of nodules.csv: patient_id is empty"),
        ("patient_id", "who", "missing-column", "nodules.csv lacks the column 'patient_id'"),
        ("9.0,1,P3", "9.0,two,P3", "bad-value", "row 4 of nodules.csv: Diagnosis_value 'two'"),
    ],
)
def test_refusals_name_row_and_file(crops, old, new, code, words):
    change(crops, old, new)
    found, text = refusal(crops)
    assert found == code
    assert words in text


def test_a_missing_mask_is_named_and_no_masks_are_no_matter(crops):
    (crops / "masks" / "P2_R_2.nii.gz").unlink()
    code, text = refusal(crops)
    assert code == "missing-scan"
    assert "row 3 of nodules.csv: mask masks/P2_R_2.nii.gz" in text
    for path in (crops / "masks").iterdir():
        path.unlink()
    (crops / "masks").rmdir()
    assert read_nodule_crops(crops).case(1).mask is None


def test_only_patient_label_and_file_are_needed(crops):
    rows = [(c.patient, c.label, c.scan.name) for c in read_nodule_crops(crops).cases]
    lines = ["file,truth,patient_id", *(f"{name},{label},{who}" for who, label, name in rows)]
    (crops / "others.csv").write_text("\n".join(lines).replace(",0,P2", ",,P2") + "\n")
    (crops / "nodules.csv").unlink()
    cohort = read_nodule_crops(crops, table="others.csv", label="truth")
    assert [(c.patient, c.scan.name) for c in cohort.cases] == [
        (who, name) for who, _, name in rows
    ]
    assert [c.label for c in cohort.cases] == [0, 1, None, 1]
    case = cohort.case(1)
    assert (case.series, case.point_mm, case.diameter_mm, dict(case.extra)) == ("", None, None, {})
    with pytest.raises(CohortError, match="missing-column"):
        read_nodule_crops(crops, table="others.csv")


@pytest.mark.parametrize("form", ["{root}/{name}", "../elsewhere/{name}"])
def test_a_path_that_leads_out_is_that_file_if_there_is_one(crops, form):
    """And not one of its name in the folder."""
    name, other = "P2_R_2.nii.gz", crops.parent / "elsewhere"
    other.mkdir()
    change(crops, name, form.format(root=other, name=name))
    assert read_nodule_crops(crops).case(3).scan == crops / "images" / name
    (crops / "images" / name).rename(other / name)
    (crops / "images" / name).write_text("another file")
    assert read_nodule_crops(crops).case(3).scan.resolve() == other / name
    (other / name).unlink()
    (crops / "images" / name).unlink()
    code, text = refusal(crops)
    assert code == "missing-scan"
    assert f"elsewhere/{name}" in text


@pytest.mark.parametrize("unknown", ["", "nan", "NaN", "NA", "<NA>", "None", "null", "#N/A"])
def test_what_is_not_known_may_be_said_as_programs_say_it(crops, unknown):
    change(crops, "9.0,1,P3", f"{unknown},{unknown},P3")
    case = read_nodule_crops(crops).case(4)
    assert (case.label, case.diameter_mm) == (None, None)


def test_a_point_needs_all_of_its_coordinates(crops):
    change(crops, "1.2.1,14.0", "1.2.1,nan")
    assert refusal(crops)[0] == "empty-value"


def test_a_table_without_the_label_says_what_it_has(crops):
    change(crops, "Diagnosis_value", "diagnosis")
    code, text = refusal(crops)
    assert code == "missing-column"
    assert (
        "'Diagnosis_value' of the label; it has seriesuid, diameter_mm, diagnosis, Texture" in text
    )
    assert "--label" in text
    with pytest.raises(CohortError, match="it has diagnosis;"):
        read_nodule_crops(crops, label="Diagnosis")


def test_folders_of_the_table_are_kept(crops):
    """Files of one name in two folders are two files; a bare name will do if there is one."""
    names = [case.scan.name for case in read_nodule_crops(crops).cases]
    for folder in ("a", "b"):
        (crops / "images" / folder).mkdir()
        (crops / "masks" / folder).mkdir()
    homes = ("a/x.nii.gz", "b/x.nii.gz", "a/y.nii.gz", "b/z.nii.gz")
    written = ("a/x.nii.gz", "b\\x.nii.gz", "images/a/y.nii.gz", "C:\\old\\z.nii.gz")
    for name, home, text in zip(names, homes, written, strict=True):
        (crops / "images" / name).rename(crops / "images" / home)
        (crops / "masks" / name).rename(crops / "masks" / home)
        change(crops, name, text)
    cases = read_nodule_crops(crops).cases
    assert [case.scan for case in cases] == [crops / "images" / home for home in homes]
    assert [case.mask for case in cases] == [crops / "masks" / home for home in homes]


def test_two_rows_are_not_given_one_file_of_that_name(crops):
    change(crops, "P2_R_2.nii.gz", "a/P1_R_1.nii.gz")
    assert refusal(crops)[0] == "missing-scan"


def test_a_name_may_lack_its_ending_if_there_is_one_such_file(crops):
    change(crops, "P2_R_2.nii.gz", "P2_R_2")
    case = read_nodule_crops(crops).case(3)
    assert case.scan == crops / "images" / "P2_R_2.nii.gz"
    assert case.mask == crops / "masks" / "P2_R_2.nii.gz"
    (crops / "images" / "P2_R_2.nrrd").write_bytes(b"another")
    assert refusal(crops)[0] == "missing-scan"


def test_masks_may_be_passed_over(crops):
    (crops / "masks" / "P2_R_2.nii.gz").unlink()
    assert read_nodule_crops(crops, masks=False).case(3).mask is None


@pytest.mark.real
def test_the_real_crops(real_data):
    """789 nodules of 437 patients, 254 of them malignant, every centre inside its crop."""
    cohort = read_nodule_crops(real_data("lidc-nodules-3d"))
    assert len(cohort) == 789
    assert len({c.patient for c in cohort.cases}) == 437
    assert sum(c.label for c in cohort.cases) == 254
    folds = make_folds(cohort, folds=5)
    positives = [sum(cohort.case(r).label for r in f.validation) for f in folds.folds]
    sizes = [len(f.validation) for f in folds.folds]
    assert max(positives) - min(positives) <= 1
    assert max(sizes) - min(sizes) <= 1
