"""Preparation against its peers: time, memory, and distance from the float64 reference.

    python -m benchmarks.preparation OUT [--runs 7]

Every peer does the paper's steps as its users write them: clip, to 1 mm, pad to a cube, to 128^3.
Memory is the growth of a fresh process beyond imports and input. Measured on LIDC-IDRI-0001 (133
slices) where SQUEEZECT_DATA has it, else on a synthetic scan like it, and on 300 synthetic slices.
"""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from benchmarks.alternate import Seconds, alternate
from benchmarks.material import arguments, chest, find_scan, real_archive, scan_name
from benchmarks.rows import Row, against, write

from squeezect.preparation import prepare
from squeezect.reading import read_scan
from squeezect.scan import Grid, Scan

SIZE = 128
LOW, HIGH = -1000, 400
MEMORY = ("SqueezeCT", "MONAI Spacing + Resize")
"""Whose memory is measured, which takes a fresh process each."""
TARGETS = {"scipy zoom twice": 10, "SimpleITK twice": 5, "MONAI Spacing + Resize": 30}


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
    """The real scan of 133 slices, or one like it, and 300 synthetic slices of 512 x 512."""
    if real_archive() is None:
        first = chest(133)
    else:
        with tempfile.TemporaryDirectory() as folder:
            first = read_scan(find_scan(Path(folder)))
    return {f"{scan_name()}, {len(first.hu)} slices": first, "300 synthetic slices": chest(300)}


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


def measure(what: str, scan: Scan, runs: int) -> tuple[list[Row], Seconds, list[str]]:
    """Rows of one scan, seconds, and a table of memory and differences."""
    exact = reference(scan)
    methods = {name: (lambda method=method: method(scan)) for name, method in METHODS.items()}
    seconds = alternate(methods, runs=runs)
    rows = against(seconds, "SqueezeCT", f"preparing {what}", TARGETS)
    lines = [
        f"## Memory and exactness: {what}",
        "",
        "| method | growth, MB | peak, MB | difference |",
    ]
    lines.append("|---|---|---|---|")
    for name, method in METHODS.items():
        values = method(scan)
        growth, peak = memory(scan, name) if name in MEMORY else (float("nan"),) * 2
        same = values.shape == exact.shape
        gap = float(np.abs(values - exact).max()) if same else None
        told = "other shape" if gap is None else f"{gap:.1e}"
        room = f"{growth:.0f} | {peak:.0f}" if name in MEMORY else " | "
        lines.append(f"| {name} | {room} | {told} |")
        if name == "SqueezeCT":
            rows.append(
                Row(
                    f"preparing {what}, largest difference",
                    "the same steps in float64",
                    gap,
                    "",
                    1e-4,
                    at_least=False,
                )
            )
    return rows, seconds, [*lines, ""]


def main() -> None:
    options = arguments(__doc__)
    rows: list[Row] = []
    seconds: dict[str, Seconds] = {}
    text: list[str] = []
    for what, scan in scans().items():
        found, seconds[what], lines = measure(what, scan, options.runs)
        rows += found
        text += lines
    text.append(
        "Growth is that of a fresh process beyond imports and input. scipy and SimpleITK skip "
        "voxels when they reduce, PyTorch rounds the areas that it averages; so they differ."
    )
    write(options.out, "preparation", rows, seconds=seconds, text=text)


if __name__ == "__main__":
    main()
