"""A number with its 95 % interval, made in closed form or by resampling patients."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from squeezect.errors import EvaluationError
from squeezect.evaluation.cases import BAD_CHOICE, BoolArray, Cases, FloatArray

Z95 = 1.959963984540054
"""The normal quantile that leaves 2.5 % above it."""

Statistic = Callable[[Cases, FloatArray], FloatArray]
"""From cases and weights (resamples, n) to one number per resample; NaN where undefined."""

ROWS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Estimate:
    """A number and the interval that covers its true value 95 times in 100.

    Args:
        value: the number; NaN where it is undefined.
        low: lower end of the interval.
        high: upper end of the interval.
        n: number of cases it rests on.
        method: how the interval was made.
    """

    value: float
    low: float
    high: float
    n: int
    method: str

    @property
    def defined(self) -> bool:
        """Whether there is a value."""
        return math.isfinite(self.value)

    def as_dict(self) -> dict[str, float | int | str | None]:
        """The estimate as plain JSON; NaN becomes null."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        numbers = {name: number if math.isfinite(number) else None for name, number in ends.items()}
        return {**numbers, "n": self.n, "method": self.method}

    def complement(self) -> Self:
        """The estimate of one minus the number."""
        return replace(self, value=1 - self.value, low=1 - self.high, high=1 - self.low)

    def __str__(self) -> str:
        if not self.defined:
            return "undefined"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def undefined(reason: str, *, low: float = 0.0, high: float = 1.0) -> Estimate:
    """An estimate without a value: any number in its range is possible."""
    return Estimate(math.nan, low, high, 0, f"undefined: {reason}")


