"""The leakage audit: does anything of one part of a study also lie in another?

A result is worth reporting only after this came back clean: the same patient, series or file on
both sides, copies under other names, overlapping candidates, and test scans that taught through
pseudo-labels all make a model look better than it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from squeezect.cohorts import leaks as find
from squeezect.cohorts.fingerprints import ALIKE
from squeezect.cohorts.folds import PARTS, Folds
from squeezect.cohorts.leaks import PSEUDO, Copies, Leak, Parts
from squeezect.cohorts.table import Case, Cohort
from squeezect.errors import Code, CohortError

SHOWN = 3
"""Leaks spelled out in one message; the others are counted."""

LEAK = Code(
    "leak",
    "Parts that must be apart share patients, scans or copies of scans.",
    "put everything of a patient into one part, remove copies, and train again",
)


@dataclass(frozen=True)
class AuditRules:
    """When two things count as one.

    Args:
        alike: likeness from which two volumes are copies, see `likeness`.
        overlap_mm: points of one scan closer than this overlap; the side of the patch, in mm.
        transductive: pseudo-labels of test scans were asked for; they are told, but allowed.
    """

    alike: float = ALIKE
    overlap_mm: float = 30.0
    transductive: bool = False


@dataclass(frozen=True)
class Audit:
    """What an audit looked at and what it found.

    Args:
        rows: leaks, one per kind, culprit and pair of parts.
        parts: number of cases in each part; of folds, those of the first.
        checked: number of cases that have what each check needs, e.g. a known series.
    """

    rows: tuple[Leak, ...]
    parts: Mapping[str, int]
    checked: Mapping[str, int]

    @property
    def ok(self) -> bool:
        """Whether nothing was found, or nothing but what was asked for."""
        return all(leak.allowed for leak in self.rows)

    @property
    def transductive(self) -> bool:
        """Whether test scans were pseudo-labelled on purpose; a report has to say so."""
        return any(leak.allowed for leak in self.rows)

    def as_dict(self) -> dict[str, object]:
        """The audit as plain JSON."""
        return {
            "ok": self.ok,
            "transductive": self.transductive,
            "parts": dict(self.parts),
            "checked": dict(self.checked),
            "leaks": [asdict(leak) for leak in self.rows],
        }

    def __str__(self) -> str:
        parts = ", ".join(f"{size} {name}" for name, size in self.parts.items() if size)
        checked = ", ".join(f"{count} by {name}" for name, count in self.checked.items())
        found = [str(leak) for leak in self.rows] or ["no leak found"]
        return "\n".join([f"cases: {parts}", f"compared: {checked}", *found])

    def require_ok(self) -> None:
        """Refuse to go on with parts that leak.

        Raises:
            CohortError: `leak`, with the first few.
        """
        found = [leak for leak in self.rows if not leak.allowed]
        if found:
            told = "; ".join(map(str, found[:SHOWN]))
            more = len(found) - SHOWN
            raise CohortError(LEAK, told + (f"; and {more} more" if more > 0 else ""))


def audit(
    parts: Parts,
    *,
    fingerprints: Mapping[str, bytes] | None = None,
    pseudo_labelled: Sequence[Case] = (),
    rules: AuditRules | None = None,
) -> Audit:
    """Look for anything that two parts of a study share.

    Args:
        parts: cases by the name of their part: ``train``, ``tune``, ``validation``, ``test``, ...
        fingerprints: see `fingerprint`, by `Case.voxels`; copies are found among these only.
        pseudo_labelled: cases that teach by a label that a model gave them. They may share
            patients with ``train`` only.
        rules: when two things count as one; the defaults where None.

    Returns:
        All leaks, and how many cases each check could look at.

    Example:
        >>> from pathlib import Path
        >>> one, two = (Case(Path(name), patient="p", label=0, row=1) for name in "ab")
        >>> [leak.kind for leak in audit({"train": [one], "test": [two]}).rows]
        ['same-patient']
    """
    rules = rules or AuditRules()
    copies = find.copies_among(fingerprints or {}, rules.alike)
    found = _leaks(parts, copies, pseudo_labelled, rules)
    return Audit(
        tuple(found),
        {name: len(cases) for name, cases in parts.items()},
        _checked(
            [case for cases in parts.values() for case in cases], fingerprints, pseudo_labelled
        ),
    )


def audit_folds(
    cohort: Cohort,
    folds: Folds,
    *,
    fingerprints: Mapping[str, bytes] | None = None,
    pseudo_labelled: Sequence[Case] | Mapping[int, Sequence[Case]] = (),
    rules: AuditRules | None = None,
) -> Audit:
    """Audit every fold of a cohort; see `audit`.

    Args:
        cohort: the cases.
        folds: their parts.
        fingerprints: by `Case.voxels`.
        pseudo_labelled: cases that teach by a label that a model gave them, in every fold, or by
            the number of the fold.
        rules: when two things count as one.

    Raises:
        CohortError: `unknown-row`, if the folds are of another cohort.
    """
    rules = rules or AuditRules()
    copies = find.copies_among(fingerprints or {}, rules.alike)
    by_fold = (
        pseudo_labelled
        if isinstance(pseudo_labelled, Mapping)
        else dict.fromkeys(range(len(folds.folds)), pseudo_labelled)
    )
    everyone = {case.voxels: case for cases in by_fold.values() for case in cases}
    found: list[Leak] = []
    sizes: dict[str, int] = {}
    for number, fold in enumerate(folds.folds):
        rows = {part: getattr(fold, part) for part in PARTS} | {"test": folds.test}
        parts = {part: [cohort.case(row) for row in rows[part]] for part in rows}
        sizes = sizes or {part: len(cases) for part, cases in parts.items()}
        taught = by_fold.get(number, ())
        leaks = _leaks(parts, copies, taught, rules)
        found += [replace(leak, where=f"fold {number}") for leak in leaks]
    cases = [cohort.case(row) for row in folds.patients]
    return Audit(tuple(found), sizes, _checked(cases, fingerprints, tuple(everyone.values())))


def _leaks(
    parts: Parts, copies: Copies, pseudo_labelled: Sequence[Case], rules: AuditRules
) -> Iterable[Leak]:
    sides = dict(parts) | ({PSEUDO: pseudo_labelled} if pseudo_labelled else {})
    files = find.file_keys(sides)
    found = [
        *find.shared(sides, "same-patient", lambda case: case.patient),
        *find.shared(sides, "same-series", lambda case: case.series),
        *find.shared(sides, "same-file", lambda case: files[case.voxels]),
        *find.copied(sides, copies, files),
        *find.overlapping(sides, files, rules.overlap_mm),
        *find.marked_test(pseudo_labelled),
    ]
    return dict.fromkeys(_named(leak, transductive=rules.transductive) for leak in found)


def _named(leak: Leak, *, transductive: bool) -> Leak:
    """A leak between pseudo-labels and the test part by its own name, allowed if asked for."""
    if set(leak.parts) != {PSEUDO, "test"}:
        return leak
    detail = leak.detail
    if leak.kind != "pseudo-labelled-test":
        detail = f"{leak.kind}, {detail}"
    return replace(leak, kind="pseudo-labelled-test", detail=detail, allowed=transductive)


def _checked(
    cases: Sequence[Case],
    fingerprints: Mapping[str, bytes] | None,
    pseudo_labelled: Sequence[Case],
) -> dict[str, int]:
    everyone = [*cases, *pseudo_labelled]
    prints = fingerprints or {}
    return {
        "same-patient": len(everyone),
        "same-series": sum(bool(case.series) for case in everyone),
        "same-file": len(everyone),
        "near-duplicate": sum(case.voxels in prints for case in everyone),
        "overlapping-candidates": sum(case.point_mm is not None for case in everyone),
        "pseudo-labelled-test": len(pseudo_labelled),
    }
