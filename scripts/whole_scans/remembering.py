"""How well the networks answer for the very volumes they learned from, and for unseen chests."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
from arms import BLOCK, Arm, training_part
from cases import TRAIN_SCAN, banks
from scoring import answer, append, done_in
from tables import SILENT, short, table, title

from squeezect.checkpoint import Checkpoint
from squeezect.evaluation import decision_scores, roc_auc

mpl.use("Agg")
COLUMNS = ("arm", "case", "label", "evidence")

SHOWN = ("64-paper-by-heart", "64-lungs-by-heart", "64-lungs")
WITHOUT = ("without", "with")


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
    """Write a figure: log-odds of every volume, learned from and unseen, of some networks."""
    import matplotlib.pyplot as plt

    shown = [arm for arm in arms if arm.name in SHOWN and (seen["arm"] == arm.name).any()]
    if not shown:
        return
    size = (4.4 * len(shown), 4.6)
    figure, grid = plt.subplots(1, len(shown), figsize=size, layout="constrained", squeeze=False)
    random = np.random.default_rng(0)
    for ax, arm in zip(grid.flat, shown, strict=True):
        some = seen[seen["arm"] == arm.name]
        groups = [(f"learned\n{w}", some[some["label"] == n]) for n, w in enumerate(WITHOUT)]
        fresh = unseen[unseen["arm"] == arm.name]
        for diameter, rows in fresh.groupby("diameter_mm"):
            groups.append((f"{diameter:g} mm" if diameter else f"unseen\n{WITHOUT[0]}", rows))
        for place, (_, rows) in enumerate(groups):
            at = place + random.uniform(-0.28, 0.28, len(rows))
            positive = place == 1 or place > 2
            colour = "#b04a2f" if positive else "#2b6ca3"
            ax.plot(at, rows["evidence"], "o", ms=3, color=colour, alpha=0.6, mew=0)
        ax.axhline(0, color="#444444", lw=0.8)
        ax.axvline(1.5, color="#999999", lw=0.8, ls=":")
        ax.set_xticks(range(len(groups)), [name for name, _ in groups], fontsize=7)
        ax.set_yscale("symlog", linthresh=2)
        ax.set_title(title(arm), loc="left", fontsize=9)
    grid.flat[0].set_ylabel("log-odds of a nodule; above 0 is called positive")
    figure.savefig(path, dpi=110)
    plt.close(figure)
