"""Tables and the figure, from the rows that measuring and scoring wrote."""

from pathlib import Path

import numpy as np
import pandas as pd
from arms import ARMS, STEPS, Arm
from cases import SIZES_MM, TEST_SCAN
from figure import draw
from scoring import COLUMNS

from squeezect.checkpoint import Checkpoint
from squeezect.evaluation import roc_auc
from squeezect.evaluation.estimates import Estimate, wilson

MARKS = ("<!-- measured: begin -->", "<!-- measured: end -->")
SMALL_MM = (4.0, 6.0, 8.0, 12.0)
REPLICATES = 1000
Curve = dict[float, Estimate]


def report(out: Path, docs: Path) -> None:
    """Write the figure into ``images`` of `docs` and the tables into its ``whole-scans.md``."""
    scored = (out / "scores.csv").exists()
    scores = pd.read_csv(out / "scores.csv") if scored else pd.DataFrame(columns=[*COLUMNS])
    physics = pd.read_csv(out / "physics.csv")
    arms = [arm for arm in ARMS if (scores["arm"] == arm.name).any()]
    phantoms = scores[scores["case"] != TEST_SCAN]
    curves = {arm.name: auc_by_size(phantoms[phantoms["arm"] == arm.name]) for arm in arms}
    mean_pooled = {
        arm.name: auc_by_size(phantoms[phantoms["arm"] == arm.name], column="mean_evidence")
        for arm in arms
    }
    (docs / "images").mkdir(parents=True, exist_ok=True)
    draw(docs / "images" / "whole-scans.png", curves, mean_pooled, physics)
    parts = [_physics_table(physics), _observer_table(physics)]
    if arms:
        parts += [
            _auc_table(arms, curves, out, chests=phantoms["case"].nunique()),
            _mean_table(mean_pooled),
            _pair_table(phantoms, {arm.name for arm in arms}),
            _pointing_table(arms, scores),
        ]
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


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _sizes() -> list[str]:
    return [f"{size:g} mm" for size in SIZES_MM]


def _physics_table(physics: pd.DataFrame) -> str:
    rows = []
    for name, group in physics.groupby("preparation", sort=False):
        side, crop = str(name).split("-")
        cells = []
        for size in SIZES_MM:
            some = group[group["diameter_mm"] == size]
            cells.append(f"{some['peak_hu'].median():.0f} HU, {some['voxels'].median():.0f}")
        voxel = f"{group['voxel_mm'].median():.1f}"
        noise = f"{group['lung_sd_hu'].median():.0f}"
        rows.append([f"{side}, {_crop(crop)}", voxel, noise, *cells])
    chests = physics["case"].nunique()
    head = ["volume", "voxel, mm", "lung varies by, HU", *_sizes()]
    return (
        f"What preparation leaves of a nodule: its brightest voxel above the lung it lies in, and "
        f"over how many voxels it spreads; medians of {chests} test chests.\n\n"
        + _table(head, rows)
    )


def _observer_table(physics: pd.DataFrame) -> str:
    rows = []
    for name, group in physics.groupby("preparation", sort=False):
        side, crop = str(name).split("-")
        cells = []
        for size in SIZES_MM:
            some = group[group["diameter_mm"] == size]
            blob = np.subtract.outer(*(some[c].to_numpy() for c in ("blob_with", "blob_without")))
            wins = float(np.mean((blob > 0) + 0.5 * (blob == 0)))
            cells.append(f"{some['told_where'].mean():.2f} / {wins:.2f}")
        rows.append([f"{side}, {_crop(crop)}", *cells])
    return (
        "Observers that learn nothing, AUC: told where to look and for what / told the size only, "
        "taking the strongest blob of the lungs.\n\n" + _table(["volume", *_sizes()], rows)
    )


def _crop(crop: str) -> str:
    return "lungs" if crop == "lungs" else "whole"


def _auc_table(arms: list[Arm], curves: dict[str, Curve], out: Path, *, chests: int) -> str:
    rows = []
    for arm in arms:
        card = Checkpoint.load(out / "arms" / arm.name).card
        seconds = card.trained_on.get("seconds", "")
        cells = [_short(curves[arm.name][size]) for size in SIZES_MM]
        rows.append([_title(arm), f"{seconds} s", *cells])
    return (
        f"AUC (95 % interval) of {chests} unseen chests with one nodule of a size against the same "
        f"chests without. About {STEPS} steps of four blocks of 64 x 64 x 64 voxels each.\n\n"
        + _table(["network", "trained in", *_sizes()], rows)
    )


