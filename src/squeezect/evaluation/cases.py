"""What every score is computed from: true classes, scores, and which patient each case is of."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from squeezect.errors import Code, EvaluationError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

BAD_SCORES = Code(
    "bad-scores",
    "Labels, scores or patients do not fit together, or are not what they should be.",
    "give one label (0 or 1), one finite score and one patient per case",
)
ONE_CLASS = Code(
    "one-class",
    "A score compares the two classes, but only one of them is there.",
    "evaluate on cases of both classes",
)
BAD_CHOICE = Code(
    "bad-choice",
    "A target, a threshold or a number of resamples is out of its range.",
    "choose a value in the range that the message names",
)


@dataclass(frozen=True, eq=False)
class Cases:
    """Cases to judge: true class, score and patient of each. Build it with `Cases.of`.

    Args:
        label: whether a case is of class 1, shape (n,).
        score: the larger, the more probably class 1, shape (n,).
        patient: number of the case's patient, 0 to `patients` - 1, shape (n,).
    """

    label: BoolArray
    score: FloatArray
    patient: IntArray

    @classmethod
    def of(
        cls,
        labels: npt.ArrayLike,
        scores: npt.ArrayLike,
        *,
        patients: npt.ArrayLike | None = None,
    ) -> Self:
        """Check and pack arrays of one length.

        Args:
            labels: true classes, 0 or 1, shape (n,).
            scores: finite numbers, shape (n,).
            patients: any names of the patients, shape (n,); without it each case is a patient.

        Raises:
            EvaluationError: `bad-scores`, naming the first wrong case (counted from 1).

        Example:
            >>> Cases.of([0, 1, 1], [0.2, 0.7, 0.6], patients=["a", "b", "b"]).patients
            2
        """
        label, score = np.asarray(labels), np.asarray(scores, dtype=float)
        if label.ndim != 1 or score.shape != label.shape or not label.size:
            raise EvaluationError(
                BAD_SCORES, f"labels {label.shape} and scores {score.shape} are not one row each"
            )
        for name, wrong, values in (
            ("label", ~np.isin(label, (0, 1)), label),
            ("score", ~np.isfinite(score), score),
        ):
            if wrong.any():
                first = int(np.flatnonzero(wrong)[0])
                raise EvaluationError(BAD_SCORES, f"{name} {values[first]} of case {first + 1}")
        codes = np.arange(label.size)
        if patients is not None:
            names = np.asarray(patients)
            if names.shape != label.shape:
                raise EvaluationError(
                    BAD_SCORES, f"patients {names.shape} do not fit labels {label.shape}"
                )
            # Sorted names, so that resampling does not depend on the order of the cases.
            codes = np.unique(names, return_inverse=True)[1]
        return cls(label.astype(bool), score, codes.astype(np.int64))

    @property
    def n(self) -> int:
        """Number of cases."""
        return int(self.label.size)

    @property
    def positives(self) -> int:
        """Number of cases of class 1."""
        return int(self.label.sum())

    @property
    def negatives(self) -> int:
        """Number of cases of class 0."""
        return self.n - self.positives

    @property
    def patients(self) -> int:
        """Number of patients."""
        return int(self.patient.max()) + 1

    @property
    def clustered(self) -> bool:
        """Whether a patient has more than one case."""
        return self.patients < self.n

    def both_classes(self) -> Self:
        """These cases, if both classes are there.

        Raises:
            EvaluationError: `one-class`.
        """
        if not 0 < self.positives < self.n:
            raise EvaluationError(
                ONE_CLASS, f"all {self.n} cases are of class {int(self.label[0])}"
            )
        return self

    def probabilities(self) -> Self:
        """These cases, if their scores are probabilities.

        Raises:
            EvaluationError: `bad-scores`, if a score is outside [0, 1].
        """
        wrong = (self.score < 0) | (self.score > 1)
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise EvaluationError(
                BAD_SCORES, f"probability {self.score[first]} of case {first + 1} outside [0, 1]"
            )
        return self

    def scored(self, scores: FloatArray) -> Self:
        """The same cases with other scores, shape (n,)."""
        return type(self)(self.label, scores, self.patient)

    def select(self, chosen: npt.NDArray[np.bool_] | IntArray) -> Self:
        """Some of the cases; patients are numbered anew, in the same order."""
        patient = np.unique(self.patient[chosen], return_inverse=True)[1].astype(np.int64)
        return type(self)(self.label[chosen], self.score[chosen], patient)

    @cached_property
    def order(self) -> IntArray:
        """Indices of the cases from the highest score to the lowest, shape (n,)."""
        return np.argsort(-self.score, kind="stable").astype(np.int64)

    @cached_property
    def starts(self) -> IntArray:
        """Where, in `order`, each group of equal scores begins, shape (groups,)."""
        ranked = self.score[self.order]
        return np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]).astype(np.int64)


def check_fraction(name: str, value: float) -> float:
    """A chosen fraction, if it is in (0, 1].

    Raises:
        EvaluationError: `bad-choice`.
    """
    if not 0 < value <= 1:
        raise EvaluationError(BAD_CHOICE, f"{name} {value} is not above 0 and at most 1")
    return float(value)
