"""Who takes part, with which label and in which fold; no pixels."""

from squeezect.cohorts.auditing import Audit, AuditRules, audit, audit_folds
from squeezect.cohorts.drawing import make_folds, official_folds
from squeezect.cohorts.fingerprints import fingerprint, likeness
from squeezect.cohorts.folds import Fold, Folds
from squeezect.cohorts.leaks import Leak
from squeezect.cohorts.table import Case, Cohort

__all__ = [
    "Audit",
    "AuditRules",
    "Case",
    "Cohort",
    "Fold",
    "Folds",
    "Leak",
    "audit",
    "audit_folds",
    "fingerprint",
    "likeness",
    "make_folds",
    "official_folds",
]
