"""Train many networks on one data set: the same folds, the same budget, each judged out of fold."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import ValidationError

from squeezect import __version__
from squeezect.cohorts import Cohort, Folds
from squeezect.errors import RecipeError
from squeezect.training.costs import peak_memory, seconds_per_epoch, seconds_per_volume
from squeezect.training.crossval import cross_validate
from squeezect.training.gaussian_head import add_gaussian_head
from squeezect.training.plans import Plan
from squeezect.training.progress import Progress, silent
from squeezect.training.recipe import Recipe
from squeezect.training.run import Run
from squeezect.training.run_folder import (
    OTHER_RUN,
    RUN_FILE,
    alone,
    holds,
    may_change,
    write_json,
)
from squeezect.training.supplies import Supplies

COST_FILE = "cost.json"
STAMP_FILE = "comparison.json"
PREDICTIONS = "predictions.csv"


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Args:
        parameters: trainable ones.
        gflop: of one forward pass on one volume, in 10^9.
        seconds_per_epoch: median over epochs and folds.
        seconds_per_volume: median of one forward pass on one prepared volume.
        peak_mib: most memory held while training; None where the system does not tell, and where
            the network was not trained in one go, so that nobody measured all of it.
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
        leaks_allowed: whether it was trained although parts might share something.
    """

    plan: Plan
    cost: Cost
    predictions: dict[str, Path]
    leaks_allowed: bool = False


def claim_comparison(
    cohort: Cohort,
    plans: Sequence[Plan],
    recipe: Recipe,
    out: Path,
    *,
    skip_unreadable: bool = False,
) -> None:
    """Write which comparison owns a folder, or check that this one does, and all runs in it.

    Other networks may be asked for later; runs of those not named stay as they are. Releases
    before stamped the runs only; their folders are taken over if every run fits.

    Args:
        cohort: labelled cases.
        plans: of the networks.
        recipe: what they have in common.
        out: folder of the comparison, made if it is not there.
        skip_unreadable: leave out cases that cannot be prepared.

    Raises:
        RecipeError: `other-run`, `run-in-use`.
    """
    shared = {"cohort": cohort.digest, "skip_unreadable": skip_unreadable}
    whole = shared | {"recipe": recipe.model_dump(mode="json")}
    stamps = {plan.name: shared | {"recipe": plan.recipe.model_dump(mode="json")} for plan in plans}
    path, differing = out / STAMP_FILE, list(whole)
    if path.exists():
        found = _with_defaults(json.loads(path.read_text("utf-8")))
        differing = [key for key in whole if found.get(key) != whole[key]]
        if not may_change(differing, out.glob("runs/*/fold-*")):
            what = f"folder {out} holds a comparison with another {differing[0]}"
            raise RecipeError(OTHER_RUN, what)
    elif (out / RUN_FILE).exists():
        raise RecipeError(OTHER_RUN, f"folder {out} holds a run, not a comparison")
    for run in sorted(out.glob(f"runs/*/{RUN_FILE}")):
        holds(run.parent, stamps.get(run.parent.name, shared))
    if differing:
        out.mkdir(parents=True, exist_ok=True)
        with alone(out):
            write_json(path, {"version": __version__, **whole})


def _with_defaults(stamp: dict[str, object]) -> dict[str, object]:
    """A stamp whose recipe has the fields that it did not know yet."""
    try:
        recipe = Recipe.model_validate(stamp.get("recipe")).model_dump(mode="json")
    except ValidationError:
        return stamp
    return stamp | {"recipe": recipe}


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
        plans: of the networks; runs of theirs in the folder must be these, see `claim_comparison`.
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
        begun = (folder / RUN_FILE).exists()
        with peak_memory() as peak:
            if not _finished(folder):
                cross_validate(
                    cohort,
                    plan.recipe,
                    folder,
                    skip_unreadable=skip_unreadable,
                    allow_leaks=allow_leaks,
                    supplies=supplies,
                    progress=_named(progress, plan.name),
                )
        # What is left of a training says nothing of the memory that the whole of it took.
        trained.append(_closed(cohort, plan, folder, supplies, None if begun else peak.mib))
    progress("comparing", len(plans), len(plans), "trained")
    return trained


def _finished(folder: Path) -> bool:
    path = folder / RUN_FILE
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
    return Trained(plan, cost, tables, leaks_allowed=_leaks_allowed(folder))


def _finished_run(cohort: Cohort, plan: Plan, folder: Path, supplies: Supplies) -> Run:
    """The run again: its volumes, and the folds and cases that its networks were trained on."""
    facts = json.loads((folder / RUN_FILE).read_text("utf-8"))
    volumes, _ = supplies.prepared(cohort, plan.recipe.preparation, silent)
    kept = cohort.without({one["row"] for one in facts["skipped"]})
    # Drawn anew, they might put cases into a fold's training part that its network is judged by.
    folds = Folds.from_dict(json.loads((folder / "folds.json").read_text("utf-8")))
    return Run(kept, plan.recipe, folder, volumes, folds)


def _leaks_allowed(folder: Path) -> bool:
    """What the run's audit says, whatever this call was told: trained is trained."""
    path = folder / "audit.json"
    return path.exists() and bool(json.loads(path.read_text("utf-8")).get("leaks_allowed"))
