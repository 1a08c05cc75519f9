"""The report of a comparison: one page, one JSON file, one table in Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from squeezect.evaluation import contest_plots, plots
from squeezect.evaluation.blocks import Block, Picture, PictureBlock, TableBlock
from squeezect.evaluation.cautions import BLUR
from squeezect.evaluation.contest import Contest, Standing
from squeezect.evaluation.contest_froc import DetectionContest
from squeezect.evaluation.estimates import Estimate
from squeezect.evaluation.markdown import markdown
from squeezect.evaluation.page import Card, Page, write_atomically, write_page

SCORES = ("ROC AUC", "Sensitivity", "Specificity", "Accuracy", "Log loss")
WITHIN = (
    " Within folds: over pairs of cases that one network ranked; the other ROC AUC counts pairs of"
    " two folds as well, whose networks may be on different scales."
)


def write_contest(
    contest: Contest,
    out: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    left_out: Mapping[str, str],
    detection: DetectionContest | None = None,
) -> None:
    """Write ``index.html``, ``compare.json``, ``compare.md``, ``roc.svg`` and ``auc.svg``.

    Args:
        contest: who did how well.
        out: folder to write into.
        title: of the page.
        facts: the budget and what else all models shared, by name.
        left_out: why models did not take part, by name.
        detection: how well their candidates find nodules, where a data set tells.
    """
    blocks = contest_blocks(contest, facts=facts, left_out=left_out)
    if detection:
        blocks[2:2] = detection.blocks()
    figures = {"auc": contest_plots.auc_figure(contest), "roc": contest_plots.overlay(contest)}
    images = {name: plots.image(figure) for name, figure in figures.items()}
    pictures = PictureBlock(
        title="Curves",
        pictures=[
            Picture(images["auc"], "ROC AUC of every model with its 95 % interval.", wide=True),
            Picture(images["roc"], "ROC curves of all models; grey: baselines.", wide=True),
        ],
    )
    page = Page(
        title=title,
        lead=verdict(contest),
        facts=facts,
        cards=_cards(contest),
        cautions=_cautions(contest),
        blocks=[blocks[0], pictures, *blocks[1:]],
    )
    data = contest.as_dict() | {"facts": dict(facts), "left_out": dict(left_out)}
    if detection:
        data["detection"] = detection.as_dict()
    write_page(out, page, data, name="compare")
    write_atomically(out / "compare.md", f"{verdict(contest)}\n\n{markdown(blocks)}")
    for name, image in images.items():
        write_atomically(out / f"{name}.svg", image.decode())


def verdict(contest: Contest) -> str:
    """Which model wins, by how much, and where the diameter stands, in a few sentences."""
    best, models = contest.best, contest.models
    cases = best.part.cases
    text = (
        f"{best.entrant.name} has the highest ROC AUC, {best.part.ranking.roc_auc}, on {cases.n}"
        f" cases of {cases.patients} patients, {cases.positives} positive."
    )
    second = models[1] if len(models) > 1 else None
    if second and second.auc:
        gap = -second.auc.difference.value
        text += (
            f" It leads {second.entrant.name} by {gap:.3f}"
            f" (p {told_p(second.auc_p, equals=True)}, DeLong, corrected by Holm over all pairs)."
        )
    if contest.diameter and best.over_diameter:
        known = contest.diameter.part.ranking.roc_auc
        over = best.over_diameter
        side = "above" if over.difference.value > 0 else "below"
        text += (
            f" The diameter alone reaches {known}: the best model is"
            f" {abs(over.difference.value):.3f} {side} it"
            f" (p {told_p(best.over_diameter_p, equals=True)}, corrected over the models)."
        )
    return text


def told_p(value: float | None, *, equals: bool = False) -> str:
    """A p-value in two digits; what is below rounding is not told as 0."""
    if value is None:
        return "unknown"
    if value < 1e-15:
        return "< 1e-15"
    return f"= {value:.2g}" if equals else f"{value:.2g}"


def contest_blocks(
    contest: Contest, *, facts: Mapping[str, str], left_out: Mapping[str, str]
) -> list[Block]:
    """Tables of scores, differences, costs, calibration, subgroups and setups."""
    blocks: list[Block] = [
        _score_table(contest),
        _difference_table(contest),
        _cost_table(contest),
        *_calibration(contest),
        *_subgroups(contest),
        _setups(contest, facts),
    ]
    if left_out:
        rows = list(left_out.items())
        blocks.append(
            TableBlock(
                title="Did not take part", columns=("Model", "Why"), rows=rows, numeric=False
            )
        )
    return blocks


def _score_table(contest: Contest) -> TableBlock:
    rows: list[Sequence[str | Estimate]] = []
    for standing in contest.standings:
        half, part = standing.part.at_half, standing.part
        target = part.at_target
        rows.append(
            (
                standing.entrant.name,
                part.ranking.roc_auc,
                *([part.within_folds] if part.within_folds else []),
                half.sensitivity,
                half.specificity,
                half.accuracy,
                part.probability.log_loss,
                target.sensitivity if target else "–",
                target.specificity if target else "–",
            )
        )
    share = contest.best.evaluation.thresholds.sensitivity
    within = bool(contest.best.part.within_folds)
    text = (
        "Sensitivity, specificity and accuracy at probability 0.5; the last two columns at the"
        f" threshold that reaches {100 * share:.0f} % sensitivity on other folds. Each score"
        " with its 95 % interval. Log loss as the Data Science Bowl 2017 counted it."
    )
    return TableBlock(
        title="Scores",
        text=text + (WITHIN if within else ""),
        columns=(
            "Model",
            "ROC AUC",
            *(["ROC AUC within folds"] if within else []),
            *SCORES[1:],
            "Sensitivity at target",
            "Specificity at target",
        ),
        rows=rows,
    )


def _difference_table(contest: Contest) -> TableBlock:
    rows: list[Sequence[str | Estimate]] = [
        (
            s.entrant.name,
            s.auc.difference,
            told_p(s.auc.p_value),
            told_p(s.auc_p),
            s.accuracy.difference,
            told_p(s.accuracy.p_value),
            s.log_loss.difference,
            told_p(s.log_loss.p_value),
            s.over_diameter.difference if s.over_diameter else "–",
            told_p(s.over_diameter_p) if s.over_diameter else "–",
        )
        for s in contest.standings
        if s.auc and s.accuracy and s.log_loss
    ]
    return TableBlock(
        title=f"Differences from {contest.best.entrant.name}",
        text=(
            "On the same cases: ROC AUC by the paired test of DeLong, allowing for patients with"
            " several cases; accuracy by McNemar's exact test, or by bootstrap of patients where"
            " they have several cases; log loss by bootstrap of patients. Corrected: by Holm over"
            " all pairs of rows, as the best was chosen on these cases. The last two columns: ROC"
            " AUC minus that of the diameter alone, and its p, corrected over the models."
        ),
        columns=(
            "Model",
            "ROC AUC",
            "p",
            "p, corrected",
            "Accuracy",
            "p",
            "Log loss",
            "p",
            "Over diameter",
            "p, corrected",
        ),
        rows=rows,
    )


COSTS = {
    "parameters": ("Parameters", "{:,.0f}"),
    "gflop": ("GFLOP", "{:.3f}"),
    "seconds_per_epoch": ("Seconds per epoch", "{:.1f}"),
    "seconds_per_volume": ("Seconds per case", "{:.4f}"),
    "peak_mib": ("Peak memory, MiB", "{:.0f}"),
}


def _cost_table(contest: Contest) -> TableBlock:
    rows = [
        (
            s.entrant.name,
            *(_number(s.entrant.costs.get(name), form) for name, (_, form) in COSTS.items()),
        )
        for s in contest.models
    ]
    return TableBlock(
        title="Costs",
        text=(
            "Operations of one forward pass on one case; median seconds of an epoch of one fold and"
            " of one forward pass; the most memory that training held, libraries and data included."
        ),
        columns=("Model", *(title for title, _ in COSTS.values())),
        rows=rows,
    )


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def _calibration(contest: Contest) -> list[Block]:
    methods = list(contest.best.part.recalibrated)
    if not methods:
        return []
    rows: list[Sequence[str | Estimate]] = [
        (
            s.entrant.name,
            s.part.probability.calibration_error,
            s.part.probability.log_loss,
            *(
                s.part.recalibrated[m].log_loss if m in s.part.recalibrated else "–"
                for m in methods
            ),
        )
        for s in contest.standings
    ]
    text = (
        "Calibration error and log loss of the probabilities as they are, and log loss after a map"
        " that was learnt on other cases: the validation cases of the other folds, or of all folds"
        " for a test part."
    )
    heads = ("Model", "Calibration error", "Log loss", *(f"after {name}" for name in methods))
    return [TableBlock(title="Calibration", text=text, columns=heads, rows=rows)]


def _subgroups(contest: Contest) -> list[Block]:
    blocks: list[Block] = []
    for column, groups in contest.best.part.subgroups.items():
        heads = (column, *(f"{g.level} ({g.positives} of {g.cases})" for g in groups))
        rows: list[Sequence[str | Estimate]] = [
            (s.entrant.name, *(g.roc_auc for g in s.part.subgroups[column]))
            for s in contest.standings
            if column in s.part.subgroups
        ]
        text = "ROC AUC within parts of the cases; in brackets, how many of them are positive."
        blocks.append(
            TableBlock(
                title="" if blocks else "Subgroups",
                text="" if blocks else text,
                columns=heads,
                rows=rows,
            )
        )
    return blocks


def _setups(contest: Contest, facts: Mapping[str, str]) -> TableBlock:
    rows = [(s.entrant.name, s.entrant.setup or "needs no network") for s in contest.standings]
    text = (
        "All models shared folds, epochs, batches, augmentation and seed: "
        + "; ".join(f"{name} {value}" for name, value in facts.items())
        + ". What each had of its own:"
    )
    return TableBlock(
        title="The budget", text=text, columns=("Model", "Options"), rows=rows, numeric=False
    )


def _cards(contest: Contest) -> list[Card]:
    shown = [*contest.models[:2], *([contest.diameter] if contest.diameter else [])]
    return [
        Card(
            s.entrant.name,
            "ROC AUC",
            s.part.ranking.roc_auc,
            "A baseline that looks at no voxel." if s.baseline else _place(contest, s),
        )
        for s in shown
    ]


def _place(contest: Contest, standing: Standing) -> str:
    place = contest.models.index(standing) + 1
    return f"Number {place} of {len(contest.models)} models."


def _cautions(contest: Contest) -> list[str]:
    found = [
        "Models are compared under one small budget. More training, or a recipe of its own, can"
        " change the order.",
    ]
    if contest.diameter and contest.best.over_diameter:
        better = [
            s
            for s in contest.models
            if s.over_diameter and s.over_diameter.difference.value > 0 and shown(s.over_diameter_p)
        ]
        if not better:
            found.append("No model is shown to know more than the diameter alone.")
    blurred = [
        f"{s.entrant.name} {s.part.within_folds.value:.3f} for {s.part.ranking.roc_auc.value:.3f}"
        for s in contest.models
        if s.part.within_folds
        and abs(s.part.within_folds.value - s.part.ranking.roc_auc.value) > BLUR
    ]
    if blurred:
        found.append(
            "The folds' networks of some models are not on one scale; within folds their ROC AUC is"
            f" another one: {', '.join(blurred)}. Their place in the order is about that, too."
        )
    return found


def shown(p_value: float | None) -> bool:
    """Whether a corrected p-value counts as evidence."""
    return p_value is not None and p_value < 0.05
