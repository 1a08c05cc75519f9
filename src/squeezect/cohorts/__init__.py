"""Who takes part, with which label and in which fold; no pixels."""

from squeezect.cohorts.drawing import make_folds, official_folds
from squeezect.cohorts.folds import Fold, Folds
from squeezect.cohorts.table import Case, Cohort

__all__ = ["Case", "Cohort", "Fold", "Folds", "make_folds", "official_folds"]
