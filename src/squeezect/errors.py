"""What can go wrong, by name: stable codes, the findings that carry them, and the errors raised.

A `Code` is a stable name with its cause and remedy. A `Finding` is one occurrence of a code in
one scan; findings travel with a scan into predictions and reports. A `SqueezeCTError` is an
occurrence that stops the work.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Severity = Literal["refuse", "warn", "note"]


@dataclass(frozen=True)
class Code:
    """A stable name for one kind of problem, with what causes it and what to do about it.

    Args:
        name: stable identifier in kebab case, e.g. ``slice-gap``.
        cause: what is wrong, in one sentence without the occurrence's values.
        remedy: what the user can do, as an imperative clause.
        severity: ``refuse`` stops the work, ``warn`` lowers trust in the answer, ``note`` informs.
    """

    name: str
    cause: str
    remedy: str
    severity: Severity = "refuse"


@dataclass(frozen=True)
class Finding:
    """One occurrence of a code: the offending value with its unit, and where it was seen.

    Args:
        code: the kind of problem.
        value: the value found, with its unit, e.g. ``5.0 mm``.
        where: place in the scan or file, e.g. ``after z = -212.5 mm (IM_0113.dcm)``.
        overridden: True when a user chose to go on in spite of a refusal.
    """

    code: Code
    value: str
    where: str = ""
    overridden: bool = False

    @property
    def severity(self) -> Severity:
        """The code's severity; an overridden refusal counts as a warning."""
        return "warn" if self.overridden else self.code.severity

    def as_dict(self) -> dict[str, str]:
        """The finding as plain JSON: code, severity, value, where, advice."""
        row = {"code": self.code.name, "severity": self.severity, "value": self.value}
        if self.where:
            row["where"] = self.where
        if self.overridden:
            row["overridden"] = "yes"
        return row | {"advice": self.code.remedy}

    def __str__(self) -> str:
        place = f" {self.where}" if self.where else ""
        return f"{self.severity}: {self.code.name} {self.value}{place}; {self.code.remedy}"


class SqueezeCTError(Exception):
    """Base of every error that SqueezeCT raises on purpose.

    The text reads ``what; remedy [code]`` on one line, so that a command can print it as it is.

    Args:
        code: the kind of problem; its remedy is used unless `remedy` is given.
        what: what is wrong, with the offending value and where it is.
        remedy: a more specific remedy for this occurrence.
    """

    def __init__(self, code: Code, what: str, *, remedy: str = "") -> None:
        self.kind = code
        self.what = what
        self.remedy = remedy or code.remedy
        super().__init__(f"{what}; {self.remedy} [{code.name}]")

    @property
    def code(self) -> str:
        """The stable name of the problem."""
        return self.kind.name

    def as_dict(self) -> Mapping[str, str]:
        """The error as plain JSON: code, what, remedy."""
        return {"code": self.code, "what": self.what, "remedy": self.remedy}

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders when cohorts are prepared by workers.
        return (_rebuild, (type(self), self.kind, self.what, self.remedy))


def _rebuild(kind: "type[SqueezeCTError]", code: Code, what: str, remedy: str) -> "SqueezeCTError":
    return kind(code, what, remedy=remedy)


class ReadingError(SqueezeCTError, ValueError):
    """The input is not a CT volume that can be read without guessing."""


class GeometryError(SqueezeCTError, ValueError):
    """A grid or a point makes no sense in space."""


class PreparationError(SqueezeCTError, ValueError):
    """A scan cannot be turned into network input as asked."""


class StoreError(SqueezeCTError, OSError):
    """The store of prepared volumes is missing, foreign or damaged."""


class CohortError(SqueezeCTError, ValueError):
    """The table of patients and labels contradicts itself or its files."""


class ModelError(SqueezeCTError, ValueError):
    """A model is unknown, or is asked for something it cannot do."""


class CheckpointError(SqueezeCTError, ValueError):
    """A checkpoint or run folder is missing, foreign or damaged."""


class EvaluationError(SqueezeCTError, ValueError):
    """Scores cannot be computed from what was given."""


class CommandError(SqueezeCTError, ValueError):
    """A command line asks for something that it cannot mean."""


class RecipeError(SqueezeCTError, ValueError):
    """A training recipe is unknown or contradicts itself."""
