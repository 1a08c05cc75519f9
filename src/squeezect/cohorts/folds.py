"""Who learns, who tunes, who judges: parts that never share a patient."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

from squeezect.cohorts.problems import PATIENT_IN_TWO_PARTS
from squeezect.errors import Code, CohortError

BAD_FOLDS = Code(
    "bad-folds",
    "The folds asked for or read make no sense.",
    "use 2 folds or more, and fractions from 0 up to, but not including, 1",
)

Rows = tuple[int, ...]
PARTS = ("train", "tune", "validation")


@dataclass(frozen=True)
class Fold:
    """Row numbers of one fold.

    Args:
        train: rows that weights are fitted to.
        tune: rows that choose the epoch and the threshold.
        validation: rows that only judge.
    """

    train: Rows
    tune: Rows
    validation: Rows


@dataclass(frozen=True)
class Folds:
    """Folds over a cohort, and its untouched test part; no patient is in two parts of a fold.

    Args:
        folds: one `Fold` each; together their validation parts hold every row but the test's once.
        test: rows that no fold touches.
        patients: pseudonym of the patient of each row.

    Raises:
        CohortError: `patient-in-two-parts` or `bad-folds`.

    Example:
        >>> folds = Folds((Fold((1,), (), (2,)), Fold((2,), (), (1,))), (), {1: "a", 2: "b"})
        >>> Folds.from_dict(folds.as_dict()) == folds
        True
    """

    folds: tuple[Fold, ...]
    test: Rows
    patients: Mapping[int, str]

    def __post_init__(self) -> None:
        everyone = set(self.patients)
        for number, fold in enumerate(self.folds):
            parts = {part: getattr(fold, part) for part in PARTS} | {"test": self.test}
            rows = [row for part in parts.values() for row in part]
            if len(rows) != len(everyone) or set(rows) != everyone:
                raise CohortError(BAD_FOLDS, f"fold {number} does not hold every row once")
            self._check_apart(parts, f"fold {number}")
        judged = [row for fold in self.folds for row in fold.validation]
        if sorted([*judged, *self.test]) != sorted(everyone):
            raise CohortError(BAD_FOLDS, "the validation parts do not hold every row once")
        self._check_apart(
            {f"validation of fold {n}": fold.validation for n, fold in enumerate(self.folds)},
            "the folds",
        )

    def _check_apart(self, parts: Mapping[str, Rows], where: str) -> None:
        home: dict[str, tuple[str, int]] = {}
        for part, rows in parts.items():
            for row in rows:
                other, first = home.setdefault(self.patients[row], (part, row))
                if other != part:
                    what = f"{where}: rows {first} ({other}) and {row} ({part}) are one patient"
                    raise CohortError(PATIENT_IN_TWO_PARTS, what)

    def as_dict(self) -> dict[str, object]:
        """The folds as plain JSON: rows of each part, and pseudonyms of patients by row."""
        return {
            "folds": [{k: list(v) for k, v in asdict(fold).items()} for fold in self.folds],
            "test": list(self.test),
            "patients": {str(row): name for row, name in self.patients.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Self:
        """The folds back from `as_dict`.

        Raises:
            CohortError: `bad-folds` for anything else, `patient-in-two-parts` if it was altered so.
        """
        from pydantic import TypeAdapter, ValidationError

        try:
            folds = TypeAdapter(tuple[Fold, ...]).validate_python(data.get("folds"))
            test = TypeAdapter(Rows).validate_python(data.get("test"))
            patients = TypeAdapter(dict[int, str]).validate_python(data.get("patients"))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or error.title
            what = f"not a description of folds: {place}: {first['msg']}"
            raise CohortError(BAD_FOLDS, what, remedy="make the folds again") from error
        return cls(folds, test, patients)
