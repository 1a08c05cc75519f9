"""The back of a run's report: how the intervals are made, and what the run was."""

import math
from collections.abc import Mapping

from squeezect.evaluation.blocks import Block, TableBlock
from squeezect.evaluation.results import Evaluation
from squeezect.evaluation.words import WORDS


def method_block(evaluation: Evaluation) -> TableBlock:
    """What a 95 % interval is, and how that of each score is made."""
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
    return TableBlock(
        title="How the intervals are made",
        text=text,
        columns=("Score", "Scans it rests on", "Interval"),
        rows=rows,
        numeric=False,
    )


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
        elif name != "skipped":
            flat[prefix + name] = _text(value)
    return flat


def _text(value: object) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(_text(item) for item in value)
    return str(value)
