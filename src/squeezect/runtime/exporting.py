"""Write a checkpoint for other engines; only what gives the checkpoint's own answer is kept."""

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from squeezect.checkpoint import Card, Checkpoint, read_card
from squeezect.errors import CheckpointError, Code
from squeezect.runtime.engines import (
    FOLDERS,
    NO_ENGINE,
    FloatArray,
    OnnxEngine,
    OpenVINOEngine,
    Output,
    TorchEngine,
)
from squeezect.runtime.facts import FACTS_FILE, Cells, Facts, checksums
from squeezect.runtime.telemetry import switch_off_telemetry
from squeezect.scan import Shape

if TYPE_CHECKING:
    import openvino
    import torch

    from squeezect.models import Classifier

Format = Literal["openvino", "openvino-float16", "openvino-int8", "onnx"]
PARITY: dict[str, float] = {
    "openvino": 1e-4,
    "onnx": 1e-4,
    "openvino-float16": 0.005,
    "openvino-int8": 0.01,
}
"""Largest difference of a probability; but for 8 bits, of the map's values too, relatively."""
ANY_SIZE: Shape = (64, 64, 64)
"""What a network is traced with where its size does not matter."""

NO_PARITY = Code(
    "no-parity",
    "An exported network does not give the answer of the checkpoint it came from.",
    "use the torch engine, and report the versions of torch and openvino",
)
NO_CALIBRATION = Code(
    "no-calibration",
    "Quantisation needs volumes to calibrate on.",
    "give the store of the run, or a few prepared volumes",
)


def export(
    folder: Path,
    *,
    form: Format = "openvino",
    calibration: Sequence[FloatArray] = (),
) -> Path:
    """Write the checkpoint in `folder` for another engine, and check its answer.

    Networks with a class map take input of any size, but for those without a `free_size`; the map
    is an output of the graph. The card with preparation, scores and thresholds travels in
    ``facts.json``, with the files' checksums, and in the model itself.

    Args:
        folder: a checkpoint folder; the export goes into a folder in it, whole or not at all.
        form: what to write; ``openvino-float16`` halves the file and computes in float32,
            ``openvino-int8`` is quantised to 8 bits after training.
        calibration: prepared volumes [z, y, x] in [0, 1] to quantise and check on.

    Returns:
        The folder of the export.

    Raises:
        CheckpointError: `no-parity`, if probability or map differ by more than 1e-4, or the
            probability of a network of 16 bits by more than 0.005, of 8 bits by more than 0.01,
            or if the map's cells are elsewhere; `no-calibration`; `no-engine`.
    """
    card = read_card(folder)
    checkpoint = Checkpoint.load(folder)
    model = checkpoint.build()
    if form == "openvino-int8" and not calibration:
        raise CheckpointError(NO_CALIBRATION, f"{folder.name} cannot be quantised without volumes")
    target, scratch = folder / FOLDERS[form], folder / f".{form}.part"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        _write(model, scratch, form=form, calibration=calibration, card=card)
        facts = _facts(model, card, scratch)
        (scratch / FACTS_FILE).write_text(facts.model_dump_json(indent=1), "utf-8")
        _check_parity(folder, scratch, form=form, calibration=calibration)
        shutil.rmtree(target, ignore_errors=True)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _facts(model: "Classifier", card: Card, scratch: Path) -> Facts:
    cells = None
    if model.localises:
        size = card.preparation.size
        first, step = model.cells(size)
        cells = Cells(size=size, first=first, step=step)
    return Facts(
        weights_sha256=card.weights_sha256, cells=cells, card=card, sha256=checksums(scratch)
    )


def _write(
    model: "Classifier",
    scratch: Path,
    *,
    form: Format,
    calibration: Sequence[FloatArray],
    card: Card,
) -> None:
    if form == "onnx":
        _write_onnx(model, scratch / "model.onnx", card)
        return
    switch_off_telemetry()
    import openvino

    graph = openvino_graph(model, card.preparation.size)
    if form == "openvino-int8":
        graph = _quantised(graph, calibration)
    graph.set_rt_info(card.model_dump_json(), "squeezect_card")
    openvino.save_model(graph, scratch / "model.xml", compress_to_fp16=form == "openvino-float16")


def _both(model: "Classifier") -> "torch.nn.Module":
    """The network with logits and class map as outputs of one graph."""
    import torch

    class Both(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, volumes: torch.Tensor) -> tuple[torch.Tensor, ...]:
            if not model.localises:
                return (self.model(volumes),)
            class_map = self.model.class_map(volumes)
            return class_map.mean((2, 3, 4)), class_map

    return Both().eval()


