"""What a network costs: time and memory, measured where it is trained."""

import csv
import ctypes
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from squeezect.checkpoint import Checkpoint
from squeezect.training.prepared import Prepared
from squeezect.training.watch import HISTORY_FILE

REPEATS = 5


@dataclass
class Peak:
    """The most memory that a process, or its GPU, held at once.

    Args:
        mib: in MiB; None where the system does not tell.
        kind: ``process`` or ``gpu``.
    """

    mib: float | None = None
    kind: str = field(default="process")


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measure the peak between entering and leaving; libraries and data in memory count too."""
    peak = Peak()
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    else:
        _forget_peak()
    yield peak
    if gpu:
        peak.mib, peak.kind = torch.cuda.max_memory_allocated() / 2**20, "gpu"
    else:
        peak.mib = _peak_mib()


def _forget_peak() -> None:
    """Let Linux begin its high-water mark anew, after memory that is free was given back."""
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")


def _peak_mib() -> float | None:
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
        line = next(line for line in lines if line.startswith("VmHWM"))
        return float(line.split()[1]) / 1024
    return None


def seconds_per_epoch(run: Path) -> float | None:
    """Median seconds of a training epoch over all folds of a run; None without a history."""
    seconds = []
    for path in sorted(run.glob(f"fold-*/{HISTORY_FILE}")):
        with path.open(encoding="utf-8", newline="") as file:
            seconds += [float(row["seconds"]) for row in csv.DictReader(file)]
    return statistics.median(seconds) if seconds else None


def seconds_per_volume(run: Path, volumes: Prepared, key: str) -> float:
    """Median seconds of the network of the first fold for one prepared volume.

    Args:
        run: the run folder.
        volumes: prepared volumes.
        key: which of them.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = Checkpoint.load(run / "fold-0").build().to(device)
    model = model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    values = torch.from_numpy(volumes.read(key).values)[None, None].to(device)
    values = values.contiguous(memory_format=torch.channels_last_3d)
    seconds = []
    with torch.inference_mode():
        for _ in range(REPEATS + 1):
            started = time.perf_counter()
            # Reading the answer waits for a GPU to finish.
            float(model(values)[0, 0])
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])
