"""The same checkpoint on different engines: OpenVINO where it can, PyTorch everywhere.

An exported network sits beside its checkpoint, so answering needs no PyTorch at all. It is only
written after it has given the same answer as the checkpoint it came from.
"""

import json
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt

from squeezect.checkpoint import Checkpoint, read_card
from squeezect.errors import CheckpointError, Code
from squeezect.scan import Triple

if TYPE_CHECKING:
    import openvino
    import torch

    from squeezect.models import Classifier

EngineName = Literal["auto", "openvino", "torch"]
FloatArray = npt.NDArray[np.float32]
EXPORT_FOLDER = "openvino"
PARITY = 1e-4

NO_PARITY = Code(
    "no-parity",
    "An exported network does not give the answer of the checkpoint it came from.",
    "use the torch engine, and report the versions of torch and openvino",
)
NO_ENGINE = Code(
    "no-engine",
    "The engine asked for is not available for this checkpoint.",
    "use --engine auto, or export the run first with squeezect export",
)


@dataclass(frozen=True, eq=False)
class Output:
    """What a network says of one volume.

    Args:
        logits: float32, shape (classes,).
        class_map: float32, shape (classes, d, h, w), whose mean is the logits; None without map.
    """

    logits: FloatArray
    class_map: FloatArray | None

    @property
    def probability(self) -> float:
        """Softmax probability of class 1."""
        shifted = np.exp(self.logits.astype(float) - float(self.logits.max()))
        return float(shifted[1] / shifted.sum())


class Engine(Protocol):
    """Runs one network."""

    @property
    def name(self) -> str:
        """What computes, with its version, e.g. ``openvino 2026.4 (CPU)``."""

    def __call__(self, values: FloatArray) -> Output:
        """Answer for one volume, float32, shape [z, y, x]."""

    def cells(self, shape: tuple[int, ...]) -> tuple[Triple, Triple] | None:
        """First cell's centre and the cells' step in input voxels; None without a class map."""


def open_engine(folder: Path, *, engine: EngineName = "auto") -> Engine:
    """Load the checkpoint in `folder` on an engine.

    Args:
        folder: a checkpoint folder.
        engine: ``auto`` takes CUDA with PyTorch where there is a GPU, else the exported network
            if there is one, else PyTorch.

    Raises:
        CheckpointError: `no-engine`, `checkpoint-missing` or `checkpoint-damaged`.
    """
    read_card(folder)
    exported = is_exported(folder)
    if engine == "openvino" and not exported:
        raise CheckpointError(NO_ENGINE, f"{folder.name} holds no exported network")
    if engine == "openvino" or (engine == "auto" and exported and not _gpu()):
        return OpenVINOEngine.load(folder / EXPORT_FOLDER)
    return TorchEngine.open(folder)


def _gpu() -> bool:
    # Asking torch would cost its import; without the driver's device file there is no GPU.
    if not Path("/dev/nvidiactl").exists():
        return False
    import torch

    return torch.cuda.is_available()


@dataclass(frozen=True, eq=False)
class TorchEngine:
    """A checkpoint on PyTorch: CUDA where there is a GPU, else the CPU."""

    model: "Classifier"
    device: "torch.device"

    @classmethod
    def open(cls, folder: Path) -> "TorchEngine":
        """Load a checkpoint folder."""
        import torch

        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model = Checkpoint.load(folder).build()
        model.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        return cls(model, device)

    @property
    def name(self) -> str:
        """PyTorch's version and the device."""
        import torch

        return f"torch {torch.__version__} ({self.device.type})"

    def __call__(self, values: FloatArray) -> Output:
        """Answer for one volume, float32, shape [z, y, x]."""
        import torch

        batch = torch.from_numpy(values)[None, None].to(self.device)
        batch = batch.contiguous(memory_format=torch.channels_last_3d)
        with torch.inference_mode():
            if not self.model.localises:
                return Output(self.model(batch)[0].cpu().numpy(), None)
            class_map = self.model.class_map(batch)[0]
        logits = class_map.mean((1, 2, 3))
        return Output(logits.cpu().numpy(), class_map.cpu().numpy())

    def cells(self, shape: tuple[int, ...]) -> tuple[Triple, Triple] | None:
        """First cell's centre and step, from the model."""
        return self.model.cells((shape[0], shape[1], shape[2])) if self.model.localises else None


