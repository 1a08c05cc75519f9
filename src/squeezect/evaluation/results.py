"""All scores of a run, as data: per fold, pooled out of fold, and on the test part."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from squeezect.evaluation.calibration import Calibrator, Method
from squeezect.evaluation.cases import Cases
from squeezect.evaluation.compare import Comparison
from squeezect.evaluation.curves import Curve
from squeezect.evaluation.decisions import DecisionScores
from squeezect.evaluation.estimates import Estimate
from squeezect.evaluation.probabilities import CalibrationBin, ProbabilityScores
from squeezect.evaluation.ranking import RankingScores
from squeezect.evaluation.subgroups import Subgroup
from squeezect.evaluation.thresholds import Thresholds


@dataclass(frozen=True, eq=False)
class Part:
    """Scores of one set of cases.

    Args:
        name: ``out of fold``, ``test`` or ``fold K``.
        cases: labels, probabilities and patients.
        ranking: scores of the order of the probabilities; undefined with one class only.
        probability: scores of the probabilities themselves.
        at_half: decisions at threshold 0.5.
        at_target: decisions at the threshold for the target sensitivity; None where no other cases
            were there to choose it on.
        calibration: predicted against observed shares.
        roc: the ROC curve with its band, None with one class only.
        precision_recall: the precision-recall curve with its band, None with one class only.
        recalibrated: scores after each kind of calibration, learnt on other cases.
        subgroups: by column of the predictions, scores of its levels.
        columns: by numeric column of the predictions, the networks compared with it alone.
        within_folds: ROC AUC over pairs of cases of one fold, see `roc_auc_within`; None for a
            part that is no more than one fold, or judged by all networks.
    """

    name: str
    cases: Cases
    ranking: RankingScores
    probability: ProbabilityScores
    at_half: DecisionScores
    at_target: DecisionScores | None
    calibration: tuple[CalibrationBin, ...]
    roc: Curve | None = None
    precision_recall: Curve | None = None
    recalibrated: Mapping[Method, ProbabilityScores] = field(default_factory=dict)
    subgroups: Mapping[str, tuple[Subgroup, ...]] = field(default_factory=dict)
    columns: Mapping[str, Comparison] = field(default_factory=dict)
    within_folds: Estimate | None = None

    def as_dict(self) -> dict[str, object]:
        """Counts, scores and curves as plain JSON."""
        return {
            "cases": self.cases.n,
            "patients": self.cases.patients,
            "positives": self.cases.positives,
            "ranking": self.ranking.as_dict(),
            "roc_auc_within_folds": self.within_folds.as_dict() if self.within_folds else None,
            "probability": self.probability.as_dict(),
            "at_half": self.at_half.as_dict(),
            "at_target": self.at_target.as_dict() if self.at_target else None,
            "calibration_curve": [group.as_dict() for group in self.calibration],
            "roc_curve": self.roc.as_dict() if self.roc else None,
            "precision_recall_curve": (
                self.precision_recall.as_dict() if self.precision_recall else None
            ),
            "recalibrated": {name: s.as_dict() for name, s in self.recalibrated.items()},
            "subgroups": {
                name: [group.as_dict() for group in groups]
                for name, groups in self.subgroups.items()
            },
            "columns": {name: comparison.as_dict() for name, comparison in self.columns.items()},
        }


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All scores of a run. Made by `evaluate`.

    Args:
        run: name of the run folder.
        thresholds: chosen for the target sensitivity, each on cases it does not judge.
        calibrators: for new cases, learnt on all out-of-fold cases.
        out_of_fold: all cases of the folds together, each judged by the network of the fold that
            did not train on its patient.
        folds: each fold by itself.
        test: the untouched test part, judged by the mean of all networks; None without one.
        facts: what the run says of itself (recipe, model, preparation).
        bootstrap: number of resamples behind the bootstrap intervals.
        seed: of the resampling.
    """

    run: str
    thresholds: Thresholds
    calibrators: tuple[Calibrator, ...]
    out_of_fold: Part
    folds: tuple[Part, ...]
    test: Part | None
    facts: Mapping[str, object] = field(default_factory=dict)
    bootstrap: int = 2000
    seed: int = 0

    @property
    def headline(self) -> Part:
        """The part that speaks for the run: the test part if there is one, else out of fold."""
        return self.test or self.out_of_fold

    @property
    def fold_aucs(self) -> list[float]:
        """ROC AUCs of the folds that have both classes."""
        areas = [part.ranking.roc_auc for part in self.folds]
        return [area.value for area in areas if area.defined]

    def as_dict(self) -> dict[str, object]:
        """Everything as plain JSON."""
        return {
            "run": self.run,
            "facts": dict(self.facts),
            "bootstrap": self.bootstrap,
            "seed": self.seed,
            "thresholds": {"half": 0.5, "target": self.thresholds.as_dict()},
            "calibrators": [calibrator.as_dict() for calibrator in self.calibrators],
            "out_of_fold": self.out_of_fold.as_dict(),
            "folds": {part.name: part.as_dict() for part in self.folds},
            "fold_aucs": self.fold_aucs,
            "test": self.test.as_dict() if self.test else None,
        }

    def summary(self) -> str:
        """A few lines of text for a terminal."""
        parts = [self.out_of_fold] + ([self.test] if self.test else [])
        return "\n".join(line for part in parts for line in self._lines(part))

    def _lines(self, part: Part) -> list[str]:
        cases = part.cases
        lines = [
            f"{part.name}: {cases.n} scans of {cases.patients} patients, {cases.positives} positive"
            " (value and 95 % interval)",
            f"  ROC AUC              {part.ranking.roc_auc}",
        ]
        if part.within_folds:
            lines.append(f"    within folds       {part.within_folds}")
        target = f"for {100 * self.thresholds.sensitivity:.0f} % sensitivity"
        for name, decisions in (("0.5", part.at_half), (target, part.at_target)):
            if decisions:
                lines += [
                    f"  threshold {name}",
                    f"    sensitivity        {decisions.sensitivity}",
                    f"    specificity        {decisions.specificity}",
                    f"    accuracy           {decisions.accuracy}",
                ]
        return lines
