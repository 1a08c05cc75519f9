"""All scores of a run: per fold, pooled out of fold, and on the test part."""

from dataclasses import dataclass, field

import numpy as np

from squeezect.evaluation import weighted
from squeezect.evaluation.cases import Cases
from squeezect.evaluation.estimates import Estimate, bootstrap, undefined
from squeezect.evaluation.metrics import (
    CalibrationBin,
    DecisionScores,
    ProbabilityScores,
    calibration_curve,
    decision_scores_of,
)
from squeezect.evaluation.predictions import Predicted, Predictions
from squeezect.evaluation.ranking import (
    Curve,
    precision_recall_curve,
    roc_auc_of,
    roc_curve,
    widened,
)
from squeezect.evaluation.thresholds import Thresholds, cross_fitted_thresholds


@dataclass(frozen=True)
class RankingScores:
    """How well the probabilities rank class 1 above class 0.

    Args:
        roc_auc: area under the ROC curve.
        pr_auc: area under the precision-recall curve.
        sensitivity_at_specificity: best sensitivity at a specificity of at least 0.9.
        specificity_at_sensitivity: best specificity at a sensitivity of at least 0.9.
    """

    roc_auc: Estimate
    pr_auc: Estimate
    sensitivity_at_specificity: Estimate
    specificity_at_sensitivity: Estimate

    def estimates(self) -> dict[str, Estimate]:
        """All scores by name."""
        return {
            "roc_auc": self.roc_auc,
            "pr_auc": self.pr_auc,
            "sensitivity_at_specificity": self.sensitivity_at_specificity,
            "specificity_at_sensitivity": self.specificity_at_sensitivity,
        }


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
    """

    name: str
    cases: Cases
    ranking: RankingScores
    probability: ProbabilityScores
    at_half: DecisionScores
    at_target: DecisionScores | None
    calibration: tuple[CalibrationBin, ...] = ()
    roc: Curve | None = None
    precision_recall: Curve | None = None

    def as_dict(self) -> dict[str, object]:
        """Counts, scores and curves as plain JSON."""
        data: dict[str, object] = {
            "cases": self.cases.n,
            "patients": self.cases.patients,
            "positives": self.cases.positives,
            "ranking": {name: e.as_dict() for name, e in self.ranking.estimates().items()},
            "probability": self.probability.as_dict(),
            "at_half": self.at_half.as_dict(),
            "at_target": self.at_target.as_dict() if self.at_target else None,
        }
        if self.calibration:
            data["calibration_curve"] = [group.as_dict() for group in self.calibration]
        if self.roc and self.precision_recall:
            data["roc_curve"] = self.roc.as_dict()
            data["precision_recall_curve"] = self.precision_recall.as_dict()
        return data


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All scores of a run. Made by `evaluate`.

    Args:
        run: name of the run folder.
        thresholds: chosen for the target sensitivity, each on cases it does not judge.
        out_of_fold: all cases of the folds together, each judged by a network it did not train.
        folds: each fold by itself.
        test: the untouched test part, judged by the mean of all networks; None without one.
        facts: what the run says of itself (recipe, model, preparation).
        bootstrap: number of resamples behind the bootstrap intervals.
        seed: of the resampling.
    """

    run: str
    thresholds: Thresholds
    out_of_fold: Part
    folds: tuple[Part, ...]
    test: Part | None
    facts: dict[str, object] = field(default_factory=dict)
    bootstrap: int = 2000
    seed: int = 0

    @property
    def headline(self) -> Part:
        """The part that speaks for the run: the test part if there is one, else out of fold."""
        return self.test or self.out_of_fold

    def as_dict(self) -> dict[str, object]:
        """Everything as plain JSON."""
        return {
            "run": self.run,
            "facts": self.facts,
            "bootstrap": self.bootstrap,
            "seed": self.seed,
            "thresholds": {"half": 0.5, "target": self.thresholds.as_dict()},
            "out_of_fold": self.out_of_fold.as_dict(),
            "folds": {part.name: part.as_dict() for part in self.folds},
            "test": self.test.as_dict() if self.test else None,
        }

    def summary(self) -> str:
        """A few lines of text for a terminal."""
        parts = [self.out_of_fold] + ([self.test] if self.test else [])
        lines = []
        for part in parts:
            cases = part.cases
            lines += [
                f"{part.name}: {cases.n} scans of {cases.patients} patients,"
                f" {cases.positives} of class 1",
                f"  ROC AUC      {part.ranking.roc_auc}",
            ]
            for name, decisions in (("0.5", part.at_half), ("target", part.at_target)):
                if decisions:
                    lines += [
                        f"  at threshold {name}:",
                        f"    sensitivity {decisions.sensitivity}",
                        f"    specificity {decisions.specificity}",
                        f"    accuracy    {decisions.accuracy}",
                    ]
        return "\n".join(lines)


