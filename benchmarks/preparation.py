"""Preparation against its peers: time, memory, and distance from the float64 reference.

    python -m benchmarks.preparation OUT [--runs 7]

Every peer does the paper's steps as its users write them: clip, to 1 mm, pad to a cube, to 128^3.
Runs alternate, so that a busy machine slows all of them alike; figures are medians, and ratios of
medians. Memory is the growth of a fresh process beyond imports and input. The scans are synthetic;
with SQUEEZECT_DATA set, a real one is measured as well.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from benchmarks.filling import cohort

from squeezect.phantom import thorax
from squeezect.preparation import prepare
from squeezect.scan import Grid, Scan

SIZE = 128
LOW, HIGH = -1000, 400
TARGETS = {"scipy zoom twice": 10, "SimpleITK twice": 5, "MONAI Spacing + Resize": 30}
LIBRARIES = ("numpy", "scipy", "SimpleITK", "torch", "monai", "squeezect")


def squeezect(scan: Scan) -> np.ndarray:
    return prepare(scan).values


def scipy_twice(scan: Scan) -> np.ndarray:
    from scipy.ndimage import zoom

    values = (scan.hu.clip(LOW, HIGH).astype(np.float32) - LOW) / (HIGH - LOW)
    samples = np.maximum(1, np.rint(scan.grid.size_mm))
    factors = samples / values.shape
    values = zoom(values, factors, order=1, mode="nearest", grid_mode=True)
    values = np.pad(values, cube_padding(values.shape))
    return zoom(values, SIZE / values.shape[0], order=1, mode="nearest", grid_mode=True)


def simpleitk_twice(scan: Scan) -> np.ndarray:
    import SimpleITK as sitk

    def resampled(image: sitk.Image, size: list[int]) -> sitk.Image:
        extent = np.multiply(image.GetSize(), image.GetSpacing())
        spacing = extent / size
        origin = np.array(image.GetOrigin()) + (spacing - image.GetSpacing()) / 2
        return sitk.Resample(
            image,
            size,
            sitk.Transform(),
            sitk.sitkLinear,
            origin.tolist(),
            spacing.tolist(),
            image.GetDirection(),
            0.0,
            sitk.sitkFloat32,
        )

    image = sitk.GetImageFromArray(scan.hu)
    image.SetSpacing(scan.grid.spacing_mm[::-1])
    image = sitk.IntensityWindowing(sitk.Cast(image, sitk.sitkFloat32), LOW, HIGH, 0.0, 1.0)
    image = resampled(image, [max(1, round(extent)) for extent in scan.grid.size_mm[::-1]])
    pads = cube_padding(image.GetSize())
    image = sitk.ConstantPad(image, [a for a, _ in pads], [b for _, b in pads], 0.0)
    return sitk.GetArrayFromImage(resampled(image, [SIZE] * 3))


def torch_twice(scan: Scan) -> np.ndarray:
    import torch
    from torch.nn import functional

    values = torch.from_numpy(scan.hu).clamp(LOW, HIGH).float().sub_(LOW).div_(HIGH - LOW)
    samples = [max(1, round(extent)) for extent in scan.grid.size_mm]
    with torch.inference_mode():
        cube = functional.interpolate(values[None, None], size=samples, mode="trilinear")
        pads = [width for pair in reversed(cube_padding(cube.shape[2:])) for width in pair]
        cube = functional.interpolate(functional.pad(cube, pads), size=[SIZE] * 3, mode="area")
    return cube[0, 0].numpy()


def monai_chain(scan: Scan) -> np.ndarray:
    import torch
    from monai.data import MetaTensor
    from monai.transforms import Compose, Resize, ScaleIntensityRange, Spacing, SpatialPad

    affine = np.diag([*scan.grid.spacing_mm, 1.0])
    image = MetaTensor(torch.from_numpy(scan.hu)[None].float(), affine=torch.from_numpy(affine))
    side = max(round(extent) for extent in scan.grid.size_mm)
    chain = Compose(
        [
            Spacing(pixdim=(1.0, 1.0, 1.0), mode="bilinear", padding_mode="border"),
            ScaleIntensityRange(LOW, HIGH, 0.0, 1.0, clip=True),
            SpatialPad((side, side, side)),
            Resize((SIZE,) * 3, mode="area"),
        ]
    )
    return np.asarray(chain(image)[0])


METHODS: dict[str, Callable[[Scan], np.ndarray]] = {
    "SqueezeCT": squeezect,
    "scipy zoom twice": scipy_twice,
    "SimpleITK twice": simpleitk_twice,
    "PyTorch interpolate twice": torch_twice,
    "MONAI Spacing + Resize": monai_chain,
}


def cube_padding(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    side = max(shape)
    return [((side - n) // 2, side - n - (side - n) // 2) for n in shape]


def reference(scan: Scan) -> np.ndarray:
    """The steps one after the other in float64, every volume made; shares no code with ours."""

    def between(values: np.ndarray, position: np.ndarray) -> np.ndarray:
        position = position.clip(0, len(values) - 1)
        lower = np.minimum(position.astype(int), max(len(values) - 2, 0))
        weight = (position - lower)[:, None, None]
        upper = values[np.minimum(lower + 1, len(values) - 1)]
        return values[lower] * (1 - weight) + upper * weight

    def linear(values: np.ndarray, size: int) -> np.ndarray:
        return between(values, (np.arange(size) + 0.5) * len(values) / size - 0.5)

    def area(values: np.ndarray, size: int) -> np.ndarray:
        integral = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
        edges = np.arange(size + 1) * len(values) / size
        return np.diff(between(integral, edges), axis=0) * size / len(values)

    values = (scan.hu.astype(float).clip(LOW, HIGH) - LOW) / (HIGH - LOW)
    for axis, extent in enumerate(scan.grid.size_mm):
        kept = max(1, round(extent))
        step = area if values.shape[axis] > 2 * kept else linear
        values = np.moveaxis(step(np.moveaxis(values, axis, 0), kept), 0, axis)
    values = np.pad(values, cube_padding(values.shape))
    for axis in range(3):
        step = area if values.shape[axis] > SIZE else linear
        values = np.moveaxis(step(np.moveaxis(values, axis, 0), SIZE), 0, axis)
    return values


def scans() -> dict[str, Scan]:
    """Synthetic chests of 133 and 300 slices of 512 x 512, and a real one where it is at hand."""
    found = {}
    for slices, thickness in ((133, 2.5), (300, 1.25)):
        corner = -255.5 * 0.7
        shape = (slices, 512, 512)
        grid = Grid(shape, (thickness, 0.7, 0.7), (corner, corner, -slices * thickness / 2))
        found[f"synthetic, {slices} slices"] = thorax(1, grid=grid)[0]
    archive = Path(os.environ.get("SQUEEZECT_DATA", "")) / "lidc-idri-0001.zip"
    if os.environ.get("SQUEEZECT_DATA") and archive.exists():
        from squeezect.reading import read_scan

        with tempfile.TemporaryDirectory() as folder:
            zipfile.ZipFile(archive).extractall(folder)
            found["LIDC-IDRI-0001, 133 slices"] = read_scan(Path(folder))
    return found


def alternating(scan: Scan, methods: list[str], runs: int) -> dict[str, list[float]]:
    """Seconds of each run of each method, one run of each in turn; the first turn warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for turn in range(runs + 1):
        for name in methods:
            started = time.perf_counter()
            METHODS[name](scan)
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds


