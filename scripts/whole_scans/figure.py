"""The figure: what preparation leaves, what is learned from it, what teaching and pooling do."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from cases import SIZES_MM
from matplotlib.axes import Axes

from squeezect.evaluation.estimates import Estimate

mpl.use("Agg")
Curve = dict[float, Estimate]
COLOURS = {"64": "#b04a2f", "96": "#c79a2b", "128": "#2b6ca3"}
TEACHING = {
    "64-lungs": ("real nodules inserted, map pointed", "#2b6ca3", "-"),
    "64-lungs-painted": ("painted nodules inserted, map pointed", "#6aa84f", "-"),
    "64-lungs-label": ("label only", "#b04a2f", "-"),
    "64-paper": ("the paper's network and recipe (whole)", "#444444", ":"),
    "128-paper-taught": ("its network at 128, real nodules, pointed", "#8e5ea2", "--"),
}


def draw(
    path: Path, curves: dict[str, Curve], mean_pooled: dict[str, Curve], physics: pd.DataFrame
) -> None:
    """Write the figure."""
    import matplotlib.pyplot as plt

    rows = 2 if curves else 1
    figure, grid = plt.subplots(rows, 2, figsize=(11, 4.2 * rows), layout="constrained")
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
    for name, group in physics.groupby("preparation", sort=False):
        side, crop = str(name).split("-")
        if side == "96":
            continue
        peak = group.groupby("diameter_mm")["peak_hu"].median()
        voxel = group["voxel_mm"].median()
        label = f"{side}, {'lungs' if crop == 'lungs' else 'whole'} ({voxel:.1f} mm voxels)"
        line = "-" if crop == "lungs" else "--"
        ax.plot(peak.index, peak, line, color=COLOURS[side], marker="o", ms=4, label=label)
    spread = physics["lung_sd_hu"].median()
    ax.axhspan(0, spread, color="#999999", alpha=0.3)
    ax.text(30, spread / 2, "lung itself varies by this", ha="right", va="center", fontsize=8)
    ax.set_ylabel("brightest voxel above the lung, HU")
    ax.set_title("a  What preparation leaves of a nodule", loc="left")
    ax.set_ylim(0)
    ax.legend(frameon=False, fontsize=8)


def _observed(ax: Axes, physics: pd.DataFrame) -> None:
    for name, group in physics.groupby("preparation", sort=False):
        side, crop = str(name).split("-")
        told = group.groupby("diameter_mm")["told_where"].mean()
        line = "-" if crop == "lungs" else "--"
        label = f"{side}, {'lungs' if crop == 'lungs' else 'whole'}: told where"
        ax.plot(told.index, told, line, color=COLOURS[side], marker="o", ms=4, label=label)
        blobs = {
            size: _beats(some["blob_with"], some["blob_without"])
            for size, some in group.groupby("diameter_mm")
        }
        if crop == "lungs":
            label = f"{side}, lungs: strongest blob anywhere"
            style = {"color": COLOURS[side], "label": label}
            ax.plot(list(blobs), list(blobs.values()), ":", marker="s", ms=4, **style)
    _auc_axis(ax, "b  Observers that learn nothing")


def _beats(one: pd.Series, other: pd.Series) -> float:
    away = np.subtract.outer(one.to_numpy(), other.to_numpy())
    return float(np.mean((away > 0) + 0.5 * (away == 0)))


def _curve(ax: Axes, curve: Curve, *, band: bool = True, **style: object) -> None:
    sizes = list(curve)
    ax.plot(sizes, [e.value for e in curve.values()], marker="o", ms=4, **style)  # type: ignore[arg-type]
    if band:
        low, high = [e.low for e in curve.values()], [e.high for e in curve.values()]
        ax.fill_between(sizes, low, high, color=str(style["color"]), alpha=0.12, lw=0)


def _auc_axis(ax: Axes, title: str) -> None:
    ax.axhline(0.5, color="#999999", lw=0.8)
    ax.set_ylim(0.3, 1.02)
    ax.set_ylabel("AUC on unseen chests")
    ax.set_title(title, loc="left")
    ax.legend(frameon=False, fontsize=8, loc="lower right")


def _learned(ax: Axes, curves: dict[str, Curve]) -> None:
    for side in ("128", "96", "64"):
        for crop, line in (("lungs", "-"), ("none", "--")):
            if f"{side}-{crop}" in curves:
                label = f"{side}, {'lungs' if crop == 'lungs' else 'whole'}"
                style = {"color": COLOURS[side], "ls": line, "label": label}
                _curve(ax, curves[f"{side}-{crop}"], band=crop == "lungs", **style)
    _auc_axis(ax, "b  What is learned from it, by resolution and crop")


def _taught(ax: Axes, curves: dict[str, Curve]) -> None:
    for name, (label, colour, line) in TEACHING.items():
        if name in curves:
            _curve(ax, curves[name], color=colour, ls=line, label=label)
    _auc_axis(ax, "c  The same patients, taught differently")


def _pooled(ax: Axes, curves: dict[str, Curve], mean_pooled: dict[str, Curve]) -> None:
    for side in ("128", "64"):
        name = f"{side}-lungs"
        if name in curves:
            _curve(ax, curves[name], color=COLOURS[side], label=f"{side}: peak of the cells")
            style = {"color": COLOURS[side], "ls": ":", "label": f"{side}: mean of the same cells"}
            _curve(ax, mean_pooled[name], band=False, **style)
    _auc_axis(ax, "d  The same network, cells pooled differently")
