"""Search a space of recipes on a cohort, without touching the patients that judge the winner.

A search folder is written trial by trial and can be killed at any moment; the same command goes on,
and draws and scores the very trials that an uninterrupted search would.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from squeezect.cohorts import AuditRules, Cohort, Folds, audit_folds, make_folds
from squeezect.errors import Code, RecipeError
from squeezect.preparation import Preparation
from squeezect.training.auditing import SURELY_ALIKE, fingerprints_of
from squeezect.training.crossval import rehearse_run, unprepared
from squeezect.training.prepared import Prepared, prepare_cohort
from squeezect.training.progress import Progress, silent
from squeezect.training.recipe import Recipe
from squeezect.training.run_folder import alone, claim, note_environment, write_json
from squeezect.training.search.judged import FILE, judge_recipes
from squeezect.training.search.plan import BEST_FILE, Found, Plan
from squeezect.training.search.records import Record
from squeezect.training.search.report import write_report
from squeezect.training.search.sampling import Sampling
from squeezect.training.search.space import changed
from squeezect.training.search.trial import Bench, Tell, begin, run_trial
from squeezect.training.search.winner import write_recipe
from squeezect.training.teachers import refuse_pseudo_labels

BASE = "base"

ALL_FAILED = Code(
    "no-trial-finished",
    "Every trial of a search failed, and the recipe it started from too.",
    "mend what the first error names, or narrow the space",
)


def search_recipes(
    cohort: Cohort,
    plan: Plan,
    folder: Path,
    *,
    store: Path | None = None,
    workers: int = 1,
    progress: Progress = silent,
) -> Found:
    """Try recipes of a space by many short trainings; write the best as ``best.toml``.

    The cohort is split as training with the base recipe splits it. The test part and the
    validation patients of the first fold are kept apart. Each trial is trained on inner folds over
    the other patients and scored on their held-out parts. At the end winner and base recipe are
    trained on the first fold's own training part and judged on its validation patients.

    Args:
        cohort: labelled scans.
        plan: how to search.
        folder: the search folder; resumed if it holds this very search.
        store: folder for prepared volumes, one store per preparation; in `folder` by default.
        workers: processes that prepare scans.
        progress: who is told.

    Raises:
        RecipeError: `bad-space`, `needs-optuna`, `other-run`, `run-in-use`, `no-trial-finished`.
        CohortError: too few patients for the folds; `leak`; `pseudo-labels-unused`.
        PreparationError: `unprepared-scans`.
        CohortError, RecipeError, PreparationError: what training says of the base recipe.
        CheckpointError: `resume-damaged`.
    """
    base = plan.base
    refuse_pseudo_labels(cohort, "search")
    rehearse_run(cohort, base)
    plan.space.check(base)
    parts = _drawn(cohort, plan)
    sampling = _sampling(plan, plan.space.longest(base))
    claim(folder, plan.stamp(cohort))
    with alone(folder):
        volumes = Volumes(store or folder / "store", workers, progress)
        return _searched(cohort, plan, folder, volumes, parts, sampling)


def _searched(
    cohort: Cohort,
    plan: Plan,
    folder: Path,
    volumes: "Volumes",
    parts: tuple[Folds, Folds],
    sampling: Sampling,
) -> Found:
    """Search in a folder that nobody else writes into; see `search_recipes`."""
    base, progress, (outer, inner) = plan.base, volumes.progress, parts
    first = outer.folds[0]
    searched = cohort.only(inner.patients)
    seen = cohort.only([*first.train, *first.tune, *first.validation])
    ready = volumes.fill(base.preparation, seen)
    write_json(folder / "folds.json", {"outer": outer.as_dict(), "inner": inner.as_dict()})
    _audit(((cohort, outer), (searched, inner)), seen, ready, folder)

    def prepared(recipe: Recipe) -> Prepared:
        return volumes.fill(recipe.preparation, seen)

    longest = plan.space.longest(base)
    bench = Bench(cohort, inner, prepared, plan.objective, seed=base.seed, longest=longest)
    records = _trials(plan, sampling, bench, folder / "trials", progress)
    best = _best(records, maximise=bench.maximise)
    recipe = changed(base, best.values)
    write_recipe(folder / BEST_FILE, recipe, comment=_comment(plan, best, searched))
    judged = None
    if plan.judge:
        rivals = _rivals(base, records[0], best)
        place = folder / "judged"
        if not all((place / name / FILE).exists() for name in rivals):
            note_environment(folder, base)
        judged = judge_recipes(cohort, outer, rivals, place, volumes=prepared, progress=progress)
    apart = _patients(cohort.only(first.validation)), _patients(cohort.only(outer.test))
    found = Found(plan, folder, tuple(records), best, recipe, _patients(searched), apart, judged)
    _finish(found, cohort)
    return found


def _finish(found: Found, cohort: Cohort) -> None:
    write_report(found)
    status = {"status": "finished", **found.plan.stamp(cohort), "found": found.as_dict()}
    write_json(found.folder / "run.json", status)


def _drawn(cohort: Cohort, plan: Plan) -> tuple[Folds, Folds]:
    """The folds that judge the winner, and those inside the first one's training part."""
    base = plan.base
    outer = make_folds(cohort, folds=base.folds, seed=base.seed, tune_fraction=base.tune_fraction)
    first = outer.folds[0]
    searched = cohort.only([*first.train, *first.tune])
    inner = make_folds(searched, folds=plan.inner_folds, seed=base.seed, tune_fraction=0.0)
    return outer, inner