MEASURE = """
import sys
from benchmarks.preparation import METHODS, load, peak_mb
scan = load(sys.argv[2])
corner = scan.grid.crop((0, 0, 0), (4, 64, 64))
tiny = type(scan)(scan.hu[:4, :64, :64].copy(), corner)
METHODS[sys.argv[1]](tiny)
before = peak_mb()
METHODS[sys.argv[1]](scan)
print(peak_mb() - before, peak_mb())
"""


def peak_mb() -> float:
    """Largest memory that this process has had, in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage, whose figure a process inherits from the one that started it.
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def load(folder: str) -> Scan:
    hu = np.load(Path(folder) / "hu.npy")
    spacing = json.loads((Path(folder) / "spacing.json").read_text())
    return Scan(hu, Grid(hu.shape, tuple(spacing)))


def memory(scan: Scan, name: str) -> tuple[float, float]:
    """Growth and peak in MB of a fresh process that prepares one scan."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "hu.npy", scan.hu)
        (Path(folder) / "spacing.json").write_text(json.dumps(scan.grid.spacing_mm))
        command = [sys.executable, "-W", "ignore", "-c", MEASURE, name, folder]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    growth, peak = map(float, done.stdout.split()[-2:])
    return growth, peak


def measure(scan: Scan, runs: int) -> list[dict[str, object]]:
    """One row for each method."""
    exact = reference(scan)
    seconds = alternating(scan, list(METHODS), runs)
    ours = float(np.median(seconds["SqueezeCT"]))
    rows: list[dict[str, object]] = []
    for name, method in METHODS.items():
        values = method(scan)
        same = values.shape == exact.shape
        # Turn by turn, both methods met the same machine: the spread of these ratios is fair.
        ratios = np.divide(seconds[name], seconds["SqueezeCT"])
        growth, peak = memory(scan, name)
        rows.append(
            {
                "method": name,
                "milliseconds": round(1000 * float(np.median(seconds[name])), 1),
                "ratio": round(float(np.median(seconds[name])) / ours, 2),
                "ratio_quartiles": np.quantile(ratios, [0.25, 0.75]).round(2).tolist(),
                "target": TARGETS.get(name),
                "growth_mb": round(growth),
                "peak_mb": round(peak),
                "largest_difference": float(np.abs(values - exact).max()) if same else None,
            }
        )
    return rows


