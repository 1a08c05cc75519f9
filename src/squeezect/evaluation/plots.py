"""Figures of scores, as matplotlib `Figure` objects without any global state.

Colours are those of Okabe and Ito, which people with any kind of colour vision can tell apart;
series also differ in line style.
"""

import io
import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from squeezect.evaluation.cases import Cases
from squeezect.evaluation.curves import Curve
from squeezect.evaluation.decisions import Confusion
from squeezect.evaluation.estimates import Estimate
from squeezect.evaluation.probabilities import CalibrationBin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PINK, SKY, YELLOW = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
)
INK, GREY, PALE = "#1f2933", "#7b8794", "#e4e7eb"
LINES = ("-", "--", "-.", ":")
SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def image(figure: "Figure", kind: Literal["svg", "png"] = "svg") -> bytes:
    """A figure as a file: the same bytes for the same data.

    Args:
        figure: what to draw.
        kind: ``svg`` (sharp at any size) or ``png`` at 144 dots per inch.
    """
    import matplotlib as mpl

    stream = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "squeezect"}):
        if kind == "svg":
            figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
        else:
            figure.savefig(stream, format="png", dpi=144, metadata={"Software": None})
    return stream.getvalue()


def roc_figure(curves: Mapping[str, tuple[Curve, Estimate]]) -> "Figure":
    """ROC curves with their bands.

    Args:
        curves: by name, a curve and its area; one curve alone is filled more strongly.
    """
    axes = _square("share of negatives called positive", "share of positives found")
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=(0, (2, 3)))
    for (name, (curve, area)), colour, line in zip(curves.items(), _colours(), cycle(LINES)):
        _band(axes, curve, colour, alone=len(curves) == 1)
        axes.plot(curve.x, curve.y, color=colour, ls=line, lw=1.8, label=_legend(name, area))
    axes.legend(loc="lower right", fontsize=8, frameon=False)
    return _figure_of(axes)


def precision_recall_figure(
    curves: Mapping[str, tuple[Curve, Estimate]], *, prior: float
) -> "Figure":
    """Precision-recall curves with their bands, and the precision of guessing.

    Args:
        curves: by name, a curve and its area.
        prior: share of class 1 among the cases.
    """
    axes = _square("share of positives found (recall)", "share of calls that are right (precision)")
    axes.axhline(prior, color=GREY, lw=0.8, ls=(0, (2, 3)))
    for (name, (curve, area)), colour, line in zip(curves.items(), _colours(), cycle(LINES)):
        _band(axes, curve, colour, alone=len(curves) == 1)
        axes.step(
            np.r_[0.0, curve.x],
            np.r_[curve.y[0], curve.y],
            where="pre",
            color=colour,
            ls=line,
            lw=1.8,
            label=_legend(name, area),
        )
    axes.legend(loc="lower left", fontsize=8, frameon=False)
    return _figure_of(axes)


def calibration_figure(curves: Mapping[str, Sequence[CalibrationBin]]) -> "Figure":
    """Predicted probability against observed share, with intervals.

    Args:
        curves: by name, groups of cases of similar probability.
    """
    axes = _square("mean predicted probability", "observed share of positives")
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=(0, (2, 3)))
    for (name, groups), colour, line in zip(curves.items(), _colours(), cycle(LINES)):
        x = [group.predicted for group in groups]
        y = [group.observed.value for group in groups]
        reach = [
            [group.observed.value - group.observed.low for group in groups],
            [group.observed.high - group.observed.value for group in groups],
        ]
        axes.errorbar(x, y, yerr=reach, fmt="none", ecolor=colour, elinewidth=1, alpha=0.5)
        axes.plot(
            x, y, color=colour, ls=line, lw=1.4, marker="o", ms=4.5, label=name, clip_on=False
        )
    if len(curves) > 1:
        axes.legend(loc="upper left", fontsize=8, frameon=False)
    return _figure_of(axes)


def confusion_figure(confusion: Confusion) -> "Figure":
    """A confusion matrix: counts, shaded by their share of the true class."""
    counts = np.array(
        [
            [confusion.true_negatives, confusion.false_positives],
            [confusion.false_negatives, confusion.true_positives],
        ]
    )
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    axes = _axes(3.4, 3.1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.25)
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        ink = "white" if share > 0.65 else INK
        axes.text(column, row - 0.06, str(count), ha="center", color=ink, size=17, weight="bold")
        axes.text(column, row + 0.2, f"{100 * share:.0f} %", ha="center", color=ink, size=9)
    axes.set_xticks([0, 1], ["negative", "positive"])
    axes.set_yticks([0, 1], ["negative", "positive"], rotation=90, va="center")
    axes.set_xlabel("called")
    axes.set_ylabel("truly")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    return _figure_of(axes)


