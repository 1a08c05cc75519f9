"""The same checkpoint on different engines: OpenVINO where it can, PyTorch everywhere.

An exported network sits beside its checkpoint, so answering needs no PyTorch at all. A network that
was compiled once is kept in the user's cache; set SQUEEZECT_CACHE to another folder, or to ``off``.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from squeezect.checkpoint import Checkpoint, read_card
from squeezect.errors import CheckpointError, Code
from squeezect.runtime.facts import FACTS_FILE, Facts, damaged, read_facts
from squeezect.runtime.telemetry import switch_off_telemetry
from squeezect.runtime.thinning import thin
from squeezect.scan import Triple

if TYPE_CHECKING:
    import torch

    from squeezect.models import Classifier

EngineName = Literal[
    "auto", "openvino", "openvino-bfloat16", "openvino-float16", "openvino-int8", "onnx", "torch"
]
ENGINES = get_args(EngineName)
FloatArray = npt.NDArray[np.float32]
FOLDERS: dict[str, str] = {
    "openvino": "openvino",
    "openvino-bfloat16": "openvino",
    "openvino-float16": "openvino-float16",
    "openvino-int8": "openvino-int8",
    "onnx": "onnx",
}
"""Folder inside a checkpoint that holds what each engine runs."""

SUFFIXES = {
    "openvino-bfloat16": ", bfloat16",
    "openvino-float16": ", weights of 16 bits",
    "openvino-int8": ", int8",
}
"""What an engine's name says of its arithmetic."""

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
    """Runs one network; threads may share it."""

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
            in float32 if there is one, else PyTorch. The others are taken as they are named.

    Raises:
        CheckpointError: `no-engine`, `checkpoint-missing` or `checkpoint-damaged`.
    """
    read_card(folder)
    if engine == "auto":
        engine = "openvino" if is_exported(folder) and not _gpu() else "torch"
    if engine == "torch":
        return TorchEngine.open(folder)
    if not is_exported(folder, engine):
        raise CheckpointError(NO_ENGINE, f"{folder.name} holds no export for {engine}")
    place = folder / FOLDERS[engine]
    if engine == "onnx":
        return OnnxEngine.load(place)
    return OpenVINOEngine.load(place, engine=engine)


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
    """An exported checkpoint on OpenVINO; needs no PyTorch.

    Compiled for the size of input that the checkpoint prepares, and once more for another size if
    one comes along: a graph of fixed size runs faster than one of any size.
    """

    facts: Facts
    version: str
    precision: str
    compile: Callable[[tuple[int, ...]], Any]
    lock: Lock = field(default_factory=Lock)

    @classmethod
    def load(cls, path: Path, *, engine: EngineName = "openvino") -> "OpenVINOEngine":
        """Load an export folder.

        Raises:
            CheckpointError: `checkpoint-damaged`.
        """
        switch_off_telemetry()
        import openvino

        core = openvino.Core()
        facts = read_facts(path)
        bfloat16 = engine == "openvino-bfloat16"
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
        }
        place = cache_folder()
        if place is not None:
            options["CACHE_DIR"] = str(place)

        @lru_cache(maxsize=4)
        def compiled(shape: tuple[int, ...]) -> Any:
            try:
                graph = core.read_model(path / "model.xml")
            except RuntimeError as error:
                raise damaged(path, f"OpenVINO cannot read it: {_last(error)}") from error
            sides = list(graph.input(0).partial_shape)[2:]
            _check_size([None if n.is_dynamic else n.get_length() for n in sides], shape)
            if graph.input(0).partial_shape.is_dynamic:
                graph.reshape([1, 1, *shape])
            if not bfloat16:
                thin(graph)
            return core.compile_model(graph, "CPU", options)

        compiled(facts.card.preparation.size)
        version = openvino.__version__.split("-")[0]
        suffix = SUFFIXES.get(engine, "")
        return cls(facts, version, suffix, compiled)

    @property
    def name(self) -> str:
        """OpenVINO's version, and the arithmetic where it is not float32."""
        return f"openvino {self.version} (CPU{self.precision})"

    def __call__(self, values: FloatArray) -> Output:
        """Answer for one volume, float32, shape [z, y, x]."""
        volume = np.ascontiguousarray(values[None, None])
        # A compiled network has one place for its input and output: threads take turns.
        with self.lock:
            answer = self.compile(values.shape)(volume)
            logits = np.array(answer[0][0], np.float32)
            return Output(logits, np.array(answer[1][0], np.float32) if self.facts.cells else None)

    def cells(self, shape: tuple[int, ...]) -> tuple[Triple, Triple] | None:
        """First cell's centre and step: recorded for the prepared size, else computed."""
        return self.facts.cells_of(shape)


