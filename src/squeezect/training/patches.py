"""Train and score networks on 2D patches that were cut around candidates.

A patch is a picture of one byte per voxel over [-1000, 400] HU, and a volume one voxel deep. All
patches fit in memory, so a batch is cut from one array, and augmented as one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from squeezect.cohorts import Case
from squeezect.errors import Code, CohortError
from squeezect.training.data import Batches
from squeezect.training.insertion import UNKNOWN

UNREADABLE_PATCH = Code(
    "unreadable-patch",
    "A patch is not a grey picture of at most the given size.",
    "cut the patch again, or remove its line",
)
SIDE = 50
"""Voxels along each side; patches cut by the scan's edge are centred, with air around."""

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Patches:
    """Patches of some cases.

    Args:
        values: uint8, shape (n, SIDE, SIDE); 0 is -1000 HU, 255 is 400 HU.
        labels: class of each, shape (n,).
    """

    values: Bytes
    labels: npt.NDArray[np.int64]

    def tensors(self, positions: Sequence[int] | npt.NDArray[np.int64]) -> torch.Tensor:
        """Float32 patches (B, 1, 1, y, x) in [0, 1]."""
        chosen = torch.from_numpy(self.values[np.asarray(positions)])
        return chosen.float().div_(255)[:, None, None]


def read_patches(cases: Sequence[Case]) -> Patches:
    """Read the pictures of some cases.

    Args:
        cases: `Case.scan` is a grey PNG or JPEG of at most `SIDE` voxels along each side.

    Raises:
        CohortError: `unreadable-patch`, with row and file.
    """
    values = np.zeros((len(cases), SIDE, SIDE), np.uint8)
    for position, case in enumerate(cases):
        picture = _read(case)
        top, left = ((SIDE - side) // 2 for side in picture.shape)
        height, width = picture.shape
        values[position, top : top + height, left : left + width] = picture
    return Patches(values, np.array([case.label or 0 for case in cases], np.int64))


def _read(case: Case) -> Bytes:
    from PIL import Image, UnidentifiedImageError

    where = f"row {case.row}: {case.scan.name}"
    try:
        with Image.open(case.scan, formats=["PNG", "JPEG"]) as image:
            if max(image.size) > SIDE or image.mode not in {"L", "1"}:
                what = f"{image.size[0]} x {image.size[1]} voxels of mode {image.mode}"
                raise CohortError(UNREADABLE_PATCH, f"{where} has {what}")
            return np.asarray(image.convert("L"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise CohortError(UNREADABLE_PATCH, f"{where} is not a PNG or JPEG picture") from error


Ticket = tuple[int, tuple[int, ...]]


class PatchBatches(Dataset[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]):
    """Whole batches of patches by (epoch, positions)."""

    def __init__(self, patches: Patches) -> None:
        self.patches = patches

    def __getitem__(self, ticket: Ticket) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Volumes (B, 1, 1, y, x), labels (B,), and marks that know nothing (B, 7)."""
        positions = list(ticket[1])
        labels = torch.from_numpy(self.patches.labels[positions])
        return self.patches.tensors(positions), labels, torch.full((len(positions), 7), UNKNOWN)


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


def score_patches(
    model: torch.nn.Module, patches: Patches, *, views: int = 8, batch_size: int = 256
) -> npt.NDArray[np.float64]:
    """Probability of class 1 of every patch: the mean over its mirrored and turned views.

    Args:
        model: the network.
        patches: what to score.
        views: 8 for the four quarter turns of a patch and its mirror image, 1 for the patch alone.
        batch_size: patches at once.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.eval().to(device)
    answers = []
    with torch.inference_mode():
        for start in range(0, len(patches.labels), batch_size):
            batch = patches.tensors(np.arange(len(patches.labels))[start : start + batch_size])
            answers.append(_mean_view(model, batch.to(device), views))
    return np.concatenate(answers) if answers else np.zeros(0)


def _mean_view(model: torch.nn.Module, batch: torch.Tensor, views: int) -> npt.NDArray[np.float64]:
    total = torch.zeros(len(batch), dtype=torch.float64)
    for view in range(views):
        seen = batch.rot90(view % 4, (3, 4))
        seen = seen.flip(4) if view >= 4 else seen
        logits = model(seen.contiguous(memory_format=torch.channels_last_3d))
        total += logits.double().softmax(1)[:, 1].cpu()
    result: npt.NDArray[np.float64] = (total / views).numpy()
    return result
