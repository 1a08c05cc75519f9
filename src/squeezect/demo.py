"""The whole line on synthetic patients: write, prepare, train, judge, predict, explain.

The demo knows where it put the nodules, so it can say what no real cohort can: whether the heat
map points at them.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from squeezect.cohorts import Case, Cohort
from squeezect.evaluation import Evaluation, TableBlock, evaluate
from squeezect.phantom import write_cohort
from squeezect.publishing import publish
from squeezect.reading import read_scan
from squeezect.scan import Triple
from squeezect.session import Prediction, Session, export_run
from squeezect.training import Recipe, cross_validate
from squeezect.training.progress import Progress, silent


@dataclass(frozen=True)
class Pointing:
    """Where the heat map of one true positive points.

    Args:
        row: row of the patient in the cohort.
        diameter_mm: diameter of the nodule nearest to the peak.
        distance_mm: from the peak to that nodule's centre.
    """

    row: int
    diameter_mm: float
    distance_mm: float

    @property
    def inside(self) -> bool:
        """Whether the peak lies inside the nodule."""
        return self.distance_mm <= self.diameter_mm / 2


@dataclass(frozen=True)
class DemoResult:
    """What the demo found, and where it wrote it."""

    evaluation: Evaluation
    pointing: Sequence[Pointing]
    positives: int
    report: Path
    page: Path

    def as_dict(self) -> dict[str, object]:
        """Everything as plain JSON."""
        return {
            "evaluation": self.evaluation.as_dict(),
            "pointing": [asdict(p) | {"inside": p.inside} for p in self.pointing],
            "unseen_positives": self.positives,
            "report": str(self.report),
            "page": str(self.page),
        }

    def summary(self) -> str:
        """A few lines for the terminal."""
        inside = sum(p.inside for p in self.pointing)
        return (
            f"{self.evaluation.summary()}\n"
            f"heat map: the peak lies inside a nodule in {inside} of {len(self.pointing)} true "
            f"positives among {self.positives} unseen patients with nodules\n"
            f"report: {self.report}\n"
            f"one prediction: {self.page}"
        )


def run_demo(
    folder: Path,
    *,
    patients: int = 72,
    seed: int = 0,
    workers: int = 2,
    recipe: Recipe | None = None,
    progress: Progress = silent,
) -> DemoResult:
    """Run everything once; resumes where it was killed.

    Args:
        folder: where cohort, run, report and prediction go.
        patients: synthetic patients, half of them with nodules.
        seed: decides patients and training.
        workers: processes that write and prepare scans.
        recipe: what to train; the shipped ``demo`` by default.
        progress: who is told.
    """
    cohort_csv = folder / "cohort" / "cohort.csv"
    if not cohort_csv.exists():

        def tell(done: int, total: int) -> None:
            progress("writing CTs", done, total, "synthetic patients as DICOM")

        write_cohort(
            cohort_csv.parent, patients=patients, seed=seed, workers=workers, progress=tell
        )
    cohort = Cohort.read(cohort_csv)
    plan = recipe or Recipe.load("demo", seed=seed)
    run = cross_validate(cohort, plan, folder / "run", workers=workers, progress=progress)
    export_run(run)
    truth = json.loads((cohort_csv.parent / "truth.json").read_text("utf-8"))
    session = Session.open(run)
    pointing, page = _point(session, cohort, truth, folder, progress)
    evaluation = evaluate(run, extras=[_block(pointing)])
    return DemoResult(
        evaluation=evaluation,
        pointing=pointing,
        positives=sum(case.label == 1 for case in cohort.cases if case.split == "test"),
        report=run / "report" / "index.html",
        page=page,
    )


def _point(
    session: Session,
    cohort: Cohort,
    truth: dict[str, list[dict[str, object]]],
    folder: Path,
    progress: Progress,
) -> tuple[list[Pointing], Path]:
    """Predict every unseen patient with nodules from DICOM; publish the surest."""
    cases = [c for c in cohort.cases if c.split == "test" and c.label == 1]
    pointing: list[Pointing] = []
    surest: tuple[Case, Prediction] | None = None
    for done, case in enumerate(cases):
        progress("explaining", done, len(cases), "unseen patients with nodules")
        prediction = session.predict(read_scan(case.scan))
        if prediction.positive and prediction.heatmap is not None:
            name = case.scan.relative_to(cohort.source.parent).as_posix()
            pointing.append(_nearest(case.row, prediction.heatmap.peak_mm, truth[name]))
        if surest is None or prediction.probability > surest[1].probability:
            surest = (case, prediction)
    progress("explaining", len(cases), len(cases), "unseen patients with nodules")
    if surest is None:
        raise AssertionError("a demo cohort always has unseen patients with nodules")
    case, prediction = surest
    return pointing, publish(prediction, read_scan(case.scan), folder / "prediction")


def _nearest(row: int, peak: Triple, nodules: list[dict[str, object]]) -> Pointing:
    centres = np.array([n["centre_mm"] for n in nodules], float)
    diameters = np.array([n["diameter_mm"] for n in nodules], float)
    distance = np.linalg.norm(centres - np.array(peak), axis=1)
    nearest = int((distance - diameters / 2).argmin())
    return Pointing(row, float(diameters[nearest]), float(distance[nearest]))


def _block(pointing: Sequence[Pointing]) -> TableBlock:
    inside = sum(p.inside for p in pointing)
    distances = [p.distance_mm for p in pointing]
    median = f"{np.median(distances):.1f} mm" if distances else "n/a"
    return TableBlock(
        title="Does the heat map point at the nodule?",
        text=(
            f"Among unseen patients called positive who have nodules, the strongest evidence lies "
            f"inside a nodule in {inside} of {len(pointing)}; median distance to its centre "
            f"{median}. The demo can say so because it placed the nodules itself."
        ),
        columns=("row", "nodule diameter", "peak to centre", "inside"),
        rows=[
            (
                str(p.row),
                f"{p.diameter_mm:.1f} mm",
                f"{p.distance_mm:.1f} mm",
                "yes" if p.inside else "no",
            )
            for p in pointing
        ],
    )
