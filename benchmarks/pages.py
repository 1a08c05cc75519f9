"""What a training step waits for memory: the allocator left alone, told to keep, given huge pages.

    python -m benchmarks.pages [--turns 5]

Each form is a process of its own, one after the other in turn; its figure is the median of five
steps after three that warm up. The steps are those of the recipes ``nodule`` and ``malignancy``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from benchmarks.alternate import alternate, machine, median, ratio

from squeezect.memory import HUGE_PAGES, SWITCH, ask_for_huge_pages, keep_freed_memory

ALONE, KEPT, HUGE = "left alone", "freed memory kept", "kept, and in huge pages"
FORMS = {
    ALONE: {SWITCH: "0", HUGE_PAGES: "0"},
    KEPT: {SWITCH: "1", HUGE_PAGES: "0"},
    HUGE: {SWITCH: "1", HUGE_PAGES: "1"},
}
RECIPES = ("nodule", "malignancy")
WARM, STEPS = 3, 5


def step_seconds(name: str) -> float:
    """Median seconds of a training step of a recipe, in this process."""
    ask_for_huge_pages()
    import torch

    from squeezect.training import Recipe
    from squeezect.training.module import Task

    keep_freed_memory()
    recipe = Recipe.load(name)
    size = (1, 50, 50) if recipe.turning else recipe.preparation.size
    channels = 2 if recipe.teaching else 1
    count = recipe.batch_size
    columns = 1 + len(recipe.teaching.ratings) if recipe.teaching else 7
    task = Task(recipe, seed=0, steps=100).train()
    batch = (
        torch.rand(count, channels, *size),
        torch.arange(count) % 2,
        torch.rand(count, columns),
        torch.tensor([[1.0, 0.0]]).expand(count, 2),
    )
    found = task.configure_optimizers()
    optimiser = found["optimizer"] if isinstance(found, dict) else found
    taken = []
    for _ in range(WARM + STEPS):
        started = time.perf_counter()
        loss = task.training_step(batch, 0)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[WARM:])


def in_process(name: str, form: str) -> float:
    """The same in a process with an allocator of some form."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.pages", "--step", name]
    told = subprocess.run(
        command, env=os.environ | FORMS[form], check=True, capture_output=True, text=True
    )
    return float(told.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=5, help="turns that count")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(step_seconds(options.step))
        return
    print(json.dumps(machine()))
    print(f"| recipe | {' | '.join(FORMS)} | huge pages against kept | against left alone |")
    print("|---" * (len(FORMS) + 3) + "|")
    for name in RECIPES:
        seconds = alternate(
            {form: lambda n=name, f=form: in_process(n, f) for form in FORMS},
            runs=options.turns,
            warm=0,
        )
        cells = [f"{median(seconds[form]):.2f} s" for form in FORMS]
        for other in (KEPT, ALONE):
            value, low, high = ratio(seconds[other], seconds[HUGE])
            cells.append(f"{value:.2f}x ({low:.2f} to {high:.2f})")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
