"""ROC and precision-recall curves with bands from resampled patients."""

from dataclasses import dataclass

import numpy as np

from squeezect.evaluation import weighted
from squeezect.evaluation.cases import Cases, FloatArray
from squeezect.evaluation.estimates import resamples


@dataclass(frozen=True, eq=False)
class Curve:
    """A curve through points, with a pointwise 95 % band.

    Args:
        x: abscissae, ascending, shape (points,).
        y: ordinates, shape (points,).
        grid: abscissae of the band, shape (grid,).
        low: lower edge of the band, shape (grid,).
        high: upper edge of the band, shape (grid,).
    """

    x: FloatArray
    y: FloatArray
    grid: FloatArray
    low: FloatArray
    high: FloatArray

    def as_dict(self) -> dict[str, list[float]]:
        """The points as plain JSON, rounded to 1e-6."""
        return {"x": np.round(self.x, 6).tolist(), "y": np.round(self.y, 6).tolist()}


def roc_curve(cases: Cases, *, replicates: int = 500, seed: int = 0) -> Curve:
    """False positive rate against sensitivity, with a band from resampled patients.

    Args:
        cases: cases of both classes.
        replicates: number of resamples.
        seed: of the random numbers.

    Raises:
        EvaluationError: `one-class` or `bad-choice`.
    """
    grid = np.linspace(0, 1, 101)

    def rows(weights: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        hits, alarms = weighted.counts_above(cases, weights)
        kept = (hits[:, -1] > 0) & (alarms[:, -1] > 0)
        zero = [0.0]
        return [
            (np.concatenate([zero, a / a[-1]]), np.concatenate([zero, h / h[-1]]))
            for h, a in zip(hits[kept], alarms[kept], strict=True)
        ]

    cases.both_classes()
    x, y = rows(np.ones((1, cases.n)))[0]
    drawn = [
        np.interp(grid, *row)
        for weights in resamples(cases, replicates=replicates, seed=seed)
        for row in rows(weights)
    ]
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    return Curve(x, y, grid, low, high)


def precision_recall_curve(cases: Cases, *, replicates: int = 500, seed: int = 0) -> Curve:
    """Sensitivity (recall) against precision, with a band from resampled patients.

    Args:
        cases: cases of both classes.
        replicates: number of resamples.
        seed: of the random numbers.

    Raises:
        EvaluationError: `one-class` or `bad-choice`.
    """
    grid = np.linspace(0.01, 1, 100)
    cases.both_classes()

    def rows(weights: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        hits, alarms = weighted.counts_above(cases, weights)
        kept = (hits[:, -1] > 0) & (alarms[:, -1] > 0)
        precision = np.nan_to_num(weighted.ratio(hits, hits + alarms))
        return list(zip(hits[kept] / hits[kept, -1:], precision[kept], strict=True))

    x, y = rows(np.ones((1, cases.n)))[0]
    drawn = [
        # A recall on the grid is served by the first threshold that reaches it.
        precision[np.searchsorted(recall, grid - weighted.SLACK).clip(max=recall.size - 1)]
        for weights in resamples(cases, replicates=replicates, seed=seed)
        for recall, precision in rows(weights)
    ]
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    return Curve(x, y, grid, low, high)
