"""Preparing a cohort of DICOM series: what workers bring, and how much memory one takes."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from squeezect.phantom import thorax, write_dicom
from squeezect.scan import Grid

FILL = """
import os, resource, sys, time
from pathlib import Path
from squeezect.preparation import Preparation, Store
if __name__ == "__main__":
    store, way, *folders = sys.argv[1:]
    if way == "one core":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    workers = 2 if way == "two workers" else 1
    sources = {Path(folder).name: Path(folder) for folder in folders}
    started = time.perf_counter()
    filled = Store.open(store, Preparation()).fill(sources, workers=workers)
    seconds = time.perf_counter() - started
    if len(filled.done) != len(folders):
        sys.exit(str(filled.failed))
    # Of the workers; this process itself inherits the figure of whoever started it.
    print(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6)
"""
WAYS = ("one core", "one worker", "two workers")


def cohort(runs: int, *, scans: int, slices: int) -> dict[str, object]:
    """Seconds of one worker on one core, one worker, and two; alternating, medians."""
    grid = Grid((slices, 512, 512), (330 / slices, 0.7, 0.7), (-179.0, -179.0, -165.0))
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    peaks: list[float] = []
    with tempfile.TemporaryDirectory() as root:
        folders = [Path(root) / f"scan-{number}" for number in range(scans)]
        write_dicom(thorax(1, grid=grid)[0], folders[0])
        for folder in folders[1:]:
            folder.mkdir()
            for file in folders[0].iterdir():
                (folder / file.name).hardlink_to(file)
        script = Path(root) / "fill.py"
        script.write_text(FILL)
        for turn in range(runs):
            for way, taken in seconds.items():
                store = str(Path(root) / f"store-{turn}-{way}")
                command = [sys.executable, str(script), store, way, *map(str, folders)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                second, peak = map(float, done.stdout.split()[-2:])
                taken.append(second)
                peaks.append(peak)
    one_core, one, two = (float(np.median(seconds[way])) for way in WAYS)
    return {
        "scans": scans,
        "slices": slices,
        "seconds_one_core": round(one_core, 2),
        "seconds_one_worker": round(one, 2),
        "seconds_two_workers": round(two, 2),
        "ratio": round(one_core / two, 2),
        "peak_mb_per_worker": round(max(peaks)),
    }
