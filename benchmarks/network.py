"""The network against its peers: forward, training step, and a DICOM folder to an answer.

    python -m benchmarks.network OUT [--runs 7]

Runs alternate; figures are medians, ratios are time over ours. Keras runs in a process of its own
and tells its seconds. The scan is LIDC-IDRI-0001 where SQUEEZECT_DATA has it, else synthetic.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

import numpy as np
import torch
from benchmarks.alternate import alternate, compared, machine, table

from squeezect import Preparation, Session, prepare, read_scan
from squeezect.checkpoint import Card, Checkpoint
from squeezect.models import create_model
from squeezect.phantom import chest_grid, thorax, write_dicom
from squeezect.runtime import export, open_engine
from squeezect.training.memory import keep_freed_memory

SIDE = 128
GFLOP = 36.1
"""Of SqueezeNet3D at 128 x 128 x 128, counted by `squeezect models`."""


class Keras:
    """The peer in its own process; None if Keras is not installed."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "benchmarks.keras_worker"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.ask = cast("IO[str]", self.process.stdin)
        self.told = cast("IO[str]", self.process.stdout)
        self.facts = json.loads(self.told.readline() or "null")

    def __call__(self, what: str) -> float:
        self.ask.write(f"{what}\n")
        self.ask.flush()
        return float(self.told.readline())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def checkpoint(folder: Path, calibration: list[np.ndarray]) -> Path:
    """The paper's network with fresh weights, exported in every form."""
    torch.manual_seed(0)
    model = create_model("squeezenet3d")
    card = Card(model="squeezenet3d", preparation=Preparation())
    Checkpoint(card, model.state_dict()).save(folder)
    export(folder)
    export(folder, form="openvino-int8", calibration=calibration)
    export(folder, form="onnx")
    return folder


def monai_network(name: str) -> torch.nn.Module:
    from monai.networks import nets

    if name == "DenseNet121":
        return nets.DenseNet121(spatial_dims=3, in_channels=1, out_channels=2)
    return nets.resnet18(spatial_dims=3, n_input_channels=1, num_classes=2)


def forward(folder: Path, values: np.ndarray, keras: Keras, runs: int) -> dict[str, object]:
    volume = torch.from_numpy(values)[None, None]
    engines = {
        "SqueezeCT, OpenVINO float32": "openvino",
        "SqueezeCT, OpenVINO bfloat16": "openvino-bfloat16",
        "SqueezeCT, OpenVINO int8": "openvino-int8",
        "SqueezeCT, ONNX Runtime float32": "onnx",
        "SqueezeCT, PyTorch float32": "torch",
    }
    opened = {name: open_engine(folder, engine=engine) for name, engine in engines.items()}

    def eager(model: torch.nn.Module) -> Callable[[], object]:
        def run() -> object:
            with torch.inference_mode():
                return model(volume)

        return run

    methods: dict[str, Callable[[], object]] = {
        name: (lambda engine=engine: engine(values)) for name, engine in opened.items()
    }
    methods["Keras on TensorFlow, the same network"] = lambda: keras("forward")
    for name in ("DenseNet121", "ResNet18"):
        methods[f"MONAI {name}, eager PyTorch"] = eager(monai_network(name).eval())
    seconds = alternate(methods, runs=runs)
    ours = "SqueezeCT, OpenVINO float32"
    rows = compared(
        seconds,
        ours,
        {
            "Keras on TensorFlow, the same network": 2,
            "MONAI DenseNet121, eager PyTorch": 5,
            "MONAI ResNet18, eager PyTorch": 25,
        },
    )
    base = float(np.median(seconds[ours]))
    faster = {
        name: base / float(np.median(seconds[f"SqueezeCT, OpenVINO {name}"]))
        for name in ("bfloat16", "int8")
    }
    exact = opened["SqueezeCT, PyTorch float32"](values).probability
    gaps = {name: abs(engine(values).probability - exact) for name, engine in opened.items()}
    limit = max(matrix_limit(), convolution_limit())
    return {
        "rows": rows,
        "faster_than_float32": faster,
        "targets": {"bfloat16": 1.3, "int8": 2.0},
        "probability_gaps": gaps,
        "gflops": GFLOP / base,
        "limit_gflops": limit,
        "share_of_limit": GFLOP / base / limit,
    }


