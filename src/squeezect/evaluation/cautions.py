"""What a reader has to know before believing the scores of a run."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from squeezect.evaluation.cases import Cases, FloatArray
from squeezect.evaluation.compare import Comparison
from squeezect.evaluation.history import History
from squeezect.evaluation.ranking import effective_number
from squeezect.evaluation.results import Evaluation, Part
from squeezect.evaluation.words import percent

FEW = 30
LARGE_GAP = 0.1
BLUR = 0.02
"""Areas within folds and over all pairs that differ by more than this are told."""
SIMULATIONS = 500
LARGE = 500
"""Folds of more cases of a class are simulated with this many."""
SLACK = 1e-12


def cautions(evaluation: Evaluation, histories: Mapping[str, History]) -> list[str]:
    """Sentences for the top of the report, most important first; none if all is well.

    Args:
        evaluation: scores of the run.
        histories: its training curves by fold.
    """
    return [
        *_of_guessing(evaluation.headline),
        *_of_few(evaluation.headline),
        *_of_transduction(evaluation.facts),
        *_of_test(evaluation),
        *_of_folds(evaluation),
        *_of_pooling(evaluation.headline),
        *_of_overfitting(histories),
        *_of_calibration(evaluation.headline),
        *_of_skipped(evaluation.facts.get("skipped")),
    ]


def _of_guessing(part: Part) -> list[str]:
    auc = part.ranking.roc_auc
    if not auc.defined or auc.low > 0.5:
        return []
    if auc.high < 0.5:
        return [
            f"The interval of the ROC AUC, {auc.low:.3f} to {auc.high:.3f}, lies below 0.5:"
            " negative scans get the higher probabilities. Are the labels the right way round?"
        ]
    return [
        f"The interval of the ROC AUC, {auc.low:.3f} to {auc.high:.3f}, includes 0.5: these scans"
        " do not show that the networks do better than guessing."
    ]


def _of_few(part: Part) -> list[str]:
    return [
        f"There are only {count} {name} scans: read the intervals, not the numbers. One scan more"
        f" or less called right moves their share by {percent(1 / count)}."
        for count, name in ((part.cases.positives, "positive"), (part.cases.negatives, "negative"))
        if 0 < count < FEW
    ]


def _of_test(evaluation: Evaluation) -> list[str]:
    pooled = evaluation.out_of_fold.ranking.roc_auc
    if not evaluation.test:
        return [
            "There is no untouched test part. If recipes were compared on these scans, the better"
            " one looks better than it is."
        ]
    test = evaluation.test.ranking.roc_auc
    if test.defined and test.high < pooled.value:
        return [
            f"The networks do worse on the test part (ROC AUC {test.value:.3f}) than out of fold"
            f" ({pooled.value:.3f}): its patients differ, or the recipe was fitted to the folds."
        ]
    return []


def _of_folds(evaluation: Evaluation) -> list[str]:
    folds = [fold for fold in evaluation.folds if fold.ranking.roc_auc.defined]
    values = [fold.ranking.roc_auc.value for fold in folds]
    if len(folds) < 2 or disagreement(values, [_numbers(fold.cases) for fold in folds]) >= 0.05:
        return []
    return [
        f"The folds disagree by more than chance explains: their ROC AUCs run from"
        f" {min(values):.3f} to {max(values):.3f}."
    ]


def _numbers(cases: Cases) -> tuple[int, int]:
    """Independent positives and negatives, at least one each."""
    found = [effective_number(cases.patient[chosen]) for chosen in (cases.label, ~cases.label)]
    return max(1, round(found[0])), max(1, round(found[1]))


def disagreement(areas: Sequence[float], numbers: Sequence[tuple[int, int]]) -> float:
    """P-value of folds having one true ROC AUC.

    The spread of their areas is set against that of simulated folds of the same sizes, whose
    scores are normal in both classes. Textbook tests (Cochran's Q) cry wolf near an area of 1,
    where the areas of small folds are far from normal.

    Args:
        areas: ROC AUC of each fold.
        numbers: independent positives and negatives of each fold.

    Returns:
        The share of simulations, the real folds counted in, that spread at least as far.
    """
    from scipy.special import ndtri

    pairs = np.prod(numbers, axis=1, dtype=float)
    common = float(np.average(areas, weights=pairs))
    if not 0 < common < 1:
        return 1.0
    apart, generator = math.sqrt(2) * float(ndtri(common)), np.random.default_rng(0)
    drawn = np.stack([_areas(generator, apart, *number) for number in numbers], axis=1)
    spread = _spread(np.vstack([areas, drawn]), pairs)
    return float(np.mean(spread >= spread[0] - SLACK))


def _spread(areas: FloatArray, pairs: FloatArray) -> FloatArray:
    """Weighted variance of the folds' areas, shape (rows,)."""
    # The variance of an area falls with the smaller class rather than with the pairs.
    weight = np.sqrt(pairs) / np.sqrt(pairs).sum()
    middle = areas @ weight
    spread: FloatArray = (areas - middle[:, None]) ** 2 @ weight
    return spread


def _areas(
    generator: np.random.Generator, apart: float, positives: int, negatives: int
) -> FloatArray:
    """Areas of simulated folds, shape (SIMULATIONS,)."""
    few = min(positives, LARGE), min(negatives, LARGE)
    high = generator.normal(apart, size=(SIMULATIONS, few[0]))
    low = np.sort(generator.normal(size=(SIMULATIONS, few[1])), axis=1)
    beaten = [np.searchsorted(row, scores).mean() for row, scores in zip(low, high, strict=True)]
    areas = np.array(beaten) / few[1]
    # Larger folds spread less than those that were drawn in their place.
    shrunk = math.sqrt(
        few[0] * few[1] * (positives + negatives) / (positives * negatives * sum(few))
    )
    middle: float = areas.mean()
    return middle + (areas - middle) * min(1.0, shrunk)


def _of_pooling(part: Part) -> list[str]:
    within, pooled = part.within_folds, part.ranking.roc_auc
    if within is None or not within.defined or abs(within.value - pooled.value) <= BLUR:
        return []
    return [
        f"The folds' networks are not on one scale: the ROC AUC is {within.value:.3f} within folds,"
        f" but {pooled.value:.3f} over all pairs, a part of which two networks ranked. The pooled"
        " number is about these networks together, not about one of them."
    ]


def _of_overfitting(histories: Mapping[str, History]) -> list[str]:
    ends = final_accuracies(histories)
    if not ends or ends[0] - ends[1] <= LARGE_GAP:
        return []
    return [
        f"The networks overfit: at the end of training they call {percent(ends[0])} of their"
        f" training scans right, but {percent(ends[1])} of the tuning scans."
    ]


def final_accuracies(histories: Mapping[str, History]) -> tuple[float, float] | None:
    """Median accuracy over the folds on training and on tuning scans, at their last known epochs.

    Args:
        histories: training curves by fold.

    Returns:
        Both medians, or None where the curves lack one of them.
    """
    ends = []
    for column in ("train_accuracy", "tune_accuracy"):
        rows = [np.asarray(history.get(column, []), float) for history in histories.values()]
        known = [row[np.isfinite(row)] for row in rows]
        last = [row[-1] for row in known if row.size]
        if not last:
            return None
        ends.append(float(np.median(last)))
    return ends[0], ends[1]


def _of_calibration(part: Part) -> list[str]:
    error, limit = part.probability.calibration_error, part.probability.calibration_limit
    if error.value <= limit:
        return []
    return [
        f"The probabilities are off by {error.value:.2f} on average, more than chance explains"
        f" ({limit:.2f}): do not read them as chances."
    ]


def _of_transduction(facts: Mapping[str, object]) -> list[str]:
    run = facts.get("run")
    if not (isinstance(run, Mapping) and run.get("transductive")):
        return []
    return [
        "Transductive: scans of the test part taught these networks through pseudo-labels. The"
        " scores on it hold for these very scans, not for new ones."
    ]


def _of_skipped(skipped: object) -> list[str]:
    if not isinstance(skipped, Sequence) or not skipped:
        return []
    scans = "1 scan" if len(skipped) == 1 else f"{len(skipped)} scans"
    return [f"{scans} of the cohort could not be prepared and had no part in anything here."]


def cautions_of_choice(*, auc: Comparison, log_loss: Comparison) -> list[str]:
    """What to know of a recipe that was chosen, once both it and its base met new patients.

    Args:
        auc: ROC AUC of the chosen recipe and of its base, on patients who did not choose it.
        log_loss: log loss of the two, on the same patients.

    Returns:
        A sentence where the chosen recipe is worse, or is not shown to be better; none where both
        scores are better.
    """
    scores = (
        ("ROC AUC", auc, auc.difference.high < 0, auc.difference.low > 0),
        ("log loss", log_loss, log_loss.difference.low > 0, log_loss.difference.high < 0),
    )
    worse = [
        f"{name} of {gain.first:.3f} instead of {gain.second:.3f}, difference {gain.difference}"
        for name, gain, bad, _ in scores
        if bad
    ]
    if worse:
        return [
            "On patients that did not choose it, the winner is worse than the recipe that the"
            f" search began with ({'; '.join(worse)}): it fits the patients who chose it. Keep"
            " the base recipe."
        ]
    unclear = {name: gain.difference for name, gain, _, good in scores if not good}
    if not unclear:
        return []
    differences = "; ".join(f"{name} {difference}" for name, difference in unclear.items())
    end = ": nothing shows that the search helped" if len(unclear) == 2 else ""
    return [
        "On patients that did not choose it, the winner cannot be told from the recipe that the"
        f" search began with by {' and '.join(unclear)} (difference in {differences}){end}."
    ]
