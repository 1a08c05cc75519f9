"""Is one way of training better than another, whatever the seed? Cases and luck both count."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from squeezect.errors import EvaluationError
from squeezect.evaluation.cases import BAD_SCORES, Cases
from squeezect.evaluation.compare import Comparison, compare_auc
from squeezect.evaluation.estimates import Z95, Estimate
from squeezect.evaluation.ranking import NO_WIDTH, delong_variance, placements

LEAST = 1e-9
"""P-values end here."""


def compare_auc_over_seeds(
    labels: npt.ArrayLike,
    first: Sequence[npt.ArrayLike],
    second: Sequence[npt.ArrayLike],
    *,
    patients: npt.ArrayLike | None = None,
) -> Comparison:
    """Difference of the ROC AUCs of two ways of training, each tried under the same seeds.

    The difference is the mean over the seeds. Its variance is the sum of two: that of the cases, by
    DeLong's test (Biometrics 1988; Obuchowski's where patients have several) on the means of the
    placements, and that of the luck of training, by how the differences under single seeds differ.
    Each has the quantile that it deserves (normal, and Student's t of few seeds), and the interval
    adds their squares (Zou and Donner, Statistics in Medicine 2008). Where the cases leave no
    variance, the widest interval of `compare_auc` under a single seed stands for theirs.

    Args:
        labels: true classes, 0 or 1, shape (n,).
        first: scores of the first way under each seed, each of shape (n,).
        second: scores of the second way under the same seeds, in the same order.
        patients: names of the patients, shape (n,); without it each case is a patient.

    Returns:
        The comparison; with one seed, that of `compare_auc`, which knows nothing of luck.

    Raises:
        EvaluationError: `bad-scores`, also if the seeds are not as many; or `one-class`.

    Example:
        >>> lucky, poor = [0.1, 0.2, 0.3, 0.4], [0.1, 0.3, 0.2, 0.4]
        >>> compare_auc_over_seeds([0, 0, 1, 1], [lucky, poor], [poor, lucky]).p_value
        1.0
    """
    if len(first) != len(second) or not len(first):
        what = f"scores of {len(first)} seeds against those of {len(second)}"
        raise EvaluationError(BAD_SCORES, what)
    single = [
        compare_auc(labels, one, other, patients=patients)
        for one, other in zip(first, second, strict=True)
    ]
    if len(single) == 1:
        return single[0]
    cases = Cases.of(labels, first[0], patients=patients)
    shares = np.stack(
        [
            np.mean([placements(Cases.of(labels, s, patients=patients))[0] for s in way], axis=0)
            for way in (first, second)
        ]
    )
    covariance = delong_variance(cases, shares)
    of_cases = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if not of_cases > NO_WIDTH:
        of_cases = max(_reach(c.difference) / Z95 for c in single) ** 2
    gaps = [comparison.difference.value for comparison in single]
    of_luck = float(np.var(gaps, ddof=1)) / len(gaps)
    method = f"{single[0].method.partition(',')[0]}, and the luck of {len(gaps)} seeds"
    return _judged(single, np.mean(gaps).item(), of_cases, of_luck, method, cases.n)


def _judged(
    single: Sequence[Comparison],
    gap: float,
    of_cases: float,
    of_luck: float,
    method: str,
    n: int,
) -> Comparison:
    from scipy.optimize import brentq
    from scipy.stats import norm, t

    def reach(level: float) -> float:
        """Half of the interval that leaves out as much as `level`."""
        luck = float(t.isf(level / 2, len(single) - 1)) ** 2 * of_luck
        return math.sqrt(float(norm.isf(level / 2)) ** 2 * of_cases + luck)

    first, second = (float(np.mean([getattr(c, k) for c in single])) for k in ("first", "second"))
    low, high = max(-1.0, gap - reach(0.05)), min(1.0, gap + reach(0.05))
    p_value = LEAST if gap else 1.0
    if gap and reach(LEAST) > abs(gap):
        p_value = float(brentq(lambda p: reach(p) - abs(gap), LEAST, 1.0))
    return Comparison(first, second, Estimate(gap, low, high, n, method), p_value, method)


def _reach(difference: Estimate) -> float:
    return max(difference.value - difference.low, difference.high - difference.value)
