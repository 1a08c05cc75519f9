"""Many small pictures of cases on one sheet."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from squeezect.candidates import is_picture, read_patches
from squeezect.cohorts import Case
from squeezect.preparation import cut_planes
from squeezect.reading import read_scan

if TYPE_CHECKING:
    from PIL.Image import Image

GREY = npt.NDArray[np.uint8]
TILE = 144
CAPTION = 16
FIELD_MM = 40.0
PLANE = 64


def contact_sheet(cases: Sequence[Case], captions: Sequence[str]) -> bytes:
    """A PNG of cases in reading order: patches as they are, crops as three planes.

    Args:
        cases: patches (pictures), or points of scans and crops, which are shown axial, coronal and
            sagittal over 40 mm, head up.
        captions: a line below each.

    Raises:
        CohortError, ReadingError, PreparationError: what reading a case says.
    """
    from PIL import Image, ImageDraw

    tiles = [_tile(case) for case in cases]
    width, height = max(tile.width for tile in tiles), TILE
    columns = min(len(tiles), max(1, 900 // width))
    rows = -(-len(tiles) // columns)
    sheet = Image.new("L", (columns * (width + 6), rows * (height + CAPTION + 6)), 255)
    draw = ImageDraw.Draw(sheet)
    for number, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        left = number % columns * (width + 6) + 3
        top = number // columns * (height + CAPTION + 6) + 3
        sheet.paste(tile, (left, top))
        draw.text((left, top + height + 1), caption, fill=0)
    data = io.BytesIO()
    sheet.save(data, "PNG")
    return data.getvalue()


def _tile(case: Case) -> "Image":
    from PIL import Image

    planes = [read_patches([case]).values[0]] if is_picture(case.scan) else _planes(case)
    whole = Image.new("L", (len(planes) * (TILE + 2) - 2, TILE), 255)
    for number, plane in enumerate(planes):
        picture = Image.fromarray(plane).resize((TILE, TILE), Image.Resampling.BICUBIC)
        whole.paste(picture, (number * (TILE + 2), 0))
    return whole


def _planes(case: Case) -> list[GREY]:
    scan = read_scan(case.scan, series=case.dicom_series or None, allow=("too-few-slices",))
    point = case.point_mm if case.point_mm is not None else scan.grid.centre_mm
    if not scan.grid.contains(point):
        point = scan.grid.centre_mm
    axial, coronal, sagittal = (
        np.rint(patch.values * 255).astype(np.uint8).squeeze()
        for patch in cut_planes(scan, point, size=PLANE, spacing_mm=FIELD_MM / PLANE)
    )
    # Slices are counted from the feet up; a picture's rows go down.
    return [axial, np.flipud(coronal), np.flipud(sagittal)]
