"""Arrays in, numbers with intervals out: scores, thresholds, curves and the report of a run."""

from squeezect.evaluation.blocks import Block, Picture, PictureBlock, TableBlock
from squeezect.evaluation.cases import Cases
from squeezect.evaluation.estimates import Estimate, wilson
from squeezect.evaluation.evaluation import Evaluation, Part
from squeezect.evaluation.metrics import (
    Confusion,
    DecisionScores,
    ProbabilityScores,
    brier_parts,
    calibration_curve,
    decision_scores,
    probability_scores,
)
from squeezect.evaluation.ranking import (
    pr_auc,
    roc_auc,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
)
from squeezect.evaluation.report import evaluate
from squeezect.evaluation.thresholds import (
    Thresholds,
    cross_fitted_thresholds,
    threshold_at_sensitivity,
)

__all__ = [
    "Block",
    "Cases",
    "Confusion",
    "DecisionScores",
    "Estimate",
    "Evaluation",
    "Part",
    "Picture",
    "PictureBlock",
    "ProbabilityScores",
    "TableBlock",
    "Thresholds",
    "brier_parts",
    "calibration_curve",
    "cross_fitted_thresholds",
    "decision_scores",
    "evaluate",
    "pr_auc",
    "probability_scores",
    "roc_auc",
    "sensitivity_at_specificity",
    "specificity_at_sensitivity",
    "threshold_at_sensitivity",
    "wilson",
]
