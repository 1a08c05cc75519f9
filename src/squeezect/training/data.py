"""Prepared volumes in the order that training wants them.

Order and augmentation depend only on (seed, epoch, position), never on what was drawn before, so
a run that is killed and resumed sees the same batches as one that was not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from squeezect.preparation import Store
from squeezect.training.augmentation import VolumeArray, augment
from squeezect.training.recipe import Augmentation

Ticket = tuple[int, int]
"""Epoch and position: what a sampler hands to a data set."""

CACHE_BYTES = 6 << 30
"""Volumes kept in memory, up to this size per data set."""


@dataclass
class Volumes(Dataset[tuple[torch.Tensor, int]]):
    """Volumes of a store with their labels, augmented if asked.

    Args:
        store: where the prepared volumes are.
        keys: which of them, in order.
        labels: class of each.
        augmentation: random changes, or None.
        seed: decides the random changes together with epoch and position.
    """

    store: Store
    keys: Sequence[str]
    labels: Sequence[int]
    augmentation: Augmentation | None = None
    seed: int = 0
    _cache: dict[int, VolumeArray] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, ticket: Ticket) -> tuple[torch.Tensor, int]:
        """Volume (1, z, y, x) float32 and label for an (epoch, position) ticket."""
        epoch, position = ticket
        values = self._read(position)
        if self.augmentation is not None:
            random = np.random.default_rng((self.seed, epoch, position))
            values = augment(values, self.augmentation, random=random)
        return torch.from_numpy(values)[None], self.labels[position]

    def _read(self, position: int) -> VolumeArray:
        if position not in self._cache:
            values = self.store.read(self.keys[position]).values
            if (len(self._cache) + 1) * values.nbytes > CACHE_BYTES:
                return values
            self._cache[position] = values
        return self._cache[position]


class EpochSampler(Sampler[Ticket]):
    """Tickets of one epoch: shuffled by (seed, epoch), balanced over the classes if asked.

    Args:
        labels: class of each position.
        seed: decides the order together with the epoch.
        shuffle: False gives every position once, in order.
        balanced: draw every class equally often; the rarer class repeats, the commoner one is
            thinned, and over epochs every position is seen.
    """

    def __init__(
        self, labels: Sequence[int], *, seed: int = 0, shuffle: bool = True, balanced: bool = False
    ) -> None:
        self.labels = np.asarray(labels)
        self.seed = seed
        self.shuffle = shuffle
        self.balanced = balanced
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
        classes = np.unique(self.labels)
        columns = [
            _repeated(np.flatnonzero(self.labels == c), -(-size // len(classes)), random)
            for c in classes
        ]
        # Interleaved, so that every batch holds every class where it can.
        return list(map(int, np.stack(columns, axis=1).ravel()[:size]))


def _repeated(
    positions: "np.ndarray[tuple[int], np.dtype[np.int64]]", count: int, random: np.random.Generator
) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    rounds = -(-count // len(positions))
    shuffled = [random.permutation(positions) for _ in range(rounds)]
    return np.concatenate(shuffled)[:count]


def loader(
    volumes: Volumes, sampler: EpochSampler, *, batch_size: int
) -> DataLoader[tuple[torch.Tensor, torch.Tensor]]:
    """Batches (B, 1, z, y, x) and labels (B,), pinned where a GPU waits for them."""
    gpu = torch.cuda.is_available()
    return DataLoader(
        volumes,  # type: ignore[arg-type]
        batch_size=batch_size,
        sampler=sampler,
        num_workers=4 if gpu else 0,
        persistent_workers=gpu,
        pin_memory=gpu,
    )
