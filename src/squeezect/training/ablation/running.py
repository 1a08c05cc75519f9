"""Train a recipe and its switched forms on the same cases, and compare each with the recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from squeezect.cohorts import Cohort
from squeezect.cohorts.layouts import detect_layout, read_dataset
from squeezect.errors import RecipeError
from squeezect.evaluation import (
    Comparison,
    compare_auc_over_seeds,
    holm,
)
from squeezect.training.ablation.bench import Bench, Scored
from squeezect.training.ablation.switches import Switch, forms_of
from squeezect.training.progress import Progress, silent
from squeezect.training.recipe import BAD_RECIPE, Recipe
from squeezect.training.teachers import refuse_pseudo_labels
from squeezect.training.watch import DIVERGED

FULL = "the recipe"
ONE_VIEW = "one view at test time"


@dataclass(frozen=True)
class Plan:
    """What an ablation does.

    Args:
        recipe: what is taken apart.
        switches: each makes one form of the recipe.
        seeds: of the recipe itself.
        switch_seeds: of the forms; each must be among `seeds`.
        specificity: at which sensitivities are told.
        skipped: why further switches are not tried, by name.

    Raises:
        RecipeError: `bad-recipe`.
    """

    recipe: Recipe
    switches: Sequence[Switch]
    seeds: Sequence[int] = (0, 1, 2)
    switch_seeds: Sequence[int] = (0,)
    specificity: float = 0.982
    skipped: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.switch_seeds or not set(self.switch_seeds) <= set(self.seeds):
            what = f"seeds {list(self.switch_seeds)} of the forms are not among {list(self.seeds)}"
            raise RecipeError(BAD_RECIPE, what, remedy="name seeds that the recipe has too")


@dataclass(frozen=True, eq=False)
class Outcome:
    """One form of a recipe, and how it compares with the recipe itself.

    Args:
        name: what was switched.
        by_seed: its scores.
        against: this form minus the recipe under the same seeds, on the same cases; None for the
            recipe itself.
        p_value: of that comparison, corrected for their number (Holm); None for the recipe.
    """

    name: str
    by_seed: dict[int, Scored]
    against: Comparison | None = None
    p_value: float | None = None

    @property
    def first(self) -> Scored:
        """The scores under the first seed."""
        return next(iter(self.by_seed.values()))

    @property
    def areas(self) -> list[float]:
        """ROC AUC of each seed, lowest first."""
        return sorted(scored.roc_auc.value for scored in self.by_seed.values())

    def as_dict(self) -> dict[str, object]:
        """Everything as plain JSON."""
        return {
            "name": self.name,
            "seeds": {str(seed): scored.as_dict() for seed, scored in self.by_seed.items()},
            "minus_recipe": self.against.as_dict() if self.against else None,
            "p_value_corrected": self.p_value,
        }


@dataclass(frozen=True, eq=False)
class Ablation:
    """A recipe taken apart.

    Args:
        recipe: the recipe as it was trained.
        data: name of the data set.
        specificity: at which sensitivities are told.
        full: the recipe itself.
        outcomes: its switched forms.
        skipped: why further switches were not tried, or have no result, by name.
    """

    recipe: Recipe
    data: str
    specificity: float
    full: Outcome
    outcomes: Sequence[Outcome]
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def spread(self) -> float:
        """How far apart the recipe's own areas are over its seeds; 0 for one seed."""
        return self.full.areas[-1] - self.full.areas[0]

    def as_dict(self) -> dict[str, object]:
        """Everything as plain JSON."""
        cases = self.full.first.cases
        return {
            "recipe": self.recipe.model_dump(mode="json"),
            "data": self.data,
            "cases": cases.n,
            "patients": cases.patients,
            "positives": cases.positives,
            "specificity": self.specificity,
            "spread_over_seeds": self.spread,
            "full": self.full.as_dict(),
            "switched": [outcome.as_dict() for outcome in self.outcomes],
            "skipped": dict(self.skipped),
        }


def learns_from_lists(dataset: Path, recipe: Recipe) -> bool:
    """Whether a recipe learns from a data set's lists of 2D patches, as they are."""
    return detect_layout(dataset) == "patch-lists" and not recipe.preparation.cuts_patches


