"""Each of the six kinds of leak, planted in a table: the audit verb finds it, training refuses."""

import json
import sys

import pandas as pd
import pytest

from squeezect import cli
from squeezect.cohorts import Cohort
from squeezect.errors import CohortError
from squeezect.preparation.sources import fingerprint
from squeezect.scan import pseudonym
from squeezect.training import cross_validate
from squeezect.training.choosing import Rules
from squeezect.training.prepared import case_key, key_of
from squeezect.training.seen import Seen
from squeezect.training.starting import Ancestor
from squeezect.training.teachers import Teacher, Teachers

KINDS = {
    "same-patient": "patient-in-two-parts",
    "same-series": "leak",
    "same-file": "leak",
    "near-duplicate": "leak",
    "overlapping-candidates": "leak",
    "pseudo-labelled-test": "leak",
}


def plant(kind, table, cohort, store):
    """Spoil the table: its first row is for testing, its tenth for training, both of class 0."""
    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    one, other = cohort.case(1), cohort.case(11)
    if kind == "same-patient":
        rows.loc[10, "patient"] = rows.loc[0, "patient"]
    elif kind == "same-series":
        rows["series"] = ["1.2.3" if i in (0, 10) else f"9.{i}" for i in range(len(rows))]
    elif kind == "same-file":
        # Another name of one file, which no table can tell.
        (other.scan / "scan.txt").unlink()
        other.scan.rmdir()
        lone = one.scan.with_name("lone.mha")
        lone.write_text("stands for a scan")
        twin = one.scan.with_name("twin.mha")
        twin.hardlink_to(lone)
        rows.loc[0, "scan"], rows.loc[10, "scan"] = "lone.mha", "twin.mha"
        for scan in (lone, twin):
            store.write(key_of(scan), store.read(key_of(one.scan)), source=fingerprint(scan))
    elif kind == "near-duplicate":
        copy = store.read(key_of(one.scan))
        store.write(key_of(other.scan), copy, source=fingerprint(other.scan))
    elif kind == "overlapping-candidates":
        near = {0: ("10", "10", "10"), 10: ("10", "18", "10")}
        for axis, name in enumerate(("x_mm", "y_mm", "z_mm")):
            rows[name] = [near.get(i, ("5", "5", "5"))[axis] for i in range(len(rows))]
        rows["series"] = ["1.2.3" if i in near else f"9.{i}" for i in range(len(rows))]
    else:
        rows["teacher_0"] = ["0.999" if i == 0 else "" for i in range(len(rows))]
        rows.loc[0, "label"] = ""
        stranger = Ancestor(
            kind="teacher", name="t", model="m", weights_sha256="0", patients="known"
        )
        teacher = Teacher(column="teacher_0", ancestor=stranger, seen=Seen())
        Teachers(run="t", teachers=(teacher,), rules=Rules()).save(table)
    rows.to_csv(table, index=False)
    if "series" in rows:
        store_by_series(table, store)


def store_by_series(table, store):
    """Keep the volumes as those of the series that the rows name."""
    for case in Cohort.read(table, allow_shared=True).cases:
        mark = f"{fingerprint(case.scan)} {pseudonym(case.series)}"
        store.write(case_key(case, store.preparation), store.read(key_of(case.scan)), source=mark)


@pytest.fixture
def audit(monkeypatch, capsys):
    """Exit status and kinds of leaks that the verb tells of."""

    def run(*arguments):
        monkeypatch.setattr(
            sys, "argv", ["squeezect", "audit", *map(str, arguments), "--folds", "2", "--json"]
        )
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        found = json.loads(capsys.readouterr().out)
        return leaving.value.code or 0, {leak["kind"] for leak in found["leaks"]}

    return run


def test_a_clean_table_passes(cohort, store, audit):
    assert audit(cohort.source, "--store", store.folder) == (0, set())


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_leak_is_found_by_the_audit_and_refused_by_training(
    cohort, recipe, store, tmp_path, audit, kind
):
    plant(kind, cohort.source, cohort, store)
    code, kinds = audit(cohort.source, "--store", store.folder)
    assert code == 1
    assert kind in kinds
    # Overlapping points lie in one series, and two names of one file are copies too.
    assert kinds <= {kind, "same-series", "near-duplicate"}
    table = cohort.source
    with pytest.raises(CohortError) as caught:
        cross_validate(
            Cohort.read(table),
            recipe,
            tmp_path / "run",
            store=store.folder,
            teachers=Teachers.beside(table),
        )
    assert caught.value.code == KINDS[kind]
    if KINDS[kind] == "leak":
        assert kind in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert not list((tmp_path / "run").rglob("*.safetensors"))
