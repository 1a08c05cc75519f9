"""Tells the class map where to rise: at inserted nodules, and nowhere in volumes without any."""

import torch
from torch.nn import functional

from squeezect.scan import Shape, Triple
from squeezect.training.insertion import INSERTED, UNKNOWN

HARDEST = 0.01
"""Share of the empty cells that count again: the vessels and ribs most like a nodule."""


def pointing_loss(
    scores: torch.Tensor, marks: torch.Tensor, first: Triple, step: Triple
) -> torch.Tensor:
    """Binary cross-entropy of single cells, over volumes of which it is known where nodules are.

    Cells inside a nodule, all cells outside, and the hardest of those outside weigh 1, 1 and 1/2,
    however many they are.

    Args:
        scores: (B, 2, d, h, w), of cells before pooling.
        marks: (B, 7), rows of `insertion.row_of`.
        first: input voxel that cell [0, 0, 0] looks at, along [z, y, x].
        step: input voxels from cell to cell.

    Returns:
        A scalar; zero if nothing is known of any volume.
    """
    known = marks[:, 0] != UNKNOWN
    if not bool(known.any()):
        return scores.sum() * 0.0
    evidence = (scores[:, 1] - scores[:, 0])[known]
    inside = cells_inside(marks[known], shape_of(evidence), first=first, step=step)
    target = inside.to(evidence.dtype)
    losses = functional.binary_cross_entropy_with_logits(evidence, target, reduction="none")
    total = scores.sum() * 0.0
    if len(empty := losses[~inside]):  # None, if the map's few cells all look at a nodule.
        hardest = empty.topk(max(1, round(HARDEST * len(empty)))).values
        total = total + empty.mean() + 0.5 * hardest.mean()
    return total + losses[inside].mean() if bool(inside.any()) else total


def cells_inside(marks: torch.Tensor, shape: Shape, *, first: Triple, step: Triple) -> torch.Tensor:
    """Which cells look at an inserted nodule; bool (B, d, h, w), at least one where there is one.

    Args:
        marks: (B, 7).
        shape: of the map, [d, h, w].
        first: input voxel that cell [0, 0, 0] looks at.
        step: input voxels from cell to cell.
    """
    distance = torch.zeros((len(marks), *shape), device=marks.device)
    for axis in range(3):
        at = first[axis] + step[axis] * torch.arange(shape[axis], device=marks.device)
        # Half a cell is added to the radius, so that a nodule between cells is seen by them.
        reach = marks[:, 4 + axis, None] + step[axis] / 2
        along = ((at - marks[:, 1 + axis, None]) / reach).square()
        view = [len(marks), 1, 1, 1]
        view[1 + axis] = shape[axis]
        distance = distance + along.reshape(view)
    nearest = distance.flatten(1).amin(1).reshape(-1, 1, 1, 1)
    there = (marks[:, 0] == INSERTED).reshape(-1, 1, 1, 1)
    return ((distance < 1) | (distance == nearest)) & there


def shape_of(volumes: torch.Tensor) -> Shape:
    """Shape [z, y, x] of the last three axes."""
    depth, height, width = volumes.shape[-3:]
    return depth, height, width
