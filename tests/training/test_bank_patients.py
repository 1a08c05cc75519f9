"""No nodule of a judged patient is inserted while training, whatever the bank calls the patient."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from safetensors.numpy import save_file

from squeezect.cohorts import Case, Fold, Folds
from squeezect.errors import RecipeError
from squeezect.nodules import Bank, Nodule, build_bank
from squeezect.scan import pseudonym
from squeezect.training.insertion import open_bank
from squeezect.training.recipe import Insertion
from squeezect.training.run import Run

UID = "1.3.6.1.4.1.14519.5.2.1.6279.6001.{}"
TRAIN, TUNE, TEST = (5, 6, 7, 8, 9, 10), (11, 12), (1, 2, 3, 4)
VALIDATION = tuple(range(13, 21))


def nodule(number, patient, series=""):
    ball = np.ones((3, 3, 3), bool)
    hu = np.zeros(ball.shape, np.int16)
    who, where = (pseudonym(text) if text else "" for text in (patient, series))
    return Nodule(hu, ball, (1.0, 1.0, 1.0), str(number), who, where)


@pytest.fixture
def learning(cohort, recipe, tmp_path):
    """Numbers of the nodules that a fold may insert; rows 1 to 4 are the test part."""

    def inserted(nodules, *, patient="SECRET{}", series=""):
        cases = tuple(
            replace(c, patient=patient.format(c.row), series=series.format(c.row))
            for c in cohort.cases
        )
        named = replace(cohort, cases=cases)
        bank = nodules
        if not isinstance(nodules, str):
            bank = str(Bank(tuple(nodules)).save(tmp_path / "bank.safetensors"))
        rows = [c.row for c in cases]
        halves = (Fold(TRAIN, TUNE, VALIDATION), Fold(VALIDATION, (), TRAIN + TUNE))
        folds = Folds(halves, TEST, {row: pseudonym(str(row)) for row in rows})
        told = recipe.model_copy(update={"insertion": Insertion(bank=bank)})
        part = Run(named, told, tmp_path / "run", None, folds).learning(TRAIN)
        return [int(n.name) for n in part.bank.nodules]

    return inserted


MINE = [*TRAIN, 21, 22]
"""Nodules of training patients, and of two who are not in the cohort."""


def test_a_judged_patient_of_this_name_is_left_out(learning):
    assert learning([nodule(i, f"SECRET{i}") for i in range(1, 23)]) == MINE


@pytest.mark.parametrize("series", ["", UID], ids=["patients only", "patients and series"])
def test_a_judged_patient_is_left_out_where_the_cohort_has_series_for_patients(learning, series):
    # As LUNA16 and crops of LIDC-IDRI are: one set of scans, with and without the patients' names.
    nodules = [nodule(i, f"LIDC-IDRI-{i:04d}", UID.format(i)) for i in range(1, 23)]
    assert learning(nodules, patient=UID, series=series) == MINE


def test_a_judged_series_is_left_out_under_whatever_name_of_the_patient(learning):
    nodules = [nodule(i, f"another name {i}", UID.format(i)) for i in range(1, 23)]
    assert learning(nodules, series=UID) == MINE
    assert learning(
        [nodule(i, UID.format(i), UID.format(i)) for i in range(1, 23)], series=UID
    ) == (MINE)


def test_of_a_patient_with_a_judged_series_no_nodule_of_another_series_is_inserted(learning):
    nodules = [nodule(i, f"LIDC-IDRI-{i:04d}", UID.format(i)) for i in range(1, 23)]
    nodules.append(nodule(99, "LIDC-IDRI-0013", UID.format(990)))
    assert learning(nodules, patient=UID, series=UID) == MINE


@pytest.mark.parametrize(
    ("nodules", "names"),
    [
        ([nodule(30, "LIDC-IDRI-0030")], {"patient": UID, "series": UID}),
        ([nodule(30, "LIDC-IDRI-0030")], {"patient": UID}),
        ([nodule(30, UID.format(30), UID.format(30))], {}),
    ],
    ids=["bank without series", "bank without series, UIDs as patients", "bank of series"],
)
def test_where_no_name_could_match_training_refuses(learning, nodules, names):
    with pytest.raises(RecipeError) as caught:
        learning(nodules, **names)
    assert caught.value.code == "bank-names-nobody"
    assert "row 1, 2, 3, ..." in str(caught.value)
    assert "LIDC" not in str(caught.value)


def test_a_bank_saved_before_it_held_series_still_works_where_patients_have_names(
    learning, tmp_path
):
    rows = [
        {"name": str(i), "patient": pseudonym(f"SECRET{i}"), "spacing_mm": [1, 1, 1]}
        for i in range(1, 23)
    ]
    arrays = {f"hu.{i}": np.zeros((2, 2, 2), np.int16) for i in range(22)}
    arrays |= {f"mask.{i}": np.ones((2, 2, 2), np.uint8) for i in range(22)}
    path = tmp_path / "old.safetensors"
    save_file(arrays, path, {"squeezect-nodules-1": json.dumps({"source": "s", "nodules": rows})})
    assert {n.series for n in Bank.load(path).nodules} == {""}
    assert learning(str(path)) == MINE
    with pytest.raises(RecipeError, match="bank-names-nobody"):
        learning(str(path), patient=UID, series=UID)


def built(folder, rows):
    """A bank of crops whose table has these patients and series."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
        values = np.zeros((6, 6, 6), np.int16)
        values[2:4, 2:4, 2:4] = part == "masks"
        image = nibabel.Nifti1Image(values, np.diag([-1.0, -1.0, 1.0, 1.0]))
        for number in range(len(rows)):
            nibabel.save(image, folder / part / f"{number}.nii.gz")
    lines = [f"{who},{series},1,{number}.nii.gz" for number, (who, series) in enumerate(rows)]
    table = "\n".join(["patient_id,seriesuid,Diagnosis_value,file", *lines])
    (folder / "nodules.csv").write_text(table)
    return str(build_bank(folder).save(folder / "bank.safetensors"))


