"""Random changes of a prepared volume that leave its label true.

Scaling and shifting are separable, so they are three small matrix products, as in preparation:
no gather over the whole volume. Every draw comes from the generator it is given; the same
generator state gives the same volume.
"""

import numpy as np
import numpy.typing as npt
import torch

from squeezect.training.recipe import Augmentation

VolumeArray = npt.NDArray[np.float32]


def augment(values: VolumeArray, how: Augmentation, *, random: np.random.Generator) -> VolumeArray:
    """A changed copy of one volume: `warp`, then `disturb`.

    Args:
        values: float32, shape [z, y, x], air is 0.
        how: which changes, and how large.
        random: source of all draws.

    Returns:
        float32, same shape, in [0, 1].
    """
    return disturb(warp(values, how, random=random), how, random=random)


def warp(values: VolumeArray, how: Augmentation, *, random: np.random.Generator) -> VolumeArray:
    """A copy that is scaled, shifted and mirrored along the axes.

    Args:
        values: float32, shape [z, y, x], air is 0.
        how: how much.
        random: source of all draws.
    """
    volume = torch.from_numpy(values)
    for axis, size in enumerate(values.shape):
        stretch = float(np.exp(random.uniform(-1, 1) * np.log1p(how.scale)))
        shift = float(random.uniform(-1, 1) * how.shift * size)
        mirror = how.flip and axis == 2 and bool(random.random() < 0.5)
        matrix = axis_matrix(size, stretch=stretch, shift=shift, mirror=mirror)
        volume = torch.tensordot(torch.from_numpy(matrix), volume.movedim(axis, 0), dims=1)
        volume = volume.movedim(0, axis)
    result: VolumeArray = volume.contiguous().numpy()
    return result


def disturb(values: VolumeArray, how: Augmentation, *, random: np.random.Generator) -> VolumeArray:
    """A copy with another calibration and more noise.

    Args:
        values: float32, shape [z, y, x], air is 0.
        how: how much.
        random: source of all draws.

    Returns:
        float32, same shape, in [0, 1].
    """
    gain = 1 + float(random.uniform(-1, 1)) * how.intensity
    offset = float(random.uniform(-1, 1)) * how.intensity
    # Air stays air: the offset acts on tissue only, as a change of calibration would.
    changed = torch.from_numpy(values) * (gain + offset)
    if how.noise:
        amount = float(random.uniform(0, how.noise))
        changed = changed + amount * torch.from_numpy(
            random.standard_normal(values.shape, dtype=np.float32)
        )
    result: VolumeArray = changed.clamp_(0, 1).contiguous().numpy()
    return result


def axis_matrix(size: int, *, stretch: float, shift: float, mirror: bool) -> VolumeArray:
    """Linear interpolation along one axis as a matrix: stretched about the centre, then shifted.

    Args:
        size: voxels along the axis.
        stretch: factor by which things grow.
        shift: displacement in voxels, towards higher indices.
        mirror: reverse the axis.

    Returns:
        float32, shape (size, size); rows that look outside the volume are zero there (air).
    """
    centre = (size - 1) / 2
    source = (np.arange(size) - centre - shift) / stretch + centre
    if mirror:
        source = size - 1 - source
    lower = np.floor(source).astype(int)
    weight = source - lower
    matrix = np.zeros((size, size), np.float32)
    for index, share in ((lower, 1 - weight), (lower + 1, weight)):
        inside = (index >= 0) & (index < size)
        matrix[np.flatnonzero(inside), index[inside]] += share[inside]
    return matrix
