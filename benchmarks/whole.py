"""A folder of DICOM to probability and heat map: warm, and as a cold process.

python -m benchmarks.whole OUT [--runs 7]
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from benchmarks.alternate import Seconds, alternate, spread
from benchmarks.material import (
    SIDE,
    arguments,
    checkpoint,
    chest,
    find_scan,
    monai_network,
    scan_name,
)
from benchmarks.rows import Row, against, write

from squeezect import Session, prepare, read_scan

OURS, PEER, COLD = "SqueezeCT", "MONAI load, transforms and DenseNet121", "cold process"
STEPS = ("check", "prepare", "network", "explain")


def measure(run: Path, scan: Path, runs: int) -> tuple[Seconds, dict[str, float]]:
    """Seconds warm and cold, alternating, and where the warm ones go."""
    session = Session.open(run)
    place = next(path.parent for path in sorted(scan.rglob("*.dcm")))
    theirs = monai_chain(place)
    taken: dict[str, list[float]] = {step: [] for step in ("read", *STEPS)}

    def ours() -> object:
        started = time.perf_counter()
        read = read_scan(scan)
        taken["read"].append(time.perf_counter() - started)
        prediction = session.predict(read)
        for step in STEPS:
            taken[step].append(prediction.seconds[step])
        return prediction.heatmap and prediction.heatmap.peak_mm

    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "squeezect", "predict", run, scan, "--out", out]

        def cold() -> object:
            return subprocess.run(list(map(str, command)), check=True, capture_output=True)

        seconds = alternate({OURS: ours, PEER: theirs, COLD: cold}, runs=runs)
    return seconds, {step: spread(values[1:])[0] for step, values in taken.items()}


def monai_chain(place: Path) -> Callable[[], object]:
    """What a user of MONAI would write, as a call."""
    from monai.transforms import (
        Compose,
        EnsureChannelFirst,
        LoadImage,
        Orientation,
        Resize,
        ScaleIntensityRange,
        Spacing,
        SpatialPad,
    )

    dense = monai_network("DenseNet121").eval()
    load = Compose(
        [
            LoadImage(reader="PydicomReader", image_only=True),
            EnsureChannelFirst(),
            Orientation("RAS"),
            Spacing(pixdim=(1.0, 1.0, 1.0), mode="bilinear"),
            ScaleIntensityRange(-1000, 400, 0.0, 1.0, clip=True),
        ]
    )

    def answer() -> object:
        image = load(place)
        side = max(image.shape[1:])
        image = Resize((SIDE,) * 3, mode="area")(SpatialPad((side,) * 3)(image))
        with torch.inference_mode():
            return dense(image.as_tensor()[None])

    return answer


def main() -> None:
    options = arguments(__doc__)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scan = find_scan(folder / "scan")
        real = prepare(read_scan(scan)).values
        run = checkpoint(folder / "run", [real, prepare(chest(133)).values])
        seconds, steps = measure(run, scan, options.runs)
    what = f"DICOM folder to probability and heat map, {scan_name()}"
    warm, cold = spread(seconds[OURS]), spread(seconds[COLD])
    peers = {name: seconds[name] for name in (OURS, PEER)}
    rows = [
        *against(peers, OURS, f"{what}, warm", {PEER: 10}),
        Row(
            f"{what}, warm",
            "one second",
            warm[0],
            "s",
            1,
            at_least=False,
            low=warm[1],
            high=warm[2],
        ),
        Row(
            f"{what}, cold `squeezect predict`, page and pictures included",
            "four seconds",
            cold[0],
            "s",
            4,
            at_least=False,
            low=cold[1],
            high=cold[2],
        ),
    ]
    parts = ", ".join(f"{step} {1000 * taken:.0f} ms" for step, taken in steps.items())
    write(
        options.out,
        "whole",
        rows,
        seconds={what: seconds},
        details={"steps": steps},
        text=["", f"Where the warm time goes: {parts}."],
    )


if __name__ == "__main__":
    main()
