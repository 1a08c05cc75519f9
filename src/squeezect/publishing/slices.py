"""The whole scan at a glance: axial slices from top to bottom, with the evidence on them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from squeezect.explanation import Heatmap
from squeezect.publishing.pictures import encoded, grey, overlaid
from squeezect.scan import Scan

MOST = 40
WIDTH = 320


@dataclass(frozen=True)
class Slice:
    """One slice as a picture.

    Args:
        number: of the slice, 1 is the lowest in the array.
        z_mm: position of its middle along z, LPS mm.
        jpeg: the picture.
        share: strongest evidence on the slice, as a share of the strongest anywhere.
    """

    number: int
    z_mm: float
    jpeg: bytes
    share: float


def slices(scan: Scan, heatmap: Heatmap | None, *, most: int = MOST) -> Iterator[Slice]:
    """Axial slices from the top of the body down, evenly spaced, the peak's own among them.

    Args:
        scan: the scan.
        heatmap: its evidence, on one scale for all slices; or None.
        most: slices at most.
    """
    count = scan.grid.shape[0]
    chosen = set(np.linspace(0, count - 1, min(most, count)).round().astype(int).tolist())
    top = 0.0
    if heatmap is not None:
        chosen.add(heatmap.peak_index[0])
        top = max(float(heatmap.plane(0, heatmap.peak_index[0]).max()), 1e-6)
    middle = [n // 2 for n in scan.grid.shape]
    for index in sorted(chosen, reverse=True):
        evidence = None if heatmap is None else heatmap.plane(0, index) / top
        z_mm = float(scan.grid.to_mm(np.array([index, middle[1], middle[2]]))[2])
        share = 0.0 if evidence is None else float(min(1.0, evidence.max()))
        yield Slice(index + 1, z_mm, _jpeg(scan, index, evidence), share)


def _jpeg(scan: Scan, index: int, evidence: npt.NDArray[np.float32] | None) -> bytes:
    _, rows, columns = scan.grid.shape
    _, down, across = scan.grid.spacing_mm
    width = min(WIDTH, max(columns, 1))
    height = max(1, round(width * rows * down / (columns * across)))
    image = grey(scan.hu[index], (width, height))
    if evidence is not None and evidence.max() > 0.02:
        image = overlaid(image, evidence)
    return encoded(image, "JPEG", quality=80)
