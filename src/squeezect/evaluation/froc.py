"""The score of the LUNA16 challenge: nodules found against false marks per scan."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from squeezect.errors import Code, EvaluationError
from squeezect.evaluation.cases import BAD_CHOICE, FloatArray
from squeezect.evaluation.curves import Curve
from squeezect.evaluation.estimates import Estimate
from squeezect.evaluation.marks import Matches, Points, match
from squeezect.evaluation.ranking import widened

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False marks per scan at which the competition metric averages the sensitivity."""

GRID_POINTS = 10_000
RESAMPLES_AT_ONCE = 100

NO_NODULES = Code(
    "no-nodules",
    "None of the listed scans has a nodule, so there is no sensitivity.",
    "list the scans by the same series names as the annotations",
)


@dataclass(frozen=True, eq=False)
class Froc:
    """The free-response ROC of a set of marks.

    Args:
        curve: false marks per scan against sensitivity, with the band of the bootstrap.
        sensitivities: at the seven `RATES`.
        cpm: their mean, the competition performance metric; its interval is the bootstrap's.
        bootstrap_cpm: the same of the mean bootstrap curve, as the challenge printed it.
        scans: number of scans.
        nodules: number of nodules.
        found: nodules found at any rate.
        false_marks: marks on nothing.
    """

    curve: Curve
    sensitivities: tuple[float, ...]
    cpm: Estimate
    bootstrap_cpm: float
    scans: int
    nodules: int
    found: int
    false_marks: int

    def as_dict(self) -> dict[str, object]:
        """The score as plain JSON."""
        return {
            "cpm": self.cpm.as_dict(),
            "bootstrap_cpm": self.bootstrap_cpm,
            "sensitivities": dict(zip(map(str, RATES), self.sensitivities, strict=True)),
            "scans": self.scans,
            "nodules": self.nodules,
            "found": self.found,
            "false_marks": self.false_marks,
        }


def score_froc(
    scans: Sequence[str],
    marks: Points,
    nodules: Points,
    excluded: Points | None = None,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> Froc:
    """Score marks as LUNA16 does (Setio et al., Medical Image Analysis 2017).

    The curve begins at (0, 0) and is read between its points by straight lines. The bootstrap
    draws scans with replacement and reads each curve on 10,000 rates from 1/8 to 8.

    Args:
        scans: names of all scans scored, each once; marks and nodules of others are ignored.
        marks: points with a probability.
        nodules: points with a diameter in mm.
        excluded: findings that are neither right nor wrong, with a diameter in mm.
        replicates: number of resamples of scans.
        seed: of the random numbers.

    Raises:
        EvaluationError: `bad-marks`, `no-nodules`, or `bad-choice` if `replicates` is below 1.

    Example:
        >>> nodule = Points.of(["a"], [[0, 0, 0]], [8.0])
        >>> mark = Points.of(["a"], [[1, 0, 0]], [0.9])
        >>> score_froc(["a"], mark, nodule, replicates=10).cpm.value
        1.0
    """
    if replicates < 1:
        raise EvaluationError(BAD_CHOICE, f"{replicates} bootstrap resamples are fewer than 1")
    matches = match(scans, marks, nodules, excluded)
    total = int(matches.nodules.sum())
    if not total:
        raise EvaluationError(NO_NODULES, f"no nodule in any of {len(scans)} scans")
    rate, sensitivity = next(_curves(matches, np.ones((1, matches.scans))))
    grid = np.linspace(RATES[0], RATES[-1], GRID_POINTS)
    drawn = _bootstrap(matches, grid, replicates, seed)
    at_rates = tuple(np.interp(RATES, rate, sensitivity).tolist())
    mean = drawn.mean(axis=0)
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    every = np.mean([np.interp(RATES, grid, row) for row in drawn], axis=1)
    ends = np.quantile(every, (0.025, 0.975)).tolist()
    method = f"bootstrap of scans, {len(drawn)} resamples"
    cpm = Estimate(float(np.mean(at_rates)), ends[0], ends[1], total, method)
    return Froc(
        curve=Curve(rate, sensitivity, grid, low, high),
        sensitivities=at_rates,
        cpm=widened(cpm, np.repeat(np.arange(matches.scans), matches.nodules.astype(int))),
        bootstrap_cpm=float(np.interp(RATES, grid, mean).mean()),
        scans=matches.scans,
        nodules=total,
        found=matches.found,
        false_marks=int((~matches.hit).sum()),
    )


def _bootstrap(matches: Matches, grid: FloatArray, replicates: int, seed: int) -> FloatArray:
    """Sensitivity of each resample at the rates of the grid, shape (replicates, grid)."""
    curves = (
        curve
        for weights in _drawn_scans(matches, replicates, seed)
        for curve in _curves(matches, weights)
    )
    return np.array([np.interp(grid, *curve) for curve in curves])


def _drawn_scans(matches: Matches, replicates: int, seed: int) -> Iterator[FloatArray]:
    """How often each scan is drawn, some resamples at a time; at least one nodule in each."""
    generator, n = np.random.default_rng(seed), matches.scans
    done = 0
    while done < replicates:
        rows = min(RESAMPLES_AT_ONCE, replicates - done)
        drawn = generator.integers(n, size=(rows, n)) + np.arange(rows)[:, None] * n
        weights = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(float)
        weights = weights[weights @ matches.nodules > 0]
        if len(weights):
            done += len(weights)
            yield weights


def _curves(matches: Matches, weights: FloatArray) -> Iterator[tuple[FloatArray, FloatArray]]:
    """FROC curve of each resample up to the last rate, from (0, 0)."""
    # Nobody reads the curve beyond eight false marks per scan, and most marks lie there.
    false = np.cumsum(~matches.hit)
    length = int(np.searchsorted(false, 1.3 * RATES[-1] * matches.scans)) + 1
    ends = matches.ends
    while True:
        used = ends[ends < length]
        scan, hit = matches.scan[:length], matches.hit[:length]
        drawn = weights[:, scan]
        hits = np.cumsum(drawn * hit, axis=1)[:, used]
        alarms = np.cumsum(drawn * ~hit, axis=1)[:, used] / matches.scans
        if length >= matches.hit.size or (used.size and alarms[:, -1].min() > RATES[-1]):
            break
        length *= 2
    nodules = weights @ matches.nodules
    for rate, count, total in zip(alarms, hits, nodules, strict=True):
        yield np.r_[0.0, rate], np.r_[0.0, count / total]
