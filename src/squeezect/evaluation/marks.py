"""Marks, nodules, and which mark hits which nodule: the rules of the LUNA16 challenge."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from squeezect.errors import Code, EvaluationError
from squeezect.evaluation.cases import BoolArray, FloatArray, IntArray

MOST_MARKS = 100
UNKNOWN_DIAMETER_MM = 10.0

BAD_MARKS = Code(
    "bad-marks",
    "Marks, nodules or the list of scans do not fit together, or are not what they should be.",
    "give one series, one point in mm and one finite number per mark, and each scan once",
)

_PointsOfScan = tuple[FloatArray, FloatArray]


@dataclass(frozen=True, eq=False)
class Points:
    """Points in scans, each with a number.

    Args:
        series: name of the series of each point, shape (n,).
        point_mm: world points, shape (n, 3), in the same convention for marks and nodules.
        value: the probability of a mark, or the diameter in mm of a nodule (negative if unknown),
            shape (n,).

    Raises:
        EvaluationError: `bad-marks`, naming the first wrong point (counted from 1).
    """

    series: npt.NDArray[np.str_]
    point_mm: FloatArray
    value: FloatArray

    def __post_init__(self) -> None:
        shapes = self.series.shape, self.point_mm.shape, self.value.shape
        n = self.series.size
        if shapes != ((n,), (n, 3), (n,)):
            raise EvaluationError(BAD_MARKS, f"shapes {shapes} are not (n,), (n, 3) and (n,)")
        wrong = ~np.isfinite(np.column_stack([self.point_mm, self.value])).all(axis=1)
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise EvaluationError(
                BAD_MARKS,
                f"point {self.point_mm[first].tolist()} mm with {self.value[first]}, number"
                f" {first + 1}, is not finite",
            )

    @classmethod
    def of(cls, series: Sequence[str], point_mm: npt.ArrayLike, value: npt.ArrayLike) -> "Points":
        """Pack sequences; empty ones make no points."""
        points = np.asarray(point_mm, dtype=float).reshape(-1, 3)
        return cls(np.array(series, dtype=str), points, np.asarray(value, dtype=float))


def read_points(path: Path, value: Literal["probability", "diameter_mm"]) -> Points:
    """Read marks or annotations as LUNA16 stores them.

    Columns: ``seriesuid``, ``coordX``, ``coordY``, ``coordZ`` (world mm), and `value`.

    Args:
        path: the CSV file.
        value: the column of the number, ``probability`` of marks, ``diameter_mm`` of nodules.

    Raises:
        EvaluationError: `bad-marks`, naming the file and its line.
    """
    columns = ("seriesuid", "coordX", "coordY", "coordZ", value)
    if not path.is_file():
        raise EvaluationError(BAD_MARKS, f"{path.name} does not exist")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise EvaluationError(BAD_MARKS, f"{path.name} has no column {missing[0]!r}")
        series, numbers = [], []
        for line, row in enumerate(reader, start=2):
            try:
                numbers.append([float(row[name]) for name in columns[1:]])
            except (TypeError, ValueError) as error:
                raise EvaluationError(
                    BAD_MARKS, f"line {line} of {path.name} lacks a number"
                ) from error
            series.append(row["seriesuid"])
    table = np.array(numbers, dtype=float).reshape(-1, 4)
    return Points.of(series, table[:, :3], table[:, 3])


@dataclass(frozen=True, eq=False)
class Matches:
    """What became of every mark, by the challenge's rules.

    Args:
        scans: number of listed scans, those without marks too.
        scan: number of the scan of each event, shape (events,).
        probability: of each event, highest first, shape (events,).
        hit: True for a nodule found, False for a false mark, shape (events,).
        nodules: number of nodules of each scan, found or not, shape (scans,).
    """

    scans: int
    scan: IntArray
    probability: FloatArray
    hit: BoolArray
    nodules: IntArray

    @property
    def found(self) -> int:
        """Nodules that some mark hits."""
        return int(self.hit.sum())

    @property
    def ends(self) -> IntArray:
        """Index of the last event of each group of equal probabilities."""
        last = np.r_[self.probability[1:] != self.probability[:-1], True]
        return np.flatnonzero(last[: self.probability.size]).astype(np.int64)


def match(
    scans: Sequence[str], marks: Points, nodules: Points, excluded: Points | None = None
) -> Matches:
    """Decide of every mark whether it hits a nodule, is false, or does not count.

    1. A scan keeps its marks above the 101st highest probability, if it has more than 100.
    2. A mark hits a nodule when it is nearer to its centre than its radius; a negative diameter
       counts as 10 mm.
    3. Of several marks on a nodule the most probable counts; the others do not.
    4. A mark in an excluded finding does not count, unless it hits a nodule.

    Args:
        scans: names of all scans scored, each once.
        marks: points with a probability.
        nodules: points with a diameter in mm.
        excluded: findings with a diameter in mm.

    Raises:
        EvaluationError: `bad-marks`, if a scan is listed twice or there is none.
    """
    names = np.array(scans, dtype=str)
    if not names.size or np.unique(names).size < names.size:
        raise EvaluationError(BAD_MARKS, f"{names.size} scans are listed, not each once")
    groups = [_by_scan(names, points) for points in (marks, nodules, excluded)]
    count = np.zeros(names.size, dtype=np.int64)
    events: list[tuple[int, FloatArray, bool]] = []
    for scan in range(names.size):
        (where, sure), (centre, diameter), (other, other_diameter) = (g[scan] for g in groups)
        count[scan] = len(centre)
        if len(sure) > MOST_MARKS:
            kept = sure > np.sort(sure)[::-1][MOST_MARKS]
            where, sure = where[kept], sure[kept]
        hits = _inside(where, centre, diameter)
        best = np.where(hits, sure[:, None], -np.inf).max(axis=0, initial=-np.inf)
        false = ~hits.any(axis=1) & ~_inside(where, other, other_diameter).any(axis=1)
        events += [(scan, best[hits.any(axis=0)], True), (scan, sure[false], False)]
    sizes = [part.size for _, part, _ in events]
    probability = np.concatenate([part for _, part, _ in events])
    order = np.argsort(-probability, kind="stable")
    return Matches(
        scans=names.size,
        scan=np.repeat([scan for scan, _, _ in events], sizes)[order].astype(np.int64),
        probability=probability[order],
        hit=np.repeat([hit for _, _, hit in events], sizes)[order],
        nodules=count,
    )


def _by_scan(names: npt.NDArray[np.str_], points: Points | None) -> list[_PointsOfScan]:
    """World points and values of each listed scan, in the order of the names."""
    if points is None:
        return [(np.empty((0, 3)), np.empty(0))] * names.size
    order = np.argsort(points.series, kind="stable")
    series = points.series[order]
    first = np.searchsorted(series, names, side="left")
    last = np.searchsorted(series, names, side="right")
    point_mm, value = points.point_mm[order], points.value[order]
    return [(point_mm[a:b], value[a:b]) for a, b in zip(first, last, strict=True)]


def _inside(point_mm: FloatArray, centre_mm: FloatArray, diameter_mm: FloatArray) -> BoolArray:
    """Whether each point lies inside each ball, shape (points, balls)."""
    radius = np.where(diameter_mm < 0, UNKNOWN_DIAMETER_MM, diameter_mm) / 2
    squared = ((point_mm[:, None] - centre_mm[None]) ** 2).sum(axis=2)
    inside: BoolArray = squared < radius**2
    return inside
