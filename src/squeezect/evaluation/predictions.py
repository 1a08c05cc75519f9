"""The predictions of a run, read from ``predictions.csv`` and checked before anything is scored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from squeezect.errors import Code, EvaluationError
from squeezect.evaluation.cases import BoolArray, Cases, FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

FILE = "predictions.csv"
COLUMNS = ("row", "patient", "part", "fold", "label", "probability")

NO_PREDICTIONS = Code(
    "no-predictions",
    "The run folder has no readable table of predictions.",
    "name the folder of a finished run; `squeezect train` writes it",
)
BAD_PREDICTION = Code(
    "bad-prediction",
    "A prediction is missing, not a number, or out of its range.",
    "train the run again, or correct the table",
)
DUPLICATE_PREDICTION = Code(
    "duplicate-prediction",
    "A case was predicted twice by one fold, or a test case not by every fold.",
    "train the run again, or correct the table",
)
LEAK = Code(
    "patient-in-two-folds",
    "A patient is in two folds, or in validation and test, so its scores are not honest.",
    "give all scans of a patient the same patient id and train again",
)
SINGLE_CLASS = Code(
    "single-class",
    "All out-of-fold cases of the run have the same label.",
    "evaluate a run on a cohort with both classes",
)


@dataclass(frozen=True, eq=False)
class Predicted:
    """Predictions of one part: one probability per case.

    Args:
        cases: label, probability and patient.
        row: row of each case in the cohort table, shape (n,).
        fold: fold whose network predicted it; -1 where several were averaged, shape (n,).
        spread: standard deviation over the networks, 0 where there is one, shape (n,).
        extra: further columns of the table by name, as text, each of shape (n,).
    """

    cases: Cases
    row: IntArray
    fold: IntArray
    spread: FloatArray
    extra: Mapping[str, npt.NDArray[np.str_]] = field(default_factory=dict)

    @property
    def out_of_fold(self) -> bool:
        """Whether each case was predicted by one network that did not train on its patient."""
        return bool((self.fold >= 0).all())

    def select(self, chosen: BoolArray) -> Self:
        """Some of the cases."""
        return type(self)(
            self.cases.select(chosen),
            self.row[chosen],
            self.fold[chosen],
            self.spread[chosen],
            {name: values[chosen] for name, values in self.extra.items()},
        )


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a run predicted for cases that its networks had not seen.

    Args:
        out_of_fold: each case of the folds, predicted by the network that did not train on it.
        test: each test case, the mean over all folds' networks; None without a test part.
    """

    out_of_fold: Predicted
    test: Predicted | None


def read_predictions(path: Path) -> Predictions:
    """Read and check a table of predictions.

    Columns: ``row`` (in the cohort table, from 1), ``patient``, ``part`` (``validation`` or
    ``test``), ``fold``, ``label`` (0 or 1), ``probability`` (of class 1). Any other column, such
    as ``diameter_mm``, is kept to tell subgroups apart.

    Args:
        path: the CSV file.

    Raises:
        EvaluationError: `no-predictions`, `bad-prediction`, `duplicate-prediction`,
            `patient-in-two-folds` or `single-class`, naming the file and its line.
    """
    table = _table(path)
    _check_duplicates(table, path.name)
    _check_leaks(table, path.name)
    validation, test = (table[table["part"] == part] for part in ("validation", "test"))
    if validation.empty:
        raise EvaluationError(NO_PREDICTIONS, f"{path.name} has no line of the part 'validation'")
    if validation["label"].nunique() < 2:
        label = validation["label"].iloc[0]
        raise EvaluationError(
            SINGLE_CLASS,
            f"all {len(validation)} validation lines of {path.name} have label {label}",
        )
    return Predictions(_single(validation), None if test.empty else _averaged(test))


