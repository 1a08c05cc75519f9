"""Figures of a search: how it went, which fields mattered, and which values did well."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from squeezect.evaluation.plots import BLUE, GREY, INK, ORANGE, PALE, _axes, _figure_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Dot:
    """A trial in a figure.

    Args:
        number: of the trial, 0 for the recipe that the search began with.
        score: its score; the last one on the way if it was given up.
        complete: whether it was trained to the end.
        values: what it set, by field.
    """

    number: int
    score: float
    complete: bool
    values: Mapping[str, object]


def search_figure(dots: Sequence[Dot], *, quantity: str, maximise: bool) -> "Figure":
    """Score of every trial in the order of the search, and the best so far.

    Args:
        dots: trials.
        quantity: name of the score.
        maximise: whether larger is better.
    """
    from matplotlib.ticker import MaxNLocator

    axes = _axes(6.4, 3.4)
    done = [dot for dot in dots if dot.complete]
    given_up = [dot for dot in dots if not dot.complete]
    best = np.maximum.accumulate if maximise else np.minimum.accumulate
    if done:
        numbers = [dot.number for dot in done]
        ends = [*numbers, max(dot.number for dot in dots)]
        line = best([dot.score for dot in done])
        axes.step(ends, [*line, line[-1]], where="post", color=ORANGE, lw=1.6, label="best so far")
        axes.plot(numbers, [d.score for d in done], "o", color=BLUE, ms=5, label="finished")
    if given_up:
        x, y = [d.number for d in given_up], [d.score for d in given_up]
        axes.plot(x, y, "x", color=GREY, ms=5, label="given up (score when it was)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial (0 is the recipe that the search began with)")
    axes.set_ylabel(quantity)
    axes.legend(fontsize=8, frameon=False, loc="lower center", ncols=3, bbox_to_anchor=(0.5, 1.0))
    return _figure_of(axes)


def importance_figure(shares: Mapping[str, tuple[float, float, float]]) -> "Figure":
    """Share of the variation that each field explains, with its interval.

    Args:
        shares: by field, the share and the ends of its interval.
    """
    axes = _axes(6.4, 0.9 + 0.32 * len(shares))
    order = sorted(shares, key=lambda name: shares[name][0])
    for place, name in enumerate(order):
        value, low, high = shares[name]
        axes.barh(place, value, height=0.55, color=BLUE, alpha=0.75)
        axes.plot([low, high], [place, place], color=INK, lw=1.2)
    axes.set_yticks(range(len(order)), order)
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of the variation of the score (line: 95 % interval)")
    axes.grid(visible=False, axis="y")
    return _figure_of(axes)


def slice_figure(dots: Sequence[Dot], field: str, *, quantity: str, log: bool) -> "Figure":
    """Score against one field over all trials.

    Args:
        dots: trials that set the field.
        field: its name.
        quantity: name of the score.
        log: whether the field is drawn on a logarithmic scale.
    """
    axes = _axes(3.4, 2.7)
    values = [dot.values[field] for dot in dots]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    places = values
    if not numbers:
        names = sorted({str(value) for value in values})
        places = [names.index(str(value)) for value in values]
        axes.set_xticks(range(len(names)), names)
        axes.set_xlim(-0.5, len(names) - 0.5)
    elif log:
        axes.set_xscale("log")
    for complete, marker, colour in ((False, "x", GREY), (True, "o", BLUE)):
        shown = [(p, d.score) for p, d in zip(places, dots, strict=True) if d.complete == complete]
        if shown:
            x, y = zip(*shown, strict=True)
            axes.plot(x, y, marker, color=colour, ms=4.5, alpha=0.85)
    axes.set_xlabel(field)
    axes.set_ylabel(quantity)
    axes.grid(color=PALE, lw=0.6)
    return _figure_of(axes)