STUDY = UID.format(30) + ".9"


@pytest.mark.parametrize(
    ("patient", "series"),
    [
        (pseudonym(UID.format(30)), pseudonym(UID.format(30))),
        (pseudonym(UID.format(30)), UID.format(30)),
        (STUDY, UID.format(30)),
    ],
    ids=["pseudonyms of the series", "pseudonym and UID", "UID of the study"],
)
def test_a_bank_whose_patients_are_series_in_other_words_names_no_person(
    learning, tmp_path, patient, series
):
    bank = built(tmp_path / "crops", [(patient, series)])
    with pytest.raises(RecipeError, match="bank-names-nobody"):
        learning(bank)


def test_a_study_is_left_out_with_all_its_series_where_it_is_judged(learning, tmp_path):
    path = built(tmp_path / "crops", [(STUDY, UID.format(30)), (STUDY, UID.format(31))])
    (one, other) = Bank.load(path).nodules
    assert one.patient == other.patient != ""
    assert not one.person
    assert not open_bank(
        Insertion(bank=path),
        judged=[Case(tmp_path, STUDY, 1, 1, series=UID.format(32))],
    ).nodules


NUMBER = "202301150042"
LETTERLESS = next(uid for uid in map(UID.format, range(10**4)) if pseudonym(uid).isdecimal())
"""A series whose pseudonym looks like an accession number; one in 300 does."""


def test_a_number_of_twelve_digits_is_not_written_in_clear(tmp_path):
    path = built(tmp_path / "crops", [("MUELLER-1957", NUMBER)])
    (one,) = Bank.load(path).nodules
    assert one.series == pseudonym(NUMBER)
    assert NUMBER.encode() not in Path(path).read_bytes()


@pytest.mark.parametrize("held", [LETTERLESS, pseudonym(LETTERLESS), NUMBER])
@pytest.mark.parametrize("told", [LETTERLESS, pseudonym(LETTERLESS), NUMBER])
def test_a_judged_series_is_left_out_by_both_spellings_of_its_name(tmp_path, held, told):
    path = built(tmp_path / "crops", [("P", held), ("Q", UID.format(99999))])
    old = replace(Bank.load(path).nodules[0], series=held)
    judged = [Case(tmp_path, "R", 1, 1, series=told)]
    same = NUMBER not in {held, told} or held == told
    assert len(open_bank(Insertion(bank=path), judged=judged).nodules) == 2 - same
    if held != LETTERLESS:  # a bank made when numbers were taken for pseudonyms
        before = str(Bank((old,)).save(tmp_path / "old.safetensors"))
        assert len(open_bank(Insertion(bank=before), judged=judged).nodules) == 1 - same


def test_a_bank_that_does_not_say_who_is_a_person_is_judged_by_its_names(learning, tmp_path):
    series = pseudonym(UID.format(30))
    for who in (series, pseudonym(series)):
        old = replace(nodule(30, "", UID.format(30)), patient=who)
        with pytest.raises(RecipeError, match="bank-names-nobody"):
            learning([old])
