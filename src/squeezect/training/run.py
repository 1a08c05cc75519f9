"""What one training works on: who, with which recipe, in which folds, taught by whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from squeezect.cohorts import Case, Cohort, Folds
from squeezect.errors import Code, RecipeError
from squeezect.training.fold import Part
from squeezect.training.insertion import open_bank
from squeezect.training.prepared import Prepared, case_key
from squeezect.training.recipe import Recipe
from squeezect.training.starting import Source, Start
from squeezect.training.tables import label_of
from squeezect.training.teachers import Lesson, Teachers
from squeezect.training.teaching import Lore

TAUGHT_AND_GUESSED = Code(
    "taught-and-guessed",
    "A recipe with [teaching] is to learn from pseudo-labels, which carry nothing but a label.",
    "train without pseudo-labels, or take [teaching] out of the recipe",
)


@dataclass(frozen=True)
class Run:
    """What one training works on.

    Args:
        cohort: who takes part.
        recipe: what is done.
        folder: where it is written.
        volumes: prepared volumes of the cases.
        folds: who is in which part.
        source: networks that folds start from; None for fresh weights.
        lessons: pseudo-labels by fold.
        teachers: who gave them.
        apart: cases that were taken out of the cohort to judge later, by another run.
    """

    cohort: Cohort
    recipe: Recipe
    folder: Path
    volumes: Prepared
    folds: Folds
    source: Source | None = None
    lessons: Mapping[int, Lesson] = field(default_factory=dict)
    teachers: Teachers | None = None
    apart: Sequence[Case] = ()

    def key(self, case: Case) -> str:
        """The key of a case's volume."""
        return case_key(case, self.recipe.preparation)

    def part(self, rows: Sequence[int]) -> Part:
        """Keys and labels of some rows of the cohort."""
        cases = [self.cohort.case(row) for row in rows]
        return Part([self.key(c) for c in cases], [label_of(c) for c in cases])

    def start(self, k: int) -> Start | None:
        """What fold `k` starts from; None for fresh weights."""
        if self.source is None:
            return None
        return Start(self.source.donor(k, judged_by(self.folds, k)), self.recipe)

    def learning(self, rows: Sequence[int]) -> Part:
        """A training part: with real nodules to insert, if the recipe names a bank of them.

        None of them is of a patient or a series of the cohort that is not in this part, or of one
        that is kept apart. If the recipe teaches more than labels, that comes along too.

        Raises:
            PreparationError: `bad-nodule-bank`.
            RecipeError: `bank-names-nobody`.
        """
        known = {self.cohort.case(row).patient for row in rows}
        everyone = (*self.cohort.cases, *self.apart)
        others = [case for case in everyone if case.patient not in known]
        bank = open_bank(self.recipe.insertion, judged=others)
        how = self.recipe.teaching
        if how is None:
            return replace(self.part(rows), bank=bank)
        cases = [self.cohort.case(row) for row in rows]
        lore = Lore.read(cases, how, self.recipe.preparation)
        return replace(self.part(rows), bank=bank, lore=lore)

    def taught(self, k: int) -> Part:
        """What fold `k` is fitted to: labelled cases, then pseudo-labelled ones."""
        own = self.learning(self.folds.folds[k].train)
        labels = self.lessons[k].labels if k in self.lessons else {}
        keys = [self.key(self.cohort.case(row)) for row in labels]
        if not keys:
            return own
        if own.lore is not None:
            what = f"recipe {self.recipe.name} teaches more than labels"
            raise RecipeError(TAUGHT_AND_GUESSED, what)
        return Part([*own.keys, *keys], [*own.labels, *labels.values()], own.bank, len(keys))


def stamp_of(recipe: Recipe, apart: Cohort | None) -> dict[str, object]:
    """What a run depends on of the cases kept apart: it does without their nodules in its bank."""
    inserts = recipe.insertion is not None and recipe.insertion.bank
    return {"test_part": apart.digest} if inserts and apart and len(apart) else {}


def judged_by(folds: Folds, k: int) -> dict[str, int]:
    """Pseudonyms of the patients that judge fold `k`, the test part among them; a row of each."""
    rows = (*folds.folds[k].validation, *folds.test)
    return {folds.patients[row]: row for row in reversed(rows)}
