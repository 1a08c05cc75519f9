"""What reduced precision does to a trained network's answers on volumes it has not seen.

    python -m benchmarks.precision OUT [--runs 7]

A network of the demo's recipe is trained for a short while on synthetic chests, exported, and asked
about other chests. An export in 8 bits is calibrated on volumes of the training part.
"""

import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from benchmarks.alternate import has_bfloat16
from benchmarks.material import arguments
from benchmarks.rows import Row, write
from sklearn.metrics import roc_auc_score

from squeezect.checkpoint import Card, Checkpoint
from squeezect.phantom import chest_grid, thorax
from squeezect.preparation import Preparation, Store, Volume, prepare
from squeezect.runtime import export, exporting, open_engine
from squeezect.training.augmentation import augment
from squeezect.training.fold import Part, train_fold
from squeezect.training.recipe import Recipe

LEARNT, UNSEEN, VIEWS = 32, 20, 4
EPOCHS = 15
Cases = list[tuple[np.ndarray, int]]


def patient(number: int) -> Volume:
    """A synthetic chest, prepared as the demo does; every other one has a nodule or two."""
    how = Recipe.load("demo").preparation
    grid = chest_grid(number, spacing_mm=2.5, thickness_mm=3.0)
    scan = thorax(number, grid=grid, nodules=number % 2 * (1 + number // 2 % 2))[0]
    return prepare(scan, Preparation.model_validate(how.model_dump()))


def patients() -> list[Volume]:
    """All of them, in as many processes as there are cores."""
    spawn = get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=spawn) as pool:
        return list(pool.map(patient, range(LEARNT + UNSEEN)))


def learn(volumes: list[Volume], root: Path) -> Path:
    """A network trained for a short while, as a checkpoint, exported where that is allowed."""
    recipe = Recipe.load("demo", epochs=EPOCHS)
    store = Store.open(root / "store", recipe.preparation)
    keys = [f"patient-{number}" for number in range(len(volumes))]
    for key, volume in zip(keys, volumes, strict=True):
        store.write(key, volume)
    weights, _ = train_fold(
        recipe,
        store,
        root / "fold",
        train=Part(keys, [number % 2 for number in range(len(keys))]),
        tune=Part([], []),
        seed=0,
        stage="training",
        progress=lambda *_: None,
    )
    card = Card(model=recipe.model, options=recipe.model_options, preparation=recipe.preparation)
    Checkpoint(card, weights).save(root / "network")
    export(root / "network")
    return root / "network"


def unseen(volumes: list[Volume]) -> Cases:
    """Every held-out patient in a few views, changed as training changes volumes."""
    how = Recipe.load("demo").augmentation
    random = np.random.default_rng(0)
    cases: Cases = []
    for number, volume in enumerate(volumes):
        for view in range(VIEWS):
            values = augment(volume.values, how, random=random) if how and view else volume.values
            cases.append((np.ascontiguousarray(values), (LEARNT + number) % 2))
    return cases


def answers(network: Path, engine: str, cases: Cases) -> np.ndarray:
    """Probability of every case."""
    opened = open_engine(network, engine=engine)  # type: ignore[arg-type]
    return np.array([opened(values).probability for values, _ in cases])


def compared(name: str, given: np.ndarray, exact: np.ndarray, labels: np.ndarray) -> list[Row]:
    """Largest change of a probability, and what the ranking lost."""
    loss = roc_auc_score(labels, exact) - roc_auc_score(labels, given)
    gap = float(np.abs(given - exact).max())
    peer = f"float32, {len(labels)} unseen volumes of {UNSEEN} synthetic patients"
    return [
        Row(f"{name}: largest change of a probability", peer, gap, "", 0.01, at_least=False),
        Row(f"{name}: loss of ROC AUC", peer, loss, "", 0.002, at_least=False),
    ]


def main() -> None:
    options = arguments(__doc__)
    volumes = patients()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        network = learn(volumes[:LEARNT], Path(name))
        cases = unseen(volumes[LEARNT:])
        labels = np.array([label for _, label in cases])
        exact = answers(network, "openvino", cases)
        calibration = [volume.values for volume in volumes[:LEARNT]]
        # Written even where a user's export would be refused, so that there is something to see.
        exporting.PARITY["openvino-int8"] = 1.0
        export(network, form="openvino-int8", calibration=calibration)
        rows += compared("int8", answers(network, "openvino-int8", cases), exact, labels)
        if has_bfloat16():
            reduced = answers(network, "openvino-bfloat16", cases)
            rows += compared("bfloat16", reduced, exact, labels)
        else:
            what, note = "bfloat16: largest change", "this processor has no bfloat16 units"
            rows.append(Row(what, "float32", None, "", 0.01, at_least=False, note=note))
        auc = roc_auc_score(labels, exact)
    details = {"auc_float32": auc, "positives": int(labels.sum()), "cases": len(labels)}
    text = [
        f"The network was trained for {EPOCHS} epochs on {LEARNT} synthetic patients; its ROC AUC "
        f"on the unseen volumes is {auc:.3f} in float32. {VIEWS} views of a patient are not "
        "independent. `squeezect export` refuses a network of 8 bits whose probabilities differ by "
        "more than 0.01 on the volumes it was calibrated on; here it is written whatever it says."
    ]
    write(options.out, "precision", rows, details=details, text=text)


if __name__ == "__main__":
    main()