def machine() -> dict[str, object]:
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def markdown(result: dict[str, object]) -> str:
    about = result["machine"]
    libraries = ", ".join(f"{k} {v}" for k, v in about["libraries"].items())
    lines = [
        "# Preparation: clip, to 1 mm, pad to a cube, to 128 x 128 x 128",
        "",
        f"{about['processor']}, {about['cores']} cores, Python {about['python']}; {libraries}.",
        f"Alternating runs, medians of {result['runs']}; ratio: time of the method over ours, with "
        "the quartiles over the turns in brackets. Memory: growth beyond imports and input. "
        "Difference: largest, from the same steps in float64; scipy and SimpleITK skip voxels when "
        "they reduce, PyTorch rounds the areas that it averages.",
    ]
    for name, rows in result["scans"].items():
        lines += [
            "",
            f"## {name}",
            "",
            "| method | ms | ratio | target | memory, MB | difference |",
            "|---|---|---|---|---|---|",
        ]
        for row in rows:
            low, high = row["ratio_quartiles"]
            target = f"{row['target']}x" if row["target"] else ""
            difference = row["largest_difference"]
            lines.append(
                f"| {row['method']} | {row['milliseconds']} | {row['ratio']} ({low}-{high}) | "
                f"{target} | {row['growth_mb']} | "
                f"{'other shape' if difference is None else f'{difference:.1e}'} |"
            )
    lines += [
        "",
        "## A cohort of DICOM series, reading included",
        "",
        "One worker uses all cores by itself; two workers on two cores are compared with one "
        "worker held to one core as well. Starting up is included.",
        "",
        "| scans | slices | one worker, one core | one worker | two workers | ratio to one core | "
        "most memory of a worker |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['scans']} | {row['slices']} | {row['seconds_one_core']} s | "
        f"{row['seconds_one_worker']} s | {row['seconds_two_workers']} s | {row['ratio']} | "
        f"{row['peak_mb_per_worker']} MB |"
        for row in result["cohorts"]
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for preparation.json and preparation.md")
    parser.add_argument("--runs", type=int, default=7)
    chosen = parser.parse_args()
    result: dict[str, object] = {
        "machine": machine(),
        "runs": chosen.runs,
        "scans": {name: measure(scan, chosen.runs) for name, scan in scans().items()},
        "cohorts": [
            cohort(max(1, chosen.runs // 2), scans=24, slices=133),
            cohort(1, scans=4, slices=400),
        ],
    }
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "preparation.json").write_text(json.dumps(result, indent=1) + "\n")
    (chosen.out / "preparation.md").write_text(markdown(result))
    print(markdown(result))


if __name__ == "__main__":
    main()
