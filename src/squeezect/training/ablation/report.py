"""An ablation as a table with a verdict on each trick: Markdown, JSON and a page."""

from pathlib import Path
from typing import Literal

from squeezect.checkpoint import write_atomically
from squeezect.evaluation import Card, Page, TableBlock, write_page
from squeezect.evaluation.blocks import Block
from squeezect.evaluation.markdown import markdown
from squeezect.training.ablation.running import ONE_VIEW, Ablation, Outcome

Verdict = Literal["worse", "better", "open"]

HEADINGS: dict[Verdict, str] = {
    "worse": "Worse than the recipe",
    "better": "Better than the recipe",
    "open": "No difference that these cases and seeds can show",
}


def verdict(ablation: Ablation, outcome: Outcome) -> Verdict:
    """What the numbers say of a form of the recipe.

    It is better or worse if the test, corrected for the number of forms, has p below 0.05. That of
    several seeds counts the luck of training; after one, the difference must be larger than what
    separates the recipe's own seeds too. Of a recipe that was trained once nobody knows that, so
    nothing is said of its forms, one view apart, which is the same network.
    """
    if outcome.against is None or outcome.p_value is None or outcome.p_value >= 0.05:
        return "open"
    difference = outcome.against.difference.value
    same = outcome.name == ONE_VIEW or len(outcome.by_seed) > 1
    if not same and (len(ablation.full.by_seed) < 2 or abs(difference) <= ablation.spread):
        return "open"
    return "better" if difference > 0 else "worse"


def blocks_of(ablation: Ablation) -> list[Block]:
    """The table, the verdicts in words, and what is left out."""
    return [_table(ablation), *_verdicts(ablation), *_skipped(ablation), _method(ablation)]


def write_ablation(ablation: Ablation, out: Path) -> str:
    """Write ``ablation.md``, ``ablation.json`` and ``index.html``; returns the Markdown.

    Args:
        ablation: what to tell.
        out: folder, made if it is not there.
    """
    blocks = blocks_of(ablation)
    first, cases = ablation.full.first, ablation.full.first.cases
    page = Page(
        title=f"Ablation of {ablation.recipe.name}",
        lead=f"The recipe {ablation.recipe.name} on {ablation.data}, and with one trick switched.",
        facts={
            "cases": str(cases.n),
            "positive": str(cases.positives),
            "patients": str(cases.patients),
            "forms": str(1 + len(ablation.outcomes)),
            "epochs": str(ablation.recipe.epochs),
        },
        cards=[
            Card("ROC AUC", "of the recipe", first.roc_auc, "0.5 is guessing, 1 is perfect."),
            Card(
                "Sensitivity",
                f"at specificity {ablation.specificity:g}",
                first.sensitivity,
                "Share of positives that are found.",
            ),
        ],
        cautions=[],
        blocks=blocks,
    )
    write_page(out, page, ablation.as_dict(), name="ablation")
    text = markdown(blocks, level=4)
    write_atomically(out / "ablation.md", text.encode())
    return text


def _table(ablation: Ablation) -> TableBlock:
    rows = [_row(outcome) for outcome in (ablation.full, *ablation.outcomes)]
    return TableBlock(
        title="",
        columns=(
            "form",
            "ROC AUC (95 %)",
            f"sensitivity at specificity {ablation.specificity:g}",
            "AUC minus the recipe's",
            "p",
            "AUC over seeds",
            "seconds",
        ),
        rows=rows,
    )


def _row(outcome: Outcome) -> list[str]:
    first, areas = outcome.first, outcome.areas
    seeds = f"{areas[0]:.4f} to {areas[-1]:.4f} ({len(areas)})" if len(areas) > 1 else ""
    cells = [outcome.name, _four(first.roc_auc), str(first.sensitivity)]
    if outcome.against is None:
        cells += ["", ""]
    else:
        cells += [_four(outcome.against.difference, sign=True), _p(outcome.p_value)]
    return [*cells, seeds, f"{first.seconds:.0f}" if first.seconds else ""]


def _four(estimate: object, *, sign: bool = False) -> str:
    from squeezect.evaluation import Estimate

    if not isinstance(estimate, Estimate) or not estimate.defined:
        return "undefined"
    form = "+.4f" if sign else ".4f"
    ends = f"{estimate.low:{form}} to {estimate.high:{form}}"
    return f"{estimate.value:{form}} ({ends})"


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _verdicts(ablation: Ablation) -> list[Block]:
    groups: dict[Verdict, list[str]] = {"worse": [], "better": [], "open": []}
    for outcome in ablation.outcomes:
        if outcome.against is not None:
            change = outcome.against.difference.value
            said = f"{outcome.name} ({change:+.4f}, p {_p(outcome.p_value)})"
            groups[verdict(ablation, outcome)].append(said)
    return [
        Block(title=HEADINGS[kind], text="; ".join(found) + ".")
        for kind, found in groups.items()
        if found
    ]


def _skipped(ablation: Ablation) -> list[Block]:
    told = [f"{name} ({why})" for name, why in ablation.skipped.items()]
    text = f"These switches have no row: {'; '.join(told)}."
    return [Block(title="Left out", text=text)] if told else []


def _method(ablation: Ablation) -> Block:
    recipe, cases = ablation.recipe, ablation.full.first.cases
    seeds = len(ablation.full.by_seed)
    between = (
        f"The recipe's {seeds} seeds lie {ablation.spread:.4f} apart. "
        if seeds > 1
        else "The recipe was trained once, so nothing is known of the spread over seeds, and no "
        "form is called better or worse. "
    )
    forms = [len(outcome.by_seed) for outcome in ablation.outcomes if outcome.name != ONE_VIEW]
    several = (
        "Differences of forms with several seeds are means over them; interval and p then count "
        "the luck of training too, and such a form counts as better or worse if p is below 0.05. "
        if max(forms, default=1) > 1
        else ""
    )
    text = (
        f"{cases.n} cases ({cases.positives} positive) that no network of a row had learned from; "
        f"{recipe.epochs} epochs. {between}"
        "Differences are paired (DeLong) under the first seed; p is corrected for the number of "
        "forms (Holm), and says nothing of the luck of training. A form counts as better or worse "
        "if p is below 0.05 and it differs by more than the seeds do; one view, which trains "
        f"nothing, if p is. {several}".rstrip()
    )
    return Block(title="How it was measured", text=text)