def score_figure(cases: Cases, thresholds: Mapping[str, float]) -> "Figure":
    """Histogram of the probabilities of each class, and the thresholds.

    Args:
        cases: labels and probabilities.
        thresholds: by name.
    """
    from matplotlib.ticker import MaxNLocator

    axes = _axes(4.4, 3.5)
    edges = np.linspace(0, 1, 26)
    for label, name, colour, sign in ((True, "positive", ORANGE, 1), (False, "negative", BLUE, -1)):
        count = np.histogram(cases.score[cases.label == label], edges)[0]
        axes.bar(edges[:-1], sign * count, width=0.037, align="edge", color=colour, label=name)
    for (name, threshold), line in zip(thresholds.items(), LINES[1:], strict=False):
        axes.axvline(threshold, color=INK, lw=1, ls=line, label=name)
    axes.axhline(0, color=INK, lw=0.6)
    reach = max(abs(end) for end in axes.get_ylim())
    axes.set_ylim(-reach, reach)
    axes.set_xlim(0, 1)
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("scans (negatives downwards)")
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=8, frameon=False, loc="lower center", ncols=2, bbox_to_anchor=(0.5, 1.0))
    return _figure_of(axes)


def training_figure(
    histories: Mapping[str, Mapping[str, Sequence[float]]], *, quantity: Literal["loss", "accuracy"]
) -> "Figure":
    """Training curves of all folds: thin lines per fold, a thick line for their median.

    Args:
        histories: by fold, columns by name (``epoch``, ``train_loss``, ``tune_loss``, ...).
        quantity: which pair of columns to draw.
    """
    axes = _axes(4.4, 3.2)
    for part, colour, line in (("train", BLUE, "-"), ("tune", ORANGE, "--")):
        column = f"{part}_{quantity}"
        rows = [
            (np.asarray(h["epoch"], float), np.asarray(h[column], float))
            for h in histories.values()
            if column in h and np.isfinite(h[column]).any()
        ]
        for epoch, values in rows:
            axes.plot(epoch, values, color=colour, lw=0.7, ls=line, alpha=0.35)
        if rows:
            longest = max((epoch for epoch, _ in rows), key=len)
            stacked = np.full((len(rows), len(longest)), math.nan)
            for row, (_, values) in zip(stacked, rows, strict=True):
                row[: len(values)] = values
            known = np.isfinite(stacked).any(axis=0)
            middle = np.nanmedian(stacked[:, known], axis=0)
            axes.plot(longest[known], middle, color=colour, lw=2, ls=line, label=_PARTS[part])
    axes.set_xlabel("epoch")
    axes.set_ylabel(quantity)
    if quantity == "accuracy":
        axes.set_ylim(0, 1.02)
    else:
        axes.set_ylim(bottom=0)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, frameon=False)
    return _figure_of(axes)


_PARTS = {"train": "learned from", "tune": "tuned on"}


def froc_figure(curves: Mapping[str, Curve], *, at: Sequence[float]) -> "Figure":
    """FROC curves: false marks per scan against the share of nodules found.

    Args:
        curves: by name, with bands.
        at: rates of false marks per scan that the score averages over; must be above 0.
    """
    axes = _axes(4.8, 3.6)
    axes.set_xscale("log", base=2)
    for (name, curve), colour, line in zip(curves.items(), _colours(), cycle(LINES)):
        _band(axes, curve, colour, alone=len(curves) == 1)
        shown = curve.grid
        found = np.interp(shown, curve.x, curve.y)
        axes.plot(shown, found, color=colour, ls=line, lw=1.8, label=name)
        axes.plot(at, np.interp(at, curve.x, curve.y), color=colour, ls="", marker="o", ms=4.5)
    axes.set_xticks(list(at), [f"1/{1 / rate:g}" if rate < 1 else f"{rate:g}" for rate in at])
    axes.minorticks_off()
    axes.set_xlim(min(at), max(at))
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("false marks per scan")
    axes.set_ylabel("share of nodules found")
    axes.legend(loc="lower right", fontsize=8, frameon=False)
    return _figure_of(axes)


def _axes(width_inch: float, height_inch: float) -> "Axes":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_inch, height_inch), layout="constrained")
    axes: Axes = figure.add_subplot()
    axes.tick_params(labelsize=8, color=GREY, labelcolor=INK, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(GREY)
    axes.xaxis.label.set(color=INK, size=9)
    axes.yaxis.label.set(color=INK, size=9)
    axes.grid(color=PALE, lw=0.6)
    axes.set_axisbelow(True)
    return axes


def _square(x: str, y: str) -> "Axes":
    axes = _axes(4.0, 3.8)
    axes.set_aspect("equal")
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_xticks(SHARES)
    axes.set_yticks(SHARES)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return axes


def _figure_of(axes: "Axes") -> "Figure":
    return cast("Figure", axes.get_figure(root=True))


def _band(axes: "Axes", curve: Curve, colour: str, *, alone: bool) -> None:
    axes.fill_between(
        curve.grid, curve.low, curve.high, color=colour, alpha=0.18 if alone else 0.08, lw=0
    )


def _colours() -> "cycle[str]":
    return cycle((BLUE, ORANGE, GREEN, PINK, SKY, YELLOW))


def _legend(name: str, area: Estimate) -> str:
    return f"{name}: {area}" if name else str(area)
