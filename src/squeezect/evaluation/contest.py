"""Several models judged on the same cases: each by itself, and each against the best one.

Two baselines always take part: the share of positives, which looks at nothing, and, where it is
known, the diameter alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from squeezect.errors import Code, EvaluationError
from squeezect.evaluation.baselines import column_probabilities, column_probabilities_of_test
from squeezect.evaluation.cases import FloatArray
from squeezect.evaluation.compare import (
    Comparison,
    compare_all_aucs,
    compare_decisions,
    compare_scores,
    holm,
)
from squeezect.evaluation.judging import judge
from squeezect.evaluation.predictions import Predicted, Predictions
from squeezect.evaluation.results import Evaluation, Part
from squeezect.evaluation.subgroups import as_numbers, is_empty

SUBGROUP_COLUMNS = (
    "diameter_mm",
    "slice_thickness_mm",
    "kernel",
    "manufacturer",
    "site",
    "contrast",
)
"""Columns of the cohort that subgroups are told apart by."""

PRIOR = "prior alone"
DIAMETER = "diameter alone"

OTHER_CASES = Code(
    "other-cases",
    "Models that are to be compared were not judged on the same cases.",
    "train them again in one comparison, with the same data set, folds and seed",
)


@dataclass(frozen=True, eq=False)
class Entrant:
    """A model and what it predicted.

    Args:
        name: what the tables call it.
        predictions: of the cases that it never learnt from.
        costs: parameters, operations, times and memory by name; None where not measured.
        setup: how it took part: options, input, learning rate.
    """

    name: str
    predictions: Predictions
    costs: Mapping[str, float | None] = field(default_factory=dict)
    setup: str = ""


@dataclass(frozen=True, eq=False)
class Standing:
    """How an entrant did.

    Args:
        entrant: who.
        evaluation: its scores.
        baseline: whether it needs no network.
        auc: its ROC AUC minus the best model's, with DeLong's test; None for the best itself.
        auc_p: the p-value of that, corrected by Holm over all pairs of models and baselines: the
            best was chosen by these very cases.
        accuracy: the same of the accuracy at 0.5, with McNemar's test, or by bootstrap where
            patients have several cases.
        log_loss: the same of the log loss, by bootstrap of patients.
        over_diameter: its ROC AUC minus that of the diameter alone; None where that is not known.
        over_diameter_p: the p-value of that, corrected by Holm over all models.
    """

    entrant: Entrant
    evaluation: Evaluation
    baseline: bool
    auc: Comparison | None = None
    auc_p: float | None = None
    accuracy: Comparison | None = None
    log_loss: Comparison | None = None
    over_diameter: Comparison | None = None
    over_diameter_p: float | None = None

    @property
    def part(self) -> Part:
        """The part that the comparison is about."""
        return self.evaluation.headline

    def as_dict(self) -> dict[str, object]:
        """Scores, costs and comparisons as plain JSON."""
        pairs = {
            "auc": self.auc,
            "accuracy": self.accuracy,
            "log_loss": self.log_loss,
            "auc_over_diameter": self.over_diameter,
        }
        return {
            "baseline": self.baseline,
            "setup": self.entrant.setup,
            "costs": dict(self.entrant.costs),
            "scores": self.part.as_dict() | {"roc_curve": None, "precision_recall_curve": None},
            "fold_aucs": self.evaluation.fold_aucs,
            "against_best": {name: pair.as_dict() if pair else None for name, pair in pairs.items()}
            | {"auc_p_holm": self.auc_p, "auc_over_diameter_p_holm": self.over_diameter_p},
        }


@dataclass(frozen=True, eq=False)
class Contest:
    """All entrants on the same cases.

    Args:
        standings: models from the highest ROC AUC to the lowest, then baselines.
    """

    standings: tuple[Standing, ...]

    @property
    def best(self) -> Standing:
        """The model of the highest ROC AUC."""
        return self.standings[0]

    @property
    def models(self) -> tuple[Standing, ...]:
        """Those that are no baselines."""
        return tuple(s for s in self.standings if not s.baseline)

    @property
    def diameter(self) -> Standing | None:
        """The diameter alone, where it is known."""
        found = [s for s in self.standings if s.entrant.name == DIAMETER]
        return found[0] if found else None

    def as_dict(self) -> dict[str, object]:
        """All standings by name as plain JSON."""
        return {
            "part": self.best.part.name,
            "cases": self.best.part.cases.n,
            "patients": self.best.part.cases.patients,
            "positives": self.best.part.cases.positives,
            "best": self.best.entrant.name,
            "standings": {s.entrant.name: s.as_dict() for s in self.standings},
        }


def judge_contest(entrants: Sequence[Entrant], *, replicates: int = 2000, seed: int = 0) -> Contest:
    """Score entrants and baselines, and compare each with the best model.

    Args:
        entrants: one or more, judged on the same cases.
        replicates: number of resamples of patients.
        seed: of the random numbers.

    Raises:
        EvaluationError: `other-cases`, naming the model; `one-class`, `bad-scores`, `bad-choice`.
    """
    _check_same_cases(entrants)
    kept = [replace(e, predictions=_few_columns(e.predictions)) for e in entrants]
    everyone = [*kept, *_baselines(kept[0].predictions)]
    standings = [
        Standing(
            entrant,
            judge(entrant.predictions, run=entrant.name, replicates=replicates, seed=seed),
            baseline=number >= len(kept),
        )
        for number, entrant in enumerate(everyone)
    ]
    standings.sort(key=lambda s: (s.baseline, -s.part.ranking.roc_auc.value, s.entrant.name))
    return Contest(_compared(standings, replicates, seed))


def _check_same_cases(entrants: Sequence[Entrant]) -> None:
    if not entrants:
        raise EvaluationError(OTHER_CASES, "nobody to compare")
    first = entrants[0].predictions
    for entrant in entrants[1:]:
        other = entrant.predictions
        parts = [(first.out_of_fold, other.out_of_fold), (first.test, other.test)]
        for one, two in parts:
            same = (one is None) == (two is None)
            if one is not None and two is not None:
                same = np.array_equal(one.row, two.row) and np.array_equal(one.fold, two.fold)
                same = same and np.array_equal(one.cases.label, two.cases.label)
            if not same:
                what = f"{entrant.name} was judged on other cases than {entrants[0].name}"
                raise EvaluationError(OTHER_CASES, what)


def _few_columns(predictions: Predictions) -> Predictions:
    def kept(part: Predicted) -> Predicted:
        return replace(part, extra={k: v for k, v in part.extra.items() if k in SUBGROUP_COLUMNS})

    test = predictions.test
    return Predictions(kept(predictions.out_of_fold), kept(test) if test else None)


def _baselines(predictions: Predictions) -> list[Entrant]:
    pooled, test = predictions.out_of_fold, predictions.test
    columns = {PRIOR: np.zeros(pooled.cases.n)}
    asked = {PRIOR: np.zeros(test.cases.n)} if test else {}
    diameter = _numbers(pooled, "diameter_mm")
    if diameter is not None:
        columns[DIAMETER] = diameter
        if test:
            found = _numbers(test, "diameter_mm")
            asked[DIAMETER] = np.full(test.cases.n, np.nan) if found is None else found
    label, fold = pooled.cases.label, pooled.fold
    entrants = []
    for name, column in columns.items():
        known = _scored(pooled, column_probabilities(label, column, fold))
        judged = None
        if test:
            judged = _scored(test, column_probabilities_of_test(label, column, asked[name]))
        entrants.append(Entrant(name, Predictions(known, judged)))
    return entrants


def _numbers(part: Predicted, column: str) -> FloatArray | None:
    if column not in part.extra:
        return None
    text = part.extra[column]
    return as_numbers(text, is_empty(text))


def _scored(part: Predicted, probability: FloatArray) -> Predicted:
    return replace(part, cases=part.cases.scored(probability), spread=np.zeros(part.cases.n))


def _compared(standings: Sequence[Standing], replicates: int, seed: int) -> tuple[Standing, ...]:
    pairs = compare_all_aucs([s.part.cases for s in standings])
    corrected = dict(zip(pairs, holm([pair.p_value for pair in pairs.values()]), strict=True))
    best = standings[0].part.cases
    compared = [standings[0]]
    for place, standing in enumerate(standings[1:], start=1):
        cases = standing.part.cases
        compared.append(
            replace(
                standing,
                auc=pairs[0, place].reversed(),
                auc_p=corrected[0, place],
                accuracy=compare_decisions(
                    best.label, cases.score >= 0.5, best.score >= 0.5, patients=best.patient
                ),
                log_loss=compare_scores(
                    best.label,
                    cases.score,
                    best.score,
                    "log_loss",
                    patients=best.patient,
                    replicates=replicates,
                    seed=seed,
                ),
            )
        )
    return _beside_diameter(compared, pairs)


def _beside_diameter(
    standings: Sequence[Standing], pairs: Mapping[tuple[int, int], Comparison]
) -> tuple[Standing, ...]:
    """Standings, the models' with what they have more than the diameter alone, if it is known."""
    places = [k for k, s in enumerate(standings) if s.entrant.name == DIAMETER]
    models = [k for k, s in enumerate(standings) if not s.baseline]
    found = list(standings)
    if places:
        over = [pairs[k, places[0]] for k in models]
        corrected = holm([pair.p_value for pair in over])
        for k, pair, p_value in zip(models, over, corrected, strict=True):
            found[k] = replace(found[k], over_diameter=pair, over_diameter_p=p_value)
    return tuple(found)
