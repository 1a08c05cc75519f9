"""What all tables of the study share: rows, names of arms and sizes, and what counts as silent."""

from collections.abc import Sequence

import pandas as pd
from arms import Arm
from cases import SIZES_MM

from squeezect.evaluation.estimates import Estimate, wilson

SILENT = 1e-3
SILENCE = "constant output: learned nothing"
"""What stands instead of any number of a network whose answers all lie within `SILENT`.

A thousandth of log-odds is a quarter of a thousandth of probability: ranking such answers ranks
rounding.
"""
NOTHING = "-"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def sizes() -> list[str]:
    """Heads of the columns of the sizes."""
    return [f"{size:g} mm" for size in SIZES_MM]


def silent(rows: pd.DataFrame) -> bool:
    """Whether a network gave (nearly) the same answer to every chest, nodule or not."""
    return bool(rows["evidence"].max() - rows["evidence"].min() < SILENT)


def silent_row(title: Sequence[str]) -> list[str]:
    """A row of a table by size that has nothing to show."""
    return [*title, SILENCE, *[NOTHING] * (len(SIZES_MM) - 1)]


def crop_name(crop: str) -> str:
    """What a crop is called in tables."""
    return "lungs" if crop == "lungs" else "whole"


def title(arm: Arm) -> str:
    """What an arm is called in tables."""
    taught = {
        "bank": "real nodules inserted",
        "painted": "painted nodules inserted",
        "nothing": "label only",
    }[arm.inserted]
    if arm.teaching == "paper":
        taught = "the paper's recipe"
    elif arm.by_heart:
        taught += ", by heart"
    elif arm.inserted != "nothing" and not arm.pointing:
        taught += ", not pointed at"
    elif arm.head == "mean":
        taught += ", trained for the mean"
    network = "SqueezeNet3D, " if arm.network == "paper" else ""
    again = f", seed {arm.seed}" if arm.seed else ""
    return f"{arm.size}, {crop_name(arm.crop)}: {network}{taught}{again}"


def short(estimate: Estimate) -> str:
    """An estimate and its interval."""
    return f"{estimate.value:.2f} ({estimate.low:.2f}-{estimate.high:.2f})"


def counted(hits: pd.Series) -> str:
    """How many of how many, and Wilson's 95 % interval of the share."""
    if not len(hits):
        return ""
    low, high = wilson(float(hits.sum()), float(len(hits)))
    return f"{hits.sum():.0f} of {len(hits)} ({low:.2f}-{high:.2f})"
