"""A chosen recipe that is worse on new patients, or not told from its base, is reported as such."""

import numpy as np
import pytest

from squeezect.evaluation import cautions_of_choice, compare_auc, compare_scores

LABELS = np.arange(80) % 2


def probabilities(skill, *, seed=0):
    """Calibrated more or less, and the better the higher the skill."""
    random = np.random.default_rng(seed)
    logit = skill * (2.0 * LABELS - 1) + random.normal(0, 1, LABELS.size)
    return 1 / (1 + np.exp(-logit))


def cautions(winner, base):
    return cautions_of_choice(
        auc=compare_auc(LABELS, winner, base),
        log_loss=compare_scores(LABELS, winner, base, "log_loss"),
    )


def test_a_worse_winner_is_told_and_the_base_recipe_kept():
    (told,) = cautions(probabilities(0.1), probabilities(2.0))
    assert "the winner is worse than the recipe that the search began with" in told
    assert "ROC AUC" in told
    assert "log loss" in told
    assert "Keep the base recipe" in told


def test_a_winner_that_only_ranks_as_well_but_lies_is_told():
    base = probabilities(0.3)
    logit = 8 * np.log(base / (1 - base))
    (told,) = cautions(1 / (1 + np.exp(-logit)), base)
    assert "worse" in told
    assert "log loss" in told
    assert "ROC AUC" not in told


@pytest.mark.parametrize("same", [True, False])
def test_a_winner_that_cannot_be_told_from_its_base_is_told(same):
    base = probabilities(1.0)
    (told,) = cautions(base if same else probabilities(1.0, seed=1), base)
    assert "cannot be told from the recipe" in told
    assert "by ROC AUC and log loss" in told
    assert "nothing shows that the search helped" in told


def test_a_winner_that_is_better_needs_no_caution():
    assert cautions(probabilities(2.5), probabilities(0.1)) == []


def test_a_winner_with_one_better_score_is_told_of_the_other():
    base = probabilities(0.3)
    logit = 8 * np.log(base / (1 - base))
    (told,) = cautions(base, 1 / (1 + np.exp(-logit)))
    assert "by ROC AUC (difference" in told
    assert "log loss" not in told
    assert "nothing shows" not in told
