"""A nodule of a bank put into a scan in Hounsfield units, on its own voxels; or taken out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from squeezect.nodules.bank import Nodule
from squeezect.nodules.placing import find_place
from squeezect.nodules.shape import Pose, Rendering, body_of, radii_mm, render, upright
from squeezect.preparation.lungs import Lungs
from squeezect.preparation.pipeline import check_point
from squeezect.scan import Scan, Triple

FADE_MM = 4.0
"""Width over which borrowed lung becomes the lung that is there."""


@dataclass(frozen=True)
class Implant:
    """What is known of an inserted nodule.

    Args:
        centre_mm: LPS point (x, y, z) of its centre of mass.
        diameter_mm: of the sphere of its volume.
        radii_mm: half axes of the ellipsoid with its second moments, along [z, y, x] of the scan.
        name: pseudonym of the nodule in its bank.
    """

    centre_mm: Triple
    diameter_mm: float
    radii_mm: Triple
    name: str = ""


def insert_nodule_into_scan(
    scan: Scan, nodule: Nodule, point_mm: npt.ArrayLike, *, pose: Pose | None = None
) -> tuple[Scan, Implant]:
    """A copy of a scan with a nodule in it.

    Each voxel becomes the mixture of what was there and the nodule's texture, by the share of the
    voxel that is nodule; a vessel that runs through is not dimmed. Voxels without any share keep
    their value to the bit.

    Args:
        scan: a chest CT.
        nodule: of a bank.
        point_mm: LPS point (x, y, z) in mm where its centre of mass comes to lie.
        pose: rotation, scale, density; as it was found by default.

    Returns:
        The scan, and what is true of the nodule.

    Raises:
        PreparationError: `point-outside`.

    Example:
        >>> from squeezect.phantom import thorax
        >>> scan, _ = thorax(1)
        >>> cube = np.ones((5, 5, 5), bool)
        >>> nodule = Nodule(np.full(cube.shape, 40, np.int16), cube, (2.0, 2.0, 2.0))
        >>> changed, implant = insert_nodule_into_scan(scan, nodule, (70.0, 0.0, -150.0))
        >>> round(implant.diameter_mm, 1), bool((changed.hu >= scan.hu).all())
        (12.4, True)
    """
    point = np.asarray(point_mm, float)
    check_point(scan.grid, point)
    pose = pose or upright()
    body = body_of(nodule)
    drawn = render(
        body,
        pose,
        centre=scan.grid.to_index(point),
        spacing_mm=scan.grid.spacing_mm,
        shape=scan.grid.shape,
    )
    hu = scan.hu.copy()
    hu[drawn.box] = np.rint(blended(hu[drawn.box].astype(np.float32), drawn)).astype(np.int16)
    x, y, z = point.tolist()
    diameter = nodule.diameter_mm * pose.scale
    return replace(scan, hu=hu), Implant((x, y, z), diameter, radii_mm(body, pose), nodule.name)


def blended(host: npt.NDArray[np.float32], drawn: Rendering) -> npt.NDArray[np.float32]:
    """Hounsfield units of a box after a nodule was drawn into it; never below what was there.

    Args:
        host: Hounsfield units of the box.
        drawn: the nodule on its voxels.
    """
    mixed: npt.NDArray[np.float32] = host + drawn.share * np.maximum(drawn.hu - host, 0)
    return mixed


def erase_nodule(
    scan: Scan,
    point_mm: Triple,
    diameter_mm: float,
    *,
    random: np.random.Generator,
    lungs: Lungs | None = None,
    avoid: Sequence[tuple[Triple, float]] = (),
) -> Scan | None:
    """A copy of a scan in which lung from elsewhere covers a known nodule.

    Args:
        scan: a chest CT.
        point_mm: LPS centre (x, y, z) of the nodule in mm.
        diameter_mm: what has to be covered, a margin included.
        random: source of the draws.
        lungs: of the scan, if they have been found already.
        avoid: LPS points in mm and the radii in mm around them to borrow nothing from, such as
            other nodules.

    Returns:
        The scan; None where the lungs have no place to borrow from.
    """
    reach = diameter_mm + 2 * FADE_MM
    kept_clear = [(point_mm, reach / 2), *avoid]
    donor = find_place(scan, reach, random=random, lungs=lungs, avoid=kept_clear)
    if donor is None:
        return None
    exact = scan.grid.to_index(point_mm)
    here = np.rint(exact).astype(int)
    there = np.rint(scan.grid.to_index(donor)).astype(int)
    span = np.ceil(reach / 2 / np.array(scan.grid.spacing_mm)).astype(int) + 1
    # No further than both places reach within the scan.
    limit = np.array(scan.grid.shape) - 1
    below = np.minimum(span, np.minimum(here, there))
    above = np.minimum(span, np.minimum(limit - here, limit - there))
    spacing = np.array(scan.grid.spacing_mm)
    axes = [
        (np.arange(-b, a + 1) + o) * s
        for b, a, o, s in zip(below, above, here - exact, spacing, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    away = np.sqrt(z**2 + y**2 + x**2)
    share = np.clip((reach / 2 - away) / FADE_MM, 0, 1)
    source, target = (
        tuple(slice(int(c - b), int(c + a + 1)) for c, b, a in zip(at, below, above, strict=True))
        for at in (there, here)
    )
    hu = scan.hu.copy()
    mixed = hu[target] + share * (hu[source].astype(np.float32) - hu[target])
    hu[target] = np.rint(mixed).astype(np.int16)
    return replace(scan, hu=hu)
