"""Who has taught a network, in any way: what a later training must know before it builds on it.

A network knows the patients whose scans it was fitted to, those that chose its epoch, and all that
its teachers and ancestors knew. They are kept by pseudonym beside its weights.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from squeezect.checkpoint import DAMAGED, write_atomically
from squeezect.cohorts import Folds
from squeezect.errors import CheckpointError, SqueezeCTError

SEEN_FILE = "seen.json"


class Seen(BaseModel):
    """Patients who had a part in a network's weights.

    Args:
        patients: their pseudonyms, sorted; training and tuning patients, pseudo-labelled ones, and
            all of the networks that it was started from or taught by.
        complete: False if one of those networks does not say whom it has seen.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    patients: tuple[str, ...] = ()
    complete: bool = True

    @classmethod
    def of(cls, patients: Iterable[str], *others: Self) -> Self:
        """Patients, and all that other networks have seen."""
        everyone = {*patients, *(name for other in others for name in other.patients)}
        return cls(
            patients=tuple(sorted(everyone)), complete=all(other.complete for other in others)
        )

    def save(self, folder: Path) -> None:
        """Write it beside the weights in `folder`."""
        write_atomically(folder / SEEN_FILE, json.dumps(self.model_dump(mode="json")).encode())


def seen_by(folder: Path) -> Seen:
    """Whom the network of a checkpoint folder has seen; incomplete and empty where nobody knows.

    Runs of before this was kept are answered from the folds beside them.

    Args:
        folder: of a checkpoint, such as ``RUN/fold-0``.

    Raises:
        CheckpointError: `checkpoint-damaged`.
    """
    kept = folder / SEEN_FILE
    if kept.is_file():
        try:
            return Seen.model_validate_json(kept.read_text("utf-8"))
        except (ValidationError, UnicodeDecodeError) as error:
            what = f"{folder.name}/{SEEN_FILE} is not a list of patients"
            raise CheckpointError(DAMAGED, what) from error
    table, number = folder.parent / "folds.json", folder.name.removeprefix("fold-")
    if not (table.is_file() and number.isdigit()):
        return Seen(complete=False)
    try:
        folds = Folds.from_dict(json.loads(table.read_text("utf-8")))
        fold = folds.folds[int(number)]
    except (ValueError, IndexError, SqueezeCTError) as error:
        what = f"{folder.parent.name}/folds.json does not describe {folder.name}"
        raise CheckpointError(DAMAGED, what) from error
    return Seen.of(folds.patients[row] for row in (*fold.train, *fold.tune))
