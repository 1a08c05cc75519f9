"""The shape and texture of a nodule as functions of millimetres, in any pose, on any grid.

A mask of thick slices is a staircase. Its signed distance, interpolated linearly, is the smooth
surface through it; the level that counts as the surface is chosen so that the volume is the
mask's. Texture goes on outside the mask with the nearest value inside, so that no chest wall or
vessel comes along from the scan that the nodule was cut from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from squeezect.nodules.bank import Nodule
from squeezect.scan import Shape, Triple

FloatArray = npt.NDArray[np.float64]
EDGE_MM = 1.0
"""Width over which a nodule becomes lung; the voxels of the target blur it further."""
LUNG_HU = -860.0
"""Lung, where only the nodule's own signal above it matters."""
FINEST_MM, COARSEST_MM = 0.5, 0.8
FAR_MM = 1e3


@dataclass(frozen=True, eq=False)
class Body:
    """A nodule on a fine cubic lattice around the centre of mass of its signal.

    Args:
        distance_mm: signed distance to its surface, negative inside, float32 [z, y, x].
        hu: texture, float32, same shape.
        step_mm: of the lattice.
        centre: index [z, y, x] of the centre of mass of what it adds to lung.
        reach_mm: beyond this from the centre it changes nothing.
    """

    distance_mm: npt.NDArray[np.float32]
    hu: npt.NDArray[np.float32]
    step_mm: float
    centre: Triple
    reach_mm: float


@dataclass(frozen=True, eq=False)
class Pose:
    """How a nodule is turned, sized and shifted in density.

    Args:
        rotation: orthogonal matrix, shape (3, 3), on offsets [z, y, x]; determinant -1 mirrors.
        scale: factor of its diameter.
        offset_hu: added to its texture.
    """

    rotation: FloatArray
    scale: float = 1.0
    offset_hu: float = 0.0


def upright(*, scale: float = 1.0, offset_hu: float = 0.0) -> Pose:
    """The pose in which it was found."""
    return Pose(np.eye(3), scale, offset_hu)


def random_pose(
    random: np.random.Generator,
    *,
    scale: float = 1.0,
    offset_hu: float = 30.0,
    tilt_degrees: float = 20.0,
) -> Pose:
    """Any angle about the body's axis, tilted a little, mirrored along any axis.

    Larger tilts are left out: readers' masks end flat on the first and last slice, and a flat face
    that lies across the slices of the target looks cut.

    Args:
        random: source of all draws.
        scale: factor of its diameter, not drawn.
        offset_hu: largest change of density.
        tilt_degrees: largest angle between its axis and the target's.
    """
    about = random.uniform(0, 2 * np.pi)
    towards, tilt = random.uniform(0, 2 * np.pi), np.radians(tilt_degrees) * random.random()
    mirrors = np.diag(random.choice([-1.0, 1.0], 3))
    rotation = _about_z(towards) @ _about_x(tilt) @ _about_z(about - towards) @ mirrors
    return Pose(rotation, scale, float(random.uniform(-1, 1)) * offset_hu)


def _about_z(angle: float) -> FloatArray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]], float)


def _about_x(angle: float) -> FloatArray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], float)


@lru_cache(maxsize=1024)
def body_of(nodule: Nodule) -> Body:
    """A nodule as a `Body`; kept, because training asks for the same ones again."""
    spacing = np.array(nodule.spacing_mm)
    step = float(np.clip(nodule.diameter_mm / 12, FINEST_MM, COARSEST_MM))
    margin = [int(np.ceil(2.5 * EDGE_MM / s)) + 1 for s in spacing]
    pads = [(m, m) for m in margin]
    box = ndimage.find_objects(nodule.mask.astype(np.uint8))[0]
    mask = np.pad(nodule.mask[box], pads)
    hu = np.pad(nodule.hu[box], pads, mode="edge").astype(np.float32)
    outside, nearest = ndimage.distance_transform_edt(~mask, sampling=spacing, return_indices=True)
    inside = ndimage.distance_transform_edt(mask, sampling=spacing)
    texture = hu[tuple(nearest)]
    shape = [int(np.ceil((n - 1) * s / step)) + 1 for n, s in zip(mask.shape, spacing, strict=True)]
    at = np.meshgrid(
        *(np.arange(n) * step / s for n, s in zip(shape, spacing, strict=True)), indexing="ij"
    )
    distance = _sampled((outside - inside).astype(np.float32), at, FAR_MM)
    values = ndimage.map_coordinates(texture, at, order=1, mode="nearest")
    distance = distance - _level(distance, nodule.volume_mm3 / step**3)
    share = _share(distance)
    signal = share * np.maximum(values - LUNG_HU, 1.0)
    index = np.indices(share.shape)
    centre = (index * signal).sum((1, 2, 3)) / signal.sum()
    away = np.sqrt(((index - centre[:, None, None, None]) ** 2).sum(0))
    reach = float(away[share > 0].max() + 1) * step
    z, y, x = centre.tolist()
    return Body(distance, values, step, (z, y, x), reach)


