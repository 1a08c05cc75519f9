"""One trained network on disk: weights in safetensors, everything else in a JSON card beside them.

Nothing is ever unpickled: safetensors holds only numbers, and the card is parsed against a schema.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from squeezect.errors import CheckpointError, Code
from squeezect.preparation import Preparation

if TYPE_CHECKING:
    import torch

    from squeezect.models import Classifier

WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "card.json"

MISSING = Code(
    "checkpoint-missing",
    "A folder holds no finished checkpoint (weights and card).",
    "name a folder with model.safetensors and card.json, or finish the training",
)
DAMAGED = Code(
    "checkpoint-damaged",
    "Weights or card are truncated, altered, or do not belong together.",
    "copy the folder again from its source, or train again",
)


class Ancestor(BaseModel):
    """A network that another one was started from, or learnt labels from.

    Args:
        kind: ``start`` for weights, ``teacher`` for pseudo-labels.
        name: run and fold, or the checkpoint's name.
        model: registered name of the network.
        weights_sha256: checksum of its weights.
        patients: whether it is known whom it had seen; if not, nobody can rule out a leak.
        remade: tensors that were not taken over, because the number of classes differs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["start", "teacher"]
    name: str
    model: str
    weights_sha256: str
    patients: Literal["known", "unknown"]
    remade: tuple[str, ...] = ()


class Card(BaseModel):
    """What a checkpoint is: enough to rebuild the network, feed it and judge its answer.

    Args:
        model: registered name of the network.
        options: the network's options.
        classes: number of classes; class 1 is the finding that is looked for.
        preparation: how a scan becomes the network's input.
        recipe: the training recipe, as plain JSON.
        trained_on: what it saw: counts and digests, never identities.
        lineage: the networks that it was made from, nearest first, then theirs.
        scores: scores by name, measured on cases it was not trained or tuned on.
        thresholds: probability thresholds by name.
        weights_sha256: checksum of the weights file.
        version: the SqueezeCT that wrote it.
        data: the data set it was trained on, with its licence and citation.
        limits: what it is known not to do.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    model: str
    options: dict[str, object] = Field(default_factory=dict)
    classes: int = Field(default=2, ge=2)
    preparation: Preparation
    recipe: dict[str, object] = Field(default_factory=dict)
    trained_on: dict[str, object] = Field(default_factory=dict)
    lineage: tuple[Ancestor, ...] = ()
    scores: dict[str, float] = Field(default_factory=dict)
    thresholds: dict[str, float] = Field(default_factory=dict)
    weights_sha256: str = ""
    version: str = ""
    data: str = ""
    limits: tuple[str, ...] = ()
    statement: str = "Research software; not a medical device; not for clinical use."


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is either the old one or the new one, even when killed."""
    scratch = path.with_name(f".{path.name}.part")
    with scratch.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A network's weights and its card.

    Args:
        card: what the network is.
        weights: state dict of the network, on the CPU.
    """

    card: Card
    weights: Mapping[str, "torch.Tensor"]

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read a checkpoint folder and check that its parts belong together.

        Args:
            folder: holds ``model.safetensors`` and ``card.json``.

        Raises:
            CheckpointError: `checkpoint-missing` or `checkpoint-damaged`.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        folder = Path(folder)
        card = read_card(folder)
        data = (folder / WEIGHTS_FILE).read_bytes()
        if hashlib.sha256(data).hexdigest() != card.weights_sha256:
            raise CheckpointError(
                DAMAGED, f"{folder.name}/{WEIGHTS_FILE} does not have the checksum of its card"
            )
        try:
            weights = load(data)
        except SafetensorError as error:
            raise CheckpointError(DAMAGED, f"{folder.name}/{WEIGHTS_FILE}: {error}") from error
        return cls(card, weights)

    def save(self, folder: Path | str) -> Path:
        """Write weights, then the card that vouches for them; returns the folder."""
        from safetensors.torch import save

        from squeezect import __version__

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        data = save({name: value.contiguous() for name, value in self.weights.items()})
        card = self.card.model_copy(
            update={"weights_sha256": hashlib.sha256(data).hexdigest(), "version": __version__}
        )
        write_atomically(folder / WEIGHTS_FILE, data)
        text = json.dumps(card.model_dump(mode="json"), indent=1)
        write_atomically(folder / CARD_FILE, text.encode())
        return folder

    def build(self) -> "Classifier":
        """The network with these weights, in evaluation mode, on the CPU.

        Raises:
            CheckpointError: `checkpoint-damaged`, if the weights do not fit the card's model.
        """
        from squeezect.models import create_model

        model = create_model(self.card.model, classes=self.card.classes, options=self.card.options)
        try:
            model.load_state_dict(dict(self.weights))
        except RuntimeError as error:
            first = str(error).splitlines()[-1].strip()
            raise CheckpointError(
                DAMAGED, f"weights do not fit model {self.card.model}: {first}"
            ) from error
        return model.eval()


def read_card(folder: Path) -> Card:
    """The card of a checkpoint folder, without touching its weights.

    Raises:
        CheckpointError: `checkpoint-missing` or `checkpoint-damaged`.
    """
    if not ((folder / CARD_FILE).is_file() and (folder / WEIGHTS_FILE).is_file()):
        raise CheckpointError(MISSING, f"no checkpoint in folder {folder}")
    try:
        return Card.model_validate_json((folder / CARD_FILE).read_text("utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        first = str(error).splitlines()
        raise CheckpointError(
            DAMAGED, f"{folder.name}/{CARD_FILE}: {' '.join(first[:3])}"
        ) from error
