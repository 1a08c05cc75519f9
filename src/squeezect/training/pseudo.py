"""Let the networks of a run label scans that nobody has labelled.

Source: Lee 2013; B. B. Ahn, "The Compact 3D Convolutional Neural Network for Medical Images", 2017.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from squeezect.checkpoint import Ancestor, write_atomically
from squeezect.cohorts import AuditRules, Case, Cohort, Folds, audit, fingerprint
from squeezect.cohorts.parsing import contradictions
from squeezect.cohorts.problems import refuse
from squeezect.errors import CheckpointError, Code, CohortError, PreparationError, SqueezeCTError
from squeezect.scan import pseudonym
from squeezect.training.auditing import SURELY_ALIKE
from squeezect.training.choosing import Rules
from squeezect.training.fold import Part, predict_part
from squeezect.training.prepared import Prepared, case_key, prepare_cohort
from squeezect.training.progress import Progress, silent
from squeezect.training.starting import Donor, Source
from squeezect.training.teachers import Teacher, Teachers, file_beside

NOTHING_TO_LABEL = Code(
    "nothing-to-label",
    "The table has no scan without a label.",
    "leave the label cell of scans empty that the networks are to label",
)
NO_LABELS = Code(
    "no-labels",
    "Neither table has labelled scans, so nothing could be trained on the result.",
    "name the labelled table with --cohort",
)
UNLABELLABLE = Code(
    "unprepared-unlabelled",
    "Scans that are to be labelled cannot be read or prepared.",
    "mend or remove these rows, or pass --skip-unreadable to leave them unlabelled",
)


@dataclass(frozen=True)
class Labelled:
    """What pseudo-labelling gave.

    Args:
        table: the cohort's table that was written.
        scans: how many scans were asked about.
        skipped: rows of scans that could not be prepared.
        chosen: by teacher, how many negatives and positives its rules would choose by itself.
        transductive: test scans are among them on purpose.
    """

    table: Path
    scans: int
    skipped: tuple[int, ...]
    chosen: dict[str, tuple[int, int]]
    transductive: bool

    def as_dict(self) -> dict[str, object]:
        """The result as plain JSON."""
        return {
            "table": str(self.table),
            "scans": self.scans,
            "skipped": list(self.skipped),
            "chosen": {
                name: {"negative": zeros, "positive": ones}
                for name, (zeros, ones) in self.chosen.items()
            },
            "transductive": self.transductive,
        }

    def __str__(self) -> str:
        lines = [f"{self.scans} scans in {self.table}; sure enough and balanced, by teacher:"]
        lines += [f"  {n}: {z} negative, {o} positive" for n, (z, o) in self.chosen.items()]
        if self.transductive:
            lines.append("transductive: test scans are pseudo-labelled; reports will say so")
        return "\n".join([*lines, f"next: squeezect train {self.table}"])


def pseudo_label(  # noqa: PLR0913
    run: Path,
    unlabelled: Cohort,
    out: Path,
    *,
    labelled: Cohort | None = None,
    rules: Rules | None = None,
    transductive: bool = False,
    store: Path | None = None,
    workers: int = 1,
    skip_unreadable: bool = False,
    progress: Progress = silent,
) -> Labelled:
    """Write a cohort's table in which every network of a run has judged the unlabelled scans.

    Each network keeps a column of its own: which of them may teach which fold is decided when the
    table is trained on, from whom each has seen. Killed, it goes on with the next network.

    Args:
        run: folder of a run with its networks.
        unlabelled: table with scans without labels; its labelled rows are passed on.
        out: the table to write.
        labelled: another table, whose rows are passed on as well.
        rules: which answers become labels; without a share of positives, that of the labelled
            cases is kept.
        transductive: label the test scans too, whatever their table says of them.
        store: folder of prepared volumes; ``store`` in the run folder by default.
        workers: processes that prepare scans.
        skip_unreadable: leave scans without label that cannot be prepared, instead of refusing.
        progress: who is told.

    Raises:
        CohortError: `nothing-to-label`, `no-labels`; `leak`, if a test scan would be labelled.
        CheckpointError: `checkpoint-missing`, `unknown-weights`.
        PreparationError: `unprepared-unlabelled`.
    """
    source = Source.open(run)
    cohort = _joined(unlabelled, labelled, out)
    asked = _asked(cohort, unlabelled.source.name, transductive=transductive)
    test = _test_cases(run, cohort)
    _audit(test, asked, None, transductive=transductive)
    how = source.donors[0].card.preparation
    involved = {c.row for c in (*asked, *test)}
    volumes, failed = prepare_cohort(
        cohort.only(involved), how, store or run / "store", workers=workers, progress=progress
    )
    if failed and not skip_unreadable:
        raise _unlabellable(out, failed)
    asked = [case for case in asked if case.row not in failed]
    _audit([c for c in test if c.row not in failed], asked, volumes, transductive=transductive)
    rules = _with_share(rules or Rules(), cohort)
    said = _said(source.donors, asked, volumes, out, progress)
    # First the table: one without teachers is refused, new teachers beside an old one are not.
    _write(cohort, said, asked, out)
    teachers = tuple(map(_teacher, source.donors, said))
    told = Teachers(run=source.name, teachers=teachers, rules=rules, transductive=transductive)
    told.save(out)
    for column in said:
        out.with_suffix(f".{column}.part").unlink(missing_ok=True)
    return Labelled(out, len(asked), tuple(failed), _chosen(said, asked, rules), transductive)


def _asked(cohort: Cohort, name: str, *, transductive: bool) -> list[Case]:
    """The cases to label: those without a label, and perhaps those of the test part."""
    asked = [c for c in cohort.cases if c.label is None or (transductive and c.split == "test")]
    if not asked:
        raise CohortError(NOTHING_TO_LABEL, f"all rows of {name} have labels")
    if not cohort.labelled:
        raise CohortError(NO_LABELS, f"{name} has no labelled rows")
    return asked


def _unlabellable(out: Path, failed: Mapping[int, SqueezeCTError]) -> SqueezeCTError:
    """The error that names the first case that could not be prepared, by its row."""
    row, error = next(iter(failed.items()))
    what = f"row {row} of {out.name}: {error.what} [{error.code}]"
    return PreparationError(UNLABELLABLE, what)


def _joined(unlabelled: Cohort, labelled: Cohort | None, out: Path) -> Cohort:
    """Both tables as one, rows numbered as the written table will have them."""
    cases = [*(labelled.cases if labelled else ()), *unlabelled.cases]
    cases = [replace(case, row=row) for row, case in enumerate(cases, start=1)]
    refuse(contradictions(cases, out))
    return Cohort(tuple(cases), out)


def _test_cases(run: Path, cohort: Cohort) -> list[Case]:
    """Cases of test patients: by their table, or by the run's own folds."""
    table = run / "folds.json"
    known: set[str] = set()
    if table.is_file():
        folds = Folds.from_dict(json.loads(table.read_text("utf-8")))
        known = {folds.patients[row] for row in folds.test}
    return [c for c in cohort.cases if c.split == "test" or pseudonym(c.patient) in known]