def _any_size(model: "Classifier") -> bool:
    """Whether an export is for volumes of any size; others keep the one they are made with."""
    return model.localises and model.free_size


def _example(model: "Classifier", size: Shape) -> "torch.Tensor":
    import torch

    # Three different sides, so that tracing does not take them to be one.
    return torch.zeros(1, 1, *((64, 72, 80) if _any_size(model) else size))


def _free(model: "Classifier") -> dict[str, Any]:
    import torch

    free = dict.fromkeys((2, 3, 4), torch.export.Dim.AUTO) if _any_size(model) else {}
    return {"volumes": free}


def openvino_graph(model: "Classifier", size: Shape = ANY_SIZE) -> "openvino.Model":
    """The network as an OpenVINO graph for one volume: logits, and the class map.

    Args:
        model: the network.
        size: of the volumes [z, y, x], for a network without a map or without a `free_size`; the
            others take any.
    """
    switch_off_telemetry()
    import openvino
    import torch

    example = _example(model, size)
    with torch.no_grad(), warnings.catch_warnings():
        # Both libraries warn of their own internals here; the parity check judges the outcome.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        # PyTorch writes an LSTM's weights anew while it traces it, and says so.
        warnings.filterwarnings("ignore", ".*_flat_weights", UserWarning)
        program = torch.export.export(_both(model), (example,), dynamic_shapes=_free(model))
        graph = openvino.convert_model(program)
    graph.reshape([1, 1, -1, -1, -1] if _any_size(model) else list(example.shape))
    return graph


def _write_onnx(model: "Classifier", path: Path, card: Card) -> None:
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch.onnx needs it
    except ImportError as error:
        raise CheckpointError(
            NO_ENGINE, "onnx is not installed", remedy="pip install 'squeezect[export]'"
        ) from error
    import torch

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _both(model),
            (_example(model, card.preparation.size),),
            dynamo=True,
            dynamic_shapes=_free(model),
            verbose=False,
        )
    if program is None:
        raise CheckpointError(NO_PARITY, "torch wrote no ONNX graph")
    program.save(path, external_data=False)
    graph = onnx.load(path)
    onnx.helper.set_model_props(graph, {"squeezect_card": card.model_dump_json()})
    onnx.save(graph, path)


def _quantised(graph: "openvino.Model", calibration: Sequence[FloatArray]) -> "openvino.Model":
    switch_off_telemetry()
    try:
        import nncf
    except ImportError as error:
        raise CheckpointError(
            NO_ENGINE, "nncf is not installed", remedy="pip install 'squeezect[export]'"
        ) from error
    import logging

    nncf.set_log_level(logging.ERROR)
    volumes = [np.ascontiguousarray(v[None, None], np.float32) for v in calibration]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantised: openvino.Model = nncf.quantize(
            graph, nncf.Dataset(volumes), subset_size=len(volumes), fast_bias_correction=True
        )
    return quantised


def _check_parity(
    folder: Path, scratch: Path, *, form: Format, calibration: Sequence[FloatArray]
) -> None:
    """Compare with the checkpoint on noise, or on the volumes given.

    Raises:
        CheckpointError: `no-parity`.
    """
    size = read_card(folder).preparation.size
    noise = np.random.default_rng(0).random(size, dtype=np.float32)
    engine = (
        OnnxEngine.load(scratch) if form == "onnx" else OpenVINOEngine.load(scratch, engine=form)
    )
    reference = TorchEngine.open(folder)
    for values in calibration or [noise]:
        found, expected = engine.cells(values.shape), reference.cells(values.shape)
        if found != expected:
            what = f"{form} export of {folder.name} has its cells at {found}, not at {expected}"
            raise CheckpointError(NO_PARITY, what)
        gap = _gap(engine(values), reference(values), maps=form != "openvino-int8")
        if gap > PARITY[form]:
            what = f"{form} export of {folder.name} differs from its checkpoint by {gap:.1e}"
            raise CheckpointError(NO_PARITY, what)


def _gap(answer: Output, reference: Output, *, maps: bool) -> float:
    gap = abs(answer.probability - reference.probability)
    if maps and reference.class_map is not None and answer.class_map is not None:
        scale = max(1.0, float(np.abs(reference.class_map).max()))
        gap = max(gap, float(np.abs(answer.class_map - reference.class_map).max()) / scale)
    return gap
