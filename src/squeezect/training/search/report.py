"""The report of a search: one page and a JSON file that say what was found and how far it holds."""

import json
from collections.abc import Sequence

from squeezect.evaluation import (
    Block,
    Card,
    Estimate,
    Page,
    Picture,
    PictureBlock,
    TableBlock,
    plots,
    probability_scores,
    roc_auc,
    search_plots,
    write_page,
)
from squeezect.training.search.plan import BEST_FILE, Found
from squeezect.training.search.records import Record
from squeezect.training.search.sampling import importances
from squeezect.training.search.space import Range, value_in
from squeezect.training.search.trial import scored

QUANTITY = {"log-loss": "log loss out of fold (lower is better)", "auc": "ROC AUC out of fold"}
FEW = 20


def write_report(found: Found) -> None:
    """Write ``report/index.html`` and ``report/search.json``."""
    shares = importances(
        found.plan.space, found.records[1:], maximise=found.plan.objective == "auc"
    )
    intervals = {
        record.name: _intervals(found, record)
        for record in found.records
        if record.state == "complete"
    }
    page = Page(
        title=f"Search from {found.plan.base.name}",
        lead=_lead(found),
        facts={
            "trials": str(len(found.records) - 1),
            **{state: str(count) for state, count in found.counts().items() if count},
            "sampler": found.plan.sampler,
            "pruner": found.plan.pruner,
            "patients searched": str(found.searched),
            "kept apart": str(sum(found.apart)),
        },
        cards=_cards(found, intervals),
        cautions=_cautions(found, shares),
        blocks=[
            _nesting(found),
            *_judged(found),
            _best_block(found),
            _pictures(found, shares),
            _trials(found, intervals),
        ],
    )
    data = found.as_dict() | {
        "space": found.plan.space.model_dump(mode="json"),
        "records": [r.model_dump(mode="json", exclude={"drawn", "notes"}) for r in found.records],
        "intervals": {
            name: {score: estimate.as_dict() for score, estimate in pair.items()}
            for name, pair in intervals.items()
        },
        "importances": {name: list(share) for name, share in shares.items()},
    }
    write_page(found.folder / "report", page, data, name="search")


def _intervals(found: Found, record: Record) -> dict[str, Estimate]:
    table = scored(found.folder / "trials" / record.name)
    columns = table["label"], table["probability"]
    return {
        "roc_auc": roc_auc(*columns, patients=table["patient"]),
        "log_loss": probability_scores(*columns, patients=table["patient"]).log_loss,
    }


def _lead(found: Found) -> str:
    return (
        f"{len(found.records) - 1} recipes drawn from the space {found.plan.space.name!r}, and the"
        f" recipe {found.plan.base.name!r} itself, each trained on {found.plan.inner_folds} inner"
        " folds and scored on patients whom that network did not train on. The best is in"
        f" {BEST_FILE}; squeezect train takes it with --recipe."
    )


def _cards(found: Found, intervals: dict[str, dict[str, Estimate]]) -> list[Card]:
    cards = [
        Card(
            "ROC AUC, winner",
            "in the search",
            intervals[found.best.name]["roc_auc"],
            f"Out of fold, {found.best.name}. It was chosen among many, so it flatters.",
        )
    ]
    if found.judged:
        note = {
            "base": "The recipe that the search began with, on patients that no trial saw.",
            found.best.name: "The winner on patients that no trial saw: the number to believe.",
        }
        cards += [
            Card(f"ROC AUC, {'base' if name == 'base' else 'winner'}", "judged", area, note[name])
            for name, area in found.judged.auc.items()
        ]
    return cards


def _cautions(found: Found, shares: dict[str, tuple[float, float, float]]) -> list[str]:
    told = found.judged.cautions() if found.judged else []
    if found.best is found.records[0]:
        told.append("No trial did better than the recipe that the search began with.")
    finished = found.counts()["complete"]
    if finished < FEW:
        told.append(
            f"{finished} finished trials are few: another seed may find other values, and the"
            " importance of a field is a guess."
        )
    if not shares:
        told.append("Too few finished trials to say which fields matter.")
    return told


