"""From the scores of a run to the sections of its report: figures, tables, and what they mean."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from squeezect.evaluation import plots
from squeezect.evaluation.baselines import guessing
from squeezect.evaluation.blocks import Block, Picture, PictureBlock, TableBlock
from squeezect.evaluation.estimates import Estimate
from squeezect.evaluation.history import History
from squeezect.evaluation.page import Card, Page
from squeezect.evaluation.results import Evaluation, Part
from squeezect.evaluation.words import WORDS

TITLES = {"test": "Test part", "out of fold": "Out of fold"}


def page_of(
    evaluation: Evaluation, histories: Mapping[str, History], extras: Sequence[Block]
) -> Page:
    """The report page of a run.

    Args:
        evaluation: its scores.
        histories: its training curves by fold.
        extras: further sections, shown after the scores.
    """
    part = evaluation.headline
    blocks: list[Block] = []
    if evaluation.test:
        blocks += part_blocks(evaluation, evaluation.test)
    blocks += part_blocks(evaluation, evaluation.out_of_fold)
    blocks += [fold_block(evaluation), *training_blocks(histories), *extras]
    blocks += [*_method_blocks(evaluation), *fact_blocks(evaluation.facts)]
    return Page(
        title=f"Evaluation of {evaluation.run}",
        lead=_lead(evaluation),
        facts={
            "scans": str(part.cases.n),
            "patients": str(part.cases.patients),
            "positive": str(part.cases.positives),
            "negative": str(part.cases.negatives),
            "folds": str(len(evaluation.folds)),
        },
        cards=_cards(evaluation),
        cautions=cautions(evaluation, histories),
        blocks=blocks,
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
        limit = f"at the threshold for {percent(evaluation.thresholds.sensitivity)} sensitivity"
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


def percent(share: float) -> str:
    """A share as whole percent."""
    return f"{100 * share:.0f} %"


def cautions(evaluation: Evaluation, histories: Mapping[str, History]) -> list[str]:
    """What a reader has to know before believing the numbers, most important first."""
    part = evaluation.headline
    found = []
    auc = part.ranking.roc_auc
    if auc.low <= 0.5:
        found.append(
            f"The interval of the ROC AUC, {auc.low:.3f} to {auc.high:.3f}, includes 0.5: these"
            " scans do not show that the networks do better than guessing."
        )
    for count, name in ((part.cases.positives, "positive"), (part.cases.negatives, "negative")):
        if count < 30:
            found.append(
                f"There are only {count} {name} scans: read the intervals, not the numbers. One"
                f" scan more or less called right moves a share by {percent(1 / max(1, count))}."
            )
    if not evaluation.test:
        found.append(
            "There is no untouched test part. If recipes were compared on these scans, the better"
            " one looks better than it is."
        )
    areas = [
        fold.ranking.roc_auc.value for fold in evaluation.folds if fold.ranking.roc_auc.defined
    ]
    if len(areas) > 1 and max(areas) - min(areas) > 0.15:
        found.append(
            f"The folds disagree: their ROC AUCs run from {min(areas):.3f} to {max(areas):.3f}."
        )
    gap = overfit(histories)
    if gap and gap[0] - gap[1] > 0.1:
        found.append(
            f"The networks overfit: at the end of training they call {percent(gap[0])} of their training"
            f" scans right, but {percent(gap[1])} of the tuning scans."
        )
    error = part.probability.calibration_error
    if error.defined and error.low > 0.05:
        found.append(
            f"The probabilities are off by {error.value:.2f} on average: they rank scans, but do"
            " not read them as chances."
        )
    skipped = evaluation.facts.get("skipped")
    if skipped:
        found.append(
            f"{len(skipped) if isinstance(skipped, list) else skipped} scans of the cohort could"
            " not be prepared and are not judged here."
        )
    return found


def overfit(histories: Mapping[str, History]) -> tuple[float, float] | None:
    """Median accuracy over the folds on training and on tuning scans at their last known epochs."""
    ends = []
    for column in ("train_accuracy", "tune_accuracy"):
        rows = [np.asarray(history.get(column, []), float) for history in histories.values()]
        known = [row[np.isfinite(row)] for row in rows]
        last = [row[-1] for row in known if row.size]
        if not last:
            return None
        ends.append(float(np.median(last)))
    return ends[0], ends[1]


def part_blocks(evaluation: Evaluation, part: Part) -> list[Block]:
    """Figures and tables of one part."""
    target = evaluation.thresholds.sensitivity
    title = TITLES[part.name]
    if part.name == "test":
        text = (
            "Each scan's probability is the mean over the networks of all folds. No patient here"
            " was seen in training."
        )
        limit = f"{evaluation.thresholds.pooled:.3f}"
        how = f"{limit}, the highest that reaches {percent(target)} sensitivity on the out-of-fold scans"
    else:
        text = (
            "Each scan was judged once, by the one network that did not train on its patient. The"
            " folds' networks differ, so pooling their probabilities can blur the ranking a little."
        )
        limits = evaluation.thresholds.per_fold.values()
        span = f"{min(limits):.3f} to {max(limits):.3f}" if limits else ""
        how = (
            f"{span} by fold, chosen on the other folds to reach {percent(target)} sensitivity there, so"
            " that no scan helps to choose the threshold that judges it"
        )
    if part.at_target:
        text += f"\n\nThe second threshold is {how}. What it reaches here may differ: that is the"
        text += " honest answer."
    blocks: list[Block] = [
        PictureBlock(title=title, text=text, pictures=_pictures(evaluation, part))
    ]
    return [*blocks, _score_table(part), _decision_table(part, target)]


def _pictures(evaluation: Evaluation, part: Part) -> list[Picture]:
    pictures = []
    if part.roc and part.precision_recall:
        ranking, prior = part.ranking, part.cases.positives / part.cases.n
        pictures = [
            Picture(
                plots.image(plots.roc_figure({"AUC": (part.roc, ranking.roc_auc)})),
                "ROC curve: what share of the positives is found at what price in false alarms."
                " Shaded: 95 % band. Dotted: guessing.",
            ),
            Picture(
                plots.image(
                    plots.precision_recall_figure(
                        {"PR AUC": (part.precision_recall, ranking.pr_auc)}, prior=prior
                    )
                ),
                "Precision-recall curve: how many calls are right while more positives are found."
                " Shaded: 95 % band. Dotted: guessing.",
            ),
        ]
    limits = {"threshold 0.5": 0.5}
    if part.name == "test":
        limits["threshold for the target"] = evaluation.thresholds.pooled
    pictures += [
        Picture(
            plots.image(plots.calibration_figure({"": part.calibration})),
            "Calibration: scans grouped by predicted probability, against the share of them that"
            " is positive, with 95 % intervals. Dotted: probabilities that mean what they say.",
        ),
        Picture(
            plots.image(plots.score_figure(part.cases, limits)),
            "Probabilities of positive scans (upwards) and negative scans (downwards).",
        ),
        Picture(
            plots.image(plots.confusion_figure(part.at_half.confusion)),
            "Confusion matrix at threshold 0.5; shares are of the true class.",
        ),
    ]
    if part.at_target:
        pictures.append(
            Picture(
                plots.image(plots.confusion_figure(part.at_target.confusion)),
                f"Confusion matrix at the threshold for"
                f" {percent(evaluation.thresholds.sensitivity)} sensitivity.",
            )
        )
    return pictures


def _score_table(part: Part) -> TableBlock:
    guess = guessing(part.cases)
    scores = {**part.ranking.estimates(), **part.probability.estimates()}
    return TableBlock(
        title="",
        columns=("Probabilities", "Value", "95 % interval", "Guessing", "What it says"),
        rows=[
            (
                WORDS[name].title + (" (lower is better)" if WORDS[name].better == "lower" else ""),
                *_cells(estimate),
                f"{guess[name]:.3f}" if name in guess else "–",
                WORDS[name].meaning,
            )
            for name, estimate in scores.items()
        ],
    )


def _decision_table(part: Part, target: float) -> TableBlock:
    half = part.at_half.estimates()
    other = part.at_target.estimates() if part.at_target else None
    guess = guessing(part.cases)
    heads = ["Decisions", "At threshold 0.5"]
    heads += [f"At the {percent(target)} sensitivity threshold"] if other else []
    rows = [
        (
            WORDS[name].title,
            str(estimate),
            *([str(other[name])] if other else []),
            f"{guess[name]:.3f}" if name in guess else "–",
            WORDS[name].meaning,
        )
        for name, estimate in half.items()
    ]
    return TableBlock(title="", columns=(*heads, "Guessing", "What it says"), rows=rows)


def _cells(estimate: Estimate) -> tuple[str, str]:
    if not estimate.defined:
        return "n/a", estimate.method
    return f"{estimate.value:.3f}", f"{estimate.low:.3f} to {estimate.high:.3f}"


def fold_block(evaluation: Evaluation) -> TableBlock:
    """A table with a line per fold, and their mean and standard deviation."""
    rows = []
    for part in evaluation.folds:
        target = part.at_target
        rows.append(
            (
                part.name,
                str(part.cases.n),
                str(part.cases.positives),
                str(part.ranking.roc_auc),
                str(part.at_half.sensitivity),
                str(part.at_half.specificity),
                str(target.sensitivity) if target else "–",
                str(target.specificity) if target else "–",
                f"{part.probability.brier.value:.3f}",
            )
        )
    areas = [
        fold.ranking.roc_auc.value for fold in evaluation.folds if fold.ranking.roc_auc.defined
    ]
    text = "Each fold's own validation scans, judged by the network that did not see them."
    if len(areas) > 1:
        text += (
            f" Mean ROC AUC of the folds {np.mean(areas):.3f}, standard deviation"
            f" {np.std(areas, ddof=1):.3f}."
        )
    return TableBlock(
        title="Fold by fold",
        text=text,
        columns=(
            "Fold",
            "Scans",
            "Positive",
            "ROC AUC",
            "Sensitivity at 0.5",
            "Specificity at 0.5",
            "Sensitivity at target",
            "Specificity at target",
            "Brier",
        ),
        rows=rows,
    )


def training_blocks(histories: Mapping[str, History]) -> list[Block]:
    """Training curves, if the run has any."""
    if not histories:
        return []
    pictures = [
        Picture(
            plots.image(plots.training_figure(histories, quantity="loss")),
            "Loss over the epochs: thin lines are folds, thick lines their median.",
        ),
        Picture(
            plots.image(plots.training_figure(histories, quantity="accuracy")),
            "Accuracy over the epochs.",
        ),
    ]
    text = (
        "Where the tuning curve turns away from the training curve, a network learns its training"
        " scans by heart. Tuning scans choose the epoch; they are part of no score on this page."
    )
    return [PictureBlock(title="Training", text=text, pictures=pictures)]


def _method_blocks(evaluation: Evaluation) -> list[Block]:
    part = evaluation.headline
    scores = {
        **part.ranking.estimates(),
        **part.probability.estimates(),
        **(part.at_target or part.at_half).estimates(),
    }
    text = (
        "A 95 % interval is made so that, if the whole study were repeated many times with other"
        " patients of the same kind, 95 of 100 such intervals would hold the true value. It covers"
        " the luck of which patients were scored. It does not cover the luck of training, nor"
        " patients of another kind: other hospitals, scanners or shares of disease.\n\n"
        f"Resampled intervals draw patients, not scans, {evaluation.bootstrap} times with"
        f" seed {evaluation.seed}. Guessing means the best constant: the share of positives as"
        " probability, the larger class as decision."
    )
    rows = [
        (WORDS[name].title, str(estimate.n), estimate.method) for name, estimate in scores.items()
    ]
    return [
        TableBlock(
            title="How the intervals are made",
            text=text,
            columns=("Score", "Scans it rests on", "Interval"),
            rows=rows,
            numeric=False,
        )
    ]


def fact_blocks(facts: Mapping[str, object]) -> list[Block]:
    """What the run says of itself, flattened to one table."""
    rows = [
        (name, value) for name, value in _flat(facts).items() if value not in ("", "None", "[]")
    ]
    if not rows:
        return []
    return [TableBlock(title="The run", columns=("Setting", "Value"), rows=rows, numeric=False)]


def _flat(facts: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}, ")
        elif isinstance(value, float) and math.isfinite(value):
            flat[prefix + name] = f"{value:g}"
        elif name != "skipped":
            flat[prefix + name] = str(value)
    return flat
