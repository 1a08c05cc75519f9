"""Laws of pseudo-labels: nobody who judges a fold had a part in its teachers; no test scan."""

import json
from dataclasses import replace

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from squeezect.checkpoint import Checkpoint, read_card
from squeezect.cohorts import Cohort, Folds
from squeezect.errors import CohortError, RecipeError
from squeezect.evaluation import evaluate
from squeezect.preparation.sources import fingerprint
from squeezect.scan import pseudonym
from squeezect.training import cross_validate
from squeezect.training.choosing import Rules, balanced
from squeezect.training.data import EpochSampler, MixedBatches
from squeezect.training.prepared import key_of
from squeezect.training.pseudo import pseudo_label
from squeezect.training.ramp import Ramp, two_part_loss
from squeezect.training.seen import seen_by
from squeezect.training.teachers import Teachers, file_beside

EASY = Rules(positive_from=0.51, negative_to=0.5)


@pytest.mark.parametrize(
    ("epoch", "alpha"), [(0, 0.0), (99, 0.0), (100, 0.0), (350, 1.5), (475, 2.25), (600, 3.0)]
)
def test_the_ramp_is_that_of_the_paper(epoch, alpha):
    assert Ramp(start_epoch=100, full_epoch=600, weight=3.0).alpha(epoch) == alpha


@given(st.integers(1, 300))
def test_the_usual_ramp_rises_from_nothing_to_its_weight(epochs):
    ramp = Ramp.over(epochs)
    values = [ramp.alpha(epoch) for epoch in range(epochs)]
    assert values == sorted(values)
    assert values[-1] == ramp.weight
    assert 0 <= values[0] <= ramp.weight


def test_the_loss_is_the_mean_over_true_labels_plus_alpha_times_that_over_pseudo_labels():
    losses = torch.tensor([1.0, 3.0, 10.0, 20.0])
    weights = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    assert two_part_loss(losses, weights, 0.5).item() == pytest.approx(2 + 0.5 * 15)
    assert two_part_loss(losses[:2], weights[:2], 0.5).item() == 2.0
    assert two_part_loss(losses[2:], weights[2:], 0.5).item() == 7.5


@given(st.integers(0, 200), st.integers(0, 200), st.floats(0.05, 0.95))
def test_classes_are_kept_in_the_stated_ratio_and_no_more_are_dropped_than_needed(ones, zeros, q):
    a, b = balanced(ones, zeros, q)
    assert 0 <= a <= ones
    assert 0 <= b <= zeros
    assert (a == 0) == (b == 0)
    if a:
        assert abs(a - q * (a + b)) <= 1
        # One class is used up, but for rounding.
        assert a + 1 > ones or b + 1 > zeros


@given(st.dictionaries(st.integers(1, 60), st.floats(0, 1), max_size=60), st.floats(0.1, 0.9))
def test_only_sure_answers_are_chosen_and_the_surest_first(probabilities, share):
    rules = Rules(positive_from=0.8, negative_to=0.3, positive_share=share)
    chosen = rules.choose(probabilities)
    for row, label in chosen.items():
        assert (probabilities[row] >= 0.8) if label else (probabilities[row] <= 0.3)
    for label, sign in ((1, 1), (0, -1)):
        kept = [sign * probabilities[r] for r in chosen if chosen[r] == label]
        sure = Rules(positive_from=0.8, negative_to=0.3).choose(probabilities)
        left = [sign * probabilities[r] for r in sure if sure[r] == label and r not in chosen]
        assert not kept or not left or min(kept) >= max(left)


def test_batches_hold_pseudo_labelled_cases_only_once_they_count():
    sampler = EpochSampler([0, 1] * 6, seed=3)
    ramp = Ramp(start_epoch=2, full_epoch=4)
    mixed = MixedBatches(sampler, guessed=7, batch_size=4, ramp=ramp)
    for epoch in range(6):
        sampler.set_epoch(epoch)
        batches = list(mixed)
        assert len(batches) == len(mixed) == 3
        assert list(mixed) == batches
        sure = [t for batch in batches for t in batch if t[1] < 12]
        assert sorted(sure) == [(epoch, i) for i in range(12)]
        guessed = [t[1] for batch in batches for t in batch if t[1] >= 12]
        assert len(guessed) == (0 if epoch <= 2 else 6)
        assert len(set(guessed)) == len(guessed)


