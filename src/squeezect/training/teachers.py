"""Pseudo-labels on disk: what each teacher says of each unlabelled scan, and whom it has seen.

They travel in a cohort's own table, as one column of probabilities per teacher; what the table
cannot hold lies beside it in ``NAME.teachers.json``.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from squeezect.checkpoint import Ancestor, write_atomically
from squeezect.cohorts import Case, Cohort, Folds
from squeezect.errors import Code, CohortError, RecipeError
from squeezect.scan import pseudonym
from squeezect.training.choosing import Rules
from squeezect.training.seen import Seen

COLUMN = re.compile(r"teacher_\d+")
"""How the columns of teachers are called."""

NO_TEACHER = Code(
    "no-honest-teacher",
    "Every teacher has been trained on patients that a fold of this run is judged by.",
    "train with the folds, seed and tuning share of the teachers' run, or let another run teach",
)
BAD_TEACHERS = Code(
    "bad-teachers",
    "The file beside the table does not tell of its teachers, or tells of others.",
    "make the table again with squeezect pseudo-label",
)


NO_TEACHERS_FILE = Code(
    "teachers-missing",
    "A table has pseudo-labels, but no file beside it tells of their teachers.",
    "keep NAME.teachers.json beside NAME.csv, or make the table again with squeezect pseudo-label, "
    "or take its teacher_ columns out",
)
UNTAUGHT = Code(
    "pseudo-labels-unused",
    "A table with pseudo-labels is given to a command that does not learn from them.",
    "give the table without its teacher_ columns, or learn from it with squeezect train",
)


class Teacher(BaseModel):
    """A network that has labelled scans.

    Args:
        column: of the table, with its probabilities.
        ancestor: which network it is.
        lineage: the networks that it was made from.
        seen: whom it has seen.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str
    ancestor: Ancestor
    lineage: tuple[Ancestor, ...] = ()
    seen: Seen


