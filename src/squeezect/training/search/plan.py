"""How to search, and what was found."""

from dataclasses import dataclass
from pathlib import Path

from squeezect.cohorts import Cohort
from squeezect.training.recipe import Recipe
from squeezect.training.search.judged import Judged
from squeezect.training.search.records import Record
from squeezect.training.search.sampling import Pruner, Sampler
from squeezect.training.search.space import Space
from squeezect.training.search.trial import Objective

BEST_FILE = "best.toml"


@dataclass(frozen=True)
class Plan:
    """How to search.

    Args:
        space: what may vary.
        base: the recipe that the trials change.
        trials: how many, beside the base recipe itself.
        sampler: see `Sampling`.
        pruner: see `Sampling`.
        objective: ``log-loss`` (lower is better) or ``auc``, out of fold.
        inner_folds: folds that each trial is trained and scored on.
        judge: whether winner and base are judged on the patients kept apart.
    """

    space: Space
    base: Recipe
    trials: int = 20
    sampler: Sampler = "tpe"
    pruner: Pruner = "median"
    objective: Objective = "log-loss"
    inner_folds: int = 3
    judge: bool = True

    def stamp(self, cohort: Cohort) -> dict[str, object]:
        """What must be the same for a search to go on; more trials may be asked for."""
        # Releases before scored every recipe in one view: theirs and these must not be mixed.
        viewed = self.base.views > 1 or "views" in self.space.axes
        return {
            **({"scored_in": "the views of each recipe"} if viewed else {}),
            "cohort": cohort.digest,
            "recipe": self.base.model_dump(mode="json"),
            "space": self.space.model_dump(mode="json"),
            "sampler": self.sampler,
            "pruner": self.pruner,
            "objective": self.objective,
            "inner_folds": self.inner_folds,
        }


@dataclass(frozen=True)
class Found:
    """What a search found.

    Args:
        plan: how it searched.
        folder: where everything is.
        records: of the base recipe, then of all trials.
        best: the record of the winner.
        recipe: the winner.
        searched: patients whose scans the trials saw.
        apart: patients whom no trial saw: of the judging fold, and of the test part.
        judged: winner and base on the patients kept apart; None if they were not judged.
    """

    plan: Plan
    folder: Path
    records: tuple[Record, ...]
    best: Record
    recipe: Recipe
    searched: int
    apart: tuple[int, int]
    judged: Judged | None

    def counts(self) -> dict[str, int]:
        """Trials by what became of them."""
        states = [record.state for record in self.records[1:]]
        return {state: states.count(state) for state in ("complete", "pruned", "failed")}

    def as_dict(self) -> dict[str, object]:
        """The search as plain JSON."""
        return {
            "objective": self.plan.objective,
            "sampler": self.plan.sampler,
            "pruner": self.plan.pruner,
            "trials": self.counts(),
            "best": self.best.model_dump(mode="json", exclude={"drawn", "notes", "by_step"}),
            "base_score": self.records[0].score,
            "searched_patients": self.searched,
            "patients_apart": {"judging_fold": self.apart[0], "test": self.apart[1]},
            "judged": self.judged.as_dict() if self.judged else None,
            "recipe": str(self.folder / BEST_FILE),
            "report": str(self.folder / "report" / "index.html"),
        }

    def summary(self) -> str:
        """A few lines for the terminal."""
        told = ", ".join(f"{count} {state}" for state, count in self.counts().items() if count)
        base = self.records[0].score
        lines = [
            f"{told}; {self.plan.objective} out of fold {self.best.score:.4f} ({self.best.name}), "
            f"base recipe {'failed' if base is None else format(base, '.4f')}",
            *(f"  {name} = {value}" for name, value in self.best.values.items()),
        ]
        if self.judged:
            lines.append(f"on patients that no trial saw: {self.judged}")
            lines += [f"caution: {caution}" for caution in self.judged.cautions()]
        report = self.folder / "report" / "index.html"
        return "\n".join([*lines, f"recipe: {self.folder / BEST_FILE}", f"report: {report}"])
