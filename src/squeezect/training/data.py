"""Prepared volumes in the order that training wants them.

Order and augmentation depend only on (seed, epoch, position), never on what was drawn before, so
a run that is killed and resumed sees the same batches as one that was not.
"""

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
from squeezect.training.recipe import Augmentation, Insertion

Ticket = tuple[int, int]
"""Epoch and position: what a sampler hands to a data set."""

Batches = DataLoader[Any]
"""Batches (B, 1, z, y, x), labels (B,) and marks (B, 7)."""

CACHE_BYTES = 6 << 30
"""Volumes kept in memory, up to this size per data set."""


Sample = tuple[torch.Tensor, int, torch.Tensor]
"""Volume (1, z, y, x), label, and the row of marks (see `insertion.row_of`)."""


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
    """

    store: Prepared
    keys: Sequence[str]
    labels: Sequence[int]
    augmentation: Augmentation | None = None
    insertion: Insertion | None = None
    seed: int = 0
    bank: Bank | None = None
    _cache: dict[int, Volume] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, ticket: Ticket) -> Sample:
        """Volume, label and marks for an (epoch, position) ticket."""
        epoch, position = ticket
        volume = self._read(position)
        values, label, mark = volume.values, self.labels[position], None
        random = np.random.default_rng((self.seed, epoch, position))
        if self.augmentation is not None:
            values = warp(values, self.augmentation, random=random)
        if self.insertion is not None and label == 0 and random.random() < self.insertion.share:
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
        row = row_of(mark, known=label == 0)
        return torch.from_numpy(values)[None], label if mark is None else 1, torch.from_numpy(row)

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


def _repeated(
    positions: "np.ndarray[tuple[int], np.dtype[np.int64]]", count: int, random: np.random.Generator
) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    rounds = -(-count // len(positions))
    shuffled = [random.permutation(positions) for _ in range(rounds)]
    return np.concatenate(shuffled)[:count]


def loader(volumes: Volumes, sampler: EpochSampler, *, batch_size: int) -> Batches:
    """Batches (B, 1, z, y, x), labels (B,) and marks (B, 7), pinned where a GPU waits for them."""
    gpu = torch.cuda.is_available()
    return DataLoader(
        volumes,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=4 if gpu else 0,
        persistent_workers=gpu,
        pin_memory=gpu,
    )
