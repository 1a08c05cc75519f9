"""Train many networks on one data set: the same folds, the same budget, each judged out of fold."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from squeezect.cohorts import Cohort, make_folds
from squeezect.training.costs import peak_memory, seconds_per_epoch, seconds_per_volume
from squeezect.training.crossval import cross_validate
from squeezect.training.gaussian_head import add_gaussian_head
from squeezect.training.plans import Plan
from squeezect.training.progress import Progress, silent
from squeezect.training.run import Run
from squeezect.training.run_folder import write_json
from squeezect.training.supplies import Supplies

COST_FILE = "cost.json"
PREDICTIONS = "predictions.csv"


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Args:
        parameters: trainable ones.
        gflop: of one forward pass on one volume, in 10^9.
        seconds_per_epoch: median over epochs and folds.
        seconds_per_volume: median of one forward pass on one prepared volume.
        peak_mib: most memory held while training; None where the system does not tell.
    """

    parameters: int
    gflop: float
    seconds_per_epoch: float | None
    seconds_per_volume: float
    peak_mib: float | None

    def as_dict(self) -> dict[str, object]:
        """The costs as plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Trained:
    """One network of a comparison after training.

    Args:
        plan: what it did.
        cost: what that took.
        predictions: tables of predictions by the name of who made them; a network with a Gaussian
            process on its features has two.
    """

    plan: Plan
    cost: Cost
    predictions: dict[str, Path]


def train_all(
    cohort: Cohort,
    plans: Sequence[Plan],
    out: Path,
    *,
    workers: int = 1,
    skip_unreadable: bool = False,
    allow_leaks: bool = False,
    progress: Progress = silent,
) -> list[Trained]:
    """Train every plan; what is finished is not done again, what was killed goes on.

    Args:
        cohort: labelled cases.
        plans: of the networks.
        out: folder of the comparison; runs go into ``runs``, volumes into ``stores``.
        workers: processes that prepare scans.
        skip_unreadable: leave out cases that cannot be prepared.
        allow_leaks: train although parts share something.
        progress: who is told.

    Raises:
        CohortError, RecipeError, PreparationError: see `cross_validate`.
    """
    supplies = Supplies(lambda how: out / "stores" / how.digest, workers)
    trained = []
    for number, plan in enumerate(plans):
        progress("comparing", number, len(plans), plan.name)
        folder = out / "runs" / plan.name
        finished = _finished(folder)
        with peak_memory() as peak:
            if not finished:
                cross_validate(
                    cohort,
                    plan.recipe,
                    folder,
                    skip_unreadable=skip_unreadable,
                    allow_leaks=allow_leaks,
                    supplies=supplies,
                    progress=_named(progress, plan.name),
                )
        trained.append(_closed(cohort, plan, folder, supplies, peak.mib))
    progress("comparing", len(plans), len(plans), "trained")
    return trained


def _finished(folder: Path) -> bool:
    path = folder / "run.json"
    return path.exists() and json.loads(path.read_text("utf-8"))["status"] == "finished"


def _named(progress: Progress, name: str) -> Progress:
    def tell(stage: str, done: int, total: int, note: str = "") -> None:
        progress(f"{name} {stage}", done, total, note)

    return tell


def _closed(
    cohort: Cohort, plan: Plan, folder: Path, supplies: Supplies, peak_mib: float | None
) -> Trained:
    """What is measured once a run is finished: its costs, and a process on its features."""
    run = _finished_run(cohort, plan, folder, supplies)
    path = folder / COST_FILE
    if not path.exists():
        key = run.key(run.cohort.labelled[0])
        cost = Cost(
            plan.parameters,
            plan.gflop,
            seconds_per_epoch(folder),
            seconds_per_volume(folder, run.volumes, key),
            peak_mib,
        )
        write_json(path, cost.as_dict())
    cost = Cost(**json.loads(path.read_text("utf-8")))
    tables = {plan.name: folder / PREDICTIONS}
    gaussian = add_gaussian_head(run)
    if gaussian is not None:
        tables[f"{plan.name} + Gaussian process"] = gaussian
    return Trained(plan, cost, tables)


def _finished_run(cohort: Cohort, plan: Plan, folder: Path, supplies: Supplies) -> Run:
    """The run again, with its volumes and folds."""
    recipe = plan.recipe
    volumes, failed = supplies.prepared(cohort, recipe.preparation, silent)
    kept = cohort.without(set(failed))
    folds = make_folds(
        kept, folds=recipe.folds, seed=recipe.seed, tune_fraction=recipe.tune_fraction
    )
    return Run(kept, recipe, folder, volumes, folds)
