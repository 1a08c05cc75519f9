"""What two processes, each on a core of its own, slow down in each other while preparing scans.

    python -m benchmarks.together [--rounds 5] [--seconds 2]

Each step of preparing a scan runs in one process alone, then in two at the same time; the table has
the rate of both together over that of one. Two steps that are no part of it show what the
machine itself allows: arithmetic that stays in registers and caches, and copying memory.
"""

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from benchmarks.alternate import machine, median
from benchmarks.material import chest

from squeezect.phantom import write_dicom
from squeezect.preparation import Preparation, Store, check_chest, prepare
from squeezect.reading import read_scan

SLICES = 133


def steps(series: Path, store: Store) -> dict[str, Callable[[], object]]:
    """Steps by name, each to be repeated; all of one thread."""
    block = np.random.default_rng(0).random((96, 96), np.float32)
    source, target = np.zeros(2 << 26, np.uint8), np.zeros(2 << 26, np.uint8)
    scan = read_scan(series, threads=1)
    lungs, _ = check_chest(scan, threads=1)
    volume = prepare(scan, store.preparation, lungs=lungs, threads=1)
    number = itertools.count()

    def write() -> None:
        store.write(f"p{os.getpid()}-{next(number) % 8}", volume)

    def whole() -> None:
        scan = read_scan(series, threads=1)
        lungs, _ = check_chest(scan, threads=1)
        made = prepare(scan, store.preparation, lungs=lungs, threads=1)
        store.write(f"p{os.getpid()}", made)

    return {
        "arithmetic within the cache": lambda: np.linalg.multi_dot([block] * 8),
        "copying 128 MB": lambda: np.copyto(target, source),
        "reading 133 slices": lambda: read_scan(series, threads=1),
        "finding the lungs": lambda: check_chest(scan, threads=1),
        "preparing": lambda: prepare(scan, store.preparation, lungs=lungs, threads=1),
        "writing to the store": write,
        "the whole of a scan": whole,
    }


def serve(core: int, series: Path, folder: Path) -> None:
    """Run the steps that come in by name and seconds, and say how many a second were done."""
    os.sched_setaffinity(0, {core})
    known = steps(series, Store.open(folder, Preparation()))
    print(*known, sep="\t", flush=True)
    for line in sys.stdin:
        name, seconds = line.rstrip("\n").split("\t")
        known[name]()
        print("ready", flush=True)
        sys.stdin.readline()
        started, count = time.perf_counter(), 0
        while (spent := time.perf_counter() - started) < float(seconds):
            known[name]()
            count += 1
        print(count / spent, flush=True)


class Worker:
    """A process held to a core."""

    def __init__(self, core: int, series: Path, folder: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.together", "--serve", str(core)]
        one_thread = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
        self.process = subprocess.Popen(
            [*command, str(series), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **one_thread},
        )
        self.names = self.hear().split("\t")

    def say(self, words: str) -> None:
        print(words, file=self.process.stdin, flush=True)

    def hear(self) -> str:
        return next(iter(self.process.stdout or ())).rstrip("\n")


def rates(workers: list[Worker], name: str, seconds: float) -> list[float]:
    """How many a second each worker does while all of them work."""
    for worker in workers:
        worker.say(f"{name}\t{seconds}")
    for worker in workers:
        worker.hear()
    for worker in workers:
        worker.say("go")
    return [float(worker.hear()) for worker in workers]


def measure(rounds: int, seconds: float) -> list[str]:
    """Lines of the table."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    with tempfile.TemporaryDirectory() as root:
        series = Path(root) / "series"
        write_dicom(chest(SLICES), series)
        workers = [Worker(core, series, Path(root) / f"store-{core}") for core in cores]
        alone: dict[str, list[float]] = {name: [] for name in workers[0].names}
        gains: dict[str, list[float]] = {name: [] for name in alone}
        for _ in range(rounds):
            for name, values in alone.items():
                first = rates(workers[:1], name, seconds)[0]
                both = rates(workers, name, seconds)
                last = rates(workers[1:], name, seconds)[0]
                values.append((first + last) / 2)
                gains[name].append(sum(both) / values[-1])
        for worker in workers:
            worker.process.kill()
            worker.process.wait()
    lines = ["| step | ms, one process alone | two processes over one | lowest to highest |"]
    lines.append("|---|---|---|---|")
    for name, values in gains.items():
        spread = f"{min(values):.2f} to {max(values):.2f}"
        lines.append(
            f"| {name} | {1000 / median(alone[name]):.1f} | {median(values):.2f} | {spread} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="that each measurement lasts")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        core, series, folder = options.serve
        serve(int(core), Path(series), Path(folder))
        return
    facts = machine()
    print(f"{facts['processor']}, {options.rounds} rounds of {options.seconds:g} s\n")
    print("\n".join(measure(options.rounds, options.seconds)))


if __name__ == "__main__":
    main()
