"""What is trained: one network per arm, all on the same patients."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, product
from pathlib import Path
from typing import Literal

import numpy as np
from cases import (
    LARGEST_MM,
    SEED,
    SMALLEST_MM,
    TRAIN_SCAN,
    Chest,
    banks,
    log_uniform,
    phantoms,
    real,
)

from squeezect.checkpoint import CARD_FILE, Card, Checkpoint, write_atomically
from squeezect.nodules import Bank, Implant
from squeezect.preparation import Preparation, Store, Volume, prepare
from squeezect.scan import Scan
from squeezect.training import Recipe
from squeezect.training.fold import RESUME_FILE, Part, train_fold

STEPS, BATCH = 1600, 4
BLOCK = 64
CELL = 4
# The one real scan is used six times, three with a nodule: copies of one patient, not patients.
REAL_COPIES = 3
Crop = Literal["none", "lungs"]
Source = Literal["bank", "painted", "nothing"]


@dataclass(frozen=True)
class Arm:
    """One network to train.

    Args:
        name: of the arm.
        size: side of the volume in voxels.
        crop: of the preparation.
        teaching: ``modern`` (the demo's recipe) or ``paper``.
        inserted: what is put into negatives while training.
        seed: of weights, order and draws.
        network: ``modern`` or ``paper``.
        by_heart: without what keeps a network from learning its patients by heart: augmentation,
            dropout, weight decay and the mean of weights.
        pointing: weight of the loss that points the map at what was inserted.
        head: how the modern network pools its cells; the paper's always takes their mean.
    """

    name: str
    size: int
    crop: Crop
    teaching: Literal["modern", "paper"] = "modern"
    inserted: Source = "bank"
    seed: int = 0
    network: Literal["modern", "paper"] = "modern"
    by_heart: bool = False
    pointing: float = 3.0
    head: Literal["peak", "mean"] = "peak"

    @property
    def preparation(self) -> Preparation:
        return Preparation(size=(self.size,) * 3, crop=self.crop)

    @property
    def cell(self) -> int:
        """Voxels from one cell of the network's map to the next."""
        return 16 if self.network == "paper" else CELL

    def recipe(self, cases: int) -> Recipe:
        """The arm's recipe: a shipped one with its fields changed.

        Args:
            cases: to learn from; the number of epochs gives about `STEPS` steps.
        """
        changes: dict[str, object] = {
            "epochs": max(1, round(STEPS / -(-cases // BATCH))),
            "seed": self.seed,
            "precision": "float32",
            "preparation": self.preparation.model_dump(),
        }
        if self.teaching == "paper":
            return Recipe.load("paper", **changes)
        options: dict[str, object] = {"dropout": 0.0 if self.by_heart else 0.1}
        if self.network == "paper":
            # Without norms three thousandths diverge; this is the largest that was safe.
            changes |= {"model": "squeezenet3d", "learning_rate": 5e-4}
        else:
            options |= {"cell": CELL, "depth": 4, "width": 0.5, "head": self.head}
        changes["model_options"] = options
        if self.by_heart:
            changes |= {"weight_decay": 0.0, "average_weights": 0.0}
        insertion = {
            "share": 0.4,
            "diameter_mm": (SMALLEST_MM, LARGEST_MM),
            "pointing": self.pointing,
        }
        recipe = Recipe.load("demo", **changes, insertion=insertion)
        off = {"insertion": self.inserted == "nothing", "augmentation": self.by_heart}
        return recipe.model_copy(update={field: None for field, is_off in off.items() if is_off})


ARMS = (
    Arm("64-lungs", 64, "lungs"),
    Arm("128-lungs", 128, "lungs"),
    Arm("64-lungs-label", 64, "lungs", inserted="nothing"),
    Arm("128-none", 128, "none"),
    Arm("64-none", 64, "none"),
    Arm("64-lungs-painted", 64, "lungs", inserted="painted"),
    Arm("64-paper", 64, "none", teaching="paper", network="paper"),
    Arm("64-lungs-b", 64, "lungs", seed=1),
    Arm("64-lungs-painted-b", 64, "lungs", inserted="painted", seed=1),
    Arm("64-lungs-label-b", 64, "lungs", inserted="nothing", seed=1),
    Arm("96-lungs", 96, "lungs"),
    Arm("96-none", 96, "none"),
    Arm("64-lungs-by-heart", 64, "lungs", inserted="nothing", by_heart=True),
    Arm("64-lungs-unpointed", 64, "lungs", pointing=0.0),
    Arm("64-paper-by-heart", 64, "lungs", inserted="nothing", network="paper", by_heart=True),
    Arm("128-paper-taught", 128, "lungs", network="paper"),
    Arm("128-paper", 128, "lungs", teaching="paper", network="paper"),
    Arm("64-lungs-mean", 64, "lungs", head="mean"),
    Arm("64-lungs-by-heart-b", 64, "lungs", inserted="nothing", seed=1, by_heart=True),
    Arm("64-lungs-unpointed-b", 64, "lungs", seed=1, pointing=0.0),
)


def learn(arm: Arm, out: Path, *, scans: Path, bank: Path) -> None:
    """Train one arm; goes on where a killed one was, does nothing where one is finished."""
    folder = out / "arms" / arm.name
    if (folder / CARD_FILE).exists():
        return
    train_bank, _ = banks(bank)
    part, store = training_part(arm, out, scans=scans, bank=train_bank)
    recipe = arm.recipe(len(part.keys))
    started = time.perf_counter()
    weights, facts = train_fold(
        recipe,
        store,
        folder,
        train=part,
        tune=Part([], []),
        seed=arm.seed,
        stage=arm.name,
        progress=_tell,
    )
    facts |= {"seconds": round(time.perf_counter() - started), "cases": len(part.keys)}
    card = Card(
        model=recipe.model,
        options=recipe.model_options,
        preparation=recipe.preparation,
        recipe=recipe.model_dump(mode="json"),
        trained_on=facts,
    )
    Checkpoint(card, weights).save(folder)
    (folder / RESUME_FILE).unlink(missing_ok=True)


def _tell(stage: str, done: int, total: int, note: str = "") -> None:
    print(f"{stage}: {done} of {total} {note}", flush=True)


def training_part(arm: Arm, out: Path, *, scans: Path, bank: Bank) -> tuple[Part, Store]:
    """The training cohort in an arm's preparation: phantoms and the real scan, half with a nodule.

    Which patient has a nodule, which one and where is the same for every arm. Volumes larger than
    `BLOCK` are learned from in blocks of that side: a step costs the same for every arm, and each
    sees as many voxels. They are judged whole. A block's label names the octant that the nodule is
    in, and the other blocks of its chest are known to be empty, so such arms are told more.
    """
    if not _index(arm, out).exists():
        _prepare_all(out, scans=scans, bank=bank)
    labels = json.loads(_index(arm, out).read_text("utf-8"))
    part = Part(list(labels), list(labels.values()), bank if arm.inserted == "bank" else None)
    return part, _store(arm, out)


def _index(arm: Arm, out: Path) -> Path:
    return out / "stores" / f"{arm.size}-{arm.crop}.json"


def _store(arm: Arm, out: Path) -> Store:
    blocks = arm.preparation.model_copy(update={"size": (BLOCK,) * 3})
    return Store.open(_index(arm, out).with_suffix(""), blocks)


def _prepare_all(out: Path, *, scans: Path, bank: Bank) -> None:
    """Prepare the cohort in every way that an arm needs, each chest once."""
    ways = list({arm.preparation.digest: arm for arm in ARMS}.values())
    labels: dict[str, dict[str, int]] = {arm.name: {} for arm in ways}
    for chest in chain(phantoms("train"), [real(TRAIN_SCAN, scans)]):
        for number in range(2 * REAL_COPIES if chest.name == TRAIN_SCAN else 1):
            name = f"{chest.name}-{number}"
            marked = (number if chest.name == TRAIN_SCAN else _number(chest.name)) % 2 == 1
            scan, implant = _patient(name, chest, bank if marked else None)
            for arm in ways:
                volume = prepare(scan, arm.preparation, lungs=chest.lungs.figures, threads=1)
                labels[arm.name] |= _keep(_store(arm, out), name, volume, implant)
        print(f"prepared {chest.name}", flush=True)
    for arm in ways:
        write_atomically(_index(arm, out), json.dumps(labels[arm.name]).encode())


def _patient(name: str, chest: Chest, bank: Bank | None) -> tuple[Scan, Implant | None]:
    """The chest's scan, with a nodule if there is a bank."""
    scan, implant = chest.scan, None
    random = np.random.default_rng((SEED, 6, *name.encode()))
    while bank is not None and implant is None:
        made = chest.with_nodule(bank, log_uniform(random), random=random)
        scan, implant = made or (scan, None)
    return scan, implant


def _keep(store: Store, name: str, volume: Volume, implant: Implant | None) -> dict[str, int]:
    """Keep the blocks of a volume; label of each."""
    labels = {}
    for number, (block, label) in enumerate(_blocks(volume, implant)):
        if label is not None:
            store.write(f"{name}-{number}", replace(block, preparation=store.preparation))
            labels[f"{name}-{number}"] = label
    return labels


def _blocks(volume: Volume, implant: Implant | None) -> Iterator[tuple[Volume, int | None]]:
    """Blocks of a volume, 1 where the nodule's centre lies within, None where it is cut."""
    side = volume.values.shape[0]
    for corner in product(sorted({0, side - BLOCK}), repeat=3):
        z, y, x = corner
        block = volume.values[z : z + BLOCK, y : y + BLOCK, x : x + BLOCK]
        grid = volume.grid.crop(corner, (BLOCK, BLOCK, BLOCK))
        label: int | None = 0
        if implant is not None:
            inner = np.minimum(index := grid.to_index(implant.centre_mm), BLOCK - 1 - index)
            depth = float(inner.min()) * grid.spacing_mm[0]
            label = 1 if depth > 0 else 0 if depth < -implant.diameter_mm else None
        yield replace(volume, values=np.ascontiguousarray(block), grid=grid), label


def _number(name: str) -> int:
    return int(name.rsplit("-", 1)[1])