def _audit(
    test: Sequence[Case],
    asked: Sequence[Case],
    volumes: Prepared | None,
    *,
    transductive: bool,
) -> None:
    """Refuse to label test scans, or copies of them, that nobody asked to label."""
    prints = {}
    if volumes is not None:
        read = {c.voxels: case_key(c, volumes.preparation) for c in (*test, *asked)}
        prints = {name: fingerprint(volumes.read(key).values) for name, key in read.items()}
    rules = AuditRules(alike=SURELY_ALIKE, transductive=transductive)
    audit({"test": test}, fingerprints=prints, pseudo_labelled=asked, rules=rules).require_ok()


def _with_share(rules: Rules, cohort: Cohort) -> Rules:
    """The rules, with the cohort's own share of positives where they name none."""
    if rules.positive_share is not None:
        return rules
    return rules.model_copy(update={"positive_share": _share_of(cohort)})


def _share_of(cohort: Cohort) -> float | None:
    """Share of positives among the labelled cases that are not for testing."""
    labels = [case.label == 1 for case in cohort.labelled if case.split != "test"]
    share = sum(labels) / len(labels) if labels else 0.0
    return share if 0 < share < 1 else None


def _said(
    donors: Sequence[Donor],
    asked: Sequence[Case],
    volumes: Prepared,
    out: Path,
    progress: Progress,
) -> dict[str, list[float]]:
    """Probabilities of every network, by its column in the table."""
    said = {}
    for number, donor in enumerate(donors):
        progress("pseudo-labelling", number, len(donors), donor.name)
        column = f"teacher_{number}"
        said[column] = _answers(donor, asked, volumes, out.with_suffix(f".{column}.part"))
    progress("pseudo-labelling", len(donors), len(donors), "done")
    return said