def _title(arm: Arm) -> str:
    taught = {
        "bank": "real nodules inserted",
        "painted": "painted nodules inserted",
        "nothing": "label only",
    }[arm.inserted]
    if arm.teaching == "paper":
        taught = "the paper's recipe"
    network = "SqueezeNet3D, " if arm.network == "paper" else ""
    again = f", seed {arm.seed}" if arm.seed else ""
    return f"{arm.size}, {_crop(arm.crop)}: {network}{taught}{again}"


def _short(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} ({estimate.low:.2f}-{estimate.high:.2f})"


def _mean_table(curves: dict[str, Curve]) -> str:
    names = [n for n in ("64-none", "64-lungs", "128-none", "128-lungs") if n in curves]
    rows = [[n.replace("none", "whole"), *map(_short, curves[n].values())] for n in names]
    return (
        "The very same networks and cells, pooled by their mean as the paper pools, instead of by "
        "their peak.\n\n" + _table(["network", *_sizes()], rows)
    )


def _pair_table(phantoms: pd.DataFrame, known: set[str]) -> str:
    """Differences of the mean AUC over small sizes, chests resampled."""
    pairs = [
        ("real nodules instead of painted ones", ("64-lungs",), ("64-lungs-painted",)),
        ("real nodules instead of the label only", ("64-lungs",), ("64-lungs-label",)),
        ("painted nodules instead of the label only", ("64-lungs-painted",), ("64-lungs-label",)),
        ("lungs cropped, at 64", ("64-lungs",), ("64-none",)),
        ("lungs cropped, at 96", ("96-lungs",), ("96-none",)),
        ("lungs cropped, at 128", ("128-lungs",), ("128-none",)),
        ("128 instead of 64, whole", ("128-none",), ("64-none",)),
        ("128 instead of 64, lungs", ("128-lungs",), ("64-lungs",)),
    ]
    rows = []
    for title, one, other in pairs:
        seeds = [s for s in ("", "-b") if {one[0] + s, other[0] + s} <= known]
        if seeds:
            change = _difference(
                phantoms, [one[0] + s for s in seeds], [other[0] + s for s in seeds]
            )
            rows.append([title, str(len(seeds)), "{:+.3f} ({:+.3f} to {:+.3f})".format(*change)])
    if not rows:
        return "Arms are compared in pairs once two of them are scored."
    return (
        "Differences of the mean AUC over 4, 6, 8 and 12 mm, paired: the same chests and nodules, "
        "chests resampled.\n\n" + _table(["change", "seeds", "difference (95 % interval)"], rows)
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


def _pointing_table(arms: list[Arm], scores: pd.DataFrame) -> str:
    rows = []
    for arm in arms:
        some = scores[(scores["arm"] == arm.name) & (scores["diameter_mm"] > 0)]
        inside = some["away_mm"] <= some["diameter_mm"] / 2 + 0.87 * some["cell_mm"]
        real = some["case"] == TEST_SCAN
        bare = scores[
            (scores["arm"] == arm.name)
            & (scores["case"] == TEST_SCAN)
            & (scores["diameter_mm"] == 0)
        ]["evidence"]
        rises = some[real]["evidence"] > float(bare.iloc[0]) + 1e-3
        big = some["diameter_mm"] >= 8
        rows.append(
            [
                _title(arm),
                _share(inside[~real & big]),
                _share(inside[real & big]),
                _share(rises[big[real]]),
                _share(rises[~big[real]]),
            ]
        )
    return (
        "Where the summit of the map lies, and what the real test scan adds: nodules inserted into "
        "it at six places per size, its known nodules covered. It is one patient: the intervals "
        "are over places, not patients.\n\n"
        + _table(
            [
                "network",
                "summit in the nodule, 8 mm and more, phantoms",
                "the same, real scan",
                "score rises, 8 mm and more, real scan",
                "score rises, 4 and 6 mm, real scan",
            ],
            rows,
        )
    )


def _share(hits: pd.Series) -> str:
    if not len(hits):
        return ""
    low, high = wilson(float(hits.sum()), float(len(hits)))
    return f"{hits.mean():.2f} ({low:.2f}-{high:.2f})"