def judge(
    predictions: Predictions,
    *,
    run: str = "",
    target_sensitivity: float = 0.9,
    replicates: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """Score the predictions of a run.

    Args:
        predictions: what was predicted, of which case, by which fold.
        run: name of the run.
        target_sensitivity: the sensitivity that the second threshold is chosen for.
        replicates: number of resamples of patients.
        seed: of the random numbers.

    Raises:
        EvaluationError: `one-class` or `bad-choice`.
    """
    pooled = predictions.out_of_fold
    pooled.cases.both_classes()
    thresholds = cross_fitted_thresholds(
        pooled.cases.label, pooled.cases.score, pooled.fold, sensitivity=target_sensitivity
    )

    def part(name: str, predicted: Predicted, *, curves: bool) -> Part:
        limit = None
        if predicted is predictions.test:
            limit = np.full(predicted.cases.n, thresholds.pooled)
        elif thresholds.per_fold:
            limit = thresholds.of_cases(predicted.fold)
        return _part(name, predicted.cases, limit, replicates, seed, curves=curves)

    return Evaluation(
        run=run,
        thresholds=thresholds,
        out_of_fold=part("out of fold", pooled, curves=True),
        folds=tuple(
            part(f"fold {k}", _of_fold(pooled, k), curves=False) for k in np.unique(pooled.fold)
        ),
        test=part("test", predictions.test, curves=True) if predictions.test else None,
        bootstrap=replicates,
        seed=seed,
    )


def _of_fold(predicted: Predicted, fold: int) -> Predicted:
    chosen = predicted.fold == fold
    return Predicted(
        predicted.cases.select(chosen),
        predicted.row[chosen],
        predicted.fold[chosen],
        predicted.spread[chosen],
    )


def _part(
    name: str,
    cases: Cases,
    limit: np.ndarray | None,
    replicates: int,
    seed: int,
    *,
    curves: bool,
) -> Part:
    drawn = bootstrap(
        {
            "pr_auc": weighted.average_precision,
            "sensitivity_at_specificity": weighted.sensitivity_at(0.9),
            "specificity_at_sensitivity": weighted.specificity_at(0.9),
            "brier": weighted.brier,
            "log_loss": weighted.log_loss,
            "calibration_error": weighted.calibration_error,
        },
        cases,
        replicates=replicates,
        seed=seed,
    )
    two = 0 < cases.positives < cases.n
    mirrored = Cases(~cases.label, -cases.score, cases.patient)
    ranking = RankingScores(
        roc_auc=roc_auc_of(cases) if two else undefined("one class only"),
        pr_auc=widened(drawn["pr_auc"], cases) if two else undefined("one class only"),
        sensitivity_at_specificity=widened(drawn["sensitivity_at_specificity"], cases),
        specificity_at_sensitivity=widened(drawn["specificity_at_sensitivity"], mirrored),
    )
    return Part(
        name=name,
        cases=cases,
        ranking=ranking,
        probability=ProbabilityScores(
            drawn["brier"], drawn["log_loss"], drawn["calibration_error"]
        ),
        at_half=decision_scores_of(cases, 0.5),
        at_target=None if limit is None else decision_scores_of(cases, limit),
        calibration=calibration_curve(cases.label, cases.score, patients=cases.patient),
        roc=roc_curve(cases, seed=seed) if two and curves else None,
        precision_recall=precision_recall_curve(cases, seed=seed) if two and curves else None,
    )
