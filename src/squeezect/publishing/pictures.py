"""Slices through the strongest evidence, as a radiologist would hang them."""

import io
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from squeezect.explanation import Heatmap
from squeezect.scan import Scan, Shape
from squeezect.session import Prediction

View = Literal["axial", "coronal", "sagittal"]
VIEWS: tuple[View, ...] = ("axial", "coronal", "sagittal")
LETTERS: dict[View, tuple[str, str, str, str]] = {
    "axial": ("R", "L", "A", "P"),
    "coronal": ("R", "L", "S", "I"),
    "sagittal": ("A", "P", "S", "I"),
}
WINDOW_HU = (-1000, 400)
WIDTH = 550
"""Of a picture, in pixels."""
PLATE = "#101010"
"""Behind letters."""
INFERNO = (
    (0, 0, 4),
    (10, 7, 34),
    (30, 12, 69),
    (56, 9, 98),
    (81, 14, 108),
    (105, 22, 110),
    (128, 31, 108),
    (152, 39, 102),
    (176, 49, 91),
    (198, 61, 77),
    (217, 77, 61),
    (233, 97, 43),
    (244, 121, 24),
    (250, 148, 7),
    (252, 176, 20),
    (248, 205, 55),
    (242, 234, 105),
    (252, 255, 164),
)
"""Colours of the map of that name, evenly spaced; between them lines are straight enough."""


def picture(scan: Scan, heatmap: Heatmap | None, view: View) -> bytes:
    """One slice through the peak of the evidence (or the middle) as PNG.

    Patient right is on the left of the picture, superior is up; a bar of 50 mm gives the scale.

    Args:
        scan: the scan.
        heatmap: its evidence, drawn the more opaque the stronger it is.
        view: the plane.
    """
    z, y, x = heatmap.peak_index if heatmap else _middle(scan)
    axis, index = {"axial": (0, z), "coronal": (1, y), "sagittal": (2, x)}[view]
    rows, columns = [a for a in range(3) if a != axis]
    high, wide = (scan.grid.shape[a] * scan.grid.spacing_mm[a] for a in (rows, columns))
    scale = WIDTH / wide
    size = (WIDTH, max(1, round(high * scale)))
    image = grey(np.take(scan.hu, index, axis), size)
    if heatmap is not None:
        plane = heatmap.plane(axis, index)
        image = overlaid(image, plane / max(float(plane.max()), 1e-6))
    if view != "axial":
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    draw = ImageDraw.Draw(image)
    if heatmap is not None:
        place = (np.array((z, y, x)) + 0.5) * np.array(scan.grid.spacing_mm) * scale
        down = place[rows] if view == "axial" else size[1] - place[rows]
        _cross(draw, float(place[columns]), float(down))
    annotate(draw, view, size, bar_mm=50, scale=scale)
    return encoded(image, "PNG", compress_level=1)


def grey(plane: npt.NDArray[np.int16], size: tuple[int, int]) -> Image.Image:
    """A plane of Hounsfield units in the lung window, at a size (width, height) in pixels."""
    low, high = WINDOW_HU
    share = (plane.astype(np.float32) - low) * (255 / (high - low))
    image = Image.fromarray(np.rint(share.clip(0, 255)).astype(np.uint8))
    return image.resize(size, Image.Resampling.BILINEAR)


def overlaid(image: Image.Image, share: npt.NDArray[np.float32]) -> Image.Image:
    """A grey picture with evidence painted on it, the more opaque the stronger.

    Args:
        image: grey.
        share: of the strongest evidence, 2-D, the same place at any resolution.
    """
    levels = Image.fromarray(np.rint(share.clip(0, 1) * 255).astype(np.uint8))
    levels = levels.resize(image.size, Image.Resampling.BILINEAR)
    painted = levels.copy()
    painted.putpalette(_palette())
    cover = levels.point([round(0.6 * level) for level in range(256)])
    result = image.convert("RGB")
    result.paste(painted.convert("RGB"), (0, 0), cover)
    return result


def encoded(image: Image.Image, form: Literal["PNG", "JPEG"], **options: int) -> bytes:
    """A picture as a file's bytes."""
    data = io.BytesIO()
    image.convert("RGB").save(data, form, **options)
    return data.getvalue()


@lru_cache(maxsize=1)
def _palette() -> list[int]:
    """256 colours from black through red to pale yellow, even in lightness, as R, G, B, R, ..."""
    places = np.linspace(0, 255, len(INFERNO))
    colours = np.array(INFERNO, float).T
    table = np.stack([np.interp(np.arange(256), places, colour) for colour in colours], 1)
    return [round(value) for value in table.ravel().tolist()]


def captions(prediction: Prediction, scan: Scan) -> dict[str, str]:
    """What each picture shows: slice number and place of the plane."""
    heatmap = prediction.heatmap
    index = heatmap.peak_index if heatmap else _middle(scan)
    x, y, z = scan.grid.to_mm(np.array(index, float)).tolist()
    places = {"axial": f"z = {z:.1f}", "coronal": f"y = {y:.1f}", "sagittal": f"x = {x:.1f}"}
    return {
        view: f"{view}, slice {index[axis] + 1} of {scan.grid.shape[axis]}, {places[view]} mm"
        for axis, view in enumerate(VIEWS)
    }


def _cross(draw: ImageDraw.ImageDraw, x: float, y: float, *, arm: float = 12) -> None:
    draw.line([(x - arm, y), (x + arm, y)], fill="#3ddbd9", width=2)
    draw.line([(x, y - arm), (x, y + arm)], fill="#3ddbd9", width=2)


def annotate(
    draw: ImageDraw.ImageDraw, view: View, size: tuple[int, int], *, bar_mm: int, scale: float
) -> None:
    """Write the letters of the sides, and draw a bar for the scale.

    Args:
        draw: on the picture.
        view: the plane.
        size: of the picture, width and height in pixels.
        bar_mm: length of the bar.
        scale: pixels of a millimetre.
    """
    wide, high = size
    bar = bar_mm * scale
    left, right, top, bottom = LETTERS[view]
    font = ImageFont.load_default(size=18)
    places = {
        (16, high / 2): left,
        (wide - 16, high / 2): right,
        (wide / 2, 16): top,
        (wide / 2, high - 16): bottom,
        (22 + bar / 2, high - 36): f"{bar_mm} mm",
    }
    # Dark behind all of it: where it lies on bone, an outline is not enough.
    draw.rounded_rectangle((16, high - 48, 28 + bar, high - 16), radius=5, fill=PLATE)
    for place, words in places.items():
        x0, y0, x1, y1 = draw.textbbox(place, words, font=font, anchor="mm")
        plate = x0 - 4, y0 - 4, x1 + 4, y1 + 4
        draw.rounded_rectangle(plate, radius=5, fill=PLATE)
        draw.text(place, words, fill="#e8e8e8", font=font, anchor="mm")
    draw.line([(22, high - 22), (22 + bar, high - 22)], fill="white", width=3)


def _middle(scan: Scan) -> Shape:
    z, y, x = (n // 2 for n in scan.grid.shape)
    return (z, y, x)
