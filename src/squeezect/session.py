"""A trained run, open and ready: scan in, explained answer out."""

import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from squeezect.checkpoint import CARD_FILE, NO_RUN, Card, find_networks, fold_folders
from squeezect.errors import CheckpointError, Code, Finding, PreparationError
from squeezect.explanation import Heatmap, explain
from squeezect.kinds import OTHER_KIND, judges_slices
from squeezect.preparation import (
    LungFigures,
    Preparation,
    Store,
    Volume,
    check_chest,
    prepare,
)
from squeezect.runtime import Engine, EngineName, Format, Output, export, open_engine
from squeezect.scan import Scan

REFUSED = Code(
    "refused-scan",
    "The scan is not one that the model may answer for.",
    "give a chest CT, or override the finding by its code with --allow (recorded in the result)",
)


@dataclass(frozen=True, eq=False)
class Prediction:
    """An answer: how likely, where from, and how far to trust it.

    Args:
        probability: of class 1, mean of the networks of the run.
        fold_probabilities: of each network.
        threshold: probability from which the run calls a scan positive.
        heatmap: where the evidence is, on the scan's grid; None where the model has no map.
        findings: what reading and checking found worth saying.
        scan_identity: pseudonym of the scan.
        model: name of the network.
        engine: what computed it; all of them, if not every network has the same.
        run: name of the run.
        preparation: how the scan became input.
        lungs: figures of the lungs.
        seconds: time spent by step; what ran beside an earlier step counts there.
    """

    probability: float
    fold_probabilities: tuple[float, ...]
    threshold: float
    heatmap: Heatmap | None
    findings: tuple[Finding, ...]
    scan_identity: str
    model: str
    engine: str
    run: str
    preparation: Preparation
    lungs: LungFigures | None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def positive(self) -> bool:
        """Whether the probability reaches the run's threshold."""
        return self.probability >= self.threshold

    @property
    def spread(self) -> float:
        """Standard deviation of the networks' probabilities; 0 for a single one."""
        return float(np.std(self.fold_probabilities))


@dataclass(frozen=True)
class Session:
    """The networks of a run, loaded once, answering many scans.

    Args:
        run: name of the run.
        card: what the networks have in common.
        engines: one per network.
        threshold: probability from which a scan is called positive.

    Example:
        >>> session = Session.open("runs/demo")            # doctest: +SKIP
        >>> session.predict(read_scan("patient01/"))       # doctest: +SKIP
    """

    run: str
    card: Card
    engines: tuple[Engine, ...]
    threshold: float = 0.5

    @classmethod
    def open(cls, run: str | Path, *, engine: EngineName = "auto") -> Self:
        """Load a run folder, or a single checkpoint folder.

        Args:
            run: folder written by training, or one of its ``fold-K`` folders.
            engine: see `squeezect.runtime.ENGINES`; ``auto`` chooses.

        Raises:
            CheckpointError: `no-run`, `checkpoint-missing`, `checkpoint-format`, or
                `checkpoint-damaged`, also if the folds' networks do not belong together;
                `weights-of-another-kind`, if they are made for points or slices.
        """
        found = find_networks(Path(run))
        _require_whole_scans(found.card, run)
        engines = tuple(open_engine(folder, engine=engine) for folder in found.folders)
        return cls(Path(run).resolve().name, found.card, engines, found.threshold)

    def predict(self, scan: Scan, *, allow: Collection[str] = ()) -> Prediction:
        """Answer for one scan.

        Args:
            scan: a chest CT.
            allow: codes of refusals to go on in spite of; recorded in the findings.

        Raises:
            PreparationError: `refused-scan`, naming the finding that stands against an answer.
        """
        started = time.perf_counter()
        how = self.card.preparation
        with ThreadPoolExecutor(1) as beside:
            # Half of the check is work for one core only.
            ahead = None if how.crop == "lungs" else beside.submit(prepare, scan, how)
            lungs, chest = check_chest(scan)
            findings = _judge((*scan.findings, *chest), allow)
            checked = time.perf_counter()
            volume = ahead.result() if ahead else prepare(scan, how, lungs=lungs)
        prepared = time.perf_counter()
        outputs = [engine(volume.values) for engine in self.engines]
        answered = time.perf_counter()
        heatmap = self._explain(scan, volume, outputs)
        folds = tuple(output.probability for output in outputs)
        return Prediction(
            probability=float(np.mean(folds)),
            fold_probabilities=folds,
            threshold=self.threshold,
            heatmap=heatmap,
            findings=findings,
            scan_identity=scan.identity,
            model=self.card.model,
            engine=" and ".join(dict.fromkeys(engine.name for engine in self.engines)),
            run=self.run,
            preparation=self.card.preparation,
            lungs=lungs,
            seconds={
                "check": checked - started,
                "prepare": prepared - checked,
                "network": answered - prepared,
                "explain": time.perf_counter() - answered,
            },
        )

    def _explain(self, scan: Scan, volume: Volume, outputs: list[Output]) -> Heatmap | None:
        maps = [output.class_map for output in outputs if output.class_map is not None]
        cells = self.engines[0].cells(volume.values.shape)
        if not maps or cells is None:
            return None
        first, step = cells
        mean = np.mean(maps, axis=0)
        return explain(mean, field=volume.grid, grid=scan.grid, first=first, step=step)


def _require_whole_scans(card: Card, run: str | Path) -> None:
    cuts = card.preparation.cuts_patches
    if cuts or judges_slices(card):
        kind = "patches of one slice" if judges_slices(card) else "points of scans"
        what = f"weights {str(run)!r} are made for {kind}, not for whole scans"
        raise CheckpointError(OTHER_KIND, what)


def _judge(findings: tuple[Finding, ...], allow: Collection[str]) -> tuple[Finding, ...]:
    """Findings with allowed refusals marked as overridden; raises on one that is not allowed."""
    judged = tuple(
        replace(f, overridden=True) if f.severity == "refuse" and f.code.name in allow else f
        for f in findings
    )
    for finding in judged:
        if finding.severity == "refuse":
            place = f" {finding.where}" if finding.where else ""
            raise PreparationError(
                REFUSED,
                f"{finding.code.name}: {finding.value}{place}",
                remedy=f"{finding.code.remedy}, or go on with --allow {finding.code.name} "
                "(recorded in the result)",
            )
    return judged


def export_run(
    run: Path, *, form: Format = "openvino", store: Path | None = None, calibrate_on: int = 16
) -> list[Path]:
    """Export every network of a run, or one checkpoint folder; returns the folders.

    Args:
        run: run or checkpoint folder.
        form: ``openvino``, ``openvino-int8`` or ``onnx``.
        store: prepared volumes that an 8-bit export is calibrated and checked on; ``store`` in the
            run folder by default.
        calibrate_on: how many of them.

    Raises:
        CheckpointError: `no-run`; `no-parity` if an export gives another answer.
    """
    single = (run / CARD_FILE).is_file()
    folds = (run,) if single else fold_folders(run)
    if not folds:
        raise CheckpointError(NO_RUN, f"no finished run in {run}")
    volumes = []
    if form == "openvino-int8":
        prepared = Store.open(store or run / "store")
        keys = sorted(prepared)[:calibrate_on]
        volumes = [prepared.read(key).values for key in keys]
    return [export(fold, form=form, calibration=volumes) for fold in folds]
