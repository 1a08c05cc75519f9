"""Where the summit of the map lies: in the nodule, near it, and what its cells allow at all."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from arms import Arm
from cases import SIZES_MM, TEST_SCAN
from tables import counted, crop_name, silent, silent_row, sizes, table, title

NEAR = float(np.sqrt(3) / 2)
"""From the middle of a cube of side 1 to its corner: no point is further from the nearest cell."""
RISE = 1e-3
STEPS = 40
Hit = Callable[[pd.DataFrame], pd.Series]
Rows = dict[Arm, pd.DataFrame | None]
"""Answers of every arm; None where they are constant."""


def in_nodule(rows: pd.DataFrame) -> pd.Series:
    """Whether the cell of most evidence has its centre in the nodule, without any tolerance."""
    return rows["away_mm"] <= rows["diameter_mm"] / 2


def near_nodule(rows: pd.DataFrame) -> pd.Series:
    """Whether that centre lies in the nodule or within half a cell's diagonal of its surface."""
    return rows["away_mm"] <= rows["diameter_mm"] / 2 + NEAR * rows["cell_mm"]


def rises(rows: pd.DataFrame) -> pd.Series:
    """Whether a nodule raises the evidence of its chest by more than `RISE`."""
    bare = rows[rows["diameter_mm"] == 0].set_index("case")["evidence"]
    return rows["evidence"] > rows["case"].map(bare) + RISE


def best_possible(diameter_mm: float, cell_mm: float) -> float:
    """Share of places at which any cell's centre lies in a nodule: what perfect pointing reaches.

    Args:
        diameter_mm: of the nodule, a ball.
        cell_mm: from cell to cell.
    """
    # The nearest centre is at most half a cell away along each axis, all distances alike.
    axis = (np.arange(STEPS) + 0.5) / STEPS * cell_mm / 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)
    return float((z**2 + y**2 + x**2 <= (diameter_mm / 2) ** 2).mean())


def by_chance(diameter_mm: float, cell_mm: float, side_mm: float) -> float:
    """Share of a volume's cells that are `near_nodule`.

    Args:
        diameter_mm: of the nodule, a ball well inside the volume.
        cell_mm: from cell to cell.
        side_mm: of the volume, a cube.
    """
    reach = diameter_mm / 2 + NEAR * cell_mm
    return float(min(1.0, 4 / 3 * np.pi * (reach / side_mm) ** 3))


def pointing_tables(arms: list[Arm], scores: pd.DataFrame) -> list[str]:
    """Tables of strict and tolerant hits, and of what the real test scan adds."""
    phantoms: Rows = {}
    patient: Rows = {}
    for arm in arms:
        some = scores[scores["arm"] == arm.name]
        real = some["case"] == TEST_SCAN
        speaks = not silent(some[~real])
        phantoms[arm] = some[~real] if speaks else None
        patient[arm] = some[real] if speaks else None
    return [
        "Where the map points, strictly: in how many phantoms the centre of the cell with the most "
        "evidence lies in the nodule, and Wilson's 95 % interval of the share. Cells are coarser "
        "than a small nodule: *at best* is the share of places at which any cell's centre lies "
        "in it.\n\n" + _by_size(phantoms, in_nodule, _grids(phantoms, _at_best)),
        f"The same with a tolerance: half the diagonal of a cell ({NEAR:.2f} cells) is added to "
        "the nodule's radius, so that pointing to the nearest cell always counts. *By chance* is "
        "any cell of the volume at random; among cells in the lungs it is about five times as "
        "much with the crop, ten times without.\n\n"
        + _by_size(phantoms, near_nodule, _grids(phantoms, _at_random)),
        "The real test scan, its known nodules covered, strictly: a nodule inserted at six places "
        "per size. It is one patient: the intervals are over places, not patients.\n\n"
        + _by_size(patient, in_nodule, []),
        "The real test scan: at how many of the six places its score rises by more than "
        f"{RISE:g} of log-odds. The network that learned from labels alone shows how often that "
        "happens without finding nodules.\n\n" + _by_size(patient, rises, []),
    ]


def _by_size(answers: Rows, hit: Hit, last: list[list[str]]) -> str:
    rows = []
    for arm, some in answers.items():
        if some is None:
            rows.append(silent_row([title(arm)]))
            continue
        hits, diameters = hit(some), some["diameter_mm"]
        rows.append([title(arm), *(counted(hits[diameters == size]) for size in SIZES_MM)])
    return table(["network", *sizes()], [*rows, *last])


def _at_best(arm: Arm, cell_mm: float) -> list[str]:
    reached = [f"{best_possible(size, cell_mm):.2f}" for size in SIZES_MM]
    return [f"*at best*, {_cells(arm, cell_mm)}", *reached]


def _at_random(arm: Arm, cell_mm: float) -> list[str]:
    side = cell_mm * arm.size / arm.cell
    share = [f"{by_chance(size, cell_mm, side):.4f}" for size in SIZES_MM]
    return [f"*by chance*, {_cells(arm, cell_mm)}", *share]


def _cells(arm: Arm, cell_mm: float) -> str:
    return f"{arm.size}, {crop_name(arm.crop)}: cells {cell_mm:.0f} mm apart"


def _grids(answers: Rows, row: Callable[[Arm, float], list[str]]) -> list[list[str]]:
    """A row for every kind of map that the networks have."""
    kinds: dict[tuple[int, str, int], list[str]] = {}
    for arm, some in answers.items():
        if some is not None:
            kinds.setdefault((arm.size, arm.crop, arm.cell), row(arm, some["cell_mm"].median()))
    return list(kinds.values())
