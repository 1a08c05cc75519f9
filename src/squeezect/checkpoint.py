"""One trained network on disk: weights in safetensors, everything else in a JSON card beside them.

Nothing is ever unpickled: safetensors holds only numbers, and the card is parsed against a schema.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
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
FOLD = re.compile(r"fold-(0|[1-9][0-9]*)")
"""How the folder of a fold's network is called."""

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
OTHER_FORMAT = Code(
    "checkpoint-format",
    "A card is written in a format that this release does not know.",
    "install a newer release of SqueezeCT",
)
NO_RUN = Code(
    "no-run",
    "There is no finished run at this path.",
    "name the folder that squeezect train wrote, after it has finished",
)

OPERATING_POINT = "sensitivity-90"
"""Name of the threshold from which an answer is called positive."""


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
        format: of the card; another release may write another one.
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

    # A score that is not a number is written as such, not as null, which cannot be read back.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    format: Literal[1] = 1
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
            CheckpointError: `checkpoint-missing`, `checkpoint-damaged` or `checkpoint-format`.
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
        CheckpointError: `checkpoint-missing`, `checkpoint-damaged` or `checkpoint-format`.
    """
    if not ((folder / CARD_FILE).is_file() and (folder / WEIGHTS_FILE).is_file()):
        raise CheckpointError(MISSING, f"no checkpoint in folder {folder}")
    try:
        return Card.model_validate_json((folder / CARD_FILE).read_text("utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        if isinstance(error, ValidationError):
            other = [e["input"] for e in error.errors() if e["loc"] == ("format",)]
            if other:
                what = f"{folder.name}/{CARD_FILE} has format {other[0]!r}, and 1 is known"
                raise CheckpointError(OTHER_FORMAT, what) from error
        first = str(error).splitlines()
        raise CheckpointError(
            DAMAGED, f"{folder.name}/{CARD_FILE}: {' '.join(first[:3])}"
        ) from error


@dataclass(frozen=True)
class Networks:
    """Checkpoint folders whose networks answer together.

    Args:
        folders: of one network, or of those of all folds of a run.
        card: what they have in common.
        threshold: probability from which their mean is called positive.
    """

    folders: tuple[Path, ...]
    card: Card
    threshold: float


def find_networks(folder: Path) -> Networks:
    """The networks of a finished run, or the one of a checkpoint folder; no weights are read.

    Args:
        folder: written by training, or one of its ``fold-K`` folders.

    Raises:
        CheckpointError: `no-run`; `checkpoint-missing`, `checkpoint-format`, or
            `checkpoint-damaged`, also if the networks do not take the same input or do not give
            the same answers, or if those of some folds are missing.
    """
    if (folder / CARD_FILE).is_file():
        card = read_card(folder)
        return Networks((folder,), card, card.thresholds.get(OPERATING_POINT, 0.5))
    threshold = _threshold(folder)
    folds = fold_folders(folder)
    if not folds:
        raise CheckpointError(NO_RUN, f"the run in {folder} has lost its fold folders")
    cards = [read_card(fold) for fold in folds]
    _require_all(cards, folds)
    return Networks(folds, _common_card(folds, cards), threshold)


def fold_folders(run: Path) -> tuple[Path, ...]:
    """The folders of a run's networks, whether it has finished or not."""
    # A copy kept beside a fold, such as fold-0-copy, is no network of the run.
    found = (path.parent for path in run.glob(f"fold-*/{CARD_FILE}"))
    numbered = (folder for folder in found if FOLD.fullmatch(folder.name))
    return tuple(sorted(numbered, key=lambda folder: int(folder.name.removeprefix("fold-"))))


def _threshold(run: Path) -> float:
    try:
        facts = json.loads((run / "run.json").read_text("utf-8"))
        finished = facts["status"] == "finished"
        threshold = float(facts["thresholds"][OPERATING_POINT]) if finished else 0.5
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(NO_RUN, f"no finished run in {run}") from error
    if not finished:
        raise CheckpointError(NO_RUN, f"the run in {run} is not finished")
    return threshold


def _require_all(cards: Sequence[Card], folds: Sequence[Path]) -> None:
    """Refuse a cross-validated run without one of its folds: it would answer something else.

    Networks that know no fold, such as those of lists of patches, were not made fold by fold.
    """
    said = [card.trained_on.get("fold") for card in cards]
    found = [k for k in said if isinstance(k, int)]
    if not found:
        return
    told = cards[0].recipe.get("folds")
    count = told if isinstance(told, int) else max(found) + 1
    missing = [k for k in range(count) if k not in found]
    if missing:
        names = ", ".join(f"fold-{k}" for k in missing)
        what = f"the run in {folds[0].parent} of {count} folds has lost {names}"
        raise CheckpointError(DAMAGED, what)
    if len(cards) > count:
        what = f"the run in {folds[0].parent} has {len(cards)} networks, but {count} folds"
        raise CheckpointError(DAMAGED, what)


def _common_card(folds: Sequence[Path], cards: Sequence[Card]) -> Card:
    """The first card; the others must agree with it in what decides input and answer."""
    for fold, card in zip(folds, cards, strict=True):
        for fact, found, first in (
            ("model", card.model, cards[0].model),
            ("number of classes", card.classes, cards[0].classes),
            ("preparation", card.preparation.digest, cards[0].preparation.digest),
        ):
            if found != first:
                which = f"{folds[0].name} and {fold.name} of run {fold.parent}"
                raise CheckpointError(DAMAGED, f"{which} differ in {fact} ({first} and {found})")
    return cards[0]
