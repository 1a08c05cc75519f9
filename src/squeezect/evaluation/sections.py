"""The sections of a run's report: figures and tables of each part, fold and training curve."""

from collections.abc import Mapping, Sequence

import numpy as np

from squeezect.evaluation import plots
from squeezect.evaluation.baselines import guessing
from squeezect.evaluation.blocks import Block, Picture, PictureBlock, TableBlock
from squeezect.evaluation.estimates import Estimate
from squeezect.evaluation.history import History
from squeezect.evaluation.results import Evaluation, Part
from squeezect.evaluation.words import WORDS, percent

CALIBRATIONS = {"temperature": "temperature", "platt": "Platt", "isotonic": "isotonic"}
TITLES = {"test": "Test part", "out of fold": "Out of fold"}


def part_blocks(evaluation: Evaluation, part: Part) -> list[Block]:
    """Figures and tables of one part."""
    text = _about(part)
    if part.at_target:
        text += f"\n\nThe second threshold is {_origin_of_threshold(evaluation, part)}. What it"
        text += " reaches here may differ: that is the honest answer."
    blocks: list[Block] = [
        PictureBlock(title=TITLES[part.name], text=text, pictures=_pictures(evaluation, part)),
        _score_table(part),
        _decision_table(part, evaluation.thresholds.sensitivity),
    ]
    return [*blocks, *_recalibration(part), *_columns(part), *_subgroups(evaluation, part)]


def _about(part: Part) -> str:
    if part.name == "test":
        return (
            "Each scan's probability is the mean over the networks of all folds. No patient here"
            " was seen in training."
        )
    return (
        "Each scan was judged once, by the one network that did not train on its patient. The"
        " folds' networks differ, and a pair of scans from two folds is ranked by two of them: the"
        " ROC AUC within folds counts only pairs that one network ranked."
    )


def _origin_of_threshold(evaluation: Evaluation, part: Part) -> str:
    target = percent(evaluation.thresholds.sensitivity)
    if part.name == "test":
        return (
            f"{evaluation.thresholds.pooled:.3f}, the highest that reaches {target} sensitivity on"
            " the out-of-fold scans"
        )
    limits = evaluation.thresholds.per_fold.values()
    return (
        f"{min(limits):.3f} to {max(limits):.3f} by fold, chosen on the other folds to reach"
        f" {target} sensitivity there, so that no scan helps to choose the threshold that judges it"
    )


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
    limit = part.probability.calibration_limit
    hints = {"calibration_error": f" Chance alone makes it up to {limit:.3f} here."}
    scores = {**part.ranking.estimates(), **part.probability.estimates()}
    if part.within_folds:
        scores = {"roc_auc": part.ranking.roc_auc, "within_folds": part.within_folds} | scores
    return TableBlock(
        title="",
        columns=("Probabilities", "Value and 95 % interval", "Guessing", "What it says"),
        rows=[
            (
                WORDS[name].title + (" (lower is better)" if WORDS[name].better == "lower" else ""),
                estimate,
                f"{guess[name]:.3f}" if name in guess else "–",
                WORDS[name].meaning + hints.get(name, ""),
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
    rows: list[Sequence[str | Estimate]] = [
        (
            WORDS[name].title,
            estimate,
            *([other[name]] if other else []),
            f"{guess[name]:.3f}" if name in guess else "–",
            WORDS[name].meaning,
        )
        for name, estimate in half.items()
    ]
    return TableBlock(title="", columns=(*heads, "Guessing", "What it says"), rows=rows)


def _recalibration(part: Part) -> list[Block]:
    if not part.recalibrated:
        return []
    rows: list[Sequence[str | Estimate]] = [
        (CALIBRATIONS[name], *scores.estimates().values())
        for name, scores in part.recalibrated.items()
    ]
    rows.insert(0, ("as predicted", *part.probability.estimates().values()))
    text = (
        "What calibration would make of the probabilities; the map is learnt on other scans (the"
        " other folds, or all folds for the test part). Lower is better."
    )
    columns = ("Calibration", *(WORDS[name].title for name in part.probability.estimates()))
    return [TableBlock(title="", text=text, columns=columns, rows=rows)]


def _columns(part: Part) -> list[Block]:
    if not part.columns:
        return []
    rows = [
        (
            name,
            f"{comparison.first:.3f}",
            f"{comparison.second:.3f}",
            comparison.difference,
            f"{comparison.p_value:.3g}",
        )
        for name, comparison in part.columns.items()
    ]
    text = (
        "What a single column knows by itself, through a logistic curve learnt on other scans. A"
        " network that does not beat it has learnt little else."
    )
    columns = ("Column", "AUC, networks", "AUC, column alone", "Difference", "p-value")
    return [TableBlock(title="", text=text, columns=columns, rows=rows)]


def _subgroups(evaluation: Evaluation, part: Part) -> list[Block]:
    limit = percent(evaluation.thresholds.sensitivity) + " sensitivity" if part.at_target else "0.5"
    text = f"Parts of the scans; decisions at the threshold for {limit}. Many small groups: some"
    text += " look good or bad by chance."
    blocks: list[Block] = []
    for column, groups in part.subgroups.items():
        rows = [
            (
                group.level,
                str(group.cases),
                str(group.positives),
                group.roc_auc,
                group.sensitivity,
                group.specificity,
            )
            for group in groups
        ]
        heads = (column, "Scans", "Positive", "ROC AUC", "Sensitivity", "Specificity")
        blocks.append(TableBlock(title="", text="" if blocks else text, columns=heads, rows=rows))
    return blocks


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
                part.ranking.roc_auc,
                part.at_half.sensitivity,
                part.at_half.specificity,
                target.sensitivity if target else "–",
                target.specificity if target else "–",
                part.probability.brier,
            )
        )
    areas = evaluation.fold_aucs
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
