"""The front of a run's report: what it is about, the numbers shown large, and the whole page."""

from collections.abc import Mapping, Sequence

from squeezect.evaluation.appendix import fact_blocks, method_block
from squeezect.evaluation.baselines import guessing
from squeezect.evaluation.blocks import Block
from squeezect.evaluation.cautions import cautions
from squeezect.evaluation.history import History
from squeezect.evaluation.page import Card, Page
from squeezect.evaluation.results import Evaluation
from squeezect.evaluation.sections import fold_block, part_blocks, training_blocks


def page_of(
    evaluation: Evaluation, histories: Mapping[str, History], extras: Sequence[Block]
) -> Page:
    """The report page of a run.

    Args:
        evaluation: its scores.
        histories: its training curves by fold.
        extras: further sections, shown after the scores.
    """
    cases = evaluation.headline.cases
    parts = [part for part in (evaluation.test, evaluation.out_of_fold) if part]
    return Page(
        title=f"Evaluation of {evaluation.run}",
        lead=_lead(evaluation),
        facts={
            "scans": str(cases.n),
            "patients": str(cases.patients),
            "positive": str(cases.positives),
            "negative": str(cases.negatives),
            "folds": str(len(evaluation.folds)),
        },
        cards=_cards(evaluation),
        cautions=cautions(evaluation, histories),
        blocks=[
            *(block for part in parts for block in part_blocks(evaluation, part)),
            fold_block(evaluation),
            *training_blocks(histories),
            *extras,
            method_block(evaluation),
            *fact_blocks(evaluation.facts),
        ],
    )


def _lead(evaluation: Evaluation) -> str:
    if evaluation.test:
        return (
            "The large numbers are those of the test part: patients that no network was trained,"
            " stopped or tuned on. A scan counts as positive where the cohort labels it 1."
        )
    return (
        "The large numbers are out of fold: every scan was judged by the network of the fold that"
        " did not train on its patient. A scan counts as positive where the cohort labels it 1."
    )


def _cards(evaluation: Evaluation) -> list[Card]:
    part = evaluation.headline
    decisions = part.at_target or part.at_half
    counts = decisions.confusion
    limit = "at threshold 0.5"
    if part.at_target:
        limit = "at the thresholds of the folds"
        if part is evaluation.test:
            limit = f"at threshold {evaluation.thresholds.pooled:.3f}"
    positives, negatives = part.cases.positives, part.cases.negatives
    right = counts.true_positives + counts.true_negatives
    return [
        Card(
            "ROC AUC",
            "over all thresholds",
            part.ranking.roc_auc,
            "How often a positive scan gets a higher probability than a negative one; 0.5 is"
            " guessing, 1 is perfect.",
        ),
        Card(
            "Sensitivity",
            limit,
            decisions.sensitivity,
            f"{counts.true_positives} of {positives} positive scans were called positive.",
        ),
        Card(
            "Specificity",
            limit,
            decisions.specificity,
            f"{counts.true_negatives} of {negatives} negative scans were called negative;"
            f" {counts.false_positives} were false alarms.",
        ),
        Card(
            "Accuracy",
            limit,
            decisions.accuracy,
            f"{right} of {part.cases.n} scans were called right; always calling the larger class"
            f" gets {guessing(part.cases)['accuracy']:.3f}.",
        ),
    ]
