"""Folders that results are to be written into: looked at before the work, not after it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from squeezect.errors import Code, EvaluationError

UNWRITABLE = Code(
    "unwritable-folder",
    "Results cannot be written into the folder that was named for them.",
    "name another folder with --out, or make room and give yourself the right to write there",
)


def probe(out: Path) -> None:
    """Make a folder and write into it, before anything is asked.

    Raises:
        EvaluationError: `unwritable-folder`.
    """
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out) as file:
            file.write(b"0")


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Writing into a folder; what the system says against it is a refusal.

    Raises:
        EvaluationError: `unwritable-folder`.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or os.strerror(error.errno or 0)
        raise EvaluationError(UNWRITABLE, f"{out} cannot be written into: {reason}") from error
