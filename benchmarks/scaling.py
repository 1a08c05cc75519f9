"""How time and memory grow with slices, with the size of the input, and with workers; as figures.

    python -m benchmarks.scaling OUT [--runs 7]

Every point is measured in a fresh process, so that its peak memory is its own; times are medians
of the turns in it.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from benchmarks.material import arguments, chest
from benchmarks.rows import write

mpl.use("Agg")

from matplotlib import pyplot

from squeezect import Preparation
from squeezect.checkpoint import Card, Checkpoint
from squeezect.models import create_model
from squeezect.phantom import write_dicom
from squeezect.runtime import export

SLICES = (50, 100, 200, 400, 800)
SIDES = (64, 96, 128, 192, 256)
WORKERS = (1, 2)

MEASURE = """
import statistics, sys, time
from pathlib import Path
import numpy as np
from squeezect import Preparation, prepare, read_scan
from squeezect.runtime import open_engine

def peak_mb():
    rows = Path("/proc/self/status").read_text().splitlines()
    return int(next(r for r in rows if r.startswith("VmHWM")).split()[1]) * 1024 / 1e6

what, place, size, runs = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
taken = {}

def timed(name, call):
    started = time.perf_counter()
    result = call()
    taken.setdefault(name, []).append(time.perf_counter() - started)
    return result

if what == "slices":
    for _ in range(runs + 1):
        scan = timed("reading", lambda: read_scan(place))
        timed("preparing", lambda: prepare(scan))
else:
    engine = open_engine(place)
    values = np.random.default_rng(0).random((size,) * 3, dtype=np.float32)
    for _ in range(runs + 1):
        timed("forward", lambda: engine(values))
import json
print(json.dumps({k: statistics.median(v[1:]) for k, v in taken.items()} | {"MB": peak_mb()}))
"""


def point(what: str, place: Path, size: int, runs: int) -> dict[str, float]:
    """Seconds by step, and MB, of one fresh process."""
    command = [sys.executable, "-c", MEASURE, what, str(place), str(size), str(runs)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def slices(root: Path, runs: int) -> dict[int, dict[str, float]]:
    """Reading and preparing series of ever more slices."""
    found = {}
    for count in SLICES:
        write_dicom(chest(count), root / f"slices-{count}")
        found[count] = point("slices", root / f"slices-{count}", count, runs)
    return found


def sides(root: Path, runs: int) -> dict[int, dict[str, float]]:
    """The network on ever larger volumes."""
    card = Card(model="squeezenet3d", preparation=Preparation())
    Checkpoint(card, create_model("squeezenet3d").state_dict()).save(root / "network")
    export(root / "network")
    return {side: point("sides", root / "network", side, runs) for side in SIDES}


def figure(
    found: dict[int, dict[str, float]], steps: Sequence[str], label: str, path: Path
) -> None:
    """Time on the left, memory on the right, both from zero."""
    chart, (left, right) = pyplot.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for step in steps:
        left.plot(list(found), [point[step] for point in found.values()], "o-", label=step)
    right.plot(list(found), [point["MB"] for point in found.values()], "o-", color="tab:grey")
    left.set(xlabel=label, ylabel="seconds", ylim=(0, None))
    right.set(xlabel=label, ylabel="peak of the process, MB", ylim=(0, None))
    left.legend(frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, alpha=0.3)
    chart.savefig(path, metadata={"Date": None})
    pyplot.close(chart)


def workers(out: Path) -> dict[int, dict[str, float]]:
    """Scans per second by workers, as `benchmarks.cohort` has measured them into `out`."""
    try:
        told = json.loads((out / "cohort.json").read_text("utf-8"))
    except OSError:
        return {}
    rates = told["seconds"]["seconds per scan, once going"]
    peaks = told["peaks_mb"]
    middle = {way: sorted(taken)[len(taken) // 2] for way, taken in rates.items()}
    ways = {1: "one worker", 2: "two workers"}
    return {
        number: {"scan, once going": middle[way], "MB": peaks[way]} for number, way in ways.items()
    }


def main() -> None:
    options = arguments(__doc__)
    options.out.mkdir(parents=True, exist_ok=True)
    mpl.rcParams["svg.hashsalt"] = "squeezect"
    runs = max(1, options.runs // 3)
    with tempfile.TemporaryDirectory() as name:
        by_slices, by_side = slices(Path(name), runs), sides(Path(name), runs)
    by_workers = workers(options.out)
    titles = {
        "slices": ("slices of 512 x 512", ("reading", "preparing"), by_slices),
        "input": ("side of the input, voxels", ("forward",), by_side),
        "workers": ("workers", ("scan, once going",), by_workers),
    }
    text = []
    for kind, (label, steps, found) in titles.items():
        if found:
            figure(found, steps, label, options.out / f"scaling-{kind}.svg")
            text += [f"![Time and memory against {label}](scaling-{kind}.svg)", ""]
    details = {kind: found for kind, (_, _, found) in titles.items()}
    write(options.out, "scaling", [], details={"points": details}, text=text)


if __name__ == "__main__":
    main()
