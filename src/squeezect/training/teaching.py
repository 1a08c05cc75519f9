"""What nodules teach beside their label: readers' ratings, a graded opinion, their outline.

All of it is only for training. A rating that is missing teaches nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from torch.utils.data import Dataset

from squeezect.cohorts import Case
from squeezect.errors import Code, CohortError
from squeezect.models.nodule import Lesson
from squeezect.preparation import Preparation, prepare
from squeezect.reading import read_scan
from squeezect.training.data import SURE, Sample, Ticket
from squeezect.training.prepared import Prepared
from squeezect.training.recipe import Teaching

NO_RATING = Code(
    "no-rating",
    "A recipe teaches from a column that the cohort does not have, or that holds no number.",
    "add the column, or take it out of the recipe's [teaching]",
)

Numbers = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Lore:
    """What some cases teach beside their label.

    Args:
        opinions: graded opinion in [0, 1] of each case, NaN where there is none; shape (n,).
        ratings: shape (n, ratings), NaN where one is missing.
        outlines: share of each voxel that is nodule, in [0, 1]; shape (n, z, y, x), of no voxels
            where outlines are not taught.
    """

    opinions: Numbers
    ratings: Numbers
    outlines: npt.NDArray[np.float16]

    @classmethod
    def read(cls, cases: Sequence[Case], how: Teaching, preparation: Preparation) -> "Lore":
        """Collect what cases teach.

        Args:
            cases: with a point, a mask if outlines are taught, and the recipe's columns.
            how: what is taught.
            preparation: of the patches that the outlines belong to.

        Raises:
            CohortError: `no-rating`, with row and column.
            ReadingError: if a mask cannot be read.
        """
        low, high = how.opinion_range
        opinions = np.full(len(cases), np.nan)
        if how.opinion:
            opinions = (np.array([_number(c, how.opinion) for c in cases]) - low) / (high - low)
        ratings = np.array([[_number(c, name) for name in how.ratings] for c in cases])
        taught = how.outline_weight > 0
        shape = preparation.size if taught else (0, 0, 0)
        outlines = np.zeros((len(cases), *shape), np.float16)
        for place, case in enumerate(cases if taught else ()):
            outlines[place] = outline(case, preparation)
        return cls(
            opinions.clip(0, 1).astype(np.float32),
            ratings.reshape(len(cases), len(how.ratings)).astype(np.float32),
            outlines,
        )

    def rows(self, positions: Sequence[int]) -> Numbers:
        """Opinion and standardised ratings of some cases, shape (n, 1 + ratings)."""
        mean, deviation = self._scale
        ratings = (self.ratings[list(positions)] - mean) / deviation
        return np.concatenate([self.opinions[list(positions), None], ratings], 1)

    @property
    def _scale(self) -> tuple[Numbers, Numbers]:
        known = np.ma.masked_invalid(self.ratings)
        deviation = np.asarray(known.std(0).filled(0), np.float32)
        mean = np.asarray(known.mean(0).filled(0), np.float32)
        return mean, np.where(deviation > 0, deviation, 1).astype(np.float32)


def _number(case: Case, column: str) -> float:
    if column == "diameter_mm" and case.diameter_mm is not None:
        return float(np.log(case.diameter_mm))
    text = case.extra.get(column)
    if text is None:
        raise CohortError(NO_RATING, f"row {case.row} has no column {column!r}")
    try:
        return float(text) if text.strip() else float("nan")
    except ValueError as error:
        raise CohortError(NO_RATING, f"row {case.row}: {column} is {text!r}") from error


def outline(case: Case, preparation: Preparation) -> npt.NDArray[np.float32]:
    """The mask of a case's nodule on the grid of its patch, in [0, 1]; empty without a mask."""
    if case.mask is None:
        return np.zeros(preparation.size, np.float32)
    changes: dict[str, object] = {"window_hu": (0, 1), "fill_hu": 0, "outside": "air"}
    # A mask is a picture of zeros and ones, and may be one slice.
    scan = read_scan(case.mask, allow=("too-few-slices", "not-hounsfield"))
    volume = prepare(scan, preparation.model_copy(update=changes), point_mm=case.point_mm)
    return volume.values


def taught_loss(
    lessons: Sequence[Lesson],
    how: Teaching,
    *,
    labels: torch.Tensor,
    rows: torch.Tensor,
    outlines: torch.Tensor,
    smoothing: float,
) -> torch.Tensor:
    """Mean over the members of the losses of label, ratings and outline.

    Args:
        lessons: what the members said.
        how: weights of the losses.
        labels: class of each case, (B,), 0 or 1.
        rows: opinion and standardised ratings, (B, 1 + ratings); NaN teaches nothing.
        outlines: masks in [0, 1], (B, 1, z, y, x), or of no channel.
        smoothing: share of the label spread over both classes.
    """
    opinions = torch.where(rows[:, 0].isnan(), labels.float(), rows[:, 0])
    wanted = torch.lerp(labels.float(), opinions, how.opinion_share)
    wanted = wanted * (1 - smoothing) + smoothing / 2
    known = ~rows[:, 1:].isnan()
    told = rows[:, 1:].nan_to_num()
    total = rows.new_zeros(())
    for lesson in lessons:
        evidence = lesson.logits[:, 1].float() - lesson.logits[:, 0].float()
        total = total + functional.binary_cross_entropy_with_logits(evidence, wanted)
        if how.ratings and known.any():
            aside = functional.smooth_l1_loss(lesson.ratings.float()[known], told[known])
            total = total + how.ratings_weight * aside
        if how.outline_weight and outlines.shape[1] and lesson.outline is not None:
            drawn = lesson.outline.float()
            z, y, x = drawn.shape[2:]
            mask = functional.adaptive_avg_pool3d(outlines, (z, y, x))
            aside = functional.binary_cross_entropy_with_logits(drawn, mask)
            total = total + how.outline_weight * aside
    return total / len(lessons)


@dataclass
class TaughtVolumes(Dataset[Sample]):
    """Patches with everything they teach.

    Args:
        store: prepared patches.
        keys: which of them, in order.
        labels: class of each.
        lore: what each teaches beside its label.
    """

    store: Prepared
    keys: Sequence[str]
    labels: Sequence[int]
    lore: Lore

    def __post_init__(self) -> None:
        self._rows = self.lore.rows(range(len(self.keys)))
        self._values = [torch.from_numpy(self.store.read(key).values)[None] for key in self.keys]

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, ticket: Ticket) -> Sample:
        """Patch and outline (2, z, y, x), label, and the row of `Lore.rows`, of (epoch, position).

        Without outlines there is one channel.
        """
        position = ticket[1]
        values, outline = self._values[position], self.lore.outlines[position]
        if outline.size:
            values = torch.cat([values, torch.from_numpy(outline).float()[None]])
        return values, self.labels[position], torch.from_numpy(self._rows[position]), SURE
