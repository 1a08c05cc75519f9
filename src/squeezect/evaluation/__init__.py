"""Arrays in, numbers with intervals out: scores, thresholds, curves and the report of a run."""

from squeezect.evaluation.baselines import (
    column_probabilities,
    column_probabilities_of_test,
    guessing,
    prior_probabilities,
)
from squeezect.evaluation.blocks import Block, Picture, PictureBlock, TableBlock
from squeezect.evaluation.calibration import (
    Calibrator,
    cross_fitted_calibration,
    fit_calibrator,
)
from squeezect.evaluation.cases import Cases
from squeezect.evaluation.cautions import cautions_of_choice
from squeezect.evaluation.compare import (
    Comparison,
    compare_auc,
    compare_decisions,
    compare_scores,
    holm,
)
from squeezect.evaluation.curves import Curve, precision_recall_curve, roc_curve
from squeezect.evaluation.decisions import Confusion, DecisionScores, decision_scores
from squeezect.evaluation.detection import Detection, evaluate_marks
from squeezect.evaluation.estimates import Estimate, wilson
from squeezect.evaluation.froc import Froc, score_froc
from squeezect.evaluation.judging import judge
from squeezect.evaluation.luck import compare_auc_over_seeds
from squeezect.evaluation.marks import Points, read_points
from squeezect.evaluation.page import Card, Page, write_page
from squeezect.evaluation.predictions import Predicted, Predictions, read_predictions
from squeezect.evaluation.probabilities import (
    ProbabilityScores,
    brier_parts,
    calibration_curve,
    probability_scores,
)
from squeezect.evaluation.ranking import (
    RankingScores,
    pr_auc,
    roc_auc,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
)
from squeezect.evaluation.report import evaluate
from squeezect.evaluation.results import Evaluation, Part
from squeezect.evaluation.subgroups import Subgroup, subgroups
from squeezect.evaluation.thresholds import (
    Thresholds,
    cross_fitted_thresholds,
    threshold_at_sensitivity,
)

__all__ = [
    "Block",
    "Calibrator",
    "Card",
    "Cases",
    "Comparison",
    "Confusion",
    "Curve",
    "DecisionScores",
    "Detection",
    "Estimate",
    "Evaluation",
    "Froc",
    "Page",
    "Part",
    "Picture",
    "PictureBlock",
    "Points",
    "Predicted",
    "Predictions",
    "ProbabilityScores",
    "RankingScores",
    "Subgroup",
    "TableBlock",
    "Thresholds",
    "brier_parts",
    "calibration_curve",
    "cautions_of_choice",
    "column_probabilities",
    "column_probabilities_of_test",
    "compare_auc",
    "compare_auc_over_seeds",
    "compare_decisions",
    "compare_scores",
    "cross_fitted_calibration",
    "cross_fitted_thresholds",
    "decision_scores",
    "evaluate",
    "evaluate_marks",
    "fit_calibrator",
    "guessing",
    "holm",
    "judge",
    "pr_auc",
    "precision_recall_curve",
    "prior_probabilities",
    "probability_scores",
    "read_points",
    "read_predictions",
    "roc_auc",
    "roc_curve",
    "score_froc",
    "sensitivity_at_specificity",
    "specificity_at_sensitivity",
    "subgroups",
    "threshold_at_sensitivity",
    "wilson",
    "write_page",
]
