"""What became of a trial, as plain JSON: the search resumes from these and reports them."""

import json
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from squeezect.checkpoint import write_atomically
from squeezect.training.search.space import Value

State = Literal["complete", "pruned", "failed"]
FILE = "trial.json"


class Record(BaseModel):
    """One trial.

    Args:
        name: ``base``, or ``trial-`` and its number.
        state: ``complete``; ``pruned``, given up on the way; ``failed``, see `error`.
        values: what was set in the recipe, by dotted name.
        score: pooled over the held-out parts of all inner folds if complete, the last one on the
            way if pruned.
        by_step: the score on the way, by epoch counted over all folds.
        folds: score of each finished inner fold.
        seconds: of training, over all epochs.
        error: code, what and remedy of what went wrong.
        drawn: the values as Optuna drew them.
        notes: what Optuna noted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    state: State
    values: dict[str, Value]
    score: float | None = None
    by_step: dict[int, float] = Field(default_factory=dict)
    folds: tuple[float, ...] = ()
    seconds: float = 0.0
    error: dict[str, str] | None = None
    drawn: dict[str, float | int | str] = Field(default_factory=dict)
    notes: dict[str, JsonValue] = Field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write ``trial.json``, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False)
        write_atomically(folder / FILE, text.encode())

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """The record in a folder, or None while the trial is not finished."""
        path = folder / FILE
        return cls.model_validate_json(path.read_bytes()) if path.is_file() else None