def _table(path: Path) -> "pd.DataFrame":
    import pandas as pd

    if not path.is_file():
        raise EvaluationError(NO_PREDICTIONS, f"{path.name} is not in run {path.parent.name}")
    try:
        raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise EvaluationError(
            NO_PREDICTIONS, f"{path.name} of run {path.parent.name} is not a CSV table"
        ) from error
    missing = [name for name in COLUMNS if name not in raw]
    if missing or raw.empty:
        what = f"has no column {missing[0]!r}" if missing else "has no line below its header"
        raise EvaluationError(NO_PREDICTIONS, f"{path.name} of run {path.parent.name} {what}")
    table = raw.copy()
    for name in ("row", "fold", "label", "probability"):
        table[name] = pd.to_numeric(raw[name], errors="coerce")
    for name, allowed in (
        ("row", table["row"].mod(1).eq(0)),
        ("patient", raw["patient"].str.strip().ne("")),
        ("part", raw["part"].isin(("validation", "test"))),
        ("fold", table["fold"].mod(1).eq(0) & table["fold"].ge(0)),
        ("label", table["label"].isin((0, 1))),
        ("probability", table["probability"].between(0, 1)),
    ):
        if not allowed.all():
            line = int(np.flatnonzero(~allowed)[0])
            raise EvaluationError(
                BAD_PREDICTION, f"{name} {raw[name].iloc[line]!r} in line {line + 2} of {path.name}"
            )
    return table.astype({"row": np.int64, "fold": np.int64, "label": np.int64})


def _check_duplicates(table: "pd.DataFrame", name: str) -> None:
    again = table.duplicated(["row", "fold", "part"])
    if again.any():
        line = int(np.flatnonzero(again)[0])
        found = table.iloc[line]
        raise EvaluationError(
            DUPLICATE_PREDICTION,
            f"row {found['row']} is predicted twice by fold {found['fold']}, again in line"
            f" {line + 2} of {name}",
        )
    labels = table.groupby("row")["label"].nunique()
    if labels.gt(1).any():
        raise EvaluationError(BAD_PREDICTION, f"row {labels.idxmax()} has two labels in {name}")
    test = table[table["part"] == "test"]
    times = test.groupby("row")["fold"].size()
    if times.size and times.min() != times.max():
        raise EvaluationError(
            DUPLICATE_PREDICTION,
            f"test row {times.idxmin()} is predicted by {times.min()} folds, row {times.idxmax()}"
            f" by {times.max()} in {name}",
        )


def _check_leaks(table: "pd.DataFrame", name: str) -> None:
    # All test lines count as one group: every fold's network predicts them.
    group = table["fold"].astype(str).where(table["part"] == "validation", "test")
    for column in ("patient", "row"):
        first = group.groupby(table[column]).transform("first")
        if (first != group).any():
            line = int(np.flatnonzero(first != group)[0])
            here, there = (
                "the test part" if where == "test" else f"fold {where}"
                for where in (group.iloc[line], first.iloc[line])
            )
            raise EvaluationError(
                LEAK, f"the patient in line {line + 2} of {name} is in {here} and in {there}"
            )


def _single(table: "pd.DataFrame") -> Predicted:
    table = table.sort_values("row")
    return Predicted(
        Cases.of(table["label"], table["probability"], patients=table["patient"].to_numpy(str)),
        table["row"].to_numpy(),
        table["fold"].to_numpy(),
        np.zeros(len(table)),
        _extra(table),
    )


def _averaged(table: "pd.DataFrame") -> Predicted:
    # In the order of the folds, so that sums round alike whatever the order of the lines.
    by_row = table.sort_values(["row", "fold"]).groupby("row")
    first = by_row.first()
    mean = by_row["probability"].mean()
    return Predicted(
        Cases.of(first["label"], mean, patients=first["patient"].to_numpy(str)),
        first.index.to_numpy(),
        np.full(len(first), -1),
        np.asarray(by_row["probability"].std(ddof=0), dtype=float),
        _extra(first),
    )


def _extra(table: "pd.DataFrame") -> dict[str, npt.NDArray[np.str_]]:
    return {str(c): table[c].to_numpy(str) for c in table.columns if c not in COLUMNS}
