"""Runs that differ by their seed: what is said of their spread follows from their scores."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score


@pytest.fixture(scope="module")
def seeds():
    folder = str(Path(__file__).parent.parent / "scripts")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("seeds")


def tables(count: int = 3, cases: int = 200) -> dict[str, pd.DataFrame]:
    random = np.random.default_rng(0)
    labels = random.permuted(np.arange(cases) % 3 == 0).astype(int)
    found = {}
    for seed in range(count):
        odds = 2 * labels - 1 + random.normal(0, 1, cases)
        found[f"seed {seed}"] = pd.DataFrame(
            {
                "row": np.arange(cases),
                "patient": np.arange(cases) // 2,
                "fold": np.arange(cases) // 2 % 5,
                "label": labels,
                "probability": 1 / (1 + np.exp(-odds)),
                "diameter_mm": 3 + np.arange(cases) % 20,
            }
        )
    return found


def area(table: pd.DataFrame) -> float:
    return float(roc_auc_score(table["label"], table["probability"]))


def test_mean_deviation_and_range_are_those_of_the_areas(seeds):
    given = tables()
    areas = [area(table) for table in given.values()]
    middle = [area(table[table["diameter_mm"].between(6, 15)]) for table in given.values()]
    told = seeds.report(given)
    for found in (areas, middle):
        spread = f"standard deviation over 3 seeds {np.std(found, ddof=1):.4f}"
        assert f"{np.mean(found):.4f}, {spread}, {min(found):.4f} to {max(found):.4f}" in told


def test_independent_errors_average_out(seeds):
    given = tables()
    rows = [line for line in seeds.report(given).splitlines() if line.startswith("| ")][1:]
    best = max(float(row.split("|")[2].split()[0]) for row in rows if "seed " in row)
    together = next(row for row in rows if seeds.TOGETHER in row)
    assert float(together.split("|")[2].split()[0]) > best


def test_a_run_beside_itself_does_not_differ(seeds):
    table = tables(1)["seed 0"]
    told = seeds.report({"seed 0": table, "seed 1": table.copy()})
    assert "standard deviation over 2 seeds 0.0000" in told
    assert "correlate with 1.000 to 1.000" in told
    assert "is 1 (DeLong" in told


def test_answers_that_are_certain_count(seeds):
    given = tables(2)
    given["seed 1"]["probability"] = given["seed 1"]["label"].astype(float)
    assert "| seed 1 | 1.000" in seeds.report(given)


def test_runs_of_other_cases_are_refused(seeds):
    given = tables(2)
    given["seed 1"] = given["seed 1"].iloc[1:].reset_index(drop=True)
    with pytest.raises(SystemExit, match="different cases"):
        seeds.report(given)


def test_calls_are_made_at_thresholds_of_other_folds(seeds):
    """A threshold chosen on the cases themselves misses just the tenth that it may miss."""
    table = tables(1)["seed 0"]
    labels, p, folds = (table[name].to_numpy() for name in ("label", "probability", "fold"))
    missed = alarms = 0
    for fold in range(5):
        here = folds == fold
        known = np.sort(p[~here & (labels == 1)])[::-1]
        limit = known[int(np.ceil(0.9 * len(known))) - 1]
        missed += int(((p < limit) & here & (labels == 1)).sum())
        alarms += int(((p >= limit) & here & (labels == 0)).sum())
    told = f"{missed} of {int(labels.sum())}, {alarms} of {int((1 - labels).sum())}"
    assert seeds.called(labels, p, folds) == told


def test_one_list_is_judged_at_the_published_specificity(seeds):
    given = {name: table.assign(fold=0) for name, table in tables(2).items()}
    told = seeds.report(given)
    assert "sensitivity at specificity 0.982" in told
    assert "other folds" not in told
    table = given["seed 0"]
    limit = np.sort(table["probability"][table["label"] == 0])[::-1]
    allowed = int(np.floor(0.018 * len(limit) + 1e-9))
    reached = (table["probability"][table["label"] == 1] > limit[allowed]).mean()
    row = next(line for line in told.splitlines() if line.startswith("| seed 0"))
    assert float(row.split("|")[4].split()[0]) == pytest.approx(reached, abs=5e-4)


def test_scores_of_weights_stand_for_the_run_they_are_from(seeds, tmp_path):
    given = tables(2)
    run, scored = tmp_path / "run", tmp_path / "scored"
    for folder in (run, scored):
        folder.mkdir()
    given["seed 0"].assign(row=lambda t: t["row"] + 500).to_csv(run / "predictions.csv")
    (run / "recipe.json").write_text('{"seed": 3}')
    given["seed 1"].drop(columns="fold").to_csv(scored / "probabilities.csv")
    (scored / "scores.json").write_text('{"weights": "nodule"}')
    assert [seeds.seed_of(folder) for folder in (run, scored)] == ["seed 3", "nodule as shipped"]
    both = {seeds.seed_of(folder): seeds.read(folder).assign(fold=0) for folder in (scored, run)}
    told = seeds.report(both)
    assert "| nodule as shipped |" in told
    assert f"{area(given['seed 1']):.3f} (" in told
