"""Slices through the strongest evidence, as a radiologist would hang them."""

import io
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from squeezect.explanation import Heatmap
from squeezect.scan import Scan, Shape
from squeezect.session import Prediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes

View = Literal["axial", "coronal", "sagittal"]
VIEWS: tuple[View, ...] = ("axial", "coronal", "sagittal")
LETTERS: dict[View, tuple[str, str, str, str]] = {
    "axial": ("R", "L", "A", "P"),
    "coronal": ("R", "L", "S", "I"),
    "sagittal": ("A", "P", "S", "I"),
}
WINDOW_HU = (-1000, 400)


def picture(scan: Scan, heatmap: Heatmap | None, view: View) -> bytes:
    """One slice through the peak of the evidence (or the middle) as PNG.

    Patient right is on the left of the picture, superior is up; a bar of 50 mm gives the scale.

    Args:
        scan: the scan.
        heatmap: its evidence, drawn the more opaque the stronger it is.
        view: the plane.
    """
    from matplotlib.figure import Figure

    z, y, x = heatmap.peak_index if heatmap else _middle(scan)
    axis, index = {"axial": (0, z), "coronal": (1, y), "sagittal": (2, x)}[view]
    rows, columns = [a for a in range(3) if a != axis]
    spacing = scan.grid.spacing_mm
    extent = (
        0.0,
        scan.grid.shape[columns] * spacing[columns],
        scan.grid.shape[rows] * spacing[rows],
        0.0,
    )
    figure = Figure(figsize=(5, 5 * extent[2] / extent[1]), dpi=110)
    axes: Axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(
        _oriented(np.take(scan.hu, index, axis), view),
        cmap="gray",
        vmin=WINDOW_HU[0],
        vmax=WINDOW_HU[1],
        extent=extent,
    )
    if heatmap is not None:
        _overlay(axes, heatmap, view, index, extent)
        point = (np.array((z, y, x)) + 0.5) * np.array(spacing)
        down = point[rows] if view == "axial" else extent[2] - point[rows]
        axes.plot(point[columns], down, "+", color="#3ddbd9", markersize=16, markeredgewidth=1.2)
    _annotate(axes, view, extent)
    axes.axis("off")
    data = io.BytesIO()
    figure.savefig(data, format="png", facecolor="black")
    return data.getvalue()


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


def _overlay(
    axes: "Axes",
    heatmap: Heatmap,
    view: View,
    index: int,
    extent: tuple[float, float, float, float],
) -> None:
    plane = _oriented(heatmap.plane({"axial": 0, "coronal": 1, "sagittal": 2}[view], index), view)
    top = max(float(plane.max()), 1e-6)
    share = np.clip(plane / top, 0, 1)
    axes.imshow(share, cmap="inferno", vmin=0, vmax=1, alpha=0.6 * share, extent=extent)


def _oriented(plane: npt.NDArray[Any], view: View) -> npt.NDArray[Any]:
    return plane if view == "axial" else plane[::-1]


def _annotate(axes: "Axes", view: View, extent: tuple[float, float, float, float]) -> None:
    width, height = extent[1], extent[2]
    left, right, top, bottom = LETTERS[view]
    style = {"color": "#c6c6c6", "fontsize": 12, "ha": "center", "va": "center"}
    axes.text(0.03 * width, 0.5 * height, left, **style)  # type: ignore[arg-type]
    axes.text(0.97 * width, 0.5 * height, right, **style)  # type: ignore[arg-type]
    axes.text(0.5 * width, 0.03 * height + 3, top, **style)  # type: ignore[arg-type]
    axes.text(0.5 * width, 0.97 * height - 3, bottom, **style)  # type: ignore[arg-type]
    axes.plot([0.04 * width, 0.04 * width + 50], [0.95 * height] * 2, color="white", linewidth=2)
    axes.text(0.04 * width + 25, 0.92 * height, "50 mm", **style)  # type: ignore[arg-type]


def _middle(scan: Scan) -> Shape:
    z, y, x = (n // 2 for n in scan.grid.shape)
    return (z, y, x)