def label(teachers, more, cohort, store, out, **options):
    options = {"rules": EASY} | options
    done = pseudo_label(teachers, more, out, labelled=cohort, store=store.folder, **options)
    # Teachers of three epochs are never sure; these get surer than they are.
    rows = pd.read_csv(out, dtype=str, keep_default_na=False)
    for column in done.chosen:
        spoken = rows[column] != ""
        rows.loc[spoken, column] = ["0.9" if i % 2 else "0.1" for i in range(spoken.sum())]
    rows.to_csv(out, index=False)
    return done


def student(table, recipe, store, folder, **options):
    return cross_validate(
        Cohort.read(table),
        recipe,
        folder,
        store=store.folder,
        teachers=Teachers.beside(table),
        **options,
    )


def patients_by_part(folder, k):
    folds = Folds.from_dict(json.loads((folder / "folds.json").read_text()))
    fold = folds.folds[k]
    return [{folds.patients[r] for r in rows} for rows in (fold.validation, fold.tune, folds.test)]


def test_no_judged_patient_has_a_part_in_its_own_teacher(
    cohort, recipe, store, more, teachers, tmp_path
):
    table = tmp_path / "both.csv"
    done = label(teachers, more, cohort, store, table)
    assert done.scans == 13
    assert set(done.chosen) == {"teacher_0", "teacher_1"}
    assert not list(tmp_path.glob("*.part"))
    folder = student(table, recipe, store, tmp_path / "student")
    facts = json.loads((folder / "run.json").read_text())
    assert facts["transductive"] is False
    for k in range(2):
        lesson = json.loads((folder / f"fold-{k}" / "pseudo.json").read_text())
        validation, tune, test = patients_by_part(folder, k)
        assert lesson["teachers"] == [f"teacher_{k}"]
        assert not set(seen_by(teachers / f"fold-{k}").patients) & (validation | test)
        assert lesson["labels"]
        both = Cohort.read(table)
        taught = {pseudonym(both.case(int(row)).patient) for row in lesson["labels"]}
        assert not taught & (validation | tune | test)
        # The scan of a patient whom the teacher was trained on, or who judges, teaches nobody.
        assert 33 not in map(int, lesson["labels"])
        assert 33 in (*lesson["known"], *lesson["judges"])
        card = read_card(folder / f"fold-{k}")
        assert [a.kind for a in card.lineage] == ["teacher"]
        assert card.trained_on["pseudo_labelled"] == len(lesson["labels"])
        assert taught <= set(seen_by(folder / f"fold-{k}").patients)
        assert not set(seen_by(folder / f"fold-{k}").patients) & (validation | test)
    text = "".join(p.read_text() for p in [*folder.rglob("*.json"), file_beside(table)])
    assert "SECRET" not in text
    assert "NEW" not in text


def test_pseudo_labels_change_what_is_learnt_and_zero_weight_epochs_do_not(
    cohort, recipe, store, more, teachers, tmp_path
):
    table = tmp_path / "both.csv"
    label(teachers, more, cohort, store, table)
    late = recipe.model_copy(update={"pseudo": Ramp(start_epoch=99, full_epoch=100)})
    silent = student(table, late, store, tmp_path / "silent")
    taught = student(table, recipe, store, tmp_path / "taught")
    plain, quiet, loud = (Checkpoint.load(f / "fold-0").weights for f in (teachers, silent, taught))
    # Rows and patients are the same, so are the folds: without weight nothing may differ.
    assert all(torch.equal(plain[name], quiet[name]) for name in plain)
    assert not all(torch.equal(plain[name], loud[name]) for name in plain)


@pytest.mark.parametrize("stage", ["fold 1 of 2", "fold 2 of 2"])
def test_killed_and_resumed_gives_the_same_bits(
    cohort, recipe, store, more, teachers, tmp_path, stage
):
    table = tmp_path / "both.csv"
    label(teachers, more, cohort, store, table)

    class Killed(Exception):
        pass

    def kill(name, done, total, _note):
        if name == stage and done > 0.7 * total:
            raise Killed

    whole = student(table, recipe, store, tmp_path / "whole")
    with pytest.raises(Killed):
        student(table, recipe, store, tmp_path / "killed", progress=kill)
    killed = student(table, recipe, store, tmp_path / "killed")
    for k in range(2):
        one, two = (Checkpoint.load(f / f"fold-{k}").weights for f in (whole, killed))
        assert all(torch.equal(one[name], two[name]) for name in one)
    with pytest.raises(RecipeError, match="another teachers"):
        cross_validate(Cohort.read(table), recipe, tmp_path / "killed", store=store.folder)


