"""Figures: they draw what they are given, the same bytes each time, and keep no global state."""

import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from squeezect.evaluation import (
    Cases,
    Confusion,
    Curve,
    calibration_curve,
    plots,
    precision_recall_curve,
    roc_auc,
    roc_curve,
)


def drawn(study):
    s = study(n=60)
    cases = Cases.of(s.label, s.score)
    area = roc_auc(s.label, s.score)
    curve = roc_curve(cases, replicates=20)
    recall = precision_recall_curve(cases, replicates=20)
    history = {
        "fold 0": {"epoch": [1.0, 2.0], "train_loss": [0.7, 0.3], "tune_loss": [0.7, np.nan]},
        "fold 1": {"epoch": [1.0], "train_loss": [0.6], "tune_loss": [0.8]},
    }
    return {
        "roc": plots.roc_figure({"one": (curve, area), "two": (curve, area)}),
        "precision": plots.precision_recall_figure({"": (recall, area)}, prior=0.4),
        "calibration": plots.calibration_figure({"a": calibration_curve(s.label, s.score)}),
        "confusion": plots.confusion_figure(Confusion(9, 1, 20, 3)),
        "scores": plots.score_figure(cases, {"half": 0.5}),
        "training": plots.training_figure(history, quantity="loss"),
        "no accuracy": plots.training_figure(history, quantity="accuracy"),
        "froc": plots.froc_figure(
            {"marks": Curve(*[np.linspace(0.125, 8, 50)] * 5)}, at=(0.125, 1, 8)
        ),
    }


@pytest.fixture
def figures(study):
    return drawn(study)


def test_every_figure_is_an_image_and_the_same_again(figures, study):
    again = drawn(study)
    for name, figure in figures.items():
        svg = plots.image(figure)
        assert ET.fromstring(svg).tag.endswith("svg"), name  # noqa: S314 - our own picture
        assert plots.image(again[name]) == svg
    assert plots.image(figures["roc"], "png").startswith(b"\x89PNG")


def test_figures_show_their_data(figures):
    x, y = figures["roc"].axes[0].lines[1].get_xydata().T
    assert np.trapezoid(y, x) > 0.5
    texts = [t.get_text() for t in figures["confusion"].axes[0].texts]
    assert texts == ["20", "87 %", "3", "13 %", "1", "10 %", "9", "90 %"]
    labels = [t.get_text() for t in figures["froc"].axes[0].get_xticklabels()]
    assert labels == ["1/8", "1", "8"]
    bars = figures["scores"].axes[0].patches
    assert sum(bar.get_height() for bar in bars) == pytest.approx(24 - 36)


def test_pyplot_stays_out():
    code = "import sys, squeezect.evaluation.plots as p; p._axes(2, 2)\n"
    code += "assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603


def test_importing_the_package_stays_light():
    code = "import sys, squeezect.evaluation\n"
    code += "heavy = {'torch', 'pandas', 'matplotlib', 'sklearn', 'scipy', 'jinja2'}\n"
    code += "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
