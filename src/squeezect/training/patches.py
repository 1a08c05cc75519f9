"""Batches of candidate patches in the order that training wants them.

All patches fit in memory, so a batch is cut from one array, and augmented as one.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from squeezect.candidates import Patches
from squeezect.training.data import SURE, Batches
from squeezect.training.insertion import UNKNOWN
from squeezect.training.module import Batch

Ticket = tuple[int, tuple[int, ...]]


class PatchBatches(Dataset[Batch]):
    """Whole batches of patches by (epoch, positions)."""

    def __init__(self, patches: Patches) -> None:
        self.patches = patches

    def __getitem__(self, ticket: Ticket) -> Batch:
        """Volumes (B, 1, 1, y, x), labels (B,), marks that know nothing (B, 7), weights (B, 2)."""
        positions = list(ticket[1])
        labels = torch.from_numpy(self.patches.labels[positions])
        marks = torch.full((len(positions), 7), UNKNOWN)
        return self.patches.tensors(positions), labels, marks, SURE.expand(len(positions), 2)


class BatchSampler(Sampler[Ticket]):
    """Batches of positions, shuffled by (seed, epoch).

    Args:
        size: number of patches.
        batch_size: patches per batch; a last incomplete batch is left out while shuffling.
        seed: decides the order together with the epoch.
        shuffle: False gives every position once, in order.
    """

    def __init__(self, size: int, *, batch_size: int, seed: int = 0, shuffle: bool = True) -> None:
        self.size = size
        self.batch_size = min(batch_size, size)
        self.seed = seed
        self.shuffle = shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next; the trainer calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(self.size, self.batch_size)
        return whole if self.shuffle or not rest else whole + 1

    def __iter__(self) -> Iterator[Ticket]:
        random = np.random.default_rng((self.seed, self.epoch, self.size))
        order = random.permutation(self.size) if self.shuffle else np.arange(self.size)
        for number in range(len(self)):
            chosen = order[number * self.batch_size : (number + 1) * self.batch_size]
            yield self.epoch, tuple(map(int, chosen))


def patch_loader(patches: Patches, sampler: BatchSampler) -> Batches:
    """Batches in the sampler's order."""
    # Batches come ready made: the loader has nothing to collate.
    return DataLoader(PatchBatches(patches), batch_size=None, sampler=sampler)
