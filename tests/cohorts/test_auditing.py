"""The audit finds each kind of leak where it is planted, and nothing where there is none."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from squeezect.cohorts import (
    AuditRules,
    Case,
    Cohort,
    Fold,
    Folds,
    audit,
    audit_folds,
    fingerprint,
    make_folds,
)
from squeezect.errors import CohortError


def print_of(seed):
    return fingerprint(np.random.default_rng(seed).normal(size=(32, 32, 32)))


@pytest.fixture
def study(tmp_path):
    """Clean parts: each case with its own file, patient, series and two points in mm."""
    parts = {"train": 6, "tune": 2, "validation": 3, "test": 3}
    cases, row = {}, 0
    for part, size in parts.items():
        cases[part] = []
        for _ in range(size):
            row += 1
            path = tmp_path / f"{row}.mha"
            path.write_text(str(row))
            point = (float(row), 0.0, 0.0)
            cases[part].append(
                Case(path, f"p{row}", row % 2, row, series=f"1.2.{row}", point_mm=point)
            )
    return cases


def prints(study):
    return {case.voxels: print_of(case.row) for part in study.values() for case in part}


def plant(study, part, **change):
    """The study with the first case of a part changed."""
    first, *others = study[part]
    return study | {part: [replace(first, **change), *others]}


def kinds(found):
    return [leak.kind for leak in found.rows]


def test_a_clean_study_is_clean(study):
    unlabelled = Case(study["train"][0].scan.parent, "other", None, 99, series="9.9")
    found = audit(study, fingerprints=prints(study), pseudo_labelled=[unlabelled])
    assert found.rows == ()
    assert found.ok
    assert not found.transductive
    found.require_ok()
    assert found.parts == {"train": 6, "tune": 2, "validation": 3, "test": 3}


def test_series_of_one_folder_are_apart_unless_one_is_not_named(tmp_path):
    one, two = (Case(tmp_path, f"p{n}", n, n, series=f"1.2.{n}") for n in (0, 1))
    prints = {one.voxels: print_of(1), two.voxels: print_of(2)}
    assert audit({"train": [one], "test": [two]}, fingerprints=prints).ok
    prints[two.voxels] = print_of(1)
    found = audit({"train": [one], "test": [two]}, fingerprints=prints)
    assert kinds(found) == ["near-duplicate"]
    assert kinds(audit({"train": [one], "test": [replace(two, series="")]})) == ["same-file"]


@pytest.mark.parametrize("part", ["tune", "validation", "test"])
def test_a_planted_patient_is_found(study, part):
    leaky = plant(study, part, patient=study["train"][2].patient)
    (leak,) = audit(leaky, fingerprints=prints(study)).rows
    assert leak.kind == "same-patient"
    assert leak.parts == ("train", part)
    assert leak.rows == (3, study[part][0].row)


def test_a_planted_series_is_found(study):
    # Points far apart, so that nothing but the series is shared.
    leaky = plant(study, "test", series=study["train"][0].series, point_mm=(500.0, 0.0, 0.0))
    (leak,) = audit(leaky, fingerprints=prints(study)).rows
    assert leak.kind == "same-series"
    assert leak.rows == (1, study["test"][0].row)


@pytest.mark.parametrize("link", ["same", "symbolic", "hard", "dots"])
def test_a_planted_file_is_found(study, tmp_path, link):
    source = study["train"][0].scan
    other = tmp_path / "other.mha"
    if link == "symbolic":
        other.symlink_to(source)
    elif link == "hard":
        other.hardlink_to(source)
    else:
        other = source if link == "same" else tmp_path / "x" / ".." / source.name
        (tmp_path / "x").mkdir()
    leaky = plant(study, "test", scan=other, point_mm=(500.0, 0.0, 0.0))
    (leak,) = audit(leaky, fingerprints=prints(study)).rows
    assert leak.kind == "same-file"
    assert leak.parts == ("train", "test")


def test_elements_of_one_file_are_different_scans(study):
    archive = study["train"][0].scan
    parts = {
        part: [
            replace(c, scan=archive, element=f"a/{c.row}", point_mm=None, series="") for c in cases
        ]
        for part, cases in study.items()
    }
    assert audit(parts).ok
    leaky = plant(parts, "test", element=parts["train"][0].element)
    assert kinds(audit(leaky)) == ["same-file"]


def test_a_planted_copy_is_found(study):
    copied, source = study["test"][1], study["train"][4]
    values = np.random.default_rng(source.row).normal(size=(32, 32, 32))
    changed = 3 * values[:, ::-1] + np.random.default_rng(0).normal(0, 0.1, values.shape)
    leaky = prints(study) | {copied.voxels: fingerprint(changed)}
    (leak,) = audit(study, fingerprints=leaky).rows
    assert leak.kind == "near-duplicate"
    assert leak.rows == (source.row, copied.row)
    assert leak.parts == ("train", "test")
    assert "likeness 0.9" in leak.detail
    assert audit(study, fingerprints=leaky, rules=AuditRules(alike=0.9999)).ok
    assert audit(study).ok  # nothing can be seen without fingerprints, and `checked` says so
    assert audit(study).checked["near-duplicate"] == 0
    assert audit(study, fingerprints=leaky).checked["near-duplicate"] == 14


def test_copies_within_a_part_are_no_leak(study):
    one, two = study["train"][:2]
    assert audit(study, fingerprints=prints(study) | {one.voxels: print_of(two.row)}).ok


@pytest.mark.parametrize(("distance_mm", "found"), [(12.0, True), (29.9, True), (30.0, False)])
def test_planted_overlapping_candidates_are_found(study, distance_mm, found):
    # One scan in several files, so that files and series do not tell: crops around candidates.
    x, y, z = study["train"][0].point_mm
    near = {"series": study["train"][0].series, "point_mm": (x, y - distance_mm, z)}
    leaks = audit(plant(study, "validation", **near)).rows
    over = [leak for leak in leaks if leak.kind == "overlapping-candidates"]
    assert bool(over) == found
    if found:
        assert over[0].rows == (1, study["validation"][0].row)
        assert f"{distance_mm:.1f} mm apart" in over[0].detail


def test_overlaps_are_counted_once_per_scan_and_told_by_the_closest(study):
    first = study["train"][0]
    crowd = [replace(first, row=100 + i, point_mm=(1.0 + i, 0.0, 0.0)) for i in range(1, 5)]
    found = audit({"train": [first], "test": crowd}).rows
    (over,) = (leak for leak in found if leak.kind == "overlapping-candidates")
    assert over.rows == (1, 101)
    assert over.detail == "1.0 mm apart, such pairs in the scan: 4"


def test_overlaps_are_found_by_file_where_the_series_is_unknown(study):
    case = replace(study["train"][0], series="")
    other = replace(case, row=50, patient="q", point_mm=(5.0, 0.0, 0.0))
    assert set(kinds(audit({"train": [case], "test": [other]}))) == {
        "same-file",
        "overlapping-candidates",
    }


@pytest.mark.parametrize("shared", ["patient", "series", "scan", "copy", "split"])
def test_a_planted_pseudo_label_of_a_test_scan_is_found(study, shared, tmp_path):
    test = study["test"][0]
    pseudo = Case(tmp_path / "new.mha", "new", None, 77, series="7.7")
    known = prints(study)
    if shared == "copy":
        known[pseudo.voxels] = known[test.voxels]
    else:
        value = "test" if shared == "split" else getattr(test, shared)
        pseudo = replace(pseudo, **{shared: value})
    found = audit(study, fingerprints=known, pseudo_labelled=[pseudo])
    assert set(kinds(found)) == {"pseudo-labelled-test"}
    assert not found.ok
    asked = audit(
        study,
        fingerprints=known,
        pseudo_labelled=[pseudo],
        rules=AuditRules(transductive=True),
    )
    assert asked.ok
    assert asked.transductive
    assert asked.as_dict()["transductive"] is True


def test_pseudo_labels_share_patients_with_train_only(study):
    pseudo = Case(Path("new.mha"), study["train"][0].patient, None, 77)
    assert audit(study, pseudo_labelled=[pseudo]).ok
    for part in ("tune", "validation"):
        judged = replace(pseudo, patient=study[part][0].patient)
        found = audit(study, pseudo_labelled=[judged], rules=AuditRules(transductive=True))
        assert kinds(found) == ["same-patient"]  # being asked for excuses test scans only
        assert not found.ok


def test_the_refusal_counts_leaks_and_names_rows_not_patients(study):
    leaky = {
        part: [replace(case, patient=f"SECRET{i % 2}") for i, case in enumerate(cases)]
        for part, cases in study.items()
    }
    found = audit(leaky)
    with pytest.raises(CohortError) as caught:
        found.require_ok()
    assert caught.value.code == "leak"
    text = str(caught.value)
    assert "row 1 (train) and row 7 (tune)" in text
    assert f"and {len(found.rows) - 3} more" in text
    assert "SECRET" not in text + json.dumps(found.as_dict())


def cohort_of(size):
    return Cohort(
        tuple(Case(Path(f"{i}.mha"), f"p{i}", i % 2, i + 1, series=f"1.{i}") for i in range(size)),
        Path("cohort.csv"),
    )


def test_drawn_folds_are_clean():
    cohort = cohort_of(40)
    found = audit_folds(cohort, make_folds(cohort, test_fraction=0.1))
    assert found.ok
    assert sum(found.parts.values()) == 40
    assert found.checked["same-patient"] == 40


def test_leaks_of_folds_say_which_fold():
    cohort = cohort_of(8)
    twins = replace(cohort, cases=tuple(replace(c, series=f"1.{c.row // 2}") for c in cohort.cases))
    rows = tuple(range(1, 9))
    folds = Folds(
        (Fold(rows[4:], (), rows[:4]), Fold(rows[:4], (), rows[4:])),
        (),
        {row: str(row) for row in rows},
    )
    found = audit_folds(twins, folds)
    assert [leak.where for leak in found.rows] == ["fold 0", "fold 1"]
    assert set(found.rows[0].rows) == {4, 5}
    assert str(found.rows[0]).startswith("fold 0: same-series: row ")
    with pytest.raises(CohortError, match="unknown-row"):
        audit_folds(twins.without({3}), folds)


def test_an_audit_is_plain_json(study):
    found = audit(plant(study, "test", patient=study["train"][0].patient))
    data = json.loads(json.dumps(found.as_dict()))
    assert data["ok"] is False
    (leak,) = data["leaks"]
    assert leak["kind"] == "same-patient"
    assert leak["parts"] == ["train", "test"]
