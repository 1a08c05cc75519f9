"""Score the predictions of a run: per fold, pooled out of fold, and on the test part."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from squeezect.evaluation.baselines import column_probabilities, column_probabilities_of_test
from squeezect.evaluation.calibration import (
    METHODS,
    Calibrator,
    Method,
    cross_fitted_calibration,
    fit_calibrator,
)
from squeezect.evaluation.cases import Cases, FloatArray
from squeezect.evaluation.compare import Comparison, compare_auc
from squeezect.evaluation.curves import precision_recall_curve, roc_curve
from squeezect.evaluation.decisions import decision_scores_of
from squeezect.evaluation.predictions import Predicted, Predictions
from squeezect.evaluation.probabilities import (
    ProbabilityScores,
    calibration_curve,
    probability_scores_of,
)
from squeezect.evaluation.ranking import ranking_scores_of, roc_auc_within
from squeezect.evaluation.results import Evaluation, Part
from squeezect.evaluation.subgroups import as_numbers, is_empty, subgroups, tells_groups_apart
from squeezect.evaluation.thresholds import Thresholds, cross_fitted_thresholds

FEWEST_DISTINCT = 7
"""A column needs this many distinct numbers to stand against the networks by itself."""


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
    pooled, test = predictions.out_of_fold, predictions.test
    cases = pooled.cases.both_classes()
    thresholds = cross_fitted_thresholds(
        cases.label, cases.score, pooled.fold, sensitivity=target_sensitivity
    )
    calibrators = tuple(fit_calibrator(cases.label, cases.score, method) for method in METHODS)
    desk = _Desk(pooled, thresholds, calibrators, replicates, seed)
    numbers = np.unique(pooled.fold).tolist()
    return Evaluation(
        run=run,
        thresholds=thresholds,
        calibrators=calibrators,
        out_of_fold=desk.full_part("out of fold", pooled),
        folds=tuple(desk.part(f"fold {k}", pooled.select(pooled.fold == k)) for k in numbers),
        test=desk.full_part("test", test) if test else None,
        bootstrap=replicates,
        seed=seed,
    )


@dataclass(frozen=True, eq=False)
class _Desk:
    """What every part is judged with."""

    pooled: Predicted
    thresholds: Thresholds
    calibrators: tuple[Calibrator, ...]
    replicates: int
    seed: int

    def part(self, name: str, predicted: Predicted) -> Part:
        """Scores of a part, without curves."""
        cases, limit = predicted.cases, self.limit(predicted)
        return Part(
            name=name,
            cases=cases,
            ranking=ranking_scores_of(cases, replicates=self.replicates, seed=self.seed),
            probability=self.probability(cases),
            at_half=decision_scores_of(cases, 0.5),
            at_target=None if limit is None else decision_scores_of(cases, limit),
            calibration=calibration_curve(cases.label, cases.score, patients=cases.patient),
        )

    def full_part(self, name: str, predicted: Predicted) -> Part:
        """Scores of a part with curves, calibration, subgroups and columns."""
        cases, limit = predicted.cases, self.limit(predicted)
        two = 0 < cases.positives < cases.n
        several = predicted.out_of_fold and np.unique(predicted.fold).size > 1
        return replace(
            self.part(name, predicted),
            within_folds=roc_auc_within(cases, predicted.fold) if several else None,
            roc=roc_curve(cases, seed=self.seed) if two else None,
            precision_recall=precision_recall_curve(cases, seed=self.seed) if two else None,
            recalibrated=self.recalibrated(predicted),
            subgroups={
                column: subgroups(cases, values, threshold=0.5 if limit is None else limit)
                for column, values in predicted.extra.items()
                if tells_groups_apart(self.pooled.extra[column])
            },
            columns=self.columns(predicted) if two else {},
        )

    def limit(self, predicted: Predicted) -> FloatArray | None:
        """The threshold of each case, chosen on other cases, if there are any."""
        if not predicted.out_of_fold:
            return np.full(predicted.cases.n, self.thresholds.pooled)
        if self.thresholds.per_fold:
            return self.thresholds.of_cases(predicted.fold)
        return None

    def probability(self, cases: Cases) -> ProbabilityScores:
        return probability_scores_of(cases, replicates=self.replicates, seed=self.seed)

    def recalibrated(self, predicted: Predicted) -> Mapping[Method, ProbabilityScores]:
        cases, label = predicted.cases, self.pooled.cases.label
        if not predicted.out_of_fold:
            return {
                calibrator.method: self.probability(cases.scored(calibrator.apply(cases.score)))
                for calibrator in self.calibrators
            }
        others = [label[self.pooled.fold != k] for k in np.unique(self.pooled.fold)]
        if len(others) < 2 or not all(0 < part.sum() < part.size for part in others):
            return {}
        return {
            method: self.probability(
                cases.scored(
                    cross_fitted_calibration(cases.label, cases.score, predicted.fold, method)
                )
            )
            for method in METHODS
        }

    def columns(self, predicted: Predicted) -> Mapping[str, Comparison]:
        cases, found = predicted.cases, {}
        for name, text in self.pooled.extra.items():
            known = as_numbers(text, is_empty(text))
            asked = as_numbers(predicted.extra[name], is_empty(predicted.extra[name]))
            if known is None or asked is None:
                continue
            if np.unique(known[np.isfinite(known)]).size < FEWEST_DISTINCT:
                continue
            if predicted.out_of_fold:
                if np.unique(predicted.fold).size < 2:
                    continue
                alone = column_probabilities(cases.label, known, predicted.fold)
            else:
                alone = column_probabilities_of_test(self.pooled.cases.label, known, asked)
            found[name] = compare_auc(cases.label, cases.score, alone, patients=cases.patient)
        return found
