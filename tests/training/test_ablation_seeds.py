"""Forms of a recipe under several seeds: the luck of training is not taken for a trick."""

import numpy as np
import pandas as pd
import pytest

from squeezect.evaluation import Cases, read_predictions
from squeezect.evaluation.predictions import FILE
from squeezect.training import Recipe
from squeezect.training.ablation.bench import Scored
from squeezect.training.ablation.report import verdict
from squeezect.training.ablation.running import Ablation, Outcome, _compared


def test_forms_under_several_seeds_are_judged_by_their_mean_and_luck():
    """What is better under each seed is found, however far the seeds themselves lie apart."""
    rng, label = np.random.default_rng(0), np.arange(400) % 2
    case = rng.normal(size=400)

    def under_seeds(gain):
        gaps = enumerate((0.6, 1.0, 1.5))
        return {
            k: Scored.of(
                Cases.of(label, label * (gap + gain) + case + rng.normal(size=400) / 4),
                specificity=0.9,
                seconds=0.0,
            )
            for k, gap in gaps
        }

    full = under_seeds(0.0)
    good, same = _compared(full, {"good": under_seeds(0.4), "same": under_seeds(0.0)})
    told = Ablation(Recipe.load("demo"), "data", 0.9, Outcome("full", full), [good, same])
    gaps = [good.by_seed[k].roc_auc.value - full[k].roc_auc.value for k in full]
    assert good.against.difference.value == pytest.approx(np.mean(gaps))
    assert good.against.difference.value < told.spread
    assert [verdict(told, form) for form in told.outcomes] == ["better", "open"]
    assert "luck of 3 seeds" in good.against.method


def test_cases_are_in_the_order_of_the_cohort_whatever_the_folds(tmp_path):
    """Seeds draw folds of their own, predictions are kept fold by fold: they are read by row."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"row": np.arange(1, 13), "patient": [f"p{i:02d}" for i in range(12)]})
    table = table.assign(part="validation", label=np.arange(12) % 2, probability=rng.random(12))
    found = []
    for seed in range(2):
        run = tmp_path / f"seed-{seed}"
        run.mkdir()
        folds = table.assign(fold=rng.permutation(12) % 3).sort_values("fold", kind="stable")
        folds.to_csv(run / FILE, index=False)
        found.append(read_predictions(run / FILE).out_of_fold.cases)
    for cases in found:
        np.testing.assert_array_equal(cases.label, table["label"] == 1)
        np.testing.assert_array_equal(cases.score, table["probability"])