def _nesting(found: Found) -> Block:
    judging, test = found.apart
    chosen = (
        "a trial keeps its epoch by the part that scores it, as training does by its tuning part"
        if found.plan.base.tune_fraction
        else "a trial keeps its last epoch"
    )
    text = (
        f"The search saw {found.searched} patients: those that training with the base recipe gives"
        " to the training and tuning parts of its first fold. Each trial was trained on"
        f" {found.plan.inner_folds} inner folds of them and scored, pooled, on the parts held out;"
        f" {chosen}. So the scores of trials compare recipes; they are no estimate of how well the"
        " winner does.\n\n"
        f"Kept apart were {judging} patients, the validation part of the first fold, and {test} of"
        " the test part. No trial was trained, stopped, scored or chosen on either."
        + (" Scans of the test part were not opened." if test else "")
        + "\n\n"
        f"squeezect train with {BEST_FILE} and the same seed draws the same folds. Its first fold"
        " and its test part are judged on patients that the search never saw. Its other folds judge"
        " networks that never saw their patients either, but under a recipe that was chosen with"
        " them: those numbers flatter a little. To be free of it, read the first fold and the test"
        " part, or search again with another seed for another first fold."
    )
    return Block(title="What was nested", text=text)


def _judged(found: Found) -> list[Block]:
    judged = found.judged
    if not judged:
        return []
    rows: list[Sequence[str | Estimate]] = [
        (name, judged.auc[name], judged.log_loss[name]) for name in judged.auc
    ]
    text = (
        f"Base recipe and winner, trained once on the first fold's training part and judged on its"
        f" {judged.patients} validation patients ({judged.positives} positive scans)."
    )
    if judged.auc_gain and judged.log_loss_gain:
        rows.append(
            ("winner minus base", judged.auc_gain.difference, judged.log_loss_gain.difference)
        )
        text += (
            f" Differences on the same patients: p = {judged.auc_gain.p_value:.2g} for the AUC"
            f" (DeLong, paired) and {judged.log_loss_gain.p_value:.2g} for the log loss (paired"
            " bootstrap)."
        )
    columns = ("Recipe", "ROC AUC", "Log loss")
    return [
        TableBlock(title="On patients that no trial saw", text=text, columns=columns, rows=rows)
    ]


def _best_block(found: Found) -> TableBlock:
    fields = list(found.plan.space.axes)
    return TableBlock(
        title="The winner",
        text=f"What {found.best.name} changes of the recipe {found.plan.base.name!r}.",
        columns=("Field", "Base", "Winner"),
        rows=[
            (
                name,
                _text(value_in(found.plan.base, name)),
                _text(value_in(found.recipe, name)),
            )
            for name in fields
        ],
    )


def _pictures(found: Found, shares: dict[str, tuple[float, float, float]]) -> PictureBlock:
    quantity, maximise = QUANTITY[found.plan.objective], found.plan.objective == "auc"
    dots = [
        search_plots.Dot(number, record.score, record.state == "complete", record.values)
        for number, record in enumerate(found.records)
        if record.score is not None
    ]
    course = search_plots.search_figure(dots, quantity=quantity, maximise=maximise)
    pictures = [Picture(plots.image(course), "The search, trial by trial.", wide=True)]
    if shares:
        caption = (
            "How much of the variation of the score each field explains among finished trials"
            " (functional ANOVA); the lines are refits to resampled trials."
        )
        figure = search_plots.importance_figure(shares)
        pictures.append(Picture(plots.image(figure), caption, wide=True))
    drawn = [dot for dot in dots if dot.values]
    for name, axis in found.plan.space.axes.items():
        if drawn:
            log = isinstance(axis, Range) and axis.log
            figure = search_plots.slice_figure(drawn, name, quantity=found.plan.objective, log=log)
            pictures.append(Picture(plots.image(figure), f"Score against {name}; x: given up."))
    return PictureBlock(title="How it went", pictures=pictures)


def _trials(found: Found, intervals: dict[str, dict[str, Estimate]]) -> TableBlock:
    fields = list(found.plan.space.axes)
    rows: list[Sequence[str | Estimate]] = []
    for record in found.records:
        pair = intervals.get(record.name)
        rows.append(
            (
                record.name,
                f"failed: {record.error['code']}" if record.error else record.state,
                "–" if record.score is None else f"{record.score:.4f}",
                pair["roc_auc"] if pair else "–",
                pair["log_loss"] if pair else "–",
                f"{record.seconds:.0f} s",
                *(_text(record.values.get(name, "–")) for name in fields),
            )
        )
    text = (
        "Every trial. A trial that was given up has the last score on its way, which is that of"
        " fewer epochs and folds. Intervals are over patients, not over the luck of training."
    )
    errors = [f"{r.name}: {r.error['what']}" for r in found.records if r.error]
    if errors:
        text += "\n\nWhat failed: " + "; ".join(errors) + "."
    columns = ("Trial", "State", found.plan.objective, "ROC AUC", "Log loss", "Training", *fields)
    return TableBlock(title="All trials", text=text, columns=columns, rows=rows)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)
