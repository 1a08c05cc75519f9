"""The figure: what preparation leaves, what is learned from it, what teaching and pooling do."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from cases import SIZES_MM
from matplotlib.axes import Axes
from observers import beats
from tables import SILENCE, crop_name

from squeezect.evaluation.estimates import Estimate

mpl.use("Agg")
Curve = dict[float, Estimate]
Curves = Mapping[str, Curve | None]
COLOURS = {"64": "#b04a2f", "96": "#c79a2b", "128": "#2b6ca3"}
WHOLE = {"64": "#d99a86", "96": "#7a6a2a", "128": "#3aa0a0"}
AGAIN = "-b"
TEACHING = {
    "64-lungs": ("real nodules inserted, map pointed", "#2b6ca3"),
    "64-lungs-painted": ("painted nodules inserted, map pointed", "#6aa84f"),
    "64-lungs-unpointed": ("real nodules inserted, not pointed at", "#8a5ab0"),
    "64-lungs-label": ("label only", "#b04a2f"),
}
PAPER = "64-paper"
TRAINED_SO = "64-lungs-mean"


def draw(path: Path, curves: Curves, mean_pooled: dict[str, Curve], physics: pd.DataFrame) -> None:
    """Write the figure; a network without a curve gave a constant answer."""
    import matplotlib.pyplot as plt

    rows = 2 if curves else 1
    figure, grid = plt.subplots(rows, 2, figsize=(12, 4.6 * rows), layout="constrained")
    axes = list(grid.flat)
    _contrast(axes[0], physics)
    if curves:
        _learned(axes[1], curves)
        _taught(axes[2], curves)
        _pooled(axes[3], curves, mean_pooled)
    else:
        _observed(axes[1], physics)
    for ax in axes:
        ax.set_xscale("log")
        ax.set_xticks(SIZES_MM, [f"{s:g}" for s in SIZES_MM])
        ax.minorticks_off()
        ax.set_xlabel("diameter of the nodule, mm")
        ax.grid(alpha=0.25)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _contrast(ax: Axes, physics: pd.DataFrame) -> None:
    shift = 0.95
    for name, group in physics.groupby("preparation", sort=False):
        side, crop = str(name).split("-")
        if side == "96":
            continue
        peak = group.groupby("diameter_mm")["peak_hu"].agg(["median", "min", "max"])
        voxel = group["voxel_mm"].median()
        label = f"{side}, {crop_name(crop)} ({voxel:.1f} mm voxels)"
        # Side by side, so that the ranges of the four do not hide each other.
        at, shift = peak.index.to_numpy() * shift, shift * 1.034
        ends = [peak["median"] - peak["min"], peak["max"] - peak["median"]]
        style = {"color": _colour(side, crop), "marker": "o", "ms": 4, "label": label}
        line = "-" if crop == "lungs" else "--"
        ax.errorbar(at, peak["median"], ends, ls=line, elinewidth=1, capsize=2, **style)  # type: ignore[arg-type]
    spread = physics["lung_sd_hu"].median()
    ax.axhspan(0, spread, color="#999999", alpha=0.3)
    ax.text(31.5, spread / 2, "lung itself varies by this", ha="right", va="center", fontsize=8)
    ax.set_ylabel("brightest voxel above the lung, HU")
    chests = physics["case"].nunique()
    ax.set_title(f"a  What preparation leaves: median and range of {chests} chests", loc="left")
    ax.set_ylim(0, 1.25 * physics["peak_hu"].max())
    ax.legend(frameon=False, fontsize=8, loc="upper left", ncols=2)


def _colour(side: str, crop: str) -> str:
    return COLOURS[side] if crop == "lungs" else WHOLE[side]


def _observed(ax: Axes, physics: pd.DataFrame) -> None:
    for name, group in physics.groupby("preparation", sort=False):
        side, crop = str(name).split("-")
        told = group.groupby("diameter_mm")["told_where"].mean()
        line = "-" if crop == "lungs" else "--"
        label = f"{side}, {crop_name(crop)}: told where"
        ax.plot(told.index, told, line, color=COLOURS[side], marker="o", ms=4, label=label)
        blobs = {
            size: beats(some["blob_with"].to_numpy(), some["blob_without"].to_numpy())
            for size, some in group.groupby("diameter_mm")
        }
        if crop == "lungs":
            label = f"{side}, lungs: strongest blob anywhere"
            ys = pd.Series(blobs)
            ax.plot(ys.index, ys, ":", color=COLOURS[side], label=label, marker="s", ms=4)
    _auc_axis(ax, "b  Observers that learn nothing")


def _curve(ax: Axes, curve: Curve, *, colour: str, label: str | None, line: str = "-") -> None:
    """A line with its band; a thin one without, for another seed of the same network."""
    again = label is None
    values, thin = [e.value for e in curve.values()], {"lw": 0.9, "alpha": 0.8}
    thick = {"marker": "o", "ms": 4, "label": label}
    ax.plot(list(curve), values, line, color=colour, **(thin if again else thick))
    if not again:
        low, high = [e.low for e in curve.values()], [e.high for e in curve.values()]
        ax.fill_between(list(curve), low, high, color=colour, alpha=0.13, lw=0)


def _auc_axis(ax: Axes, title: str) -> None:
    ax.axhline(0.5, color="#999999", lw=0.8)
    ax.set_ylim(0.2, 1.02)
    ax.set_ylabel("AUC on unseen chests, 95 % bands")
    ax.set_title(title, loc="left")
    ax.legend(frameon=False, fontsize=8, loc="lower right")


def _thin(ax: Axes, colour: str) -> None:
    ax.plot([], [], color=colour, lw=0.9, alpha=0.8, label="thin: the same with a second seed")


def _learned(ax: Axes, curves: Curves) -> None:
    for side in ("128", "96", "64"):
        for crop, line in (("lungs", "-"), ("none", "--")):
            colour = _colour(side, crop)
            if curve := curves.get(f"{side}-{crop}"):
                label = f"{side}, {crop_name(crop)}" + (", in blocks" if side != "64" else "")
                _curve(ax, curve, colour=colour, label=label, line=line)
            if again := curves.get(f"{side}-{crop}{AGAIN}"):
                _curve(ax, again, colour=colour, label=None)
                _thin(ax, colour)
    if curve := curves.get("128-paper"):
        label = "128, lungs, in blocks: the paper's network and recipe"
        _curve(ax, curve, colour="#555555", label=label, line=":")
    if "64-none" not in curves:
        ax.plot([], [], " ", label="64, whole: none was trained so")
    _auc_axis(ax, "b  Real nodules inserted, by resolution and crop")


def _taught(ax: Axes, curves: Curves) -> None:
    for name, (label, colour) in TEACHING.items():
        if curve := curves.get(name):
            _curve(ax, curve, colour=colour, label=label)
        if again := curves.get(name + AGAIN):
            _curve(ax, again, colour=colour, label=None)
    if any(name.endswith(AGAIN) for name in curves):
        _thin(ax, "#444444")
    if PAPER in curves and not curves[PAPER]:
        ax.plot([], [], " ", label=f"64, whole, the paper's network and recipe:\n{SILENCE}")
    _auc_axis(ax, "c  At 64, lungs: taught differently")


def _pooled(ax: Axes, curves: Curves, mean_pooled: dict[str, Curve]) -> None:
    for side in ("128", "64"):
        name = f"{side}-lungs"
        if curve := curves.get(name):
            colour = COLOURS[side]
            _curve(ax, curve, colour=colour, label=f"{side}: peak of the cells, as trained")
            label = f"{side}: mean of the same cells"
            _curve(ax, mean_pooled[name], colour=colour, label=label, line=":")
    if curve := curves.get(TRAINED_SO):
        _curve(ax, curve, colour="#555555", label="64: mean of the cells, trained so", line="--")
    _auc_axis(ax, "d  Peak and mean of the cells, lungs cropped")