def _sampling(plan: Plan, longest: int) -> Sampling:
    return Sampling(
        plan.space,
        sampler=plan.sampler,
        pruner=plan.pruner,
        seed=plan.base.seed,
        maximise=plan.objective == "auc",
        steps=longest * plan.inner_folds,
    )


def _rivals(base: Recipe, first: Record, best: Record) -> dict[str, Recipe]:
    """Base recipe and winner by name; one of them where they are the same or the base failed."""
    return {r.name: changed(base, r.values) for r in (first, best) if r.score is not None}


def _audit(
    views: tuple[tuple[Cohort, Folds], ...], seen: Cohort, volumes: Prepared, folder: Path
) -> None:
    """Refuse to search where parts share anything; scans of the test part are not opened."""
    prints = fingerprints_of(seen, volumes)
    rules = AuditRules(alike=SURELY_ALIKE)
    found = [audit_folds(who, folds, fingerprints=prints, rules=rules) for who, folds in views]
    write_json(
        folder / "audit.json",
        {name: a.as_dict() for name, a in zip(("outer", "inner"), found, strict=True)},
    )
    for result in found:
        result.require_ok()


@dataclass
class Volumes:
    """Prepared volumes, one set per preparation, filled when they are first needed.

    Args:
        folder: of the stores.
        workers: processes that prepare scans.
        progress: who is told.
    """

    folder: Path
    workers: int
    progress: Progress
    _filled: dict[str, Prepared] = field(default_factory=dict)

    def fill(self, preparation: Preparation, cohort: Cohort) -> Prepared:
        """Every case of the cohort, prepared in one way.

        Raises:
            PreparationError: `unprepared-scans`.
        """
        if preparation.digest in self._filled:
            return self._filled[preparation.digest]
        volumes, failed = prepare_cohort(
            cohort,
            preparation,
            self.folder / preparation.digest,
            workers=self.workers,
            progress=self.progress,
        )
        if failed:
            raise unprepared(cohort, failed)
        self._filled[preparation.digest] = volumes
        return volumes


def _trials(
    plan: Plan, sampling: Sampling, bench: Bench, folder: Path, progress: Progress
) -> list[Record]:
    """Records of the base recipe and of all trials, those of a killed search taken up."""
    records: list[Record] = []
    for number in range(-1, plan.trials):
        name = f"trial-{number + 1}" if number >= 0 else BASE
        place = folder / name
        record = Record.load(place)
        if record is not None and number >= 0:
            sampling.add(record)
        if record is None:
            note_environment(folder.parent, plan.base)
            told = replace(bench, tell=_telling(progress, name, number + 1, plan, records))
            asked = sampling.ask(number) if number >= 0 else None
            if asked:
                begin(place, asked.values)
            make = partial(changed, plan.base, asked.values if asked else {})
            record = run_trial(told, name, make, place, asked=asked)
            record = sampling.tell(asked, record) if asked else record
            record.save(place)
        records.append(record)
    total = (plan.trials + 1) * 100
    progress("searching", total, total, _so_far(plan, records))
    return records


def _telling(progress: Progress, name: str, done: int, plan: Plan, records: list[Record]) -> Tell:
    best = _so_far(plan, records)

    def tell(share: float, note: str) -> None:
        now = round((done + share) * 100)
        progress("searching", now, (plan.trials + 1) * 100, f"{name}, {note}  {best}")

    return tell


def _so_far(plan: Plan, records: list[Record]) -> str:
    done = [r for r in records if r.state == "complete" and r.score is not None]
    if not done:
        return ""
    best = _best(done, maximise=plan.objective == "auc")
    return f"best {plan.objective} {best.score:.3f} ({best.name})"


def _best(records: list[Record], *, maximise: bool) -> Record:
    """The best finished trial; of equal ones the first, so that a tie keeps the base recipe.

    Raises:
        RecipeError: `no-trial-finished`, with the first error.
    """
    done = [r for r in records if r.state == "complete" and r.score is not None]
    if not done:
        error = next((r.error for r in records if r.error), {"what": "none was finished"})
        raise RecipeError(ALL_FAILED, f"all {len(records)} trainings failed: {error['what']}")
    sign = -1.0 if maximise else 1.0
    return min(done, key=lambda record: sign * (record.score or 0.0))


def _patients(cohort: Cohort) -> int:
    return len({case.patient for case in cohort.cases})


def _comment(plan: Plan, best: Record, searched: Cohort) -> str:
    return (
        f"{best.name} of a search over the space {plan.space.name!r} from the recipe "
        f"{plan.base.name!r}:\n{plan.objective} {best.score:.4f}, out of fold on "
        f"{_patients(searched)} patients; it was chosen for this number, which therefore flatters."
    )
