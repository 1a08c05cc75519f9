"""Prepared volumes in the order that training wants them.

Order and augmentation depend only on (seed, epoch, position), never on what was drawn before, so
a run that is killed and resumed sees the same batches as one that was not.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from squeezect.nodules import Bank
from squeezect.preparation import Volume
from squeezect.training.augmentation import disturb, warp
from squeezect.training.insertion import insert_nodule, row_of
from squeezect.training.prepared import Prepared
from squeezect.training.ramp import Ramp
from squeezect.training.recipe import Augmentation, Insertion

Ticket = tuple[int, int]
"""Epoch and position: what a sampler hands to a data set."""

Batches = DataLoader[Any]
"""Batches (B, 1, z, y, x), labels (B,), marks (B, 7) and weights (B, 2)."""

CACHE_BYTES = 6 << 30
"""Volumes kept in memory, up to this size per data set."""


Sample = tuple[torch.Tensor, int, torch.Tensor, torch.Tensor]
"""Volume (1, z, y, x), label, the row of marks (see `insertion.row_of`), and how much the case
counts among true labels and among pseudo-labels (see `ramp.two_part_loss`)."""

SURE = torch.tensor([1.0, 0.0])
GUESSED = torch.tensor([0.0, 1.0])


@dataclass
class Volumes(Dataset[Sample]):
    """Volumes of a store with their labels, changed at random if asked.

    Args:
        store: where the prepared volumes are.
        keys: which of them, in order.
        labels: class of each.
        augmentation: random changes, or None.
        insertion: nodules put into negative volumes, or None.
        seed: decides the random changes together with epoch and position.
        bank: real nodules to insert; None paints them.
        guessed: how many cases at the end have pseudo-labels; nothing is inserted into these.
    """

    store: Prepared
    keys: Sequence[str]
    labels: Sequence[int]
    augmentation: Augmentation | None = None
    insertion: Insertion | None = None
    seed: int = 0
    bank: Bank | None = None
    guessed: int = 0
    _cache: dict[int, Volume] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, ticket: Ticket) -> Sample:
        """Volume, label, marks and weights for an (epoch, position) ticket."""
        epoch, position = ticket
        sure = position < len(self.keys) - self.guessed
        volume = self._read(position)
        values, label, mark = volume.values, self.labels[position], None
        random = np.random.default_rng((self.seed, epoch, position))
        if self.augmentation is not None:
            values = warp(values, self.augmentation, random=random)
        inserting = self.insertion is not None and label == 0 and sure
        if self.insertion and inserting and random.random() < self.insertion.share:
            values, mark = insert_nodule(
                values,
                self.insertion,
                voxel_mm=volume.grid.spacing_mm,
                window_hu=volume.preparation.window_hu,
                random=random,
                bank=self.bank,
            )
        if self.augmentation is not None:
            values = disturb(values, self.augmentation, random=random)
        row = torch.from_numpy(row_of(mark, known=label == 0 and sure))
        label = label if mark is None else 1
        return torch.from_numpy(values)[None], label, row, SURE if sure else GUESSED

    def _read(self, position: int) -> Volume:
        if position not in self._cache:
            volume = self.store.read(self.keys[position])
            if (len(self._cache) + 1) * volume.values.nbytes > CACHE_BYTES:
                return volume
            self._cache[position] = volume
        return self._cache[position]


class EpochSampler(Sampler[Ticket]):
    """Tickets of one epoch: shuffled by (seed, epoch), balanced over the classes if asked.

    Args:
        labels: class of each position.
        seed: decides the order together with the epoch.
        shuffle: False gives every position once, in order.
        balanced: draw every class equally often; the rarer class repeats, the commoner one is
            thinned, and over epochs every position is seen.
        inserted: share of the negatives that become positives after they are drawn, which
            balancing then makes room for.
    """

    def __init__(
        self,
        labels: Sequence[int],
        *,
        seed: int = 0,
        shuffle: bool = True,
        balanced: bool = False,
        inserted: float = 0.0,
    ) -> None:
        self.labels = np.asarray(labels)
        self.seed = seed
        self.shuffle = shuffle
        self.balanced = balanced
        self.inserted = inserted
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next; the trainer calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Ticket]:
        return iter([(self.epoch, int(i)) for i in self._order()])

    def _order(self) -> Sequence[int]:
        size = len(self.labels)
        if not self.shuffle:
            return range(size)
        random = np.random.default_rng((self.seed, self.epoch, size))
        if not self.balanced:
            return list(map(int, random.permutation(size)))
        if self.inserted and set(np.unique(self.labels)) == {0, 1}:
            return self._with_inserted(size, random)
        classes = np.unique(self.labels)
        columns = [
            _repeated(np.flatnonzero(self.labels == c), -(-size // len(classes)), random)
            for c in classes
        ]
        # Interleaved, so that every batch holds every class where it can.
        return list(map(int, np.stack(columns, axis=1).ravel()[:size]))

    def _with_inserted(self, size: int, random: np.random.Generator) -> Sequence[int]:
        negatives = min(size - 1, round(size * 0.5 / (1 - self.inserted)))
        drawn = [
            _repeated(np.flatnonzero(self.labels == c), count, random)
            for c, count in ((0, negatives), (1, size - negatives))
        ]
        return list(map(int, random.permutation(np.concatenate(drawn))))


class MixedBatches(Sampler[list[Ticket]]):
    """Batches of labelled cases in their sampler's order, pseudo-labelled ones added to each.

    Their number per batch follows from the sizes of both sets, but is never above that of the
    labelled ones; epochs without weight for pseudo-labels have none.

    Args:
        sampler: order of the labelled cases, which come first in the data set.
        guessed: number of pseudo-labelled cases, which come after them.
        batch_size: labelled cases per batch.
        ramp: tells in which epochs pseudo-labels count.
    """

    def __init__(self, sampler: EpochSampler, *, guessed: int, batch_size: int, ramp: Ramp) -> None:
        # The trainer tells `sampler` the epoch.
        self.sampler = sampler
        self.guessed = guessed
        self.batch_size = batch_size
        self.ramp = ramp
        self.added = min(batch_size, max(1, round(batch_size * guessed / max(1, len(sampler)))))

    def __len__(self) -> int:
        return math.ceil(len(self.sampler) / self.batch_size)

    def __iter__(self) -> Iterator[list[Ticket]]:
        tickets = list(self.sampler)
        count, epoch = len(tickets), self.sampler.epoch
        added = self.added if self.ramp.alpha(epoch) > 0 else 0
        random = np.random.default_rng((self.sampler.seed, epoch, count, self.guessed))
        places = count + np.arange(self.guessed)
        others = _repeated(places, len(self) * added, random) if added else places[:0]
        for number in range(len(self)):
            batch = tickets[number * self.batch_size : (number + 1) * self.batch_size]
            more = others[number * added : (number + 1) * added]
            yield batch + [(epoch, int(position)) for position in more]


def _repeated(
    positions: "np.ndarray[tuple[int], np.dtype[np.int64]]", count: int, random: np.random.Generator
) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    rounds = -(-count // len(positions))
    shuffled = [random.permutation(positions) for _ in range(rounds)]
    return np.concatenate(shuffled)[:count]


def loader(
    volumes: Dataset[Sample], sampler: EpochSampler, *, batch_size: int, ramp: Ramp | None = None
) -> Batches:
    """Batches of all that `Sample` has, pinned where a GPU waits for them.

    Args:
        volumes: the data set.
        sampler: order of its cases with true labels.
        batch_size: of these, per batch.
        ramp: adds its pseudo-labelled cases to the batches, in epochs in which they count.
    """
    gpu = torch.cuda.is_available()
    if ramp is not None and isinstance(volumes, Volumes) and volumes.guessed:
        mixed = MixedBatches(sampler, guessed=volumes.guessed, batch_size=batch_size, ramp=ramp)
        order: dict[str, Any] = {"batch_sampler": mixed}
    else:
        order = {"batch_size": batch_size, "sampler": sampler}
    return DataLoader(
        volumes,
        **order,
        num_workers=4 if gpu else 0,
        persistent_workers=gpu,
        pin_memory=gpu,
    )
