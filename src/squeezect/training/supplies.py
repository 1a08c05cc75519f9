"""What several runs on one cohort share: prepared volumes, and the audit of the folds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from squeezect.cohorts import Audit, Case, Cohort, Folds
from squeezect.errors import SqueezeCTError
from squeezect.preparation import Preparation
from squeezect.training.auditing import audit_prepared
from squeezect.training.prepared import Prepared, prepare_cohort
from squeezect.training.progress import Progress

Outcome = tuple[Prepared, dict[int, SqueezeCTError]]


@dataclass
class Supplies:
    """Makes each thing once, however many runs ask for it.

    Args:
        place: folder of the store for a preparation.
        workers: processes that prepare scans.
    """

    place: Callable[[Preparation], Path]
    workers: int = 1
    _prepared: dict[tuple[str, str], Outcome] = field(default_factory=dict, repr=False)
    _audits: dict[tuple[object, ...], tuple[Audit, dict[str, object]]] = field(
        default_factory=dict, repr=False
    )

    def prepared(self, cohort: Cohort, preparation: Preparation, progress: Progress) -> Outcome:
        """Volumes of a cohort, and why some rows have none; see `prepare_cohort`."""
        key = (cohort.digest, preparation.digest)
        if key not in self._prepared:
            folder = self.place(preparation)
            self._prepared[key] = prepare_cohort(
                cohort, preparation, folder, workers=self.workers, progress=progress
            )
        return self._prepared[key]

    def audited(
        self,
        cohort: Cohort,
        folds: Folds,
        volumes: Prepared,
        *,
        taught: Mapping[int, Sequence[Case]],
        transductive: bool,
    ) -> tuple[Audit, dict[str, object]]:
        """The audit of these very folds, see `audit_prepared`.

        Copies look alike in whatever way they are prepared, so one preparation speaks for all.
        """
        if taught:
            return audit_prepared(cohort, folds, volumes, taught=taught, transductive=transductive)
        key = (cohort.digest, *folds.folds, folds.test)
        if key not in self._audits:
            self._audits[key] = audit_prepared(cohort, folds, volumes)
        return self._audits[key]
