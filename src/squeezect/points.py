"""What is at a point of a scan: networks on patches of cubic voxels that are cut around points.

The patch is cut as the card's preparation says (crop ``point``), so any checkpoint of such a
recipe answers: shipped weights, one fold of a run, or a whole run, whose networks are averaged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from squeezect.candidates import VIEWS, CandidateClassifier, cut_candidate, find_weights, mean_view
from squeezect.checkpoint import Card, Checkpoint
from squeezect.errors import CheckpointError, PreparationError
from squeezect.kinds import OTHER_KIND, judges_cuts
from squeezect.preparation import Volume, prepare
from squeezect.preparation.patches import WINDOW_HU
from squeezect.preparation.pipeline import NO_POINT
from squeezect.scan import Scan, Triple
from squeezect.sight import Sight, look

if TYPE_CHECKING:
    from squeezect.models import Classifier

CROP_MM = 150.0
"""A volume shorter than this along every axis is a crop, whose middle is what it is about."""


@dataclass(frozen=True, eq=False)
class PointClassifier:
    """Networks that judge what is at a point.

    Args:
        card: what they have in common.
        models: one, or those of all folds of a run.
        threshold: probability from which an answer is called positive.

    Example:
        >>> classifier = PointClassifier.open("malignancy")             # doctest: +SKIP
        >>> classifier.at(scan, (56.2, 86.3, -115.9))                   # doctest: +SKIP
    """

    card: Card
    models: "tuple[Classifier, ...]"
    threshold: float

    @classmethod
    def open(cls, name: str | Path) -> Self:
        """Load shipped weights by name, a run, or a checkpoint folder by path.

        Raises:
            CheckpointError: `unknown-weights`, `no-run`, `checkpoint-damaged`, or
                `weights-of-another-kind` if they are not made for points.
        """
        found = find_weights(name)
        if not judges_cuts(found.card):
            cuts = found.card.preparation.cuts_patches
            why = (
                "they learned from pictures on lists" if cuts else "their card has no crop 'point'"
            )
            what = f"weights {str(name)!r} are not made for points: {why}"
            raise CheckpointError(OTHER_KIND, what)
        models = tuple(Checkpoint.load(folder).build() for folder in found.folders)
        return cls(found.card, models, found.threshold)

    @property
    def views(self) -> int:
        """Mirrored and turned views of a patch whose mean is its answer, as the recipe has it."""
        views = self.card.recipe.get("views", VIEWS)
        return views if isinstance(views, int) else VIEWS

    def prepare(self, scan: Scan, point_mm: Triple | None = None) -> Volume:
        """The patch that the networks see.

        Args:
            scan: a chest CT, or a crop of one.
            point_mm: LPS point (x, y, z) in mm; None for the middle of a crop.

        Raises:
            PreparationError: `point-outside`, or `no-point` for a scan that is not a crop.
        """
        if point_mm is None:
            extent = np.array(scan.grid.shape) * scan.grid.spacing_mm
            if extent.max() >= CROP_MM:
                sides = " x ".join(f"{side:.0f}" for side in extent)
                raise PreparationError(NO_POINT, f"a scan of {sides} mm is no crop around a nodule")
            return prepare(scan, self.card.preparation, point_mm=scan.grid.centre_mm)
        return prepare(scan, self.card.preparation, point_mm=point_mm)

    def score(self, volumes: Sequence[Volume]) -> npt.NDArray[np.float64]:
        """Probability of class 1 of every patch: the mean over networks and views."""
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        models = [model.eval().to(device) for model in self.models]
        answers = []
        with torch.inference_mode():
            for volume in volumes:
                batch = torch.from_numpy(volume.values)[None, None].to(device)
                found = [float(mean_view(model, batch, self.views)[0]) for model in models]
                answers.append(float(np.mean(found)))
        return np.array(answers)

    def look(self, volume: Volume) -> Sight:
        """Where the evidence of an answer lies in a patch, and what the networks outlined."""
        window = self.card.preparation.window_hu
        return look(self.models, volume.values, volume.grid, window_hu=window, views=self.views)

    def at(self, scan: Scan, point_mm: Triple | None = None) -> float:
        """Probability of class 1 at a point; see `prepare` for what is raised."""
        return float(self.score([self.prepare(scan, point_mm)])[0])


def look_at_candidate(classifier: CandidateClassifier, scan: Scan, point_mm: Triple) -> Sight:
    """Where the evidence of an answer about a candidate lies in its patch.

    Raises:
        PreparationError: `point-outside`.
    """
    patch = cut_candidate(scan, point_mm)
    models, views = classifier.models, classifier.views
    return look(models, patch.values, patch.grid, window_hu=WINDOW_HU, views=views)
