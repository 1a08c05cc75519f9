"""Show how a protocol that leaks flatters the paper's network, and what the network can really do.

    python scripts/overfitting.py CROPS --work runs/overfitting --out docs

CROPS is the folder of LIDC nodule crops (``nodules.csv``, ``images``, ``masks``). Half of the
patients are set aside and never touched. On the others the paper's SqueezeNet3D is trained with the
paper's recipe, at a higher learning rate and for fewer epochs, in three splits: by patient, by row,
and by row after the rarer class was filled up with mirrored copies. Every second epoch all parts
are scored: choosing epoch and threshold on the very part that is reported, or on another, then
needs no further training. A killed run goes on with the next split; networks are not kept.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from overfitting_page import write_page

from squeezect.cohorts import Cohort, make_folds
from squeezect.cohorts.layouts import read_nodule_crops
from squeezect.memory import keep_freed_memory
from squeezect.models import create_model
from squeezect.preparation import Preparation
from squeezect.scan import pseudonym
from squeezect.training import Recipe
from squeezect.training.prepared import case_key, prepare_cohort
from squeezect.training.progress import silent

SPLITS = ("patients", "copies", "rows")
PARTS = ("train", "tune", "validation", "test")
SIDE = 32
EVERY = 2
"""Epochs from one scoring of all parts to the next."""
SHOWN = 120
"""Cases of the training part that are scored."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("crops", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/overfitting"))
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    options.work.mkdir(parents=True, exist_ok=True)
    cohort = read_nodule_crops(options.crops)
    cubes = _cubes(cohort, options.work / "store")
    settings = {"epochs": options.epochs, "learning_rate": options.lr, "seed": options.seed}
    for split in SPLITS:
        _train(cohort, cubes, split, settings, options.work)
    write_page(options.work, options.out, settings)


def _cubes(cohort: Cohort, folder: Path) -> np.ndarray:
    """Cubes (n, z, y, x) of 1 mm around the nodules, beyond the crop its outermost voxels."""
    how = Preparation(crop="point", size=(SIDE,) * 3, outside="edge")
    store, failed = prepare_cohort(cohort, how, folder, progress=silent)
    if failed:
        raise next(iter(failed.values()))
    return np.stack([store.read(case_key(case, how)).values for case in cohort.cases])


def _parts(cohort: Cohort, split: str, seed: int) -> dict[str, list[tuple[int, bool]]]:
    """Positions of each part, and whether each is a mirrored copy."""
    folds = make_folds(cohort, folds=5, seed=seed, tune_fraction=0.15, test_fraction=0.5)
    fold = folds.folds[0]
    place = {case.row: i for i, case in enumerate(cohort.cases)}
    rows = {"train": fold.train, "tune": fold.tune, "validation": fold.validation}
    parts = {name: [(place[row], False) for row in found] for name, found in rows.items()}
    test = [(place[row], False) for row in folds.test]
    if split != "patients":
        parts = _shuffled(cohort, parts, copies=split == "copies", seed=seed)
    return parts | {"test": test}


def _shuffled(
    cohort: Cohort, parts: dict[str, list[tuple[int, bool]]], *, copies: bool, seed: int
) -> dict[str, list[tuple[int, bool]]]:
    """The same rows dealt out anew in the same proportions, whoever the patient is."""
    everyone = [item for part in parts.values() for item in part]
    random = np.random.default_rng(seed)
    if copies:
        positive = [i for i, _ in everyone if cohort.cases[i].label == 1]
        negative = [i for i, _ in everyone if cohort.cases[i].label == 0]
        rare, often = sorted((positive, negative), key=len)
        extra = random.choice(rare, len(often) - len(rare))
        everyone += [(int(i), True) for i in extra]
    order = random.permutation(len(everyone))
    shares = np.cumsum([len(part) for part in parts.values()])
    ends = (shares * len(everyone) / shares[-1]).round().astype(int)
    starts = [0, *ends[:-1]]
    return {
        name: [everyone[k] for k in order[a:b]]
        for name, a, b in zip(parts, starts, ends, strict=True)
    }


def _train(cohort: Cohort, cubes: np.ndarray, split: str, settings: dict, work: Path) -> None:
    """Train in one split; keep the probabilities of every part after every epoch."""
    target = work / f"{split}.npz"
    if target.exists():
        return
    recipe = Recipe.load("paper")
    seed = settings["seed"]
    parts = _parts(cohort, split, seed)
    learning = parts["train"]
    # A sample shows how well the training part is known by heart, and costs less.
    parts = parts | {"train": learning[:SHOWN]}
    volumes = {name: _volumes(cubes, items) for name, items in parts.items()}
    taught = _volumes(cubes, learning)
    answers = torch.tensor([cohort.cases[i].label for i, _ in learning])
    labels = {n: np.array([cohort.cases[i].label for i, _ in items]) for n, items in parts.items()}
    torch.manual_seed(seed)
    model = create_model(recipe.model, options=recipe.model_options)
    model.to(memory_format=torch.channels_last_3d)
    optimiser = torch.optim.Adam(model.parameters(), lr=settings["learning_rate"], fused=True)
    loss_of = torch.nn.CrossEntropyLoss()
    started = time.process_time()
    history: dict[str, list[np.ndarray]] = {name: [] for name in PARTS}
    for epoch in range(settings["epochs"]):
        order = np.random.default_rng((seed, epoch)).permutation(len(learning))
        model.train()
        for first in range(0, len(order), recipe.batch_size):
            chosen = order[first : first + recipe.batch_size]
            optimiser.zero_grad()
            loss_of(model(taught[chosen]), answers[chosen]).backward()
            optimiser.step()
        if epoch % EVERY != EVERY - 1:
            continue
        for name in PARTS:
            history[name].append(_score(model.eval(), volumes[name]))
        accuracy = {n: ((history[n][-1] > 0.5) == labels[n]).mean().round(3) for n in PARTS}
        print(split, epoch + 1, accuracy, round(time.process_time() - started), "s", flush=True)
    arrays: dict[str, np.ndarray] = {"learnt": np.array([i for i, _ in learning])}
    arrays |= {f"{n}_probability": np.stack(history[n]) for n in PARTS}
    arrays |= {f"{n}_label": labels[n] for n in PARTS}
    for name, items in parts.items():
        people = [pseudonym(cohort.cases[i].patient) for i, _ in items]
        arrays[f"{name}_patient"] = np.array(people)
        arrays[f"{name}_diameter"] = np.array([cohort.cases[i].diameter_mm for i, _ in items])
        arrays[f"{name}_source"] = np.array([i for i, _ in items])
    facts = settings | {"processor_seconds": round(time.process_time() - started)}
    np.savez(work / f".{split}.npz", **arrays)
    (work / f"{split}.json").write_text(json.dumps(facts))
    (work / f".{split}.npz").replace(target)


def _volumes(cubes: np.ndarray, items: list[tuple[int, bool]]) -> torch.Tensor:
    values = np.stack([cubes[i][..., ::-1] if mirrored else cubes[i] for i, mirrored in items])
    return torch.from_numpy(values)[:, None].contiguous(memory_format=torch.channels_last_3d)


def _score(model: torch.nn.Module, volumes: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        parts = [
            model(volumes[i : i + 32]).double().softmax(1)[:, 1] for i in range(0, len(volumes), 32)
        ]
    return torch.cat(parts).numpy()


if __name__ == "__main__":
    main()