@dataclass(frozen=True, eq=False)
class OnnxEngine:
    """An exported checkpoint on ONNX Runtime; needs no PyTorch."""

    session: Any
    facts: Facts
    version: str

    @classmethod
    def load(cls, path: Path) -> "OnnxEngine":
        """Load an export folder.

        Raises:
            CheckpointError: `no-engine`, if ONNX Runtime is not installed; `checkpoint-damaged`.
        """
        try:
            import onnxruntime
            from onnxruntime.capi import onnxruntime_pybind11_state as state
        except ImportError as error:
            what = "ONNX Runtime is not installed"
            raise CheckpointError(
                NO_ENGINE, what, remedy="pip install 'squeezect[export]', or use another engine"
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        facts = read_facts(path)
        try:
            session = onnxruntime.InferenceSession(
                path / "model.onnx", options, providers=["CPUExecutionProvider"]
            )
        except (state.Fail, state.InvalidProtobuf, state.InvalidGraph, state.NoSuchFile) as error:
            raise damaged(path, f"ONNX Runtime cannot read it: {_last(error)}") from error
        return cls(session, facts, onnxruntime.__version__)

    @property
    def name(self) -> str:
        """ONNX Runtime's version."""
        return f"onnxruntime {self.version} (CPU)"

    def __call__(self, values: FloatArray) -> Output:
        """Answer for one volume, float32, shape [z, y, x]."""
        given = self.session.get_inputs()[0]
        _check_size(given.shape[2:], values.shape)
        answer = self.session.run(None, {given.name: values[None, None]})
        return Output(answer[0][0], answer[1][0] if self.facts.cells else None)

    def cells(self, shape: tuple[int, ...]) -> tuple[Triple, Triple] | None:
        """First cell's centre and step: recorded for the prepared size, else computed."""
        return self.facts.cells_of(shape)


def _check_size(sides: Sequence[object], shape: tuple[int, ...]) -> None:
    """Refuse volumes that a graph of fixed size does not take; sides of any size are no numbers."""
    if any(isinstance(n, int) and n != size for n, size in zip(sides, shape, strict=True)):
        what = f"the export takes volumes of {tuple(sides)} voxels [z, y, x] only, not {shape}"
        raise CheckpointError(NO_ENGINE, what, remedy="use --engine torch")


def _last(error: Exception) -> str:
    return next((line for line in reversed(str(error).splitlines()) if line.strip()), "").strip()


def cache_folder() -> Path | None:
    """Where compiled networks are kept; None if they are not."""
    told = os.environ.get("SQUEEZECT_CACHE", "")
    if told == "off":
        return None
    if told:
        return Path(told)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "squeezect" / "compiled"


def is_exported(folder: Path, engine: EngineName = "openvino") -> bool:
    """Whether `folder` holds an export of the very weights of its checkpoint for an engine."""
    if engine in {"auto", "torch"}:
        return True
    try:
        facts = json.loads((folder / FOLDERS[engine] / FACTS_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    exported = facts.get("weights_sha256") if isinstance(facts, dict) else None
    return bool(exported == read_card(folder).weights_sha256)
