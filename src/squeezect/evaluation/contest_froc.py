"""Detection in a comparison: candidates that models judged are marks on scans, scored as LUNA16."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from squeezect.evaluation import plots
from squeezect.evaluation.blocks import Block, Picture, PictureBlock, TableBlock
from squeezect.evaluation.contest import Contest, Entrant
from squeezect.evaluation.detection import Detection, listed_scans, rate_name, score_marks
from squeezect.evaluation.estimates import Estimate
from squeezect.evaluation.froc import RATES
from squeezect.evaluation.marks import Points
from squeezect.evaluation.predictions import Predicted
from squeezect.scan import Triple

MOST_CURVES = 6
"""Drawn in one figure; the table has all models."""


@dataclass(frozen=True, eq=False)
class DetectionContest:
    """How well each model finds nodules when its candidates are taken as marks.

    Args:
        scores: of each model, by name, in the order of the contest.
        scans: that were scored: listed ones with a judged candidate.
        listed: scans in ``seriesuids.csv``.
    """

    scores: Mapping[str, Detection]
    scans: int
    listed: int

    def as_dict(self) -> dict[str, object]:
        """Scores by model as plain JSON."""
        facts = {"scans": self.scans, "listed": self.listed}
        return facts | {"models": {name: s.as_dict() for name, s in self.scores.items()}}

    def blocks(self) -> list[Block]:
        """A table and a figure for the report."""
        rows: list[tuple[str | Estimate, ...]] = [
            (
                name,
                score.froc.cpm,
                *(f"{found:.3f}" for found in score.froc.sensitivities),
                f"{score.froc.found} of {score.froc.nodules}",
            )
            for name, score in self.scores.items()
        ]
        text = (
            "Each candidate counts as a mark, by the rules of LUNA16. CPM: mean sensitivity at the"
            " seven rates of false marks per scan, with a bootstrap of scans. Scored are"
            f" {self.scans} of {self.listed} listed scans: those with a judged candidate."
        )
        excluded = next(iter(self.scores.values())).excluded
        if not excluded:
            text += (
                " There is no annotations_excluded.csv, so marks on findings that the challenge"
                " ignores count as false: this is not the official score."
            )
        heads = ("Model", "CPM", *(f"at {rate_name(rate)}" for rate in RATES), "Nodules found")
        curves = {name: score.froc.curve for name, score in self.scores.items()}
        shown = dict(list(curves.items())[:MOST_CURVES])
        image = plots.image(plots.froc_figure(shown, at=RATES))
        words = "FROC of the models with the highest ROC AUC; dots: rates of the CPM."
        return [
            TableBlock(title="Detection", text=text, columns=heads, rows=rows),
            PictureBlock(title="", pictures=[Picture(image, words)]),
        ]


def judge_detection(
    contest: Contest,
    points: Mapping[int, tuple[str, Triple]],
    tables: Path,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> DetectionContest:
    """Score every model's probabilities of candidates as marks.

    Args:
        contest: of models judged on candidates.
        points: series and LPS point (x, y, z) in mm of each row of the table of candidates.
        tables: folder with LUNA16's ``seriesuids.csv`` and annotations.
        replicates: resamples of scans.
        seed: of the resampling.

    Raises:
        EvaluationError: `bad-marks`, naming file and line; `no-nodules`.
    """
    listed = listed_scans(tables)
    judged = [points[int(row)] for row in _judged(contest.best.entrant).row]
    series, places = [name for name, _ in judged], [place for _, place in judged]
    present = set(series)
    scans = [name for name in listed if name in present]
    scores = {}
    for standing in contest.models:
        marks = Points.of(series, places, _judged(standing.entrant).cases.score)
        scores[standing.entrant.name] = score_marks(
            marks, tables, scans=scans, replicates=replicates, seed=seed
        )
    return DetectionContest(scores, len(scans), len(listed))


def _judged(entrant: Entrant) -> Predicted:
    """The part that the comparison is about: the test part where there is one."""
    predictions = entrant.predictions
    return predictions.out_of_fold if predictions.test is None else predictions.test
