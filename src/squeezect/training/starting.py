"""Fine-tuning: start the folds of a run from the weights of another, without letting it leak.

A network that has seen a patient must not be judged on that patient later, however it was trained
on since. So every fold takes the network of the other run that knows none of its judged patients.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import torch
from torch import nn

from squeezect.candidates import weights_folder
from squeezect.checkpoint import CARD_FILE, Ancestor, Card, Checkpoint, read_card
from squeezect.errors import CheckpointError, Code, RecipeError
from squeezect.models import create_model
from squeezect.training.freezing import freeze
from squeezect.training.recipe import Recipe
from squeezect.training.seen import Seen, seen_by

SOURCE_LEAKS = Code(
    "source-saw-judged",
    "The networks to start from have been trained on patients that this run would judge them by.",
    "start from a run with the same folds, seed and tuning share, or on other patients, or afresh",
)
NO_FIT = Code(
    "weights-do-not-fit",
    "The weights to start from are those of another network than the recipe trains.",
    "train the same model with the same options, or start from other weights",
)


@dataclass(frozen=True)
class Donor:
    """A trained network that a fold may start from.

    Args:
        folder: its checkpoint.
        card: what it is.
        seen: whom it has seen.
    """

    folder: Path
    card: Card
    seen: Seen

    @property
    def name(self) -> str:
        """Run and fold, or the checkpoint's folder, without the path to them."""
        folder = self.folder
        parts = (folder.parent, folder) if folder.name.startswith("fold-") else (folder,)
        return "/".join(part.name for part in parts)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """Its weights; read on first use."""
        return Checkpoint.load(self.folder)

    def as_ancestor(self, *, remade: Sequence[str] = ()) -> Ancestor:
        """What the card of a network started from this one says of it."""
        return Ancestor(
            kind="start",
            name=self.name,
            model=self.card.model,
            weights_sha256=self.card.weights_sha256,
            patients="known" if self.seen.complete else "unknown",
            remade=tuple(remade),
        )


@dataclass(frozen=True)
class Source:
    """The networks that folds may start from.

    Args:
        name: of the run, checkpoint or shipped weights.
        donors: its networks, in the order of their folds.
    """

    name: str
    donors: tuple[Donor, ...]

    @classmethod
    def open(cls, place: Path | str) -> Self:
        """Open a run folder, a checkpoint folder or shipped weights by name.

        Raises:
            CheckpointError: `unknown-weights`, `checkpoint-missing` or `checkpoint-damaged`.
        """
        folder = Path(place)
        found = sorted(
            (card.parent for card in folder.glob(f"fold-*/{CARD_FILE}")),
            key=lambda path: (len(path.name), path.name),
        )
        if not found:
            found = [weights_folder(place)]
        donors = tuple(Donor(path, read_card(path), seen_by(path)) for path in found)
        return cls(folder.resolve().name, donors)

    @property
    def digest(self) -> list[str]:
        """Checksums of all weights: another source makes another run."""
        return [donor.card.weights_sha256 for donor in self.donors]

    def donor(self, fold: int, judged: Mapping[str, int]) -> Donor:
        """The network that a fold may start from: its namesake if that is clean, else the first.

        Args:
            fold: number of the fold.
            judged: pseudonyms of the patients that judge it, with a row of each.

        Raises:
            RecipeError: `source-saw-judged`, with rows and the networks that have seen them.
        """
        clean = [d for d in self.donors if not judged.keys() & set(d.seen.patients)]
        if not clean:
            raise RecipeError(SOURCE_LEAKS, self._told(fold, judged))
        own = f"fold-{fold}"
        return next((d for d in clean if d.folder.name == own), clean[0])

    def _told(self, fold: int, judged: Mapping[str, int]) -> str:
        best = min(self.donors, key=lambda d: len(judged.keys() & set(d.seen.patients)))
        shared = sorted(judged[name] for name in judged.keys() & set(best.seen.patients))
        rows = ", ".join(map(str, shared[:3])) + (" ..." if len(shared) > 3 else "")
        return (
            f"all {len(self.donors)} networks of {self.name} have seen patients that fold {fold} "
            f"is judged by; {best.name} the fewest, {len(shared)} of {len(judged)} (rows {rows})"
        )


def adopt(
    model: nn.Module, source: Checkpoint, *, classes: int, name: str = "source"
) -> tuple[str, ...]:
    """Give a network the weights of another, but for heads made for another number of classes.

    Args:
        model: a fresh network.
        source: weights of a network of the same kind.
        classes: of `model`.
        name: what messages call the source.

    Returns:
        Names of the tensors that stayed fresh because the number of classes differs.

    Raises:
        CheckpointError: `weights-do-not-fit`.
    """
    own = model.state_dict()
    strange = sorted(own.keys() ^ source.weights.keys())
    if strange:
        where = "lacks" if strange[0] in own else "has in excess"
        raise CheckpointError(NO_FIT, f"{name} ({source.card.model}) {where} {strange[0]}")
    before = classes_of(source.card)
    taken: dict[str, torch.Tensor] = {}
    remade = []
    for key, value in source.weights.items():
        shapes = tuple(own[key].shape), tuple(value.shape)
        heads = before != classes and _is_head(*shapes, classes=(classes, before))
        if shapes[0] != shapes[1] and not heads:
            what = f"{key} of {name} has shape {shapes[1]}, the recipe's network {shapes[0]}"
            raise CheckpointError(NO_FIT, what)
        if heads:
            remade.append(key)
        else:
            taken[key] = value
    model.load_state_dict(own | taken)
    return tuple(remade)


def _is_head(own: Collection[int], other: Collection[int], *, classes: tuple[int, int]) -> bool:
    """Whether two shapes differ by the number of classes alone, which comes first."""
    return tuple(own)[:1] == classes[:1] and tuple(other) == (classes[1], *tuple(own)[1:])


def classes_of(card: Card) -> int:
    """Number of classes of a card's network; options may say it too."""
    asked = card.options.get("classes", card.classes)
    return asked if isinstance(asked, int) else card.classes


class Start:
    """Primes the fresh network of a fold with a donor's weights, and remembers how.

    Args:
        donor: where the weights come from.
        recipe: of the network that is primed.
    """

    def __init__(self, donor: Donor, recipe: Recipe) -> None:
        self.donor = donor
        self.classes = classes_of_recipe(recipe)
        self.remade: tuple[str, ...] = ()

    def __call__(self, model: nn.Module) -> None:
        """Give `model` the donor's weights; see `adopt`."""
        donor = self.donor
        self.remade = adopt(model, donor.checkpoint, classes=self.classes, name=donor.name)

    @property
    def lineage(self) -> tuple[Ancestor, ...]:
        """The donor, then its own ancestors."""
        return (self.donor.as_ancestor(remade=self.remade), *self.donor.card.lineage)


def rehearse(recipe: Recipe, source: Source | None) -> None:
    """Make sure that weights fit and layers exist, before anything is prepared or written.

    Raises:
        CheckpointError: `weights-do-not-fit`, `checkpoint-damaged`.
        RecipeError: `unknown-layer`, `all-frozen`.
    """
    if source is None and not recipe.freeze:
        return
    model = create_model(recipe.model, options=recipe.model_options)
    for donor in source.donors if source else ():
        adopt(model, donor.checkpoint, classes=classes_of_recipe(recipe), name=donor.name)
    freeze(model, recipe.freeze)


def classes_of_recipe(recipe: Recipe) -> int:
    """Number of classes of a recipe's network."""
    asked = recipe.model_options.get("classes", 2)
    return asked if isinstance(asked, int) else 2
