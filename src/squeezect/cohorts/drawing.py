"""Draw folds from a cohort: by patient, stratified by class, repeatable.

Every draw ranks patients by a keyed hash of their id, so it depends on the seed and the patients
only: not on the order of rows, and hardly on who else is there.
"""

import hashlib
from collections.abc import Iterable, Sequence

from squeezect.cohorts.folds import BAD_FOLDS, Fold, Folds, Rows
from squeezect.cohorts.problems import ONE_CLASS, PATIENT_IN_TWO_PARTS
from squeezect.cohorts.table import Case, Cohort, patients_of
from squeezect.errors import Code, CohortError
from squeezect.scan import pseudonym

TOO_FEW_PATIENTS = Code(
    "too-few-patients",
    "A class has too few patients for the folds asked for.",
    "use fewer folds or add patients of this class",
)

Groups = dict[str, list[Case]]


def make_folds(
    cohort: Cohort,
    *,
    folds: int = 5,
    seed: int = 0,
    tune_fraction: float = 0.15,
    test_fraction: float = 0.0,
) -> Folds:
    """Draw patient-grouped, stratified folds over the labelled cases of a cohort.

    Args:
        cohort: who is there. Rows with split ``test`` are the test part; without such rows a share
            of the patients is drawn.
        folds: how many, 2 or more.
        seed: another seed is another draw.
        tune_fraction: share of each fold's training patients that only tune.
        test_fraction: share of all patients drawn for the test part; the paper uses 0.08.

    Returns:
        Folds by row number; unlabelled cases are in none.

    Raises:
        CohortError: `too-few-patients`, `too-few-classes`, `patient-in-two-parts`, `bad-folds`.

    Example:
        >>> from pathlib import Path
        >>> cases = [Case(Path(f"{i}.mha"), f"p{i}", i % 2, i + 1) for i in range(20)]
        >>> drawn = make_folds(Cohort(tuple(cases), Path("cohort.csv")), folds=4)
        >>> [len(fold.validation) for fold in drawn.folds]
        [5, 5, 5, 5]
    """
    if folds < 2:
        raise CohortError(BAD_FOLDS, f"{folds} folds leave nobody to judge")
    groups, test = _without_test(cohort, seed, test_fraction)
    _check_counts(groups, folds)
    dealt = _deal(groups, folds, seed)
    return _assemble(cohort, dealt, test=test, seed=seed, tune_fraction=tune_fraction)


def official_folds(cohort: Cohort, *, seed: int = 0, tune_fraction: float = 0.15) -> Folds:
    """The folds that the authors of a data set drew (`Case.fold`), with a tune part in each.

    Args:
        cohort: labelled cases with a fold each, but for those of split ``test``.
        seed: draws the tune parts.
        tune_fraction: share of each fold's training patients that only tune.

    Raises:
        CohortError: `bad-folds` if a case has no fold, `patient-in-two-parts` if the authors' folds
            share a patient, `too-few-classes`, `too-few-patients`.
    """
    groups, test = _without_test(cohort, seed, 0.0)
    dealt: dict[int, set[str]] = {}
    for patient, cases in groups.items():
        for case in cases:
            if case.fold is None:
                what = f"row {case.row} of {cohort.source.name} names no fold"
                raise CohortError(BAD_FOLDS, what, remedy="use folds drawn at random instead")
            dealt.setdefault(case.fold, set()).add(patient)
            if case.fold != cases[0].fold:
                rows = (
                    f"rows {cases[0].row} (fold {cases[0].fold}) and {case.row} (fold {case.fold})"
                )
                what = f"{rows} of {cohort.source.name} are one patient"
                raise CohortError(PATIENT_IN_TWO_PARTS, what)
    if len(dealt) < 2:
        raise CohortError(BAD_FOLDS, f"{cohort.source.name} has {len(dealt)} fold, not 2 or more")
    parts = [dealt[number] for number in sorted(dealt)]
    return _assemble(cohort, parts, test=test, seed=seed, tune_fraction=tune_fraction)


def _without_test(cohort: Cohort, seed: int, fraction: float) -> tuple[Groups, set[str]]:
    """Labelled cases by patient, split into those that take part and the test patients."""
    groups = patients_of(cohort.labelled)
    if len({case.label for case in cohort.labelled}) < 2:
        found = sorted({str(case.label) for case in cohort.labelled})
        what = f"labels of {cohort.source.name} are {', '.join(found) or 'none'}"
        raise CohortError(ONE_CLASS, what)
    test = {p for p, cases in groups.items() if any(c.split == "test" for c in cases)}
    if not test:
        test = _share(groups, fraction, key=f"{seed}/test")
    return {p: cases for p, cases in groups.items() if p not in test}, test


