"""The same checkpoint on different engines: OpenVINO where it can, PyTorch everywhere.

An exported network sits beside its checkpoint, so answering needs no PyTorch at all. A network that
was compiled once is kept in the user's cache; set SQUEEZECT_CACHE to another folder, or to ``off``.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from squeezect.checkpoint import Checkpoint, read_card
from squeezect.errors import CheckpointError, Code
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

    facts: dict[str, Any]
    version: str
    precision: str
    compile: Callable[[tuple[int, ...]], Any]

    @classmethod
    def load(cls, path: Path, *, engine: EngineName = "openvino") -> "OpenVINOEngine":
        """Load an export folder."""
        import openvino

        core = openvino.Core()
        facts = json.loads((path / "facts.json").read_text("utf-8"))
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
            graph = core.read_model(path / "model.xml")
            if graph.input(0).partial_shape.is_dynamic:
                graph.reshape([1, 1, *shape])
            if not bfloat16:
                thin(graph)
            return core.compile_model(graph, "CPU", options)

        compiled(tuple(facts["card"]["preparation"]["size"]))
        version = openvino.__version__.split("-")[0]
        suffix = SUFFIXES.get(engine, "")
        return cls(facts, version, suffix, compiled)

    @property
    def name(self) -> str:
        """OpenVINO's version, and the arithmetic where it is not float32."""
        return f"openvino {self.version} (CPU{self.precision})"

    def __call__(self, values: FloatArray) -> Output:
        """Answer for one volume, float32, shape [z, y, x]."""
        answer = self.compile(values.shape)(np.ascontiguousarray(values[None, None]))
        logits = np.array(answer[0][0], np.float32)
        return Output(logits, np.array(answer[1][0], np.float32) if self.facts["cells"] else None)

    def cells(self, shape: tuple[int, ...]) -> tuple[Triple, Triple] | None:
        """First cell's centre and step, as recorded at export."""
        return recorded_cells(self.facts, shape)


@dataclass(frozen=True, eq=False)
class OnnxEngine:
    """An exported checkpoint on ONNX Runtime; needs no PyTorch."""

    session: Any
    facts: dict[str, Any]
    version: str

    @classmethod
    def load(cls, path: Path) -> "OnnxEngine":
        """Load an export folder.

        Raises:
            CheckpointError: `no-engine`, if ONNX Runtime is not installed.
        """
        try:
            import onnxruntime
        except ImportError as error:
            what = "ONNX Runtime is not installed"
            raise CheckpointError(
                NO_ENGINE, what, remedy="pip install 'squeezect[export]', or use another engine"
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            path / "model.onnx", options, providers=["CPUExecutionProvider"]
        )
        facts = json.loads((path / "facts.json").read_text("utf-8"))
        return cls(session, facts, onnxruntime.__version__)

    @property
    def name(self) -> str:
        """ONNX Runtime's version."""
        return f"onnxruntime {self.version} (CPU)"

    def __call__(self, values: FloatArray) -> Output:
        """Answer for one volume, float32, shape [z, y, x]."""
        answer = self.session.run(None, {self.session.get_inputs()[0].name: values[None, None]})
        return Output(answer[0][0], answer[1][0] if self.facts["cells"] else None)

    def cells(self, shape: tuple[int, ...]) -> tuple[Triple, Triple] | None:
        """First cell's centre and step, as recorded at export."""
        return recorded_cells(self.facts, shape)


def recorded_cells(facts: dict[str, Any], shape: tuple[int, ...]) -> tuple[Triple, Triple] | None:
    """First cell's centre and step, as an export's facts have them."""
    recorded = facts["cells"]
    if not isinstance(recorded, dict):
        return None
    first, step = recorded["even" if shape[0] % 2 == 0 else "odd"]
    return tuple(first), tuple(step)


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
        facts = json.loads((folder / FOLDERS[engine] / "facts.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return bool(facts.get("weights_sha256") == read_card(folder).weights_sha256)
