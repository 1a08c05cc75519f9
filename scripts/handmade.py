"""Seventeen numbers of a nodule's mask and Hounsfield units, and what simple models make of them.

The rival of the malignancy network: it is given the mask that the network has to do without.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from squeezect import read_scan
from squeezect.cohorts import Case
from squeezect.scan import Triple

NAMES = (
    "diameter, log volume, cube root of volume, surface, sphericity, longest axis, middle and "
    "shortest axis over it, mean, deviation, 5th, 50th and 95th percentile and maximum of HU "
    "inside, mean and deviation of HU around, extent along z"
)
Array = npt.NDArray[np.float64]


def features(cases: Sequence[Case]) -> Array:
    """The numbers of every nodule, shape (n, 17); each case needs a mask and a diameter."""
    return np.array([_of(case) for case in cases])


def _of(case: Case) -> list[float]:
    if case.mask is None or case.diameter_mm is None:
        raise SystemExit(f"row {case.row} has no mask or no diameter")
    scan = read_scan(case.scan, allow=("too-few-slices",))
    mask = read_scan(case.mask, allow=("too-few-slices", "not-hounsfield")).hu > 0
    return measures(scan.hu, mask, spacing_mm=scan.grid.spacing_mm, diameter_mm=case.diameter_mm)


def measures(
    hu: npt.NDArray[np.int16],
    mask: npt.NDArray[np.bool_],
    *,
    spacing_mm: Triple,
    diameter_mm: float,
) -> list[float]:
    """The numbers of one nodule.

    Args:
        hu: Hounsfield units, shape [z, y, x].
        mask: which voxels are nodule, two at least, same shape.
        spacing_mm: of the voxels, (z, y, x).
        diameter_mm: as somebody measured it.
    """
    spacing = np.array(spacing_mm)
    voxel = float(spacing.prod())
    volume = float(mask.sum()) * voxel
    inside = np.clip(hu[mask], -1000, 1000).astype(float)
    around = ndimage.binary_dilation(mask, iterations=3) & ~mask
    outside = np.clip(hu[around], -1000, 1000).astype(float)
    places = np.argwhere(mask) * spacing
    axes = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(places.T)), 1e-3))
    faces = [np.abs(np.diff(mask.astype(int), axis=a)).sum() * voxel / spacing[a] for a in range(3)]
    surface = max(float(sum(faces)), 1e-6)
    return [
        diameter_mm,
        np.log(volume),
        volume ** (1 / 3),
        surface,
        36 * np.pi * volume**2 / surface**3,
        axes[2],
        axes[1] / axes[2],
        axes[0] / axes[2],
        inside.mean(),
        inside.std(),
        *np.percentile(inside, [5, 50, 95]),
        inside.max(),
        outside.mean(),
        outside.std(),
        float(mask.any((1, 2)).sum() * spacing[0]),
    ]


def out_of_fold(values: Array, labels: Array, folds: Array) -> dict[str, Array]:
    """Probability of class 1 by a forest and by a logistic regression, each nodule judged by models
    of the other folds.

    Args:
        values: see `features`, shape (n, 17), or other numbers of every nodule.
        labels: classes, shape (n,).
        folds: fold of each nodule, shape (n,).
    """
    makers = {
        "forest": lambda: RandomForestClassifier(500, min_samples_leaf=3, random_state=0),
        "logistic": lambda: make_pipeline(
            StandardScaler(), LogisticRegression(C=0.3, max_iter=2000)
        ),
    }
    answers = {name: np.zeros(len(labels)) for name in makers}
    for fold in np.unique(folds):
        learn, judge = folds != fold, folds == fold
        for name, make in makers.items():
            model = make().fit(values[learn], labels[learn])
            answers[name][judge] = model.predict_proba(values[judge])[:, 1]
    return answers