def matrix_limit() -> float:
    """GFLOP/s of a large float32 matrix product."""
    a, b = torch.rand(3072, 3072), torch.rand(3072, 3072)
    seconds = alternate({"product": lambda: a @ b}, runs=5)["product"]
    return 2 * 3072**3 / 1e9 / float(np.median(seconds))


def convolution_limit() -> float:
    """GFLOP/s of a large float32 convolution on OpenVINO."""
    import openvino

    class Large(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(
                *[torch.nn.Conv3d(128, 128, 3, padding=1, bias=False) for _ in range(4)]
            )

        def forward(self, volumes: torch.Tensor) -> torch.Tensor:
            return self.layers(volumes)

    example = torch.rand(1, 128, 32, 32, 32)
    graph = openvino.convert_model(Large().eval(), example_input=example)
    graph.reshape(list(example.shape))
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(graph, "CPU", options)
    values = example.numpy()
    seconds = alternate({"convolution": lambda: compiled(values)}, runs=7)["convolution"]
    return 4 * 2 * 27 * 128 * 128 * 32**3 / 1e9 / float(np.median(seconds))


def training(keras: Keras, runs: int) -> list[dict[str, object]]:
    """Seconds of one step on four volumes, everyone at their best settings."""
    keep_freed_memory()
    volumes = torch.rand(4, 1, SIDE, SIDE, SIDE)
    labels = torch.tensor([0, 1, 0, 1])

    def step(model: torch.nn.Module) -> Callable[[], object]:
        model = model.train().to(memory_format=torch.channels_last_3d)
        optimiser = torch.optim.Adam(model.parameters(), 1e-5, fused=True)
        batch = volumes.contiguous(memory_format=torch.channels_last_3d)

        def run() -> object:
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(batch)
            loss = torch.nn.functional.cross_entropy(logits.float(), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            return None

        return run

    seconds = alternate(
        {
            "SqueezeCT": step(create_model("squeezenet3d")),
            "Keras on TensorFlow, the same network": lambda: keras("train"),
            "MONAI DenseNet121, PyTorch bfloat16": step(monai_network("DenseNet121")),
            "MONAI ResNet18, PyTorch bfloat16": step(monai_network("ResNet18")),
        },
        runs=runs,
    )
    targets = {
        "Keras on TensorFlow, the same network": 1.3,
        "MONAI DenseNet121, PyTorch bfloat16": 4,
        "MONAI ResNet18, PyTorch bfloat16": 12,
    }
    return compared(seconds, "SqueezeCT", targets)


def end_to_end(run: Path, scan: Path, runs: int) -> dict[str, object]:
    """A DICOM folder to probability and heat map, warm and cold."""
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

    session = Session.open(run)
    dense = monai_network("DenseNet121").eval()
    place = next(path.parent for path in sorted(scan.rglob("*.dcm")))
    load = Compose(
        [
            LoadImage(reader="PydicomReader", image_only=True),
            EnsureChannelFirst(),
            Orientation("RAS"),
            Spacing(pixdim=(1.0, 1.0, 1.0), mode="bilinear"),
            ScaleIntensityRange(-1000, 400, 0.0, 1.0, clip=True),
        ]
    )

    def theirs() -> object:
        image = load(place)
        side = max(image.shape[1:])
        image = Resize((SIDE,) * 3, mode="area")(SpatialPad((side,) * 3)(image))
        with torch.inference_mode():
            return dense(image.as_tensor()[None])

    def ours() -> object:
        prediction = session.predict(read_scan(scan))
        return prediction.heatmap and prediction.heatmap.peak_mm

    seconds = alternate({"SqueezeCT": ours, "MONAI and DenseNet121": theirs}, runs=runs)
    rows = compared(seconds, "SqueezeCT", {"MONAI and DenseNet121": 10})
    cold = []
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "squeezect", "predict", run, scan, "--out", out]
        for turn in range(runs + 1):
            started = time.perf_counter()
            subprocess.run([str(part) for part in command], check=True, capture_output=True)
            if turn:
                cold.append(time.perf_counter() - started)
    return {"rows": rows, "cold_seconds": float(np.median(cold)), "cold_target": 4.0}


def sizes(folder: Path) -> dict[str, float]:
    """Megabytes of each file of weights."""
    places = {
        "float32": folder / "model.safetensors",
        "int8": folder / "openvino-int8" / "model.bin",
    }
    found = {name: path.stat().st_size / 1e6 for name, path in places.items()}
    return found | {"float16": found["float32"] / 2}


def find_scan(folder: Path) -> Path:
    archive = Path(os.environ.get("SQUEEZECT_DATA", "")) / "lidc-idri-0001.zip"
    if archive.is_file():
        zipfile.ZipFile(archive).extractall(folder)
    else:
        write_dicom(thorax(1, grid=chest_grid(1, spacing_mm=0.7, thickness_mm=2.5))[0], folder)
    return folder


def measure(runs: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scan = find_scan(folder / "scan")
        chests = [thorax(s, grid=chest_grid(s, spacing_mm=2, thickness_mm=3))[0] for s in range(3)]
        real = prepare(read_scan(scan)).values
        calibration = [real, *(prepare(chest).values for chest in chests)]
        run = checkpoint(folder / "run", calibration)
        result: dict[str, object] = {"runs": runs, "machine": machine(), "sizes_mb": sizes(run)}
        keras = Keras()
        try:
            result["keras"] = keras.facts
            result["forward"] = forward(run, real, keras, runs)
            result["training"] = training(keras, max(5, runs - 2))
        finally:
            keras.close()
        result["end_to_end"] = end_to_end(run, scan, runs)
    return result


def markdown(result: dict) -> str:
    about, ahead, whole = result["machine"], result["forward"], result["end_to_end"]
    versions = about["versions"] | (result["keras"] or {}).get("versions", {})
    lines = [
        "# The network against its peers",
        "",
        f"{about['processor']}, {about['cores']} cores, Python {about['python']}; "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + ".",
        "",
        f"Alternating runs, medians of {result['runs']}; ratios are time over ours, with the "
        "quartiles over the turns. Seconds are colour.",
        "",
        "## Forward, one volume of 128 x 128 x 128",
        "",
        *table(ahead["rows"]),
        "",
    ]
    for name, target in ahead["targets"].items():
        found = ahead["faster_than_float32"][name]
        gap = ahead["probability_gaps"][f"SqueezeCT, OpenVINO {name}"]
        lines.append(
            f"- {name}: {found:.2f} times as fast as float32 (target {target}, "
            f"{'met' if found >= target else '**not met**'}); probability differs by {gap:.4f}, of "
            "a network with fresh weights, which says nothing of a trained one."
        )
    share = ahead["share_of_limit"]
    lines += [
        f"- Float32 runs at {ahead['gflops']:.0f} GFLOP/s, {100 * share:.0f} % of the fastest "
        f"large product or convolution found ({ahead['limit_gflops']:.0f} GFLOP/s; target 70 %, "
        f"{'met' if share >= 0.7 else '**not met**'}).",
        "",
        "## A training step on four volumes of 128 x 128 x 128",
        "",
        *table(result["training"]),
        "",
        "## A DICOM folder to probability and heat map",
        "",
        *table(whole["rows"]),
        "",
        "A cold `squeezect predict`, imports, page and pictures included: "
        f"{whole['cold_seconds']:.2f} s (target {whole['cold_target']:.0f} s, "
        f"{'met' if whole['cold_seconds'] <= whole['cold_target'] else '**not met**'}).",
        "",
        "## Files of weights",
        "",
        *(f"- {name}: {size:.2f} MB" for name, size in result["sizes_mb"].items()),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    result = measure(options.runs)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "network.json").write_text(json.dumps(result, indent=1) + "\n")
    (options.out / "network.md").write_text(markdown(result))
    print(markdown(result))


if __name__ == "__main__":
    main()