def _level(distance: npt.NDArray[np.float32], voxels: float) -> float:
    """Distance at which the surface has to lie for a nodule of this volume."""
    low, high = -3.0, 3.0
    for _ in range(40):
        middle = (low + high) / 2
        if _share(distance - np.float32(middle)).sum() < voxels:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _share(distance: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    share: npt.NDArray[np.float32] = np.clip(0.5 - distance / EDGE_MM, 0, 1)
    return share


def _sampled(
    values: npt.NDArray[np.float32], at: Sequence[npt.NDArray[np.float64]], outside: float
) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] = ndimage.map_coordinates(
        values, at, order=1, mode="constant", cval=outside
    )
    return found


@dataclass(frozen=True, eq=False)
class Rendering:
    """A nodule on the voxels of a target.

    Args:
        box: slices of the target that hold all of it.
        share: of every voxel that is nodule, float32, shape of the box.
        hu: mean texture of that share.
    """

    box: tuple[slice, slice, slice]
    share: npt.NDArray[np.float32]
    hu: npt.NDArray[np.float32]


def render(
    body: Body, pose: Pose, *, centre: npt.ArrayLike, spacing_mm: Triple, shape: Shape
) -> Rendering:
    """What every voxel of a target holds of a nodule, averaged over the voxel's extent.

    Args:
        body: of the nodule.
        pose: its rotation, scale and density.
        centre: where its centre of mass comes to lie, index [z, y, x] in the target.
        spacing_mm: of the target along [z, y, x].
        shape: of the target.

    Returns:
        Shares and textures; the box is cut at the target's faces.
    """
    spacing, middle = np.array(spacing_mm), np.asarray(centre, float)
    reach = body.reach_mm * pose.scale / spacing + 1
    first = np.maximum(np.floor(middle - reach), 0).astype(int)
    stop = np.minimum(np.ceil(middle + reach) + 1, shape).astype(int)
    stop = np.maximum(stop, first)
    size = (stop - first).tolist()
    # Thick slices average what they pass through: sample each voxel finely, then take the mean.
    folds = np.ceil(spacing / (COARSEST_MM * max(pose.scale, 0.5))).astype(int).tolist()
    axes = [
        (a + (np.arange(n * f) + 0.5) / f - 0.5 - c) * s / pose.scale
        for a, n, f, c, s in zip(first, size, folds, middle, spacing, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    turn = pose.rotation.T / body.step_mm
    at = [
        row[0] * z + row[1] * y + row[2] * x + c for row, c in zip(turn, body.centre, strict=True)
    ]
    share = _share(_sampled(body.distance_mm, at, FAR_MM))
    values = ndimage.map_coordinates(body.hu, at, order=1, mode="nearest")
    parts = [v for pair in zip(size, folds, strict=True) for v in pair]
    mean = share.reshape(parts).mean((1, 3, 5))
    weighted = (share * values).reshape(parts).mean((1, 3, 5))
    hu = np.divide(weighted, mean, out=np.full_like(mean, LUNG_HU), where=mean > 0)
    box = tuple(slice(int(a), int(b)) for a, b in zip(first, stop, strict=True))
    return Rendering((box[0], box[1], box[2]), mean, hu + np.float32(pose.offset_hu))


def radii_mm(body: Body, pose: Pose) -> Triple:
    """Half axes along [z, y, x] of the ellipsoid with the nodule's second moments."""
    share = _share(body.distance_mm)
    offsets = (np.indices(share.shape).reshape(3, -1).T - np.array(body.centre)) * body.step_mm
    offsets = (offsets @ pose.rotation.T) * pose.scale
    weights = share.ravel()[:, None]
    spread = (weights * offsets**2).sum(0) / weights.sum()
    z, y, x = np.sqrt(5 * spread).tolist()
    return (z, y, x)
