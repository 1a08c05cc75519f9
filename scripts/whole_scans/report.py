"""Tables and the figure, from the rows that measuring and scoring wrote."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from arms import ARMS, STEPS, Arm
from cases import SIZES_MM, TEST_SCAN
from figure import draw
from observers import observer_tables
from pointing import pointing_tables
from remembering import draw_memory, memory_table
from scoring import COLUMNS
from tables import SILENT, short, silent, silent_row, sizes, table, title

from squeezect.checkpoint import Checkpoint
from squeezect.evaluation import roc_auc
from squeezect.evaluation.estimates import Estimate

MARKS = ("<!-- measured: begin -->", "<!-- measured: end -->")
SMALL_MM = (4.0, 6.0, 8.0, 12.0)
REPLICATES = 1000
Curve = dict[float, Estimate]
BLOCKS = "and its blocks labelled one by one"
PAIRS = (
    ("real nodules instead of painted ones", "64-lungs", "64-lungs-painted"),
    ("real nodules, pointed at, instead of the label only", "64-lungs", "64-lungs-label"),
    (
        "painted nodules, pointed at, instead of the label only",
        "64-lungs-painted",
        "64-lungs-label",
    ),
    (
        "real nodules inserted, not pointed at, instead of none",
        "64-lungs-unpointed",
        "64-lungs-label",
    ),
    ("real nodules pointed at", "64-lungs", "64-lungs-unpointed"),
    ("the peak instead of the mean, each trained so", "64-lungs", "64-lungs-mean"),
    ("lungs cropped, at 64", "64-lungs", "64-none"),
    ("lungs cropped, at 96", "96-lungs", "96-none"),
    ("lungs cropped, at 128", "128-lungs", "128-none"),
    (f"128 {BLOCKS} instead of 64, whole", "128-none", "64-none"),
    (f"128 {BLOCKS} instead of 64, lungs", "128-lungs", "64-lungs"),
    ("the same 128 instead of 64 with seed 1", "128-lungs", "64-lungs-b"),
    ("another seed, at 64 with real nodules", "64-lungs", "64-lungs-b"),
)


def report(out: Path, docs: Path) -> None:
    """Write the figure into ``images`` of `docs` and the tables into its ``whole-scans.md``."""
    scored = (out / "scores.csv").exists()
    scores = pd.read_csv(out / "scores.csv") if scored else pd.DataFrame(columns=[*COLUMNS])
    physics = pd.read_csv(out / "physics.csv")
    arms = [arm for arm in ARMS if (scores["arm"] == arm.name).any()]
    phantoms = scores[scores["case"] != TEST_SCAN]
    answers = {arm.name: phantoms[phantoms["arm"] == arm.name] for arm in arms}
    curves = {name: None if silent(rows) else auc_by_size(rows) for name, rows in answers.items()}
    mean_pooled = {
        name: auc_by_size(rows, column="mean_evidence")
        for name, rows in answers.items()
        if curves[name] is not None
    }
    (docs / "images").mkdir(parents=True, exist_ok=True)
    draw(docs / "images" / "whole-scans.png", curves, mean_pooled, physics)
    parts = observer_tables(physics)
    if arms:
        parts += [
            _auc_table(arms, curves, out, chests=phantoms["case"].nunique()),
            _mean_table(mean_pooled),
            _pair_table(phantoms, {name for name, curve in curves.items() if curve}),
            *pointing_tables(arms, scores),
        ]
    if (out / "seen.csv").exists():
        seen = pd.read_csv(out / "seen.csv")
        parts.append(memory_table(arms, seen, phantoms))
        draw_memory(docs / "images" / "whole-scans-by-heart.png", arms, seen, phantoms)
    text = "\n\n".join(parts)
    page = docs / "whole-scans.md"
    if page.exists():
        before, _, rest = page.read_text("utf-8").partition(MARKS[0])
        after = rest.partition(MARKS[1])[2]
        page.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{after}", "utf-8")
    else:
        page.write_text(f"{MARKS[0]}\n\n{text}\n\n{MARKS[1]}\n", "utf-8")
    print(text)


def auc_by_size(rows: pd.DataFrame, *, column: str = "evidence") -> Curve:
    """AUC of every size against the same chests without a nodule."""
    bare = rows[rows["diameter_mm"] == 0]
    curve = {}
    for size in SIZES_MM:
        some = pd.concat([bare, rows[rows["diameter_mm"] == size]])
        labels = (some["diameter_mm"] > 0).astype(int)
        curve[size] = roc_auc(labels, some[column], patients=some["case"])
    return curve


def _auc_table(
    arms: list[Arm], curves: Mapping[str, Curve | None], out: Path, *, chests: int
) -> str:
    rows = []
    for arm in arms:
        facts = Checkpoint.load(out / "arms" / arm.name).card.trained_on
        head = [title(arm), str(facts.get("cases", "")), f"{facts.get('seconds', '')} s"]
        curve = curves[arm.name]
        rows.append([*head, *map(short, curve.values())] if curve else silent_row(head))
    return (
        f"AUC (95 % interval) of {chests} unseen chests with one nodule of a size against the same "
        f"chests without. About {STEPS} steps of four blocks of 64 x 64 x 64 voxels each; at 128 "
        "a chest is up to eight blocks, each with a label of its own. One network per row: the "
        "intervals are over chests, not over seeds. A network whose answers to all chests lie "
        f"within {SILENT:g} of log-odds has no AUC: it would be that of rounding.\n\n"
        + table(["network", "volumes or blocks", "trained in", *sizes()], rows)
    )


def _mean_table(curves: dict[str, Curve]) -> str:
    names = [n for n in ("64-none", "64-lungs", "128-none", "128-lungs") if n in curves]
    rows = [
        [n.replace("none", "whole").replace("-", ", "), *map(short, curves[n].values())]
        for n in names
    ]
    return (
        "The very same networks and cells, which were trained for their peak, pooled by their mean "
        "as the paper pools.\n\n" + table(["network", *sizes()], rows)
    )


def _pair_table(phantoms: pd.DataFrame, known: set[str]) -> str:
    """Differences of the mean AUC over small sizes, chests resampled."""
    rows = []
    for change, one, other in PAIRS:
        seeds = [s for s in ("", "-b") if {one + s, other + s} <= known]
        if seeds:
            found = _difference(phantoms, [one + s for s in seeds], [other + s for s in seeds])
            rows.append([change, str(len(seeds)), "{:+.3f} ({:+.3f} to {:+.3f})".format(*found)])
    if not rows:
        return "Arms are compared in pairs once two of them are scored."
    return (
        "Differences of the mean AUC over 4, 6, 8 and 12 mm, paired: the same chests and nodules, "
        "chests resampled. The intervals leave out what another seed would change.\n\n"
        + table(["change", "seeds", "difference (95 % interval)"], rows)
    )


def _difference(
    rows: pd.DataFrame, ones: list[str], others: list[str]
) -> tuple[float, float, float]:
    cases = sorted(rows["case"].unique())
    tensors = [np.stack([_grid(rows, name, cases) for name in group]) for group in (ones, others)]
    random = np.random.default_rng(0)

    def change(pick: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> float:
        one, other = (_mean_auc(t[:, :, pick]) for t in tensors)
        return one - other

    drawn = [change(random.integers(0, len(cases), len(cases))) for _ in range(REPLICATES)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return change(np.arange(len(cases))), float(low), float(high)


def _grid(rows: pd.DataFrame, arm: str, cases: list[str]) -> np.ndarray:
    """Evidence [size, case]; the first size is none."""
    some = rows[rows["arm"] == arm].pivot_table(
        index="diameter_mm", columns="case", values="evidence"
    )
    return some.reindex(index=[0.0, *SMALL_MM], columns=cases).to_numpy()


def _mean_auc(evidence: np.ndarray) -> float:
    """Mean over networks and sizes; evidence [network, size, case], NaN without a place."""
    bare, rest = evidence[:, :1, None, :], evidence[:, 1:, :, None]
    known = ~(np.isnan(rest) | np.isnan(bare))
    wins = ((rest > bare) + 0.5 * (rest == bare)) * known
    return float((wins.sum((2, 3)) / known.sum((2, 3))).mean())
