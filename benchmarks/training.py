"""A training step against its peers, and what loading and augmenting the volumes adds to it.

    python -m benchmarks.training OUT [--runs 7]

Everyone trains at their best settings: fused Adam, buffers kept between steps, bfloat16 where the
processor computes in it, and the memory layout that was faster in the warm-up.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from benchmarks.alternate import Seconds, alternate, has_bfloat16, ratio
from benchmarks.material import SIDE, arguments, monai_network
from benchmarks.peer import KERAS, Keras
from benchmarks.rows import Row, against, write

from squeezect.memory import keep_freed_memory
from squeezect.models import create_model
from squeezect.phantom import chest_grid, thorax
from squeezect.preparation import Preparation, Store, prepare
from squeezect.training.data import EpochSampler, Volumes, loader
from squeezect.training.recipe import Recipe

BATCH = 4
WHAT = f"training step, batch {BATCH}, 128^3"
OURS, DENSE, RES = "SqueezeCT", "MONAI DenseNet121, PyTorch", "MONAI ResNet18, PyTorch"
TARGETS = {KERAS: 1.3, DENSE: 4, RES: 12}
FEWER = {RES: 5, DENSE: 5}
"""Turns of those that take much longer than the rest."""
Step = Callable[[], object]


def step(
    model: torch.nn.Module, *, layout: torch.memory_format, batch: int = BATCH, side: int = SIDE
) -> Step:
    """One step on a batch, as a call."""
    model = model.train().to(memory_format=layout)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(model.parameters(), 1e-5, fused=True)
    volumes = torch.rand(batch, 1, side, side, side).contiguous(memory_format=layout)
    labels = torch.arange(batch) % 2

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16()):
            logits = model(volumes)
        loss = torch.nn.functional.cross_entropy(logits.float(), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return run


def best(make: Callable[[], torch.nn.Module]) -> tuple[Step, str]:
    """A step in the layout that a try with one small volume finds faster."""
    layouts = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last_3d}
    tries = {
        name: step(make(), layout=layout, batch=1, side=SIDE // 2)
        for name, layout in layouts.items()
    }
    seconds = alternate(tries, runs=1)
    chosen = min(seconds, key=lambda name: seconds[name][0])
    return step(make(), layout=layouts[chosen]), chosen


def steps(keras: Keras, runs: int) -> tuple[Seconds, dict[str, str]]:
    """Seconds of a step of everyone, and the layouts chosen."""
    dense, dense_layout = best(lambda: monai_network("DenseNet121"))
    res, res_layout = best(lambda: monai_network("ResNet18"))
    methods: dict[str, Step] = {
        OURS: step(create_model("squeezenet3d"), layout=torch.channels_last_3d),
        KERAS: lambda: keras("train"),
    }
    for method in methods.values():
        method()
    methods |= {DENSE: dense, RES: res}
    seconds = alternate(methods, runs=runs, warm=0, fewer=FEWER)
    return seconds, {DENSE: dense_layout, RES: res_layout}


def loading(runs: int) -> Seconds:
    """Seconds to load and augment a batch of the paper's size, from disk and from memory."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "store", Preparation())
        keys = [f"chest-{number}" for number in range(BATCH)]
        for number, key in enumerate(keys):
            grid = chest_grid(number, spacing_mm=2.0, thickness_mm=3.0)
            store.write(key, prepare(thorax(number, grid=grid)[0]))
        labels = [number % 2 for number in range(BATCH)]
        recipe = Recipe.load("modern")
        kept = Volumes(store, keys, labels, recipe.augmentation)

        def batch(volumes: Volumes) -> None:
            sampler = EpochSampler(labels, balanced=True)
            for _ in loader(volumes, sampler, batch_size=BATCH):
                pass

        methods = {
            "first epoch, from disk": lambda: batch(
                Volumes(store, keys, labels, recipe.augmentation)
            ),
            "later epochs, from memory": lambda: batch(kept),
        }
        return alternate(methods, runs=runs)


def loading_rows(seconds: Seconds, stepping: list[float]) -> list[Row]:
    """Share of a training step that loading takes; nothing of it runs beside the step."""
    rows = []
    for name, taken in seconds.items():
        value, low, high = (100 * part for part in ratio(taken, stepping))
        what = f"loading and augmenting a batch, {name}"
        rows.append(Row(what, WHAT, value, "%", 10, at_least=False, low=low, high=high))
    return rows


def main() -> None:
    options = arguments(__doc__)
    keep_freed_memory()
    with Keras() as keras:
        stepping, layouts = steps(keras, options.runs)
    feeding = loading(options.runs)
    rows = against(stepping, OURS, WHAT, TARGETS)
    rows += loading_rows(feeding, stepping[OURS])
    precision = "bfloat16" if has_bfloat16() else "float32"
    write(
        options.out,
        "training",
        rows,
        seconds={WHAT: stepping, "loading": feeding},
        details={"layouts": layouts, "precision": precision},
    )


if __name__ == "__main__":
    main()
