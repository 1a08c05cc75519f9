"""Is a candidate a nodule: networks on patches that were cut around points.

A patch is one axial slice around a point, at the scan's own spacing, one byte per voxel over
[-1000, 400] HU; for a network it is a volume one voxel deep.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from squeezect.checkpoint import CARD_FILE, Card, Checkpoint, Networks, find_networks, fold_folders
from squeezect.cohorts import Case
from squeezect.cohorts.layouts.list_lines import PICTURES
from squeezect.errors import CheckpointError, Code, CohortError
from squeezect.kinds import OTHER_KIND, SIDE, judges_slices
from squeezect.preparation import Patch, cut_patch
from squeezect.preparation.pipeline import check_point
from squeezect.scan import Scan, Triple

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from squeezect.models import Classifier

UNKNOWN_WEIGHTS = Code(
    "unknown-weights",
    "There are no shipped weights of this name and no checkpoint at this path.",
    "name shipped weights, a run of patches or a checkpoint folder",
)
UNREADABLE_PATCH = Code(
    "unreadable-patch",
    "A patch is not an 8-bit grey picture of at most the given size.",
    "write -1000 to 400 HU as 0 to 255 and cut the patch again, or remove its line",
)
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "PPM", "WEBP")
"""How pictures of patches may be stored."""
VIEWS = 8
"""Mirrored and turned views of a patch whose mean is its answer."""
DEPTHS = {"1": "of 1 bit", "I;16": "of 16 bits", "I;16B": "of 16 bits", "I": "of 32 bits"}
LOSSY_SPREAD = 3

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Patches:
    """Patches of some cases.

    Args:
        values: uint8, shape (n, SIDE, SIDE); 0 is -1000 HU, 255 is 400 HU.
        labels: class of each, shape (n,).
    """

    values: Bytes
    labels: npt.NDArray[np.int64]

    def tensors(self, positions: "Sequence[int] | npt.NDArray[np.int64]") -> "torch.Tensor":
        """Float32 patches (B, 1, 1, y, x) in [0, 1]."""
        import torch

        chosen = torch.from_numpy(self.values[np.asarray(positions)])
        return chosen.float().div_(255)[:, None, None]


def read_patches(cases: Sequence[Case], *, source: str = "") -> Patches:
    """Read the pictures of some cases.

    Args:
        cases: `Case.scan` is an 8-bit grey picture (`FORMATS`) of at most `SIDE` voxels along each
            side; colour pictures will do whose channels are alike and that cover all.
        source: name of their list, for messages.

    Raises:
        CohortError: `unreadable-patch`, with row and file.
    """
    values = np.zeros((len(cases), SIDE, SIDE), np.uint8)
    for position, case in enumerate(cases):
        picture = _read(case, source)
        top, left = ((SIDE - side) // 2 for side in picture.shape)
        height, width = picture.shape
        values[position, top : top + height, left : left + width] = picture
    return Patches(values, np.array([case.label or 0 for case in cases], np.int64))


def is_picture(path: Path) -> bool:
    """Whether a file is a picture as patches are: by its ending, or by its bytes if it has none."""
    if path.suffix or not path.is_file():
        return path.suffix.lower() in PICTURES
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS):
            return True
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return True  # whoever reads it says what is wrong with it
    except (OSError, SyntaxError, ValueError):
        return False


def _read(case: Case, source: str) -> Bytes:
    from PIL import Image

    where = f"row {case.row}{f' of {source}' if source else ''}: {case.scan.name}"
    wanted = f"8-bit grey of at most {SIDE} x {SIDE}"
    try:
        with Image.open(case.scan, formats=FORMATS) as image:
            width, height = image.size
            depth = DEPTHS.get(image.mode, f"of mode {image.mode}")
            pages = getattr(image, "n_frames", 1)
            fits = max(image.size) <= SIDE and pages == 1
            picture = _grey(image) if fits else None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # A header of a few bytes may ask for any amount of memory.
        what = f"{where} has many millions of pixels and is not {wanted}"
        raise CohortError(UNREADABLE_PATCH, what) from error
    except (OSError, SyntaxError, ValueError) as error:
        what = f"{where} is not a sound picture ({', '.join(FORMATS)})"
        raise CohortError(UNREADABLE_PATCH, what) from error
    if picture is None:
        several = f" and {pages} pages" if pages > 1 else ""
        what = f"{where} ({width} x {height}, {depth}{several}) is not {wanted}"
        raise CohortError(UNREADABLE_PATCH, what)
    return picture


def _grey(image: "Image") -> Bytes | None:
    """The values of a picture if it is 8-bit grey, however it is stored."""
    if image.mode == "L":
        return np.asarray(image)
    if image.mode not in {"RGB", "RGBA", "LA", "P", "PA"}:
        return None
    colours = np.asarray(image.convert("RGBA")).astype(np.int16)
    # Colours come back from lossy files a little apart.
    apart = LOSSY_SPREAD if image.format in {"JPEG", "WEBP"} else 0
    alike = np.ptp(colours[..., :3], axis=2).max(initial=0) <= apart
    grey: Bytes = np.rint(colours[..., :3].mean(axis=2)).astype(np.uint8)
    return grey if alike and (colours[..., 3] == 255).all() else None


def score_patches(
    model: "torch.nn.Module",
    patches: Patches,
    *,
    views: int = VIEWS,
    batch_size: int = 8,
    progress: Callable[[int], None] | None = None,
) -> npt.NDArray[np.float64]:
    """Probability of class 1 of every patch: the mean over its mirrored and turned views.

    Args:
        model: the network.
        patches: what to score.
        views: 8 for the four quarter turns of a patch and its mirror image, 1 for the patch alone.
        batch_size: patches at once; few, so that features stay in the processor's cache.
        progress: called with how many are done.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.eval().to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    answers = []
    with torch.inference_mode():
        for start in range(0, len(patches.labels), batch_size):
            batch = patches.tensors(np.arange(len(patches.labels))[start : start + batch_size])
            answers.append(mean_view(model, batch.to(device), views))
            if progress is not None:
                progress(start + len(batch))
    return np.concatenate(answers) if answers else np.zeros(0)


