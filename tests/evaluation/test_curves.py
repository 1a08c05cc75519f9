"""Laws of the curves."""

import numpy as np
import pytest
from sklearn import metrics

from squeezect.errors import EvaluationError
from squeezect.evaluation import Cases, precision_recall_curve, roc_auc, roc_curve


@pytest.mark.parametrize("decimals", [6, 1])
def test_area_under_the_roc_curve_is_the_auc(study, decimals):
    s = study(decimals=decimals)
    curve = roc_curve(Cases.of(s.label, s.score), replicates=20)
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(roc_auc(s.label, s.score).value)
    x, y, _ = metrics.roc_curve(s.label, s.score, drop_intermediate=False)
    assert np.allclose(curve.x, x)
    assert np.allclose(curve.y, y)


def test_steps_under_the_precision_recall_curve_are_the_average_precision(study):
    s = study(decimals=1)
    curve = precision_recall_curve(Cases.of(s.label, s.score), replicates=20)
    area = (np.diff(curve.x, prepend=0) * curve.y).sum()
    assert area == pytest.approx(metrics.average_precision_score(s.label, s.score))


@pytest.mark.parametrize("make", [roc_curve, precision_recall_curve])
def test_band_holds_most_of_the_curve(study, make):
    s = study()
    curve = make(Cases.of(s.label, s.score, patients=s.patient), replicates=200)
    middle = np.interp(curve.grid, curve.x, curve.y)
    inside = (curve.low <= middle + 0.02) & (middle <= curve.high + 0.02)
    assert inside.mean() > 0.95
    assert (curve.high - curve.low).mean() > 0.05


def test_one_class_has_no_curve():
    with pytest.raises(EvaluationError):
        roc_curve(Cases.of([1, 1], [0.1, 0.2]))
