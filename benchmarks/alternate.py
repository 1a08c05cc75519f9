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
    "keras",
    "tensorflow-cpu",
    "SimpleITK",
    "itk",
    "pydicom",
    "scipy",
    "numpy",
)
UNITS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
RESAMPLES = 2000

Seconds = dict[str, list[float]]
"""Of each method, turn by turn; NaN in a turn that it sat out."""


def alternate(
    methods: Mapping[str, Callable[[], object]],
    *,
    runs: int,
    warm: int = 1,
    fewer: Mapping[str, int] | None = None,
) -> Seconds:
    """Seconds of each run of each method, one of each in turn; the first turns warm up.

    A method may return its own seconds as a float, if it runs in another process.

    Args:
        methods: by name.
        runs: turns that count.
        warm: turns before them that do not.
        fewer: turns of methods that are too slow for all of them, spread evenly.
    """
    seconds: Seconds = {name: [] for name in methods}
    for turn in range(-warm, runs):
        for name, method in methods.items():
            share = (fewer or {}).get(name, runs)
            if turn >= 0 and (turn + 1) * share // runs == turn * share // runs:
                seconds[name].append(float("nan"))
                continue
            started = time.perf_counter()
            told = method()
            taken = told if isinstance(told, float) else time.perf_counter() - started
            if turn >= 0:
                seconds[name].append(taken)
    return seconds


def median(seconds: list[float]) -> float:
    """Median of the turns that took place."""
    return float(np.nanmedian(seconds))


def ratio(peer: list[float], ours: list[float]) -> tuple[float, float, float]:
    """Median time of the peer over ours in the turns that both took, with a 95 % interval.

    The interval is a percentile bootstrap over the turns, which keeps what ran side by side
    together: a turn in which the machine was busy counts for both.
    """
    pairs = np.array([peer, ours])
    pairs = pairs[:, ~np.isnan(pairs).any(axis=0)]
    turns = np.random.default_rng(0).integers(0, pairs.shape[1], (RESAMPLES, pairs.shape[1]))
    drawn = np.median(pairs[:, turns], axis=2)
    low, high = np.quantile(drawn[0] / drawn[1], [0.025, 0.975])
    middle = np.median(pairs, axis=1)
    return float(middle[0] / middle[1]), float(low), float(high)


def spread(values: list[float]) -> tuple[float, float, float]:
    """Median with a 95 % percentile bootstrap interval over the turns."""
    given = np.array(values)[~np.isnan(values)]
    turns = np.random.default_rng(0).integers(0, len(given), (RESAMPLES, len(given)))
    low, high = np.quantile(np.median(given[turns], axis=1), [0.025, 0.975])
    return float(np.median(given)), float(low), float(high)


def units() -> list[str]:
    """Which vector units this processor says it has."""
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.exists() else set()
    return [unit for unit in UNITS if unit in flags]


def has_bfloat16() -> bool:
    """Whether the processor computes in bfloat16 rather than imitating it."""
    return bool({"avx512_bf16", "amx_bf16"} & set(units()))


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
        "units": units(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions,
    }
