"""A run folder in, a report out."""

import json
import math
import re

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from squeezect.errors import EvaluationError
from squeezect.evaluation import (
    Block,
    TableBlock,
    decision_scores,
    evaluate,
    read_predictions,
    roc_auc,
    threshold_at_sensitivity,
)
from squeezect.evaluation.cautions import cautions, disagreement, final_accuracies
from squeezect.evaluation.history import read_histories

FAST = {"bootstrap": 50}


def files(run):
    return sorted(str(p.relative_to(run)) for p in run.rglob("*"))


def test_scores_are_those_of_the_arrays(make_run):
    run = make_run()
    found = evaluate(run, **FAST)
    cases = read_predictions(run / "predictions.csv").out_of_fold.cases
    again = roc_auc(cases.label, cases.score, patients=cases.patient)
    assert found.out_of_fold.ranking.roc_auc == again
    half = decision_scores(cases.label, cases.score, patients=cases.patient)
    assert found.out_of_fold.at_half == half
    assert sum(part.cases.n for part in found.folds) == cases.n
    assert found.headline is found.test


def test_thresholds_come_from_other_cases(make_run):
    run = make_run()
    found = evaluate(run, target_sensitivity=0.8, **FAST)
    pooled = read_predictions(run / "predictions.csv").out_of_fold
    label, score = pooled.cases.label, pooled.cases.score
    others = pooled.fold != 1
    limit = threshold_at_sensitivity(label[others], score[others], 0.8)
    assert found.thresholds.per_fold[1] == limit
    here = ~others
    expected = decision_scores(label[here], score[here], limit)
    assert found.folds[1].at_target.confusion == expected.confusion
    on_test = decision_scores(
        found.test.cases.label, found.test.cases.score, threshold_at_sensitivity(label, score, 0.8)
    )
    assert found.test.at_target.confusion == on_test.confusion


def test_json_holds_every_score_with_its_interval(make_run):
    run = make_run()
    found = evaluate(run, **FAST)
    data = json.loads((run / "report" / "evaluation.json").read_text())
    assert data == json.loads(json.dumps(found.as_dict() | {"extras": []}))
    for part in (data["out_of_fold"], data["test"], *data["folds"].values()):
        groups = [part["ranking"], part["probability"], part["at_half"], part["at_target"]]
        scores = [v for group in groups for v in group.values() if isinstance(v, dict)]
        intervals = [score for score in scores if "low" in score]
        assert len(intervals) == 4 + 3 + 7 + 7
        for score in intervals:
            assert score["value"] is None or score["low"] <= score["value"] <= score["high"]
    assert set(data["thresholds"]["target"]["per_fold"]) == {"0", "1", "2"}
    assert data["facts"]["recipe"]["model"] == "squeezenet3d"


def test_same_run_gives_the_same_bytes(make_run, rows):
    one, two = make_run(rows), make_run(rows[::-1], name="b/run-a")
    evaluate(one, **FAST)
    evaluate(two, **FAST)
    for name in ("index.html", "evaluation.json"):
        assert (one / "report" / name).read_bytes() == (two / "report" / name).read_bytes()


def test_page_explains_itself_and_names_no_place(make_run, tmp_path):
    run = make_run()
    recipe = {"cohort": str(tmp_path / "cohort.csv"), "size": [64, 64, 64], "rate": 1e-05}
    (run / "recipe.json").write_text(json.dumps(recipe))
    evaluate(run, **FAST)
    html = (run / "report" / "index.html").read_text()
    for needed in (
        "Sensitivity",
        "Test part",
        "Out of fold",
        "Fold by fold",
        "Training",
        "How the intervals are made",
        "Not a medical device",
        "64, 64, 64",
        "cohort.csv",
        "1e-05",
        "There are only 8 positive scans",
        "overfit",
    ):
        assert needed in html, needed
    assert str(tmp_path) not in html
    assert str(tmp_path) not in (run / "report" / "evaluation.json").read_text()
    assert not re.search(r"\bnan\b", html)
    patients = [f"{k:012x}" for k in range(80)]
    assert not any(p in html for p in patients)


def test_skipped_scans_are_told_by_row_and_code_only(make_run):
    run = make_run()
    skipped = [{"row": 7, "code": "slice-gap", "what": "gap in /home/ann/ct"}]
    (run / "run.json").write_text(json.dumps({"status": "finished", "skipped": skipped}))
    found = evaluate(run, **FAST)
    assert found.facts["skipped"] == [{"row": 7, "code": "slice-gap"}]
    html = (run / "report" / "index.html").read_text()
    assert "1 scan of the cohort could not be prepared" in html
    assert "ann" not in re.sub(r"data:image[^\"]*", "", html).replace("scanner", "")


def test_extras_are_on_the_page_and_in_the_json(make_run):
    run = make_run()
    table = TableBlock(title="Pointing", columns=["row", "mm"], rows=[["1", "3.2 mm"]])
    evaluate(run, extras=[table, Block(title="Note", text="Seen.", data={"inside": 3})], **FAST)
    html = (run / "report" / "index.html").read_text()
    assert "3.2 mm" in html
    assert 'id="pointing"' in html
    extras = json.loads((run / "report" / "evaluation.json").read_text())["extras"]
    assert extras[0]["rows"] == [["1", "3.2 mm"]]
    assert extras[1]["data"] == {"inside": 3}


def test_report_goes_where_it_is_asked_to(make_run, tmp_path):
    run = make_run()
    before = files(run)
    evaluate(str(run), out=str(tmp_path / "elsewhere"), **FAST)
    assert files(run) == before
    assert (tmp_path / "elsewhere" / "index.html").exists()


