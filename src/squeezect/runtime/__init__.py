"""One checkpoint, several engines: OpenVINO, ONNX Runtime, PyTorch; and the exports they run."""

from squeezect.runtime.engines import (
    ENGINES,
    Engine,
    EngineName,
    Output,
    is_exported,
    open_engine,
)
from squeezect.runtime.exporting import NO_PARITY, Format, export

__all__ = [
    "ENGINES",
    "NO_PARITY",
    "Engine",
    "EngineName",
    "Format",
    "Output",
    "export",
    "is_exported",
    "open_engine",
]