def ablate(
    dataset: Path, plan: Plan, out: Path, *, workers: int = 1, progress: Progress = silent
) -> Ablation:
    """Train a recipe and its switched forms under one split and budget, and compare.

    A form is compared with the recipe under its own seeds, which give both the same folds, initial
    weights and order of cases. A form that diverges is skipped, and tried anew by the next call.
    Test parts of a cohort stay closed: no scan of theirs is opened.
    Lists of patches are judged on the list that is not learned from; whoever chooses by that needs
    a third list to report on.

    Args:
        dataset: a cohort's table or a data set's folder.
        plan: what is taken apart, and how.
        out: holds a run for each form and seed; whatever is finished there is not trained again.
        workers: processes that prepare scans.
        progress: who is told.

    Returns:
        Scores and comparisons, see `write_ablation`.

    Raises:
        RecipeError: `bad-recipe`, `idle-switch`, and what else training says of any form, before
            anything is trained; `other-run`; `training-diverged`, if the recipe itself does.
        CohortError: `pseudo-labels-unused`.
        CohortError, PreparationError: what training says of the data set.
    """
    recipe, seeds, switch_seeds = plan.recipe, plan.seeds, plan.switch_seeds
    patches = learns_from_lists(dataset, recipe)
    forms = forms_of(recipe, plan.switches, patches=patches)
    cohort = read_dataset(dataset)
    refuse_pseudo_labels(cohort, "ablate")
    cohort, apart = _parted(cohort, patches=patches)
    bench = Bench(cohort, apart, out, plan.specificity, patches, workers, progress)
    for form in (recipe, *(form for _, form in forms)):
        bench.rehearse(form)
    # The recipe first, then every form once, then further seeds: a run cut short says most.
    full = {switch_seeds[0]: bench.score(recipe, "recipe", switch_seeds[0])}
    found: dict[str, dict[int, Scored]] = {}
    skipped = dict(plan.skipped)
    _try_forms(bench, forms, switch_seeds[0], found, skipped)
    for seed in seeds:
        full[seed] = full.get(seed) or bench.score(recipe, "recipe", seed)
    for seed in switch_seeds[1:]:
        _try_forms(bench, [one for one in forms if one[0].name in found], seed, found, skipped)
    if patches or recipe.views > 1:
        found[ONE_VIEW] = {switch_seeds[0]: bench.one_view(recipe, switch_seeds[0])}
    return Ablation(
        recipe,
        dataset.resolve().name,
        plan.specificity,
        Outcome(FULL, full),
        _compared(full, found),
        skipped,
    )


def _parted(cohort: Cohort, *, patches: bool) -> tuple[Cohort, Cohort | None]:
    """The cohort without its test part, whose scans are not even prepared, and that part.

    Lists of patches have none: what is judged there is the list that is not learned from.
    """
    if patches:
        return cohort, None
    test = {case.row for case in cohort.cases if case.split == "test"}
    return cohort.without(test), cohort.only(test)


def _try_forms(
    bench: Bench,
    forms: Sequence[tuple[Switch, Recipe]],
    seed: int,
    found: dict[str, dict[int, Scored]],
    skipped: dict[str, str],
) -> None:
    """Add every form's score under a seed, or why it has none; it must not stop the others."""
    for switch, form in forms:
        try:
            scored = bench.score(form, switch.slug, seed)
        except RecipeError as error:
            if error.code != DIVERGED.name:
                raise
            skipped[f"{switch.name}, seed {seed}"] = "its loss is no number any more"
        else:
            found.setdefault(switch.name, {})[seed] = scored


def _compared(full: dict[int, Scored], found: dict[str, dict[int, Scored]]) -> list[Outcome]:
    cases = next(iter(full.values())).cases
    against = [
        compare_auc_over_seeds(
            cases.label,
            [scored.cases.score for scored in by_seed.values()],
            [full[seed].cases.score for seed in by_seed],
            patients=cases.patient,
        )
        for by_seed in found.values()
    ]
    corrected = holm([comparison.p_value for comparison in against])
    return [
        Outcome(name, by_seed, comparison, p_value)
        for (name, by_seed), comparison, p_value in zip(
            found.items(), against, corrected, strict=True
        )
    ]
