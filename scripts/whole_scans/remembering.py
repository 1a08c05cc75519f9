"""How well the networks answer for the very volumes they learned from, and for unseen chests."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
from arms import BLOCK, Arm, training_part
from cases import TRAIN_SCAN, banks
from matplotlib.axes import Axes
from scoring import answer, append, done_in
from tables import SILENT, short, table, title

from squeezect.checkpoint import Checkpoint
from squeezect.evaluation import decision_scores, roc_auc

mpl.use("Agg")
COLUMNS = ("arm", "case", "label", "evidence")

SHOWN = ("64-lungs", "64-lungs-by-heart")
COLOURS = ("#2b6ca3", "#b04a2f")
DOT: dict[str, Any] = {"ms": 3, "alpha": 0.6, "mew": 0, "zorder": 2}


def remember(arms: list[Arm], out: Path, *, scans: Path, bank: Path) -> Path:
    """Score trained arms on the whole volumes that they learned from, without augmentation.

    Arms that learned from blocks are left out: they were never shown a volume.
    """
    path = out / "seen.csv"
    done = {arm for arm, _ in done_in(path, "arm")}
    for arm in arms:
        if arm.name in done or arm.size > BLOCK:
            continue
        net = Checkpoint.load(out / "arms" / arm.name).build()
        part, store = training_part(arm, out, scans=scans, bank=banks(bank)[0])
        with torch.inference_mode():
            rows: list[list[object]] = [
                [arm.name, key, label, answer(net, store.read(key), None)[0]]
                for key, label in zip(part.keys, part.labels, strict=True)
            ]
        append(path, COLUMNS, rows)
        print(f"{arm.name}: scored {len(rows)} volumes that it learned from", flush=True)
    return path


def memory_table(arms: list[Arm], seen: pd.DataFrame, unseen: pd.DataFrame) -> str:
    """The same network on what it learned from and on unseen chests.

    Args:
        arms: that are scored.
        seen: rows of `remember`.
        unseen: rows of `scoring.score`, phantoms only.
    """
    rows = []
    for arm in arms:
        some = seen[seen["arm"] == arm.name]
        if some.empty:
            continue
        fresh = unseen[unseen["arm"] == arm.name]
        fresh = fresh.assign(label=(fresh["diameter_mm"] > 0).astype(int))
        some = some.assign(case=some["case"].map(patient_of))
        rows.append([title(arm), *_scores(some), *_scores(fresh)])
    head = ["AUC", "sensitivity", "specificity"]
    kinds = [f"{what}, {which}" for which in ("learned from", "unseen") for what in head]
    return (
        "The same networks on the 38 volumes of 33 patients that they learned from, as those are, "
        "and on the 40 unseen chests, with nodules of all six sizes and without; called positive "
        "where the probability is 0.5 or more (95 % intervals, by patient).\n\n"
        + table(["network", *kinds], rows)
    )


def patient_of(volume: str) -> str:
    """Whose volume it is: that of a phantom each, and all copies of the real scan one's."""
    return TRAIN_SCAN if volume.startswith(TRAIN_SCAN) else volume


def _scores(rows: pd.DataFrame) -> list[str]:
    labels, evidence, patients = (rows[c].to_numpy() for c in ("label", "evidence", "case"))
    if np.ptp(evidence) < SILENT:
        return ["constant"] * 3
    called = decision_scores(labels, evidence, 0.0, patients=patients)
    ranked = roc_auc(labels, evidence, patients=patients)
    return [short(e) for e in (ranked, called.sensitivity, called.specificity)]


def draw_memory(path: Path, arms: list[Arm], seen: pd.DataFrame, unseen: pd.DataFrame) -> None:
    """Write a figure: log-odds of every volume, learned from and unseen, by some networks."""
    import matplotlib.pyplot as plt

    shown = [arm for arm in arms if arm.name in SHOWN and (seen["arm"] == arm.name).any()]
    if not shown:
        return
    size = (5.6 * len(shown), 4.6)
    figure, grid = plt.subplots(1, len(shown), figsize=size, layout="constrained", squeeze=False)
    for ax, arm in zip(grid.flat, shown, strict=True):
        _columns(ax, seen[seen["arm"] == arm.name], unseen[unseen["arm"] == arm.name])
        ax.set_title(title(arm), loc="left", fontsize=10)
    grid.flat[0].set_ylabel("log-odds of a nodule; above 0 is called positive")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _columns(ax: Axes, seen: pd.DataFrame, unseen: pd.DataFrame) -> None:
    """A column of dots for each kind of volume; a line joins the forms of one unseen chest."""
    random = np.random.default_rng(0)
    shift = dict.fromkeys(unseen["case"].unique())
    shift = dict(zip(shift, random.uniform(-0.28, 0.28, len(shift)), strict=True))
    for label, colour in enumerate(COLOURS):
        some = seen.loc[seen["label"] == label, "evidence"]
        ax.plot(label + random.uniform(-0.28, 0.28, len(some)), some, "o", color=colour, **DOT)
    places = {diameter: 2 + n for n, diameter in enumerate(sorted(unseen["diameter_mm"].unique()))}
    for case, rows in unseen.groupby("case"):
        at = rows["diameter_mm"].map(places) + shift[case]
        ax.plot(at, rows["evidence"], color="#888888", lw=0.5, alpha=0.5, zorder=1)
    for diameter, rows in unseen.groupby("diameter_mm"):
        at = places[diameter] + rows["case"].map(shift)
        ax.plot(at, rows["evidence"], "o", color=COLOURS[int(diameter > 0)], **DOT)
    ax.axhline(0, color="#444444", lw=0.8)
    ax.axvline(1.5, color="#999999", lw=0.8, ls=":")
    names = ["none", "with", *(f"{d:g} mm" if d else "none" for d in places)]
    ax.set_xticks(range(len(names)), names)
    ax.set_xlabel(
        "nodule: volumes learned from | each unseen chest without and with one", fontsize=9
    )
