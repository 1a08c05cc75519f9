"""Figures of a comparison: areas with intervals, and all ROC curves in one plot."""

from itertools import cycle
from typing import TYPE_CHECKING

from squeezect.evaluation.contest import Contest
from squeezect.evaluation.plots import BLUE, GREEN, GREY, INK, ORANGE, PALE, PINK, SKY, YELLOW

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, YELLOW)
LINES = ("-", "--", "-.", ":")


def auc_figure(contest: Contest) -> "Figure":
    """A line for each model: its ROC AUC and the 95 % interval; baselines in grey."""
    from matplotlib.figure import Figure

    standings = contest.standings[::-1]
    figure = Figure(figsize=(7.2, 0.9 + 0.28 * len(standings)), layout="constrained")
    axes: Axes = figure.add_subplot()
    for height, standing in enumerate(standings):
        area = standing.part.ranking.roc_auc
        colour = GREY if standing.baseline else BLUE
        axes.plot([area.low, area.high], [height, height], color=colour, lw=1.6)
        axes.plot([area.value], [height], color=colour, marker="o", ms=5.5)
    if contest.diameter:
        axes.axvline(contest.diameter.part.ranking.roc_auc.value, color=GREY, lw=0.9, ls="--")
    axes.axvline(0.5, color=GREY, lw=0.8, ls=(0, (2, 3)))
    axes.set_yticks(range(len(standings)), [s.entrant.name for s in standings])
    axes.set_xlabel("ROC AUC with 95 % interval")
    _style(axes)
    return figure


def overlay(contest: Contest) -> "Figure":
    """ROC curves of all models and baselines; the legend follows their areas."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.2, 4.6), layout="constrained")
    axes: Axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=(0, (2, 3)))
    looks = [(colour, line) for line in LINES for colour in COLOURS]
    for standing, (colour, line) in zip(contest.standings, cycle(looks)):
        curve = standing.part.roc
        if curve is None:
            continue
        label = f"{standing.entrant.name}: {standing.part.ranking.roc_auc.value:.3f}"
        shade = GREY if standing.baseline else colour
        axes.plot(curve.x, curve.y, color=shade, ls=line, lw=1.4, label=label)
    axes.set_aspect("equal")
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_xlabel("share of negatives called positive")
    axes.set_ylabel("share of positives found")
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=8, frameon=False)
    _style(axes)
    return figure


def _style(axes: "Axes") -> None:
    axes.tick_params(labelsize=8, color=GREY, labelcolor=INK, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(GREY)
    axes.grid(color=PALE, lw=0.6)
    axes.set_axisbelow(True)
