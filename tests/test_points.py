"""Points: any checkpoint of a recipe that cuts patches answers for points and for crops."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom import dcmread

from squeezect.checkpoint import Card, Checkpoint
from squeezect.errors import CheckpointError, EvaluationError, PreparationError, SqueezeCTError
from squeezect.models import create_model
from squeezect.phantom import chest_grid, thorax, write_dicom
from squeezect.points import PointClassifier
from squeezect.preparation import Preparation
from squeezect.publishing.judged import judge_dataset
from squeezect.publishing.scores import score_weights
from squeezect.reading import read_scan
from squeezect.scan import Grid, Scan

OPTIONS = {"width": 0.125, "depth": 2, "stochastic": 0.0, "dropout": 0.0}
PREPARATION = Preparation(crop="point", size=(8, 16, 16), spacing_mm=1.0, outside="edge")


def checkpoint(seed, *, views=8):
    """A network that has learned nothing but to answer: brighter or darker means class 1."""
    torch.manual_seed(seed)
    model = create_model("squeezenet-local", options=OPTIONS)
    card = Card(
        model="squeezenet-local",
        options=OPTIONS,
        preparation=PREPARATION,
        recipe={"views": views},
        thresholds={"sensitivity-90": 0.3},
    )
    return Checkpoint(card, model.state_dict())


@pytest.fixture
def weights(tmp_path):
    return checkpoint(0).save(tmp_path / "weights")


@pytest.fixture
def run(tmp_path):
    """A run of two folds."""
    for fold in range(2):
        checkpoint(fold).save(tmp_path / "run" / f"fold-{fold}")
    facts = {"status": "finished", "thresholds": {"sensitivity-90": 0.4}}
    (tmp_path / "run" / "run.json").write_text(json.dumps(facts))
    return tmp_path / "run"


def test_a_run_answers_with_the_mean_of_its_folds(run, crop_folder):
    scan = read_scan(crop_folder / "images" / "crop_1.nii.gz")
    folds = [PointClassifier.open(run / f"fold-{k}").at(scan) for k in range(2)]
    together = PointClassifier.open(run)
    assert together.at(scan) == pytest.approx(np.mean(folds), abs=1e-6)
    assert folds[0] != pytest.approx(folds[1], abs=1e-6)
    assert together.threshold == 0.4
    assert PointClassifier.open(run / "fold-0").threshold == 0.3


def test_the_answer_does_not_depend_on_how_the_crop_is_mirrored():
    hu = np.random.default_rng(0).integers(-900, 200, (8, 16, 16)).astype(np.int16)
    grid = Grid(hu.shape, (1.0, 1.0, 1.0))
    cases = [np.ascontiguousarray(hu[:, ::a, ::b]) for a in (1, -1) for b in (1, -1)]
    both = checkpoint(3)
    whole = PointClassifier(both.card, (both.build(),), 0.5)
    single = PointClassifier(checkpoint(3, views=1).card, whole.models, 0.5)
    answers, alone = ([c.at(Scan(h, grid)) for h in cases] for c in (whole, single))
    assert np.ptp(answers) < 1e-6 < np.ptp(alone)


def test_the_middle_of_a_crop_is_asked_about_but_not_the_middle_of_a_chest(weights, crop_folder):
    classifier = PointClassifier.open(weights)
    scan = read_scan(crop_folder / "images" / "crop_0.nii.gz")
    assert classifier.at(scan) == classifier.at(scan, scan.grid.centre_mm)
    chest = Scan(np.zeros((20, 60, 60), np.int16), Grid((20, 60, 60), (5.0, 5.0, 5.0)))
    with pytest.raises(PreparationError, match="no-point"):
        classifier.at(chest)
    with pytest.raises(PreparationError, match="point-outside"):
        classifier.at(scan, (500.0, 0.0, 0.0))


def test_weights_for_whole_scans_are_not_taken_for_weights_for_points(tmp_path):
    card = checkpoint(0).card.model_copy(update={"preparation": Preparation()})
    folder = Checkpoint(card, checkpoint(0).weights).save(tmp_path / "whole")
    with pytest.raises(CheckpointError, match="weights-of-another-kind"):
        PointClassifier.open(folder)


def test_crops_are_scored_beside_their_diameter(weights, crop_folder, tmp_path):
    found = score_weights(str(weights), crop_folder, out=tmp_path / "scores").parts["nodules.csv"]
    classifier = PointClassifier.open(weights)
    lines = (tmp_path / "scores" / "probabilities.csv").read_text().splitlines()
    assert len(lines) == 41
    assert "P3" not in "".join(lines)
    scan = read_scan(crop_folder / "images" / "crop_7.nii.gz")
    table = (crop_folder / "nodules.csv").read_text().splitlines()
    point = tuple(map(float, table[8].split(",")[1:4]))
    assert float(lines[8].rpartition(",")[2]) == pytest.approx(classifier.at(scan, point), abs=1e-6)
    assert (found["cases"], found["positives"], found["patients"]) == (40, 20, 20)
    gap = found["ROC AUC minus that of the diameter"]
    assert gap.first == found["ROC AUC"].value
    assert gap.second == found["ROC AUC of the diameter alone"].value
    assert "allowing for patients" in gap.method
    text = (tmp_path / "scores" / "scores.md").read_text()
    assert "| ROC AUC, 6 to 15 mm |" in text
    assert json.loads((tmp_path / "scores" / "scores.json").read_text())["parts"]["nodules.csv"]


def test_crops_need_neither_points_nor_diameters_nor_every_label(weights, crop_folder):
    rows = [line.split(",") for line in (crop_folder / "nodules.csv").read_text().splitlines()]
    few = [[r[6], "id-" + r[0], r[5] if k % 10 else "", "kept"] for k, r in enumerate(rows)]
    few[0] = ["file", "patient_id", "cancer", "remark"]
    (crop_folder / "nodules.csv").unlink()
    (crop_folder / "others.csv").write_text("\n".join(map(",".join, few)) + "\n")
    for place in (crop_folder, crop_folder / "others.csv"):
        found = score_weights(str(weights), place, label="cancer").parts["others.csv"]
        assert (found["cases"], found["unlabelled"]) == (36, 4)
        assert not [name for name in found if "diameter" in name]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("P3,", ",", "row 7 of nodules.csv: patient_id is empty"),
        (",0,crop_6", ",2,crop_6", "row 7 of nodules.csv: Diagnosis_value 2 is not 0, 1 or empty"),
        ("crop_6.nii", "crop_66.nii", "row 7 of nodules.csv: scan images/crop_66.nii.gz"),
        ("P3,23", "P3,999", "row 7 of nodules.csv: point (999"),
        ("Diagnosis_value", "Diagnosis", "lacks the column 'Diagnosis_value'"),
        ("coordY", "y", "lacks the column 'coordY'"),
    ],
)
def test_wrong_tables_of_crops_are_refused_by_row_and_column(weights, crop_folder, old, new, words):
    path = crop_folder / "nodules.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(SqueezeCTError) as caught:
        score_weights(str(weights), crop_folder)
    assert words in str(caught.value)


def test_all_bad_crops_are_told_before_the_first_is_answered_for(weights, crop_folder, monkeypatch):
    def answer(*_):
        raise AssertionError

    monkeypatch.setattr(PointClassifier, "score", answer)
    path = crop_folder / "nodules.csv"
    path.write_text(path.read_text().replace("P3,23", "P3,999", 1))
    cut = crop_folder / "images" / "crop_30.nii.gz"
    cut.write_bytes(cut.read_bytes()[:100])
    with pytest.raises(EvaluationError, match="unanswered-case") as caught:
        score_weights(str(weights), crop_folder)
    assert "row 7 of nodules.csv: point (999" in str(caught.value)
    assert "row 31 of nodules.csv: " in str(caught.value)


@pytest.mark.parametrize("kept", [0, 3, 2000])
def test_what_is_cut_is_not_read_again_and_answers_do_not_depend_on_it(
    weights, crop_folder, monkeypatch, kept
):
    """Rows of one scan that follow each other read it once; those not kept read it once more."""
    expected = judge_dataset(str(weights), crop_folder, label=None, tell=lambda *_: None)[0]
    monkeypatch.setattr("squeezect.publishing.judged.KEPT", kept)
    read = []

    def counted(path, **options):
        read.append(path)
        return read_scan(path, **options)

    monkeypatch.setattr("squeezect.publishing.judged.read_scan", counted)
    found = judge_dataset(str(weights), crop_folder, label=None, tell=lambda *_: None)[0]
    np.testing.assert_array_equal(found.probability, expected.probability)
    assert len(read) == len(found.cases) + max(0, len(found.cases) - kept)
    read.clear()
    path = crop_folder / "nodules.csv"
    head, first, *_ = path.read_text().splitlines()
    at, cells = head.split(",").index("coordX"), first.split(",")
    rows = [[*cells[:at], str(float(cells[at]) + x), *cells[at + 1 :]] for x in range(4)]
    path.write_text("\n".join([head, *map(",".join, rows)]) + "\n")
    several = judge_dataset(str(weights), crop_folder, label=None, tell=lambda *_: None)[0]
    assert (len(several.cases), len(read)) == (4, 1)


def test_what_lies_beside_a_table_of_crops_is_told(weights, crop_folder):
    shutil.copy(crop_folder / "nodules.csv", crop_folder / "hidden.csv")
    scores = score_weights(str(weights), crop_folder)
    assert scores.warnings == ["nodules.csv is scored; passed over beside it: hidden.csv"]
    assert "20 positive in the column Diagnosis_value, 20 patients" in str(scores)
    (alone,) = score_weights(str(weights), crop_folder / "hidden.csv").parts
    assert alone == "hidden.csv"


def test_a_cohort_of_crops_is_told_what_its_table_needs(weights, crop_folder):
    lines = ["scan,patient,label", *(f"images/crop_{n}.nii.gz,P{n},{n % 2}" for n in range(4))]
    (crop_folder / "cohort.csv").write_text("\n".join(lines))
    with pytest.raises(CheckpointError, match="crops need a table of their files"):
        score_weights(str(weights), crop_folder / "cohort.csv")


def test_crops_in_other_units_are_told(weights, crop_folder, tmp_path, run_cli):
    """Values 1024 too high, as stored values without their intercept are, hold no air."""
    import SimpleITK

    for number in range(3):
        path = str(crop_folder / "images" / f"crop_{number}.nii.gz")
        image = SimpleITK.ReadImage(path)
        SimpleITK.WriteImage(image + 1024, path)
    arguments = ("evaluate", "--weights", weights, crop_folder, "--out", tmp_path / "scores")
    code, out, err = run_cli(*arguments, "--json")
    assert code == 0
    assert "warning: nodules.csv: 3 of 40: no-air; check that" in err
    assert "short-coverage" not in err
    assert any("no-air" in warning for warning in json.loads(out)["warnings"])
    assert "3 of 40: no-air" in (tmp_path / "scores" / "scores.md").read_text()
    crop = crop_folder / "images" / "crop_0.nii.gz"
    code, out, _ = run_cli("predict", "--weights", weights, crop, "--out", tmp_path / "page")
    assert (code, "warn: no-air" in out) == (0, True)


def test_masks_are_not_needed_to_score_crops(weights, crop_folder):
    (crop_folder / "masks").mkdir()
    assert score_weights(str(weights), crop_folder).parts["nodules.csv"]["cases"] == 40


def test_patients_who_taught_the_weights_are_told(run, crop_folder):
    from squeezect.scan import pseudonym

    assert not score_weights(str(run), crop_folder).warnings
    for fold in range(2):
        known = {"patients": [pseudonym(f"P{fold}"), pseudonym("P5")], "complete": True}
        (run / f"fold-{fold}" / "seen.json").write_text(json.dumps(known))
    (warning,) = score_weights(str(run), crop_folder).warnings
    assert warning.startswith("3 of 20 patients taught these weights")


def test_an_engine_for_points_is_refused(run_cli, weights, crop_folder):
    crop = crop_folder / "images" / "crop_2.nii.gz"
    code, _, err = run_cli("predict", "--weights", weights, crop, "--engine", "onnx")
    assert (code, "[option-does-not-apply]" in err) == (2, True)


def test_points_that_are_nowhere_are_named_as_they_were_given(run_cli, tmp_path):
    scan, _ = thorax(1, grid=chest_grid(1, spacing_mm=2.5, thickness_mm=5.0), nodules=1)
    write_dicom(scan, tmp_path / "chest")
    for point, words in (((5000, 0, 0), "(5000, 0, 0)"), (("inf", 0, 0), "inf")):
        arguments = ("predict", "--weights", "nodule", tmp_path / "chest", "--point", *point)
        code, _, err = run_cli(*arguments)
        assert (code, "[point-outside]" in err, words in err) == (2, True, True)


def test_lists_of_patches_may_have_any_name_and_need_labels(patch_folder):
    (patch_folder / "train.txt").unlink()
    (patch_folder / "val.txt").rename(patch_folder / "kept back.txt")
    (patch_folder / "LICENSE.txt").write_text("Do what you like.\n")
    scores = score_weights("nodule", patch_folder)
    assert list(scores.parts) == ["kept back.txt"]
    lines = (patch_folder / "kept back.txt").read_text().splitlines()
    lines[4] = lines[4].split()[0]
    (patch_folder / "kept back.txt").write_text("\n".join(lines))
    with pytest.raises(SqueezeCTError, match=r"row 5 of kept back\.txt is not a path and a label"):
        score_weights("nodule", patch_folder)
    lines[4] += " 7"
    (patch_folder / "kept back.txt").write_text("\n".join(lines))
    with pytest.raises(EvaluationError, match=r"row 5 of kept back\.txt: label 7"):
        score_weights("nodule", patch_folder)


def test_weights_are_not_scored_on_data_of_another_kind(
    weights, crop_folder, patch_folder, tmp_path
):
    for name, folder in (("nodule", crop_folder), (str(weights), patch_folder)):
        with pytest.raises(CheckpointError, match="weights-of-another-kind"):
            score_weights(name, folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(EvaluationError, match="no-lists"):
        score_weights("nodule", tmp_path / "empty")


def without_uid(scan, folder, patient):
    """Write a scan as careless exports do: nothing says which series it is."""
    for file in write_dicom(scan, folder):
        data = dcmread(file)
        data.PatientID = patient
        del data.SeriesInstanceUID
        data.save_as(file)


def test_answers_for_one_patient_do_not_replace_those_for_another(run_cli, tmp_path):
    scan = thorax(1, grid=chest_grid(1, spacing_mm=3.5, thickness_mm=5.0))[0]
    without_uid(scan, tmp_path / "A", "A")
    without_uid(replace(scan, hu=np.ascontiguousarray(scan.hu[:, :, ::-1])), tmp_path / "B", "B")
    scans, out = [tmp_path / "A", tmp_path / "B"], tmp_path / "out"
    identities = {read_scan(path).identity for path in scans}
    assert len(identities - {""}) == 2
    centre = scan.grid.centre_mm.tolist()

    def ask(x):
        point = [x, *centre[1:]]
        told = run_cli(
            "predict", *scans, "--weights", "nodule", "--point", *point, "--out", out, "--json"
        )[1]
        return json.loads(told)["predictions"]

    answers = [*ask(centre[0]), *ask(centre[0] + 0.01)]
    # Two scans and two points, however close.
    assert len({answer["page"] for answer in answers}) == 4
    for answer in answers:
        path = Path(answer["page"]).parent / "prediction.json"
        assert json.loads(path.read_text("utf-8"))["probability"] == answer["probability"]
    assert ask(centre[0]) == answers[:2]


def test_points_and_crops_on_the_command_line(run_cli, weights, crop_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    crop = crop_folder / "images" / "crop_2.nii.gz"
    code, out, _ = run_cli("predict", "--weights", weights, crop, "--json")
    (answer,) = json.loads(out)["predictions"]
    assert code == 0
    assert answer["probability"] == pytest.approx(PointClassifier.open(weights).at(read_scan(crop)))
    assert run_cli("predict", weights, crop, "--json")[1] == out

    scan, truth = thorax(1, grid=chest_grid(1, spacing_mm=2.5, thickness_mm=5.0), nodules=1)
    write_dicom(scan, tmp_path / "chest")
    point = truth.nodules[0].centre_mm
    arguments = [tmp_path / "chest", "--point", *point, "--json"]
    code, out, _ = run_cli("predict", "--weights", "nodule", *arguments)
    assert code == 0
    (answer,) = json.loads(out)["predictions"]
    assert answer["point_mm"] == pytest.approx(point)
    assert (tmp_path / answer.pop("page")).is_file()
    assert json.loads(run_cli("candidate", *arguments)[1]) == answer

    for verb in ("predict", "candidate"):
        code, _, err = run_cli(verb, *arguments, "--point", *point)
        assert (code, "2 points are given" in err, "[several-points]" in err) == (2, True, True)

    code, out, err = run_cli("predict", "--weights", "nodule", tmp_path / "chest", crop)
    assert code == 2
    assert err.count("[no-point]") == 2
    code, _, err = run_cli("predict", weights)
    assert (code, "[no-scan-named]" in err) == (2, True)