def _assemble(
    cohort: Cohort,
    dealt: Sequence[set[str]],
    *,
    test: set[str],
    seed: int,
    tune_fraction: float,
) -> Folds:
    groups = patients_of(cohort.labelled)
    drawn = []
    for number, validation in enumerate(dealt):
        rest = {p: c for p, c in groups.items() if p not in validation and p not in test}
        tune = _share(rest, tune_fraction, key=f"{seed}/tune/{number}")
        train = set(rest) - tune
        for part, needed in (("train", train), ("tune", tune), ("validation", validation)):
            _check_classes(cohort, groups, needed, f"the {part} part of fold {number}")
        rows = {"train": train, "tune": tune, "validation": validation}
        drawn.append(Fold(**{part: _rows(groups, who) for part, who in rows.items()}))
    names = {c.row: pseudonym(c.patient) for c in cohort.labelled}
    return Folds(tuple(drawn), _rows(groups, test), dict(sorted(names.items())))


def _rows(groups: Groups, patients: Iterable[str]) -> Rows:
    return tuple(sorted(case.row for patient in patients for case in groups[patient]))


def _rank(patient: str, key: str) -> bytes:
    return hashlib.blake2b(patient.encode(), key=key.encode()[:64], digest_size=16).digest()


def _strata(groups: Groups) -> list[list[str]]:
    """Patients by the rarest class that they have a case of; the rarest class first."""
    counts: dict[int, int] = {}
    labels = {p: {c.label for c in cases if c.label is not None} for p, cases in groups.items()}
    for found in labels.values():
        for label in found:
            counts[label] = counts.get(label, 0) + 1
    order = sorted(counts, key=lambda label: (counts[label], label))
    home = {p: min(found, key=order.index) for p, found in labels.items()}
    strata = [[p for p in groups if home[p] == label] for label in order]
    return [stratum for stratum in strata if stratum]


def _share(groups: Groups, fraction: float, *, key: str) -> set[str]:
    """A share of the patients of each stratum: one at least and never all, unless it is zero."""
    if not 0 <= fraction < 1:
        raise CohortError(BAD_FOLDS, f"fraction {fraction} is not in [0, 1)")
    drawn: set[str] = set()
    for stratum in _strata(groups) if fraction else ():
        ranked = sorted(stratum, key=lambda p: _rank(p, key))
        count = max(1, round(fraction * len(ranked)))
        drawn.update(ranked[: min(count, len(ranked) - 1)])
    return drawn


def _deal(groups: Groups, folds: int, seed: int) -> list[set[str]]:
    """Deal patients out to the fold that has least of their classes, then fewest cases."""
    totals: dict[int | None, int] = {}
    for case in (case for cases in groups.values() for case in cases):
        totals[case.label] = totals.get(case.label, 0) + 1
    counts = [dict.fromkeys(totals, 0) for _ in range(folds)]
    parts: list[set[str]] = [set() for _ in range(folds)]
    for stratum in _strata(groups):
        # The largest first, so that the small ones can level what these leave uneven.
        ranked = sorted(stratum, key=lambda p: (-len(groups[p]), _rank(p, f"{seed}/deal")))
        for patient in ranked:
            own = {c: [k.label for k in groups[patient]].count(c) for c in totals}
            best = min(
                range(folds),
                key=lambda f: (
                    sum(counts[f][c] * own[c] / totals[c] ** 2 for c in totals),
                    sum(counts[f].values()),
                    f,
                ),
            )
            parts[best].add(patient)
            for label, count in own.items():
                counts[best][label] += count
    return parts


def _check_counts(groups: Groups, folds: int) -> None:
    for label in sorted({c.label or 0 for cases in groups.values() for c in cases}):
        have = sum(any(c.label == label for c in cases) for cases in groups.values())
        if have < folds:
            what = f"class {label} has {have} patients outside the test part, {folds} folds need "
            raise CohortError(TOO_FEW_PATIENTS, what + f"{folds}")


def _check_classes(cohort: Cohort, groups: Groups, patients: set[str], where: str) -> None:
    found = {case.label for patient in patients for case in groups[patient]}
    lacks = {case.label for case in cohort.labelled} - found
    if patients and lacks:
        classes = ", ".join(sorted(map(str, lacks)))
        raise CohortError(TOO_FEW_PATIENTS, f"{where} has nobody of class {classes}")
