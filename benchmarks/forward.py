"""One volume through the network, against its peers and the arithmetic limit of the cores.

    python -m benchmarks.forward OUT [--runs 7]

Keras runs in a process of its own and tells its seconds. The volume is LIDC-IDRI-0001 where
SQUEEZECT_DATA has it, else synthetic.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from benchmarks.alternate import Seconds, alternate, has_bfloat16, median, ratio
from benchmarks.material import arguments, checkpoint, chest, find_scan, gflop_of, monai_network
from benchmarks.peer import KERAS, Keras
from benchmarks.rows import Row, against, write

from squeezect import prepare, read_scan
from squeezect.runtime import open_engine
from squeezect.runtime.telemetry import switch_off_telemetry

OURS = "SqueezeCT, OpenVINO float32"
DENSE, RES = "MONAI DenseNet121, eager PyTorch", "MONAI ResNet18, eager PyTorch"
WHAT = "forward, 1 x 1 x 128^3"
LIMITS = ("PyTorch product", "NumPy product", "OpenVINO convolution")


def measure(run: Path, values: np.ndarray, keras: Keras, runs: int) -> Seconds:
    """Seconds of every engine, every peer, and what the limit is taken from."""
    volume = torch.from_numpy(values)[None, None]

    def eager(model: torch.nn.Module) -> Callable[[], object]:
        def forward() -> object:
            with torch.inference_mode():
                return model(volume)

        return forward

    engines = {
        OURS: "openvino",
        "SqueezeCT, OpenVINO int8": "openvino-int8",
        "SqueezeCT, ONNX Runtime float32": "onnx",
        "SqueezeCT, PyTorch float32": "torch",
    }
    if has_bfloat16():
        engines["SqueezeCT, OpenVINO bfloat16"] = "openvino-bfloat16"
    opened = {name: open_engine(run, engine=engine) for name, engine in engines.items()}
    methods: dict[str, Callable[[], object]] = {
        name: (lambda engine=engine: engine(values)) for name, engine in opened.items()
    }
    methods[KERAS] = lambda: keras("forward")
    methods[DENSE] = eager(monai_network("DenseNet121").eval())
    methods[RES] = eager(monai_network("ResNet18").eval())
    methods |= limits()
    return alternate(methods, runs=runs)


PRODUCT = 2048
CONVOLUTION = (128, 24)
"""Channels and side of the convolution that the limit is taken from."""


def limits() -> dict[str, Callable[[], object]]:
    """The largest float32 products and convolutions: what the cores can do at best."""
    switch_off_telemetry()
    import openvino

    a, b = torch.rand(PRODUCT, PRODUCT), torch.rand(PRODUCT, PRODUCT)
    channels, side = CONVOLUTION
    layer = torch.nn.Conv3d(channels, channels, 3, padding=1, bias=False).eval()
    example = torch.rand(1, channels, side, side, side)
    graph = openvino.convert_model(layer, example_input=example)
    graph.reshape(list(example.shape))
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(graph, "CPU", options)
    c, d, given = a.numpy(), b.numpy(), example.numpy()
    return {
        LIMITS[0]: lambda: a @ b,
        LIMITS[1]: lambda: c @ d,
        LIMITS[2]: lambda: compiled(given),
    }


def work() -> dict[str, float]:
    """GFLOP of each of `limits`."""
    product = 2 * PRODUCT**3 / 1e9
    channels, side = CONVOLUTION
    # Taps that fall on the padding are no work.
    taps = (3 * side - 2) ** 3
    return {LIMITS[0]: product, LIMITS[1]: product, LIMITS[2]: 2 * channels**2 * taps / 1e9}


def rows_of(seconds: Seconds) -> tuple[list[Row], dict[str, object]]:
    """Rows of the table, and the figures of the limit."""
    peers = {name: seconds[name] for name in (OURS, KERAS, DENSE, RES)}
    rows = against(peers, OURS, f"{WHAT}, float32", {KERAS: 2, DENSE: 5, RES: 25})
    gflop = gflop_of("squeezenet3d")
    rates = {name: work()[name] / median(seconds[name]) for name in LIMITS}
    best = max(rates, key=lambda name: rates[name])
    value, low, high = ratio(seconds[best], seconds[OURS])
    scale = 100 * gflop / work()[best]
    rows.append(
        Row(
            f"{WHAT}, float32",
            f"arithmetic limit of the cores ({best}, {rates[best]:.0f} GFLOP/s)",
            value * scale,
            "%",
            70,
            low=low * scale,
            high=high * scale,
            note=f"{gflop:.1f} GFLOP as the network is written",
        )
    )
    rows += [_reduced(seconds, "bfloat16", 1.3), _reduced(seconds, "int8", 2.0)]
    return rows, {"gflop": gflop, "gflops": gflop / median(seconds[OURS]), "limits": rates}


def _reduced(seconds: Seconds, precision: str, target: float) -> Row:
    what, name = f"{WHAT}, {precision}", f"SqueezeCT, OpenVINO {precision}"
    if name not in seconds:
        note = "this processor has no bfloat16 units"
        return Row(what, "our float32", None, "x", target, note=note)
    value, low, high = ratio(seconds[OURS], seconds[name])
    return Row(what, "our float32", value, "x", target, low=low, high=high)


def sizes(run: Path) -> list[Row]:
    """Megabytes of the files of weights as they lie on disk."""
    paper, what = "the paper's 8.9 MB", "file of weights"
    places = {
        "float32": (run / "model.safetensors", None),
        "float16": (run / "openvino-float16" / "model.bin", 3.8),
        "int8": (run / "openvino-int8" / "model.bin", 2.2),
    }
    return [
        Row(f"{what}, {name}", paper, path.stat().st_size / 1e6, "MB", target, at_least=False)
        for name, (path, target) in places.items()
    ]


def main() -> None:
    options = arguments(__doc__)
    with tempfile.TemporaryDirectory() as name, Keras() as keras:
        folder = Path(name)
        real = prepare(read_scan(find_scan(folder / "scan"))).values
        run = checkpoint(folder / "run", [real, prepare(chest(133)).values])
        seconds = measure(run, real, keras, options.runs)
        rows, details = rows_of(seconds)
        rows += sizes(run)
        details["keras"] = keras.facts
    write(options.out, "forward", rows, seconds={WHAT: seconds}, details=details)


if __name__ == "__main__":
    main()