def mean_view(
    model: "torch.nn.Module", batch: "torch.Tensor", views: int
) -> npt.NDArray[np.float64]:
    """Probability of class 1 of each of a batch: the mean over the first views of it.

    Args:
        model: the network.
        batch: (B, 1, z, y, x).
        views: 1 to 8; four quarter turns within the slices, then those of the mirror image.
    """
    import torch

    total = torch.zeros(len(batch), dtype=torch.float64)
    for view in range(views):
        seen = turned(batch, view)
        logits = model(seen.contiguous(memory_format=torch.channels_last_3d))
        total += logits.double().softmax(1)[:, 1].cpu()
    result: npt.NDArray[np.float64] = (total / views).numpy()
    return result


def turned(batch: "torch.Tensor", view: int) -> "torch.Tensor":
    """One view of a batch (B, channels, z, y, x).

    Args:
        batch: volumes.
        view: 0 to 7; quarter turns within the slices, from 4 on of the mirror image.
    """
    seen = batch.rot90(view % 4, (3, 4))
    return seen.flip(4) if view >= 4 else seen


def weight_names() -> tuple[str, ...]:
    """Names of the shipped weights."""
    place = files("squeezect").joinpath("weights")
    found = [p.name for p in place.iterdir() if p.joinpath("card.json").is_file()]
    return tuple(sorted(found))


def weights_folder(name: str | Path) -> Path:
    """Folder of shipped weights by name, of a run of patches, or a checkpoint folder by path.

    Raises:
        CheckpointError: `unknown-weights`.
    """
    path = Path(name)
    for folder in (path, path / "fold-0"):
        if (folder / "card.json").is_file():
            return folder
    if str(name) in weight_names():
        return Path(str(files("squeezect").joinpath("weights", str(name))))
    known = ", ".join(weight_names())
    raise CheckpointError(UNKNOWN_WEIGHTS, f"no weights {str(name)!r}; shipped are {known}")


