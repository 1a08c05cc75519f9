"""The patch around a point, as networks saw it and what they made of it, and where it lies."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from squeezect.publishing.pictures import (
    VIEWS,
    WIDTH,
    View,
    annotate,
    encoded,
    grey,
    overlaid,
)
from squeezect.scan import Scan, Triple
from squeezect.sight import HALF, Sight

PATCH_WIDTH = 400
LINE = (61, 219, 217)
"""Colour of outlines and marks: it is in no lung and in no map of evidence."""
THICK = 2
"""Of the line, in pixels."""
BAR_MM = 10


def patch_views(sight: Sight) -> tuple[View, ...]:
    """Planes that a patch can be shown in: one that is a slice deep only as it lies."""
    return VIEWS if len(sight.values) > 1 else VIEWS[:1]


def patch_picture(sight: Sight, view: View, *, plain: bool = False) -> bytes:
    """The middle plane of a patch as PNG, with the outline or else the evidence on it.

    Evidence is the more opaque the stronger it is.

    Args:
        sight: the patch.
        view: the plane.
        plain: nothing but the patch.
    """
    axis = VIEWS.index(view)
    middle = sight.values.shape[axis] // 2
    rows, columns = [a for a in range(3) if a != axis]
    shape, spacing = sight.values.shape, sight.grid.spacing_mm
    scale = PATCH_WIDTH / (shape[columns] * spacing[columns])
    size = (PATCH_WIDTH, max(1, round(shape[rows] * spacing[rows] * scale)))
    image = grey(sight.hu.take(middle, axis), size).convert("RGB")
    if sight.outline is not None and not plain:
        image = _outlined(image, sight.outline.take(middle, axis))
    elif sight.evidence is not None and not plain:
        top = max(float(sight.evidence.max()), 1e-6)
        image = overlaid(image.convert("L"), sight.evidence.take(middle, axis) / top)
    if view != "axial":
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    annotate(ImageDraw.Draw(image), view, size, bar_mm=BAR_MM, scale=scale)
    return encoded(image, "PNG")


def place_picture(scan: Scan, sight: Sight, point_mm: Triple) -> bytes:
    """The axial slice through a point as PNG, with a frame around what the networks saw.

    Args:
        scan: the whole scan.
        sight: the patch.
        point_mm: LPS point (x, y, z) in mm.
    """
    shape, spacing = scan.grid.shape, np.array(scan.grid.spacing_mm)
    z = int(np.rint(scan.grid.to_index(np.array(point_mm, float))[0]).clip(0, shape[0] - 1))
    scale = WIDTH / (shape[2] * spacing[2])
    size = (WIDTH, max(1, round(shape[1] * spacing[1] * scale)))
    image = grey(scan.hu[z], size).convert("RGB")
    draw = ImageDraw.Draw(image)
    last = np.array(sight.grid.shape) - 0.5
    corners = [scan.grid.to_index(sight.grid.to_mm(end)) for end in (np.full(3, -0.5), last)]
    (_, top, left), (_, bottom, right) = [(corner + 0.5) * spacing * scale for corner in corners]
    draw.rectangle((left, top, right, bottom), outline=LINE, width=2)
    annotate(draw, "axial", size, bar_mm=50, scale=scale)
    return encoded(image, "PNG")


def _outlined(image: Image.Image, share: npt.NDArray[np.float32]) -> Image.Image:
    """A picture with the line around what is nodule by half or more."""
    levels = Image.fromarray(np.rint(share.clip(0, 1) * 255).astype(np.uint8))
    wide = levels.resize(image.size, Image.Resampling.BILINEAR)
    inside = np.asarray(wide) >= HALF * 255
    # Where the patch ends is no edge of the nodule.
    around = np.pad(inside, THICK, mode="edge")
    far = inside.copy()
    for axis in (0, 1):
        for step in range(-THICK, THICK + 1):
            far &= np.roll(around, step, axis)[THICK:-THICK, THICK:-THICK]
    pixels = np.asarray(image).copy()
    pixels[inside & ~far] = LINE
    return Image.fromarray(pixels)
