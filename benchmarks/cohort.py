"""Preparing a cohort of DICOM series: what workers bring, and how much memory one takes.

    python -m benchmarks.cohort OUT [--runs 7]

A worker decodes and prepares in threads, so one worker alone can use several cores. Workers are
therefore compared twice: with one worker as it comes, and with one held to one core, which says
how the work scales. A rate counts from the first finished scan to the last, so that starting the
processes, which a large cohort does not feel, is told apart.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.alternate import Seconds, alternate, ratio
from benchmarks.material import arguments, chest
from benchmarks.rows import Row, write

from squeezect.phantom import write_dicom

FILL = """
import os, resource, sys, time
from pathlib import Path
from squeezect.preparation import Preparation, Store
if __name__ == "__main__":
    store, way, *folders = sys.argv[1:]
    if way == "one worker on one core":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    workers = 2 if way == "two workers" else 1
    sources = {Path(folder).name: Path(folder) for folder in folders}
    at = []
    started = time.perf_counter()
    filled = Store.open(store, Preparation()).fill(
        sources, workers=workers, progress=lambda *_: at.append(time.perf_counter())
    )
    seconds = time.perf_counter() - started
    if len(filled.done) != len(folders):
        sys.exit(str(filled.failed))
    # Between finished scans; two workers' first two come in together, so begin at the second.
    steady = (at[-1] - at[2]) / (len(at) - 3)
    who = resource.RUSAGE_CHILDREN if workers > 1 else resource.RUSAGE_SELF
    print(seconds, steady, resource.getrusage(who).ru_maxrss * 1024 / 1e6)
"""
WAYS = ("one worker on one core", "one worker", "two workers")
SCANS, SLICES = 24, 133


def fill(script: Path, store: Path, way: str, folders: list[Path]) -> tuple[float, float, float]:
    """Seconds in all, seconds per scan once going, and MB of the largest worker."""
    command = [sys.executable, str(script), str(store), way, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    whole, steady, peak = map(float, done.stdout.split()[-3:])
    return whole, steady, peak


def copies(root: Path, *, scans: int, slices: int) -> list[Path]:
    """One series under several names; hard links, so that disks do not matter."""
    folders = [root / f"scan-{slices}-{number}" for number in range(scans)]
    write_dicom(chest(slices), folders[0])
    for folder in folders[1:]:
        folder.mkdir()
        for file in folders[0].iterdir():
            (folder / file.name).hardlink_to(file)
    return folders


def measure(runs: int) -> tuple[Seconds, Seconds, dict[str, float]]:
    """Seconds in all, seconds per scan once going, and MB of the largest worker on 400 slices."""
    steady: Seconds = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        script = root / "fill.py"
        script.write_text(FILL, "utf-8")
        folders = copies(root, scans=SCANS, slices=SLICES)

        def run(way: str) -> float:
            with tempfile.TemporaryDirectory(dir=root) as store:
                whole, rate, _ = fill(script, Path(store) / "store", way, folders)
            steady[way].append(rate)
            return whole

        whole = alternate({way: (lambda way=way: run(way)) for way in WAYS}, runs=runs, warm=0)
        large = copies(root, scans=4, slices=400)
        peaks = {way: fill(script, root / way, way, large)[2] for way in WAYS[1:]}
    return whole, steady, peaks


def scaling(what: str, seconds: Seconds, target: float | None) -> list[Row]:
    """Rows of two workers against one on one core, and against one as it comes."""
    rows = []
    for way, wanted in ((WAYS[0], target), (WAYS[1], None)):
        value, low, high = ratio(seconds[way], seconds[WAYS[2]])
        rows.append(Row(what, way, value, "x", wanted, low=low, high=high))
    return rows


def main() -> None:
    options = arguments(__doc__)
    whole, steady, peaks = measure(options.runs)
    rows = [
        *scaling("preparing a cohort with two workers, once going", steady, 1.8),
        *scaling(f"preparing {SCANS} scans with two workers, starting included", whole, None),
        Row(
            "peak memory of a worker, 400 slices",
            "1.2 GB",
            max(peaks.values()),
            "MB",
            1200,
            at_least=False,
        ),
    ]
    write(
        options.out,
        "cohort",
        rows,
        seconds={"seconds per scan, once going": steady, f"{SCANS} scans in all": whole},
        details={"peaks_mb": peaks},
    )


if __name__ == "__main__":
    main()
