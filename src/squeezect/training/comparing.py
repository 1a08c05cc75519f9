"""Compare models on a data set with one call: train all, judge all, write one report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from squeezect.cohorts import Cohort
from squeezect.evaluation.contest import Contest, Entrant, judge_contest
from squeezect.evaluation.contest_froc import DetectionContest, judge_detection
from squeezect.evaluation.contest_page import verdict, write_contest
from squeezect.evaluation.detection import has_tables
from squeezect.evaluation.predictions import read_predictions
from squeezect.training.contest import Trained, claim_comparison, train_all
from squeezect.training.plans import plan_models
from squeezect.training.progress import Progress, silent
from squeezect.training.recipe import Recipe
from squeezect.training.run_folder import alone
from squeezect.training.teachers import refuse_pseudo_labels


@dataclass(frozen=True, eq=False)
class Compared:
    """A finished comparison.

    Args:
        contest: who did how well.
        folder: where ``index.html``, ``compare.json`` and ``compare.md`` are.
        left_out: why networks did not take part, by name.
        detection: how well their candidates find nodules, where LUNA16's tables are at hand.
    """

    contest: Contest
    folder: Path
    left_out: Mapping[str, str]
    detection: DetectionContest | None = None

    def as_dict(self) -> dict[str, object]:
        """Everything as plain JSON."""
        found = {"detection": self.detection.as_dict()} if self.detection else {}
        return self.contest.as_dict() | {"left_out": dict(self.left_out)} | found

    def __str__(self) -> str:
        lines = [verdict(self.contest)]
        lines += [
            f"  {s.entrant.name:<34} ROC AUC {s.part.ranking.roc_auc}"
            for s in self.contest.standings
        ]
        lines += [f"left out: {why}" for why in self.left_out.values()]
        return "\n".join([*lines, f"report: {self.folder / 'index.html'}"])


def compare_models(
    cohort: Cohort,
    names: Sequence[str],
    recipe: Recipe,
    out: Path,
    *,
    workers: int = 1,
    skip_unreadable: bool = False,
    allow_leaks: bool = False,
    progress: Progress = silent,
) -> Compared:
    """Train networks under the same folds and budget, and judge them on the same cases.

    Args:
        cohort: labelled cases of any data set.
        names: of the networks; ``all`` for every one that can take the recipe's input.
        recipe: the budget; what each network changes in it is in the report.
        out: folder of the comparison; resumed by network and fold if it holds this very one.
        workers: processes that prepare scans.
        skip_unreadable: leave out cases that cannot be prepared.
        allow_leaks: train although parts share something (recorded).
        progress: who is told.

    Raises:
        ModelError: `unknown-model`, `no-models`, `input-too-small`, `recipe-does-not-fit`,
            `needs-monai`, naming it.
        RecipeError: `other-run`, if the folder holds a comparison of other data or another budget;
            `run-in-use`.
        CohortError: `pseudo-labels-unused`; and with PreparationError, see `cross_validate`.
    """
    refuse_pseudo_labels(cohort, "compare")
    plans, left_out = plan_models(names, recipe)
    claim_comparison(cohort, plans, recipe, out, skip_unreadable=skip_unreadable)
    with alone(out):
        trained = train_all(
            cohort,
            plans,
            out,
            workers=workers,
            skip_unreadable=skip_unreadable,
            allow_leaks=allow_leaks,
            progress=progress,
        )
        progress("judging", 0, 1, f"{len(trained)} networks")
        found = _judged(cohort, trained, recipe, out, left_out)
    progress("judging", 1, 1, "report written")
    return found


def _judged(
    cohort: Cohort,
    trained: Sequence[Trained],
    recipe: Recipe,
    out: Path,
    left_out: Mapping[str, str],
) -> Compared:
    """Judge what is trained, and write the report."""
    taught = recipe.teaching is not None
    entrants = [entrant for one in trained for entrant in _entrants(one, taught=taught)]
    contest = judge_contest(entrants, seed=recipe.seed)
    leaky = any(one.leaks_allowed for one in trained)
    facts = _facts(recipe) | ({"leaks": "allowed"} if leaky else {})
    title = f"Models compared on {cohort.source.resolve().parent.name}"
    detection = _detection(cohort, contest, seed=recipe.seed)
    write_contest(contest, out, title=title, facts=facts, left_out=left_out, detection=detection)
    return Compared(contest, out, left_out, detection)


def _detection(cohort: Cohort, contest: Contest, *, seed: int) -> DetectionContest | None:
    """The score of LUNA16, if the cases are candidates of listed scans."""
    tables = cohort.source.parent
    points = {c.row: (c.series, c.point_mm) for c in cohort.cases if c.series and c.point_mm}
    if len(points) < len(cohort.cases) or not has_tables(tables):
        return None
    return judge_detection(contest, points, tables, seed=seed)


def _entrants(trained: Trained, *, taught: bool) -> list[Entrant]:
    """A network, and what else came of it; whether `[teaching]` stayed, if the recipe has any."""
    recipe = trained.plan.recipe
    options = ", ".join(f"{name} = {value}" for name, value in recipe.model_options.items())
    size = " x ".join(map(str, recipe.preparation.size))
    setup = f"{size} voxels, learning rate {recipe.learning_rate:g}"
    setup += f", {options}" if options else ""
    if taught:
        setup += ", with [teaching]" if recipe.teaching else ", without [teaching]"
    costs = {name: _float(value) for name, value in trained.cost.as_dict().items()}
    return [
        Entrant(name, read_predictions(path), costs, setup)
        for name, path in trained.predictions.items()
    ]


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _facts(recipe: Recipe) -> dict[str, str]:
    how = recipe.preparation
    return {
        "recipe": recipe.name,
        "folds": str(recipe.folds),
        "epochs": str(recipe.epochs),
        "batch": str(recipe.batch_size),
        "crop": how.crop,
        "spacing": "own" if how.spacing_mm is None else f"{how.spacing_mm:g} mm",
        "seed": str(recipe.seed),
    }