def find_weights(name: str | Path) -> Networks:
    """The networks of shipped weights by name, of a run, or of a checkpoint folder by path.

    Raises:
        CheckpointError: `unknown-weights`; what `find_networks` says of a run.
    """
    path = Path(name)
    known = any((path / file).is_file() for file in (CARD_FILE, "run.json")) or fold_folders(path)
    return find_networks(path if known else weights_folder(name))


@dataclass(frozen=True, eq=False)
class CandidateClassifier:
    """Networks that judge candidates.

    Args:
        card: what they are, what they were trained on, how far to trust them.
        models: one, or those of all folds of a run, whose mean is the answer.
        threshold: probability from which a candidate is called positive.

    Example:
        >>> classifier = CandidateClassifier.open("nodule")
        >>> 0 <= classifier.at(scan, (56.2, 86.3, -115.9)) <= 1    # doctest: +SKIP
    """

    card: Card
    models: "tuple[Classifier, ...]"
    threshold: float = 0.5

    @classmethod
    def open(cls, name: str | Path) -> Self:
        """Load shipped weights by name, a run of patches, or a checkpoint folder by path.

        Raises:
            CheckpointError: `unknown-weights`, `no-run`, `checkpoint-damaged`, or
                `weights-of-another-kind` if they are not made for patches of one slice.
        """
        found = find_weights(name)
        if not judges_slices(found.card):
            kind = "points of scans" if found.card.preparation.cuts_patches else "whole scans"
            what = f"weights {str(name)!r} are made for {kind}, not for patches of one slice"
            raise CheckpointError(OTHER_KIND, what)
        models = tuple(Checkpoint.load(folder).build() for folder in found.folders)
        return cls(found.card, models, found.threshold)

    @property
    def views(self) -> int:
        """Mirrored and turned views of a patch whose mean is its answer."""
        # Training on lists judges by all views, whatever the recipe says.
        views = self.card.recipe.get("views") if "fold" in self.card.trained_on else VIEWS
        return views if isinstance(views, int) else VIEWS

    def score(
        self, patches: Patches, *, progress: Callable[[int, int], None] | None = None
    ) -> npt.NDArray[np.float64]:
        """Probability of class 1 of every patch: the mean over networks and views.

        Args:
            patches: what to score.
            progress: called with how many answers there are, of all networks, and how many
                networks there are.
        """
        networks, count = len(self.models), len(patches.labels)

        def tell(network: int, done: int) -> None:
            if progress is not None:
                progress(network * count + done, networks)

        answers = [
            score_patches(model, patches, views=self.views, progress=partial(tell, number))
            for number, model in enumerate(self.models)
        ]
        mean: npt.NDArray[np.float64] = np.mean(answers, axis=0)
        return mean

    def at(self, scan: Scan, point_mm: Triple) -> float:
        """Probability that a nodule is at a point of a scan.

        Args:
            scan: a chest CT.
            point_mm: LPS point (x, y, z) in mm.

        Raises:
            PreparationError: `point-outside`.
        """
        return float(self.score(patch_around(scan, point_mm))[0])


def patch_around(scan: Scan, point_mm: Triple) -> Patches:
    """The patch of a point as the shipped weights want it: axial, at the scan's own spacing.

    Args:
        scan: a chest CT.
        point_mm: LPS point (x, y, z) in mm.
    """
    grey = np.rint(cut_candidate(scan, point_mm).values * 255).astype(np.uint8)
    return Patches(grey, np.zeros(1, np.int64))


def cut_candidate(scan: Scan, point_mm: Triple) -> Patch:
    """The same patch before its values are rounded to 8 bits, and where it lies.

    Raises:
        PreparationError: `point-outside`.
    """
    check_point(scan.grid, point_mm)
    index = np.rint(scan.grid.to_index(np.array(point_mm, float)))
    # The outer face of the last slice is rounded to a slice that is not there.
    index[0] = np.clip(index[0], 0, scan.grid.shape[0] - 1)
    # The patches of the training data are whole voxels of one slice, not resampled.
    centre = scan.grid.to_mm(index + np.array([0.0, -0.5, -0.5]))
    return cut_patch(scan, centre, shape=(1, SIDE, SIDE), spacing_mm=scan.grid.spacing_mm)