class Lesson(BaseModel):
    """What pseudo-labels teach one fold.

    Args:
        labels: pseudo-label by row.
        probabilities: mean over the teachers that may speak, by row, chosen or not.
        teachers: columns of those teachers.
        known: rows that every such teacher has been trained on a patient of.
        judges: rows of patients who tune or judge this fold.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: dict[int, int]
    probabilities: dict[int, float]
    teachers: tuple[str, ...]
    known: tuple[int, ...] = ()
    judges: tuple[int, ...] = ()


class Teachers(BaseModel):
    """All teachers of a table, and the rules by which their answers become labels.

    Args:
        run: name of the run that they come from.
        teachers: one for each of its folds.
        rules: which answers are sure enough, and how classes are balanced.
        transductive: test scans are pseudo-labelled on purpose.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str
    teachers: tuple[Teacher, ...] = Field(min_length=1)
    rules: Rules
    transductive: bool = False

    @classmethod
    def beside(cls, table: Path) -> Self | None:
        """The teachers of a table of pseudo-labels; None for other tables.

        Raises:
            CohortError: `bad-teachers`.
        """
        path = file_beside(table)
        if not path.is_file():
            return None
        try:
            return cls.model_validate_json(path.read_text("utf-8"))
        except (ValidationError, UnicodeDecodeError) as error:
            first = " ".join(str(error).splitlines()[:3])
            raise CohortError(BAD_TEACHERS, f"{path.name}: {first}") from error

    @classmethod
    def of(cls, cohort: Cohort) -> Self | None:
        """The teachers of a cohort's table; None if it has no pseudo-labels.

        Raises:
            CohortError: `bad-teachers`; `teachers-missing`, if there are pseudo-labels of nobody.
        """
        found = cls.beside(cohort.source) if cohort.source.is_file() else None
        spoken = spoken_columns(cohort)
        if found is None and spoken:
            beside = file_beside(cohort.source).name
            what = f"{cohort.source.name} has the column {spoken[0]!r}, but {beside} is not there"
            raise CohortError(NO_TEACHERS_FILE, what)
        return found

    def save(self, table: Path) -> None:
        """Write them beside a table."""
        text = json.dumps(self.model_dump(mode="json"), indent=1)
        write_atomically(file_beside(table), text.encode())

    @property
    def digest(self) -> str:
        """Changes whenever they could teach something else."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def taught(self, cohort: Cohort) -> list[Case]:
        """Cases that the teachers have spoken about, and that are theirs to label."""
        spoken = [c for c in cohort.cases if any(c.extra.get(t.column) for t in self.teachers)]
        return [c for c in spoken if c.label is None or c.split == "test"]

    def lesson(self, cohort: Cohort, folds: Folds, k: int) -> Lesson:
        """What fold `k` may learn from pseudo-labels.

        Only teachers speak that have seen none of the patients who judge the fold, and of a scan
        only those that have not seen its patient. Scans of patients who tune or judge the fold by
        validation are left out; test scans are the audit's business.

        Raises:
            RecipeError: `no-honest-teacher`.
            CohortError: `bad-teachers`.
        """
        fold = folds.folds[k]
        judges = {folds.patients[row] for row in (*fold.validation, *folds.test)}
        usable = [t for t in self.teachers if not judges & set(t.seen.patients)]
        cases = self.taught(cohort)
        if cases and not usable:
            what = (
                f"all {len(self.teachers)} teachers of {self.run} know patients who judge fold {k}"
            )
            raise RecipeError(NO_TEACHER, what)
        apart = {folds.patients[row] for row in (*fold.validation, *fold.tune)}
        here = [case for case in cases if pseudonym(case.patient) not in apart]
        means = {case.row: _mean(case, usable, cohort) for case in here}
        sure = {row: mean for row, mean in means.items() if mean is not None}
        return Lesson(
            labels=self.rules.choose(sure),
            probabilities=sure,
            teachers=tuple(t.column for t in usable),
            known=tuple(row for row, mean in means.items() if mean is None),
            judges=tuple(case.row for case in cases if pseudonym(case.patient) in apart),
        )

    def speaking(self, columns: Sequence[str]) -> tuple[Teacher, ...]:
        """The teachers of some columns."""
        return tuple(t for t in self.teachers if t.column in columns)

    def used(self, lessons: Mapping[int, Lesson]) -> dict[str, object]:
        """What a run's record says of its pseudo-labels; counts by fold."""
        return {
            "run": self.run,
            "transductive": self.transductive,
            "rules": self.rules.model_dump(mode="json"),
            "folds": [
                {
                    "labelled": len(lesson.labels),
                    "positive": sum(lesson.labels.values()),
                    "not_chosen": len(lesson.probabilities) - len(lesson.labels),
                    "known_to_teachers": len(lesson.known),
                    "tune_or_judge": len(lesson.judges),
                    "teachers": list(lesson.teachers),
                }
                for lesson in lessons.values()
            ],
        }


def file_beside(table: Path) -> Path:
    """Where the teachers of a table are."""
    return table.with_name(f"{table.stem}.teachers.json")


def spoken_columns(cohort: Cohort) -> list[str]:
    """Columns in which teachers have said something, sorted."""
    names = {name for case in cohort.cases for name, text in case.extra.items() if text}
    return sorted(name for name in names if COLUMN.fullmatch(name))


def refuse_pseudo_labels(cohort: Cohort, verb: str) -> None:
    """Refuse a table with pseudo-labels where nothing learns from them.

    Args:
        cohort: the cases.
        verb: what was to be done with them.

    Raises:
        CohortError: `pseudo-labels-unused`.
    """
    spoken = spoken_columns(cohort)
    if spoken:
        what = (
            f"{cohort.source.name} has the column {spoken[0]!r}, which {verb} does not learn from"
        )
        raise CohortError(UNTAUGHT, what)


def _mean(case: Case, usable: Sequence[Teacher], cohort: Cohort) -> float | None:
    """Mean probability of the teachers that have not seen the patient; None if all have."""
    name = pseudonym(case.patient)
    said = [case.extra.get(t.column, "") for t in usable if name not in t.seen.patients]
    try:
        values = [float(text) for text in said if text]
    except ValueError as error:
        what = f"row {case.row} of {cohort.source.name}: a teacher's probability is no number"
        raise CohortError(BAD_TEACHERS, what) from error
    if not all(0 <= value <= 1 for value in values):
        what = f"row {case.row} of {cohort.source.name}: a teacher's probability is not in 0 to 1"
        raise CohortError(BAD_TEACHERS, what)
    return sum(values) / len(values) if values else None
