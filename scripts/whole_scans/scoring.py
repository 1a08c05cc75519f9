"""Every trained arm on the same unseen chests, with a nodule of each size and without."""

import csv
import io
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from arms import ARMS, Arm
from cases import REAL_PLACES, SEED, SIZES_MM, TEST, TEST_SCAN, Chest, banks, phantoms, real

from squeezect.checkpoint import CARD_FILE, Checkpoint
from squeezect.models import Classifier
from squeezect.nodules import Bank, Implant
from squeezect.preparation import Volume, prepare
from squeezect.scan import Scan

COLUMNS = ("arm", "case", "place", "diameter_mm", "evidence", "mean_evidence", "away_mm", "cell_mm")


def score(out: Path, *, scans: Path, bank: Path) -> Path:
    """Score the trained arms on the test chests; a killed run goes on with the next chest."""
    path = out / "scores.csv"
    done = done_in(path, "arm")
    arms = {a: Checkpoint.load(out / "arms" / a.name).build() for a in trained(out)}
    _, test_bank = banks(bank)
    names = [*(f"test-{i + 1:03d}" for i in range(TEST)), TEST_SCAN]
    if all((arm.name, name) in done for arm in arms for name in names):
        return path
    for chest in chain([real(TEST_SCAN, scans)], phantoms("test")):
        todo = {arm: net for arm, net in arms.items() if (arm.name, chest.name) not in done}
        rows = _rows(chest, todo, test_bank) if todo else []
        append(path, COLUMNS, rows)
        print(f"scored {chest.name} by {len(todo)} networks", flush=True)
    return path


def trained(out: Path) -> list[Arm]:
    """Arms whose network is finished."""
    return [arm for arm in ARMS if (out / "arms" / arm.name / CARD_FILE).exists()]


def variants(chest: Chest, bank: Bank) -> list[tuple[int, float, Scan, Implant | None]]:
    """Place number, size (0 without a nodule), scan and what was inserted."""
    made: list[tuple[int, float, Scan, Implant | None]] = [(0, 0.0, chest.scan, None)]
    for place in range(REAL_PLACES if chest.name == TEST_SCAN else 1):
        for size in SIZES_MM:
            random = np.random.default_rng((SEED, 8, place, round(size), *chest.name.encode()))
            inserted = chest.with_nodule(bank, size, random=random)
            if inserted is not None:
                made.append((place, size, *inserted))
    return made


@torch.inference_mode()
def _rows(chest: Chest, arms: dict[Arm, Classifier], bank: Bank) -> list[list[object]]:
    rows: list[list[object]] = []
    for place, size, scan, implant in variants(chest, bank):
        volumes: dict[str, Volume] = {}
        for arm, net in arms.items():
            key = arm.preparation.digest
            if key not in volumes:
                volumes[key] = prepare(scan, arm.preparation, lungs=chest.lungs.figures, threads=1)
            peak, mean, away, cell = answer(net, volumes[key], implant)
            rows.append([arm.name, chest.name, place, size, peak, mean, away, cell])
    return rows


def answer(
    net: Classifier, volume: Volume, implant: Implant | None
) -> tuple[float, float, float, float]:
    """Log-odds as pooled, mean of the cells' log-odds, mm from summit to nodule, mm of a cell.

    Nothing is rounded: a network that hardly learned still answers in its seventh digit, and
    rounding would make ties of that.
    """
    values = torch.from_numpy(volume.values)[None, None]
    device = next(net.parameters()).device
    scores = net.cell_scores(values.to(device)).float()
    cells = (scores[:, 1] - scores[:, 0])[0]
    pooled = net.pooled(scores).double().mean((2, 3, 4))[0]
    shape = (volume.values.shape[0], volume.values.shape[1], volume.values.shape[2])
    first, step = net.cells(shape)
    at = np.unravel_index(int(cells.argmax()), cells.shape)
    summit = volume.grid.to_mm(np.array(first) + np.array(at) * np.array(step))
    away = float(np.linalg.norm(summit - implant.centre_mm)) if implant else -1.0
    cell_mm = float(step[0] * volume.grid.spacing_mm[0])
    return float(pooled[1] - pooled[0]), float(cells.double().mean()), away, cell_mm


def done_in(path: Path, column: str) -> set[tuple[str, str]]:
    """Pairs of a column and the case that a table has rows of already."""
    if not path.exists():
        return set()
    with path.open() as file:
        return {(row[column], row["case"]) for row in csv.DictReader(file)}


def append(path: Path, columns: Sequence[str], rows: list[list[object]]) -> None:
    """Add rows of one case to a table in one write."""
    text = io.StringIO()
    writer = csv.writer(text)
    if not path.exists():
        writer.writerow(columns)
    writer.writerows(rows)
    with path.open("a", newline="") as file:
        file.write(text.getvalue())
