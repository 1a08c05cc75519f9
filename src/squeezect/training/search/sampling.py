"""Which values to try next, and which trials to give up: Optuna, kept repeatable.

Optuna's own storages are left aside: those in files either pickle or leave half-written trials
behind a kill. Its study lives in memory and is rebuilt from the finished trials, and each trial
has a sampler of its own, seeded by the search's seed and the trial's number. So a search that was
killed and resumed draws what an uninterrupted one draws (Akiba et al., "Optuna", KDD 2019).
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from squeezect.errors import Code, RecipeError
from squeezect.training.search.records import Record
from squeezect.training.search.space import Choices, Range, Space, Value

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

Sampler = Literal["random", "tpe"]
Pruner = Literal["median", "hyperband", "none"]

NEEDS_OPTUNA = Code(
    "needs-optuna",
    "A search needs Optuna, which is not installed.",
    "install it with: pip install 'squeezect[search]'",
)

AT_RANDOM = 5
"""Finished trials before TPE models them and the median prunes by them."""


class Asked:
    """A trial that Optuna waits for.

    Args:
        trial: Optuna's.
        values: what to set in the recipe.
    """

    def __init__(self, trial: "Trial", values: Mapping[str, Value]) -> None:
        self.trial = trial
        self.values = values

    def report(self, score: float, step: int) -> bool:
        """Tell a score on the way; whether to give the trial up."""
        self.trial.report(score, step)
        return bool(self.trial.should_prune())


class Sampling:
    """Draws trials from a space.

    Args:
        space: what may vary.
        sampler: ``random``, or ``tpe`` (random at first, then where good trials were).
        pruner: ``median`` gives up what is worse than half of the finished trials at the same
            epoch, ``hyperband`` divides the epochs among brackets (Li et al., JMLR 2018),
            ``none`` trains all to the end.
        seed: decides all draws.
        maximise: whether a larger score is better.
        steps: epochs of the longest trial over all of its folds.
    """

    def __init__(
        self,
        space: Space,
        *,
        sampler: Sampler,
        pruner: Pruner,
        seed: int,
        maximise: bool,
        steps: int,
    ) -> None:
        _require_optuna()
        from optuna import create_study

        self.sampler = sampler
        self.seed = seed
        self.distributions = {name: _distribution(axis) for name, axis in space.axes.items()}
        self.study: Study = create_study(
            study_name="search",  # hyperband deals trials to its brackets by name and number
            direction="maximize" if maximise else "minimize",
            pruner=_pruner(pruner, steps),
        )

    def ask(self, number: int) -> Asked:
        """The values of the trial of this number; all before it must have been told or added."""
        self.study.sampler = _sampler(self.sampler, self.seed, number)
        trial = self.study.ask(self.distributions)
        return Asked(
            trial, {name: _value(self.distributions, name, trial) for name in trial.params}
        )

    def tell(self, asked: Asked, record: Record) -> Record:
        """Close a trial; its record with what Optuna noted of it."""
        from optuna.trial import TrialState

        state = _STATES[record.state]
        score = record.score if record.state == "complete" else None
        frozen = self.study.tell(asked.trial, score, state=TrialState[state])
        # Through JSON at once, so that memory and file are alike.
        notes = json.loads(json.dumps(frozen.system_attrs))
        return record.model_copy(update={"drawn": dict(frozen.params), "notes": notes})

    def add(self, record: Record) -> None:
        """Take a trial that was finished before."""
        from optuna.trial import TrialState, create_trial

        self.study.add_trial(
            create_trial(
                state=TrialState[_STATES[record.state]],
                value=record.score if record.state != "failed" else None,
                params=dict(record.drawn),
                distributions=self.distributions,
                intermediate_values={int(k): v for k, v in record.by_step.items()},
                system_attrs=dict(record.notes),
            )
        )


_STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}


def importances(
    space: Space, records: Sequence[Record], *, maximise: bool, seed: int = 0, replicates: int = 20
) -> dict[str, tuple[float, float, float]]:
    """How much of the variation of the scores each field explains, by functional ANOVA.

    A random forest is fitted to the finished trials and its variance is divided among the fields
    (Hutter et al., ICML 2014). The interval is that of fits to resampled trials.

    Args:
        space: what varied.
        records: finished trials; fewer than four say nothing.
        maximise: whether a larger score is better.
        seed: of forest and resampling.
        replicates: resamples of the trials.

    Returns:
        By field, the share and its 95 % interval; empty with too few trials.
    """
    done = [record for record in records if record.state == "complete"]
    if len(done) < 4 or len({record.score for record in done}) < 2:
        return {}
    random = np.random.default_rng(seed)
    value = _shares(space, done, maximise=maximise, seed=seed)
    drawn: dict[str, list[float]] = {name: [] for name in value}
    for _ in range(replicates):
        again = [done[i] for i in random.integers(len(done), size=len(done))]
        if len({record.score for record in again}) > 1:
            for name, share in _shares(space, again, maximise=maximise, seed=seed).items():
                drawn[name].append(share)
    ends = {name: np.quantile(rows or [0.0, 1.0], (0.025, 0.975)) for name, rows in drawn.items()}
    return {name: (value[name], float(low), float(high)) for name, (low, high) in ends.items()}


def _shares(
    space: Space, records: Sequence[Record], *, maximise: bool, seed: int
) -> dict[str, float]:
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    sampling = Sampling(space, sampler="random", pruner="none", seed=0, maximise=maximise, steps=1)
    for record in records:
        sampling.add(record)
    evaluator = FanovaImportanceEvaluator(n_trees=16, seed=seed)
    found = get_param_importances(sampling.study, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}


def _require_optuna() -> None:
    try:
        import optuna
    except ImportError as error:
        raise RecipeError(NEEDS_OPTUNA, "Optuna is not installed") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def _sampler(name: Sampler, seed: int, number: int) -> "BaseSampler":
    from optuna.samplers import RandomSampler, TPESampler

    own = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
    if name == "random":
        return RandomSampler(seed=own)
    return TPESampler(seed=own, n_startup_trials=AT_RANDOM)


def _pruner(name: Pruner, steps: int) -> "BasePruner":
    from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner

    if name == "median":
        return MedianPruner(n_startup_trials=AT_RANDOM, n_warmup_steps=max(1, steps // 10))
    if name == "hyperband":
        return HyperbandPruner(min_resource=max(1, steps // 9), max_resource=steps)
    return NopPruner()


def _distribution(axis: Range | Choices) -> "BaseDistribution":
    from optuna import distributions

    if isinstance(axis, Choices):
        # As JSON text: Optuna compares choices by ==, to which 1 and true are one.
        return distributions.CategoricalDistribution([json.dumps(c) for c in axis.choices])
    if axis.whole:
        return distributions.IntDistribution(
            int(axis.low), int(axis.high), log=axis.log, step=int(axis.step or 1)
        )
    return distributions.FloatDistribution(axis.low, axis.high, log=axis.log, step=axis.step)


def _value(distributions: Mapping[str, "BaseDistribution"], name: str, trial: "Trial") -> Value:
    from optuna.distributions import CategoricalDistribution

    drawn = trial.params[name]
    if isinstance(distributions[name], CategoricalDistribution):
        chosen = json.loads(drawn)
        return tuple(chosen) if isinstance(chosen, list) else chosen
    return int(drawn) if isinstance(drawn, int) else float(drawn)
