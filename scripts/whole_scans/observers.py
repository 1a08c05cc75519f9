"""Tables of what preparation leaves of a nodule, and of observers that learn nothing."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
from cases import SIZES_MM, TEST_SCAN
from tables import counted, crop_name, sizes, table

REPLICATES = 2000


def observer_tables(physics: pd.DataFrame) -> list[str]:
    """Contrast, the observer that is told where, and the one that is told the size only."""
    chests = physics["case"].nunique()
    real = int(TEST_SCAN in set(physics["case"]))
    return [
        "What preparation leaves of a nodule: its brightest voxel above the lung it lies in, in HU "
        f"(lowest to highest of {chests} test chests), and over how many voxels it spreads; "
        f"medians. One place per chest and size; synthetic chests {chests - real}, real {real}.\n\n"
        + _by_size(physics, _contrast, _voxel_and_noise, ["voxel, mm", "lung varies by, HU"]),
        "An observer that learns nothing but is told where to look and for what, AUC: mean "
        f"(lowest to highest of {chests} chests).\n\n" + _by_size(physics, _told),
        "An observer that is told the size only and takes the strongest blob of the lungs, AUC "
        "(95 % interval, chests resampled), and in how many chests the nodule raises that blob at "
        f"all (Wilson's 95 % interval of the share). With {chests} chests both are wide; where no "
        "chest's blob is raised, all pairs tie and the AUC has no interval of its own.\n\n"
        + _by_size(physics, _blob),
    ]


def _by_size(
    physics: pd.DataFrame,
    cell: Callable[[pd.DataFrame], str],
    facts: Callable[[pd.DataFrame], list[str]] = lambda _: [],
    head: list[str] | None = None,
) -> str:
    rows = []
    for name, group in physics.groupby("preparation", sort=False):
        side, crop = str(name).split("-")
        cells = [cell(group[group["diameter_mm"] == size]) for size in SIZES_MM]
        rows.append([f"{side}, {crop_name(crop)}", *facts(group), *cells])
    return table(["volume", *(head or []), *sizes()], rows)


def _voxel_and_noise(group: pd.DataFrame) -> list[str]:
    noise = group.groupby("case")["lung_sd_hu"].median()
    spread = f"{group['lung_sd_hu'].median():.0f} ({noise.min():.0f}-{noise.max():.0f})"
    return [f"{group['voxel_mm'].median():.1f}", spread]


def _contrast(some: pd.DataFrame) -> str:
    peak = some["peak_hu"]
    ends = f"{peak.min():.0f}-{peak.max():.0f}"
    return f"{peak.median():.0f} ({ends}), {some['voxels'].median():.0f}"


def _told(some: pd.DataFrame) -> str:
    wins = some["told_where"]
    return f"{wins.mean():.2f} ({wins.min():.2f}-{wins.max():.2f})"


def _blob(some: pd.DataFrame) -> str:
    one, other = (some[name].to_numpy() for name in ("blob_with", "blob_without"))
    raised = pd.Series(one > other)
    value = f"{beats(one, other):.2f}"
    if not raised.any():
        return f"{value}; {counted(raised)}"
    random = np.random.default_rng(0)
    picks = random.integers(0, len(one), (REPLICATES, len(one)))
    low, high = np.quantile([beats(one[p], other[p]) for p in picks], [0.025, 0.975])
    return f"{value} ({low:.2f}-{high:.2f}); {counted(raised)}"


def beats(one: npt.ArrayLike, other: npt.ArrayLike) -> float:
    """How often a number of the first beats one of the other, ties counting one half."""
    away = np.subtract.outer(one, other)
    return float(np.mean((away > 0) + 0.5 * (away == 0)))