def test_refused_run_is_left_as_it_was(make_run, rows):
    run = make_run([*rows, rows[0]])
    before = files(run)
    with pytest.raises(EvaluationError):
        evaluate(run, **FAST)
    assert files(run) == before


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("recipe.json", "{", "bad-run-file"),
        ("run.json", "[1]", "bad-run-file"),
        ("fold-0/history.csv", "epoch,loss\n1,high\n", "bad-history"),
        ("fold-0/history.csv", "loss\n1\n", "bad-history"),
        ("fold-0/history.csv", "", "bad-history"),
    ],
)
def test_broken_files_beside_the_predictions_are_named(make_run, name, text, code):
    run = make_run()
    (run / name).write_text(text)
    with pytest.raises(EvaluationError, match=name) as caught:
        evaluate(run, **FAST)
    assert caught.value.code == code
    assert not (run / "report").exists()


@pytest.mark.parametrize("target", [0, 1.5])
def test_target_out_of_range_is_refused(make_run, target):
    with pytest.raises(EvaluationError, match="sensitivity"):
        evaluate(make_run(), target_sensitivity=target, **FAST)


def test_bare_predictions_are_enough(make_run, rows):
    run = make_run([r for r in rows if r[2] == "validation"], histories=False)
    (run / "recipe.json").unlink()
    found = evaluate(run, **FAST)
    assert found.test is None
    html = (run / "report" / "index.html").read_text()
    assert "no untouched test part" in html
    assert ">Training<" not in html
    assert ">Test part<" not in html


def test_a_single_fold_has_no_threshold_of_its_own(make_run, rows):
    run = make_run([[*r[:3], 0, *r[4:]] for r in rows if r[2] == "validation"])
    found = evaluate(run, **FAST)
    assert found.out_of_fold.at_target is None
    assert found.out_of_fold.recalibrated == {}
    assert (
        json.loads((run / "report" / "evaluation.json").read_text())["out_of_fold"]["at_target"]
        is None
    )


def test_a_fold_of_one_class_is_shown_as_undefined(make_run, rows):
    kept = [r for r in rows if r[2] == "validation" and (r[3] != 1 or r[4] == 0)]
    found = evaluate(make_run(kept), **FAST)
    assert not found.folds[1].ranking.roc_auc.defined
    assert found.folds[1].at_half.specificity.defined


def test_columns_make_subgroups_and_a_rival(make_run, rows):
    header = ["row", "patient", "part", "fold", "label", "probability", "diameter_mm", "note"]
    rng = np.random.default_rng(0)
    size = {r[0]: 6 + 4 * r[4] + rng.normal() for r in rows}
    run = make_run([[*r, f"{size[r[0]]:.2f}", f"free text {r[0]}"] for r in rows], header=header)
    found = evaluate(run, **FAST)
    for part in (found.out_of_fold, found.test):
        assert list(part.subgroups) == ["diameter_mm"]
        assert len(part.subgroups["diameter_mm"]) == 3
        assert part.columns["diameter_mm"].second > 0.9
    html = (run / "report" / "index.html").read_text()
    assert "column alone" in html
    assert "free text" not in html
    assert "free text" not in (run / "report" / "evaluation.json").read_text()


def test_summary_is_short_and_complete(make_run):
    text = evaluate(make_run(), **FAST).summary()
    assert len(text.splitlines()) <= 24
    assert max(map(len, text.splitlines())) <= 100
    assert "out of fold: 60 scans of 60 patients, 24 positive" in text
    assert "test: 20 scans" in text
    assert text.count("ROC AUC") == 2


def test_histories_are_read_in_order_with_gaps(make_run):
    run = make_run()
    (run / "fold-10").mkdir()
    (run / "fold-10" / "history.csv").write_text("epoch,train_loss\n1,0.5\n")
    found = read_histories(run)
    assert list(found) == ["fold 0", "fold 1", "fold 2", "fold 10"]
    assert np.isnan(found["fold 0"]["tune_loss"][1])
    assert final_accuracies(found) == (0.99, 0.7)
    assert final_accuracies({}) is None


@pytest.mark.parametrize(
    ("area", "positives", "negatives"),
    [(0.75, 24, 36), (0.95, 10, 20), (0.97, 5, 20), (0.999, 100, 300)],
)
def test_folds_that_differ_by_chance_raise_no_caution(area, positives, negatives):
    rng, apart, cried = np.random.default_rng(0), math.sqrt(2) * norm.ppf(area), 0
    label = np.arange(positives + negatives) < positives
    for _ in range(40):
        scores = [apart * label + rng.normal(size=label.size) for _ in range(5)]
        areas = [roc_auc_score(label, score) for score in scores]
        cried += disagreement(areas, [(positives, negatives)] * 5) < 0.05
    assert cried / 40 <= 0.15


def test_a_fold_that_learned_nothing_disagrees():
    assert disagreement([0.96, 0.97, 0.95, 0.96, 0.5], [(24, 36)] * 5) < 0.05
    assert disagreement([0.9, 0.89, 0.91, 0.90, 0.80], [(2000, 4000)] * 5) < 0.01
    assert disagreement([1.0, 1.0, 1.0], [(20000, 20000)] * 3) == 1


def test_guessing_is_called_guessing(make_run, rows):
    rng = np.random.default_rng(0)
    run = make_run([[*r[:5], f"{rng.uniform(0.3, 0.6):.4f}"] for r in rows])
    found = evaluate(run, **FAST)
    assert "better than guessing" in cautions(found, {})[0]


def test_labels_the_wrong_way_round_are_told(make_run, rows):
    found = evaluate(make_run([[*r[:4], 1 - r[4], r[5]] for r in rows]), **FAST)
    assert "lies below 0.5" in cautions(found, {})[0]