@dataclass(frozen=True, eq=False)
class OpenVINOEngine:
    """An exported checkpoint on OpenVINO; needs no PyTorch."""

    compiled: object
    facts: dict[str, object]
    version: str

    @classmethod
    def load(cls, path: Path) -> "OpenVINOEngine":
        """Load an export folder."""
        import openvino

        core = openvino.Core()
        facts = json.loads((path / "facts.json").read_text("utf-8"))
        compiled = core.compile_model(
            path / "model.xml",
            "CPU",
            {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"},
        )
        return cls(compiled, facts, openvino.__version__.split("-")[0])

    @property
    def name(self) -> str:
        """OpenVINO's version."""
        return f"openvino {self.version} (CPU)"

    def __call__(self, values: FloatArray) -> Output:
        """Answer for one volume, float32, shape [z, y, x]."""
        answer = self.compiled(values[None, None])  # type: ignore[operator]
        logits = np.array(answer[0][0], np.float32)
        return Output(logits, np.array(answer[1][0], np.float32) if self.facts["cells"] else None)

    def cells(self, shape: tuple[int, ...]) -> tuple[Triple, Triple] | None:
        """First cell's centre and step, as recorded at export."""
        recorded = self.facts["cells"]
        if not isinstance(recorded, dict):
            return None
        first, step = recorded["even" if shape[0] % 2 == 0 else "odd"]
        return tuple(first), tuple(step)


def is_exported(folder: Path) -> bool:
    """Whether `folder` holds an export of the very weights of its checkpoint."""
    try:
        facts = json.loads((folder / EXPORT_FOLDER / "facts.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return bool(facts.get("weights_sha256") == read_card(folder).weights_sha256)


def export(folder: Path) -> Path:
    """Write the checkpoint in `folder` for OpenVINO, with input of any size, and check its answer.

    Args:
        folder: a checkpoint folder; the export goes into its ``openvino`` folder, whole or not
            at all.

    Returns:
        The folder of the export.

    Raises:
        CheckpointError: `no-parity`, if probability or map differ by more than 1e-4.
    """
    import openvino

    card = read_card(folder)
    model = Checkpoint.load(folder).build()
    target, scratch = folder / EXPORT_FOLDER, folder / f".{EXPORT_FOLDER}.part"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    openvino.save_model(_convert(model), scratch / "model.xml", compress_to_fp16=False)
    cells: dict[str, object] | None = None
    if model.localises:
        cells = {"even": model.cells((64, 64, 64)), "odd": model.cells((65, 65, 65))}
    facts = {
        "weights_sha256": card.weights_sha256,
        "cells": cells,
        "openvino": openvino.__version__,
        "card": card.model_dump(mode="json"),
    }
    (scratch / "facts.json").write_text(json.dumps(facts, indent=1), "utf-8")
    _check_parity(folder, scratch)
    shutil.rmtree(target, ignore_errors=True)
    scratch.rename(target)
    return target


def _convert(model: "Classifier") -> "openvino.Model":
    """The network as an OpenVINO graph for one volume of any size: logits, and the class map."""
    import openvino
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

    # Three different sides, so that tracing does not take them to be one.
    example = torch.zeros(1, 1, 64, 72, 80) if model.localises else torch.zeros(1, 1, 64, 64, 64)
    free = dict.fromkeys((2, 3, 4), torch.export.Dim.AUTO) if model.localises else {}
    with torch.no_grad(), warnings.catch_warnings():
        # Both libraries warn of their own internals here; the parity check judges the outcome.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        program = torch.export.export(Both().eval(), (example,), dynamic_shapes={"volumes": free})
        graph = openvino.convert_model(program)
    graph.reshape([1, 1, -1, -1, -1] if model.localises else list(example.shape))
    return graph


def _check_parity(folder: Path, scratch: Path) -> None:
    random = np.random.default_rng(0)
    card = read_card(folder)
    values = random.random(card.preparation.size, dtype=np.float32)
    reference = TorchEngine.open(folder)(values)
    try:
        answer = OpenVINOEngine.load(scratch)(values)
        gap = abs(answer.probability - reference.probability)
        if reference.class_map is not None and answer.class_map is not None:
            scale = max(1.0, float(np.abs(reference.class_map).max()))
            gap = max(gap, float(np.abs(answer.class_map - reference.class_map).max()) / scale)
        if gap > PARITY:
            raise CheckpointError(
                NO_PARITY, f"export of {folder.name} differs from its checkpoint by {gap:.1e}"
            )
    except CheckpointError:
        shutil.rmtree(scratch)
        raise
