"""What every benchmark does alike: alternate, take medians, say what machine it was."""

import contextlib
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

LIBRARIES = (
    "squeezect",
    "torch",
    "openvino",
    "onnxruntime",
    "nncf",
    "monai",
    "SimpleITK",
    "pydicom",
    "scipy",
    "numpy",
)


def alternate(
    methods: Mapping[str, Callable[[], object]], *, runs: int, warm: int = 1
) -> dict[str, list[float]]:
    """Seconds of each run of each method, one of each in turn; the first turns warm up.

    A method may return its own seconds as a float, if it runs in another process.
    """
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for turn in range(runs + warm):
        for name, method in methods.items():
            started = time.perf_counter()
            told = method()
            taken = told if isinstance(told, float) else time.perf_counter() - started
            if turn >= warm:
                seconds[name].append(taken)
    return seconds


def compared(
    seconds: Mapping[str, list[float]], ours: str, targets: Mapping[str, float]
) -> list[dict[str, object]]:
    """One row per method: median, ratio to ours with quartiles over the turns, target, met."""
    rows: list[dict[str, object]] = []
    for name, taken in seconds.items():
        ratio = float(np.median(taken) / np.median(seconds[ours]))
        quartiles = np.quantile(np.divide(taken, seconds[ours]), [0.25, 0.75]).round(2).tolist()
        target = targets.get(name)
        rows.append(
            {
                "method": name,
                "seconds": round(float(np.median(taken)), 4),
                "ratio": round(ratio, 2),
                "quartiles": quartiles,
                "target": target,
                "met": None if target is None else ratio >= target,
            }
        )
    return rows


def machine() -> dict[str, object]:
    """Processor, cores and versions."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].split(":", 1)[1].strip() if lines else name
    versions = {}
    for library in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[library] = importlib.metadata.version(library)
    return {
        "processor": name,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions,
    }


def table(rows: list[dict[str, object]]) -> list[str]:
    """Rows of `compared` as Markdown."""
    lines = ["| method | seconds | ratio to ours | target | met |", "|---|---|---|---|---|"]
    for row in rows:
        low, high = row["quartiles"]  # type: ignore[misc]
        target = "" if row["target"] is None else f"{row['target']}x"
        met = {True: "yes", False: "**no**", None: ""}[row["met"]]  # type: ignore[index]
        lines.append(
            f"| {row['method']} | {row['seconds']} | {row['ratio']} ({low} to {high}) | "
            f"{target} | {met} |"
        )
    return lines