def wilson(successes: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % score interval of a proportion (Wilson, JASA 1927).

    Args:
        successes: how often it happened, 0 to `n`; need not be whole.
        n: how often it could have happened, above 0.

    Returns:
        Lower and upper end.

    Example:
        >>> [round(end, 4) for end in wilson(81, 263)]
        [0.2553, 0.3662]
    """
    share = successes / n
    middle = share + Z95**2 / (2 * n)
    reach = Z95 * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n * n))
    scale = 1 + Z95**2 / n
    low = 0.0 if successes == 0 else max(0.0, (middle - reach) / scale)
    high = 1.0 if successes == n else min(1.0, (middle + reach) / scale)
    return low, high


def proportion(cases: Cases, hits: BoolArray, among: BoolArray) -> Estimate:
    """Share of the chosen cases that are hits, with Wilson's interval.

    Where patients have several cases, Wilson's interval is taken at the number of independent
    cases that would give the variance between patients (Rao and Scott, Biometrics 1992), and never
    at more than the number of cases.

    Args:
        cases: all cases; only their patients are used.
        hits: which cases are hits, shape (n,).
        among: which cases count, shape (n,).

    Returns:
        The estimate; undefined if no case counts.
    """
    n = int(among.sum())
    if not n:
        return undefined("no such case")
    share = float((hits & among).sum()) / n
    if not cases.clustered:
        return Estimate(share, *wilson(share * n, n), n, "Wilson")
    independent = _independent(cases, hits & among, among)
    method = "Wilson, allowing for patients with several scans"
    return Estimate(share, *wilson(share * independent, independent), n, method)


def _independent(cases: Cases, hits: BoolArray, among: BoolArray) -> float:
    """Number of independent cases whose proportion varies as the patients' does."""
    size = np.bincount(cases.patient, among.astype(float), cases.patients)
    hit = np.bincount(cases.patient, hits.astype(float), cases.patients)[size > 0]
    size = size[size > 0]
    n, patients = size.sum(), size.size
    share = hit.sum() / n
    fewest = n * n / float((size**2).sum())  # all cases of a patient alike
    if patients < 2 or not 0 < share < 1:
        return float(fewest)
    variance = patients / (patients - 1) * float(((hit - share * size) ** 2).sum()) / n**2
    return float(n if variance <= 0 else np.clip(share * (1 - share) / variance, fewest, n))


def on_logit_scale(value: float, error: float) -> tuple[float, float]:
    """Normal 95 % interval of a number inside (0, 1), made on the logit scale.

    Args:
        value: the number.
        error: its standard error.

    Returns:
        Lower and upper end, inside (0, 1).
    """
    odds = value / (1 - value)
    # Beyond e^500 the end is 0 or 1 to the last digit anyway.
    reach = math.exp(min(500.0, Z95 * error / (value * (1 - value))))
    return odds / (odds + reach), 1 - 1 / (1 + odds * reach)


FEWEST_PATIENTS = 2
"""Resamples of fewer patients are all alike: they show nothing of what patients differ by."""


def resamples(cases: Cases, *, replicates: int, seed: int) -> Iterator[FloatArray]:
    """Weights of the cases when patients are drawn with replacement, some resamples at a time.

    All cases of a patient are drawn together. The draw depends on the names of the patients, not
    on the order of the cases.

    Args:
        cases: the cases.
        replicates: number of resamples, at least 1.
        seed: of the random numbers.

    Returns:
        Arrays (resamples, n) of how often each case was drawn.

    Raises:
        EvaluationError: `bad-choice`, if `replicates` is below 1.
    """
    if replicates < 1:
        raise EvaluationError(BAD_CHOICE, f"{replicates} bootstrap resamples are fewer than 1")
    generator, patients = np.random.default_rng(seed), cases.patients
    step = max(1, ROWS_AT_ONCE // max(cases.n, patients))
    for start in range(0, replicates, step):
        rows = min(step, replicates - start)
        drawn = generator.integers(patients, size=(rows, patients))
        drawn += np.arange(rows)[:, None] * patients
        counts = np.bincount(drawn.ravel(), minlength=rows * patients).reshape(rows, patients)
        yield counts[:, cases.patient].astype(float)


def bootstrap(
    statistics: Mapping[str, Statistic],
    cases: Cases,
    *,
    replicates: int = 2000,
    seed: int = 0,
    recentre: Collection[str] = (),
    highest: Mapping[str, float] | None = None,
) -> dict[str, Estimate]:
    """Percentile intervals of several statistics from the same resamples of patients.

    Resamples in which a statistic is undefined (one class only) are left out of its interval. A
    single patient says nothing of others: the interval is all that is possible then.

    Args:
        statistics: functions of (cases, weights), by name.
        cases: the cases.
        replicates: number of resamples.
        seed: of the random numbers.
        recentre: statistics that resampling itself makes larger, as it does to mean absolute
            gaps; their resamples are moved so that their median is the value, and end at 0.
        highest: largest possible value of a statistic, where it is not 1; the smallest is 0.

    Returns:
        An estimate per name.

    Raises:
        EvaluationError: `bad-choice`, if `replicates` is below 1.
    """
    drawn: dict[str, list[FloatArray]] = {name: [] for name in statistics}
    for weights in resamples(cases, replicates=replicates, seed=seed):
        for name, statistic in statistics.items():
            drawn[name].append(statistic(cases, weights))
    every = np.ones((1, cases.n))
    return {
        name: percentile_estimate(
            float(statistic(cases, every)[0]),
            np.concatenate(drawn[name]),
            cases,
            possible=(0.0, (highest or {}).get(name, 1.0)),
            recentre=name in recentre,
        )
        for name, statistic in statistics.items()
    }


def percentile_estimate(
    value: float,
    drawn: FloatArray,
    cases: Cases,
    *,
    possible: tuple[float, float],
    recentre: bool = False,
) -> Estimate:
    """The 2.5 % and 97.5 % percentiles of the defined resamples around a value.

    Args:
        value: of the cases themselves.
        drawn: of their resamples, shape (resamples,).
        cases: whose patients were drawn.
        possible: least and largest value; the interval where there is a single patient.
        recentre: see `bootstrap`.
    """
    n, defined = cases.n, drawn[np.isfinite(drawn)]
    if not math.isfinite(value) or not defined.size:
        return undefined("one class only")
    if cases.patients < FEWEST_PATIENTS:
        return Estimate(value, *possible, n, "a single patient: anything is possible")
    low, high = np.quantile(defined, (0.025, 0.975)).tolist()
    method = f"bootstrap of patients, {defined.size} resamples"
    if recentre:
        shift = value - float(np.median(defined))
        low, high, method = max(0.0, low + shift), high + shift, f"{method}, recentred"
    return Estimate(value, low, high, n, method)