def _answers(donor: Donor, asked: Sequence[Case], volumes: Prepared, part: Path) -> list[float]:
    """Probabilities of one network, kept in a scratch file until all have answered."""
    keys = [case_key(case, volumes.preparation) for case in asked]
    views = _views_of(donor)
    text = json.dumps([donor.card.weights_sha256, volumes.preparation.digest, keys, views])
    mark = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    if part.is_file():
        kept = json.loads(part.read_text("utf-8"))
        if kept.get("mark") == mark:
            return [float(value) for value in kept["probabilities"]]
    if donor.card.preparation.digest != volumes.preparation.digest:
        what = f"{donor.name} wants another preparation than its run's first network"
        raise CheckpointError(NOT_ALIKE, what)
    unknown = Part(keys, [0] * len(keys))
    found = predict_part(donor.checkpoint.build(), volumes, unknown, views=views)
    probabilities = np.round(found, 9).tolist()
    write_atomically(part, json.dumps({"mark": mark, "probabilities": probabilities}).encode())
    return [float(value) for value in probabilities]


def _views_of(donor: Donor) -> int:
    """The views that a network was judged in, by the recipe in its card; one if it tells none."""
    views = donor.card.recipe.get("views", 1)
    return views if isinstance(views, int) else 1


NOT_ALIKE = Code(
    "teachers-differ",
    "The networks of a run do not take the same input.",
    "let one run teach, as squeezect train wrote it",
)


def _teacher(donor: Donor, column: str) -> Teacher:
    ancestor = donor.as_ancestor()
    return Teacher(
        column=column,
        ancestor=Ancestor(**(ancestor.model_dump() | {"kind": "teacher"})),
        lineage=donor.card.lineage,
        seen=donor.seen,
    )


def _write(cohort: Cohort, said: dict[str, list[float]], asked: Sequence[Case], out: Path) -> None:
    place = {case.row: number for number, case in enumerate(asked)}

    def columns(case: Case) -> dict[str, str]:
        own = {n: v for n, v in case.extra.items() if not n.startswith("teacher_")}
        return own | {
            name: f"{values[place[case.row]]:.9f}" if case.row in place else ""
            for name, values in said.items()
        }

    file_beside(out).unlink(missing_ok=True)
    cases = tuple(replace(case, extra=columns(case)) for case in cohort.cases)
    Cohort(cases, cohort.source).save(out)


def _chosen(
    said: dict[str, list[float]], asked: Sequence[Case], rules: Rules
) -> dict[str, tuple[int, int]]:
    counts = {}
    for name, values in said.items():
        labels = rules.choose({case.row: p for case, p in zip(asked, values, strict=True)})
        ones = sum(labels.values())
        counts[name] = (len(labels) - ones, ones)
    return counts
