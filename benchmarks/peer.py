"""Keras on TensorFlow, asked from here, computing in a process of its own."""

import json
import subprocess
import sys
from typing import IO, cast

KERAS = "Keras on TensorFlow, the same network"


class Keras:
    """The peer in its own process; a context manager."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "benchmarks.keras_worker"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.ask = cast("IO[str]", self.process.stdin)
        self.told = cast("IO[str]", self.process.stdout)
        self.facts = json.loads(self.told.readline() or "null")

    def __call__(self, what: str) -> float:
        """Seconds of one ``forward`` or ``train``."""
        self.ask.write(f"{what}\n")
        self.ask.flush()
        return float(self.told.readline())

    def __enter__(self) -> "Keras":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
