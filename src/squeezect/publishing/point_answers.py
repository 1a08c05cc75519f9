"""One point of a scan, or one crop around a nodule: what weights say of it."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from squeezect.candidates import CandidateClassifier
from squeezect.errors import Finding, PreparationError, SqueezeCTError
from squeezect.kinds import judges_cuts, judges_slices
from squeezect.points import PointClassifier, look_at_candidate
from squeezect.preparation.pipeline import NO_POINT, POINT_OUTSIDE
from squeezect.publishing.judged import card_of, serious
from squeezect.publishing.point_pages import publish_point
from squeezect.reading import read_scan
from squeezect.scan import Triple
from squeezect.sight import Drawn


@dataclass(frozen=True)
class PointAnswer:
    """What weights say of one point of a scan, or of a crop (`point_mm` is None).

    Its findings are the warnings of reading, without those that any crop gets.
    """

    weights: str
    scan: str
    point_mm: Triple | None
    probability: float
    threshold: float
    statement: str
    drawn: Drawn | None = None
    findings: tuple[Finding, ...] = ()
    page: Path | None = None
    error: None = None

    @property
    def positive(self) -> bool:
        """Whether the probability reaches the threshold."""
        return self.probability >= self.threshold

    @property
    def where(self) -> str:
        """What was asked about, in words."""
        if self.point_mm is None:
            return "middle of the crop"
        x, y, z = self.point_mm
        return f"point ({x:.1f}, {y:.1f}, {z:.1f}) mm"

    def as_dict(self) -> dict[str, object]:
        """Everything as plain JSON."""
        return {
            "weights": self.weights,
            "scan": self.scan,
            "point_mm": list(self.point_mm) if self.point_mm else None,
            "probability": self.probability,
            "threshold": self.threshold,
            "positive": self.positive,
            **({"outline": self.drawn.as_dict()} if self.drawn else {}),
            "findings": [finding.as_dict() for finding in self.findings],
            **({"page": str(self.page)} if self.page else {}),
            "statement": self.statement,
        }

    def __str__(self) -> str:
        call = "positive" if self.positive else "negative"
        lines = [
            f"{self.where}: probability {self.probability:.3f}, {call} at "
            f"threshold {self.threshold:.3f} ({self.weights})"
        ]
        if self.drawn is not None:
            more = " or more, it reaches the end of the patch" if self.drawn.touches else ""
            lines.append(f"  outlined: {self.drawn.diameter_mm:.1f} mm across{more}")
        lines += [f"  {finding}" for finding in self.findings]
        if self.page is not None:
            lines.append(f"  page: {self.page}")
        return "\n".join([*lines, self.statement])


@dataclass(frozen=True)
class PointRefusal:
    """Why there is no answer for a scan."""

    source: Path
    error: SqueezeCTError

    def as_dict(self) -> dict[str, object]:
        """The refusal as plain JSON; `source` is the path as the user gave it."""
        return {"source": str(self.source), "error": dict(self.error.as_dict())}

    def __str__(self) -> str:
        return f"{self.source}: refused: {self.error}"


def judges_points(name: str) -> bool:
    """Whether weights judge points of scans or patches rather than whole scans."""
    try:
        card = card_of(name)
    except SqueezeCTError:
        # Whoever opens it says what is wrong.
        return False
    return card.preparation.cuts_patches or judges_slices(card)


def answer_points(
    name: str,
    paths: Sequence[Path],
    point_mm: Triple | None = None,
    *,
    out: Path | None = None,
    series: str | None = None,
    allow: Collection[str] = (),
) -> list[PointAnswer | PointRefusal]:
    """Ask weights about a point of each scan, or about crops; a refusal does not stop the others.

    See `answer_point` for the arguments.

    Raises:
        CheckpointError: `unknown-weights`.
    """
    card_of(name)
    answers: list[PointAnswer | PointRefusal] = []
    for path in paths:
        try:
            answers.append(answer_point(name, path, point_mm, out=out, series=series, allow=allow))
        except SqueezeCTError as error:
            answers.append(PointRefusal(path, error))
    return answers


def answer_point(
    name: str,
    path: Path,
    point_mm: Triple | None = None,
    *,
    out: Path | None = None,
    series: str | None = None,
    allow: Collection[str] = (),
) -> PointAnswer:
    """Read a scan or a crop and ask weights about a point of it.

    Args:
        name: shipped weights, a run or a checkpoint folder.
        path: the scan or crop.
        point_mm: LPS point (x, y, z) in mm; None for the middle of a crop, which only weights for
            points of 3D patches take.
        out: folder that receives a folder with page, pictures and JSON; None to write nothing.
        series: series to read where a folder holds several.
        allow: codes of refusals to go on in spite of.

    Raises:
        ReadingError: if the scan cannot be read.
        PreparationError: `point-outside` or `no-point`.
        CheckpointError: `unknown-weights`.
    """
    card = card_of(name)
    if point_mm is not None and not all(map(math.isfinite, point_mm)):
        raise PreparationError(POINT_OUTSIDE, f"point {point_mm} mm is not three finite numbers")
    cuts = judges_cuts(card)
    # A crop around a nodule may hold two slices or one.
    passed = (*allow, "too-few-slices") if cuts else allow
    scan = read_scan(path, series=series, allow=passed)
    if cuts:
        points = PointClassifier.open(name)
        volume, threshold = points.prepare(scan, point_mm), points.threshold
        probability = float(points.score([volume])[0])
        see = partial(points.look, volume)
    elif point_mm is None:
        what = f"weights {name!r} judge points of whole scans"
        raise PreparationError(NO_POINT, what, remedy="give the point with --point x y z")
    else:
        candidates = CandidateClassifier.open(name)
        probability, threshold = candidates.at(scan, point_mm), candidates.threshold
        see = partial(look_at_candidate, candidates, scan, point_mm)
    answer = PointAnswer(
        name,
        scan.identity,
        point_mm,
        probability,
        threshold,
        card.statement,
        findings=tuple(serious(scan, crop=point_mm is None)),
    )
    if out is None:
        return answer
    sight = see()
    answer = replace(answer, drawn=sight.drawn)
    return replace(answer, page=publish_point(answer, card, sight, scan, out))