def test_labelling_goes_on_where_it_was_killed(cohort, store, more, teachers, tmp_path):
    class Killed(Exception):
        pass

    def kill(_stage, done, _total, note):
        if done == 1 and note == "teachers/fold-1":
            raise Killed

    with pytest.raises(Killed):
        label(teachers, more, cohort, store, tmp_path / "k.csv", progress=kill)
    (kept,) = tmp_path.glob("k.teacher_0.part")
    marked = json.loads(kept.read_text())
    marked["probabilities"][0] = 0.123
    kept.write_text(json.dumps(marked))
    done = pseudo_label(teachers, more, tmp_path / "k.csv", labelled=cohort, store=store.folder)
    assert done.scans == 13
    # What had been asked is not asked again.
    assert pd.read_csv(tmp_path / "k.csv")["teacher_0"].dropna().iloc[0] == 0.123


@pytest.mark.parametrize("how", ["patient", "file", "copy", "split"])
def test_a_planted_test_scan_is_never_labelled(cohort, store, more, teachers, tmp_path, how):
    test = cohort.case(1)
    first, *others = more.cases
    if how == "copy":
        volume = store.read(key_of(test.scan))
        store.write(key_of(first.scan), volume, source=fingerprint(first.scan))
    change = {"patient": {"patient": test.patient, "split": "test"}, "split": {"split": "test"}}
    if how == "file":
        link = tmp_path / "link"
        link.symlink_to(test.scan)
        change["file"] = {"scan": link}
    planted = replace(more, cases=(replace(first, **change.get(how, {})), *others))
    code = "duplicate-scan" if how == "file" else "leak"
    with pytest.raises(CohortError, match=code) as caught:
        label(teachers, planted, cohort, store, tmp_path / "out.csv")
    assert "SECRET" not in str(caught.value)
    if how != "file":
        assert "pseudo-labelled-test" in str(caught.value)
    assert not (tmp_path / "out.csv").exists()


def test_a_patient_of_the_runs_test_part_is_known_without_the_labelled_table(
    cohort, store, more, teachers, tmp_path
):
    first, *others = more.cases
    planted = replace(more, cases=(replace(first, patient="SECRET1"), *others))
    train = Cohort(tuple(c for c in cohort.cases if c.split != "test"), cohort.source)
    with pytest.raises(CohortError, match="pseudo-labelled-test"):
        label(teachers, planted, train, store, tmp_path / "out.csv")


def test_a_probability_written_to_a_test_row_by_hand_is_found_by_training(
    cohort, recipe, store, more, teachers, tmp_path
):
    table = tmp_path / "both.csv"
    label(teachers, more, cohort, store, table)
    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    for column, value in (("teacher_0", "0.999"), ("teacher_1", "0.999")):
        rows.loc[rows["split"] == "test", column] = value
    rows.to_csv(table, index=False)
    with pytest.raises(CohortError, match=r"pseudo-labelled-test.*leak"):
        student(table, recipe, store, tmp_path / "run")


def test_transductive_use_is_allowed_when_asked_for_and_named_everywhere(
    cohort, recipe, store, more, teachers, tmp_path
):
    table = tmp_path / "both.csv"
    done = label(teachers, more, cohort, store, table, transductive=True)
    assert done.scans == 17
    assert "transductive" in str(done)
    folder = student(table, recipe, store, tmp_path / "run")
    facts = json.loads((folder / "run.json").read_text())
    assert facts["transductive"] is True
    assert facts["pseudo_labels"]["transductive"] is True
    audit = json.loads((folder / "audit.json").read_text())
    assert audit["transductive"] is True
    lesson = json.loads((folder / "fold-0" / "pseudo.json").read_text())
    assert {1, 2, 3, 4} & set(map(int, lesson["probabilities"]))
    evaluate(folder, bootstrap=20)
    assert "Transductive" in (folder / "report" / "index.html").read_text()


def test_teachers_who_know_the_judges_are_refused(cohort, recipe, store, more, teachers, tmp_path):
    table = tmp_path / "both.csv"
    label(teachers, more, cohort, store, table)
    other = recipe.model_copy(update={"seed": 1})
    with pytest.raises(RecipeError, match="no-honest-teacher"):
        student(table, other, store, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_tables_that_cannot_be_labelled_are_refused(cohort, store, more, teachers, tmp_path):
    with pytest.raises(CohortError, match="nothing-to-label"):
        pseudo_label(teachers, cohort, tmp_path / "out.csv", store=store.folder)
    with pytest.raises(CohortError, match="no-labels"):
        pseudo_label(teachers, more, tmp_path / "out.csv", store=store.folder)
    table = tmp_path / "both.csv"
    label(teachers, more, cohort, store, table)
    file_beside(table).write_text("{}")
    with pytest.raises(CohortError, match="bad-teachers"):
        Teachers.beside(table)
