"""Files to series, and which series is the one to read."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from squeezect.errors import Finding, ReadingError
from squeezect.reading import codes
from squeezect.reading.geometry import Stack, stack
from squeezect.reading.header import CT_CLASSES, Header, read_headers
from squeezect.reading.pixels import LOSSY, check_pixels, pixel_bytes
from squeezect.reading.sources import Deadline, Limits, Source
from squeezect.scan import pseudonym

Orientation = Literal["axial", "coronal", "sagittal", "oblique", ""]

FULL_SHARE = 0.9
"""Series that cover this share of the longest one count as covering as much."""
OBLIQUE_COSINE = 0.8
"""A normal less aligned than this with every patient axis is oblique."""
SOFT_WORDS = ("soft", "standard", "stnd", "mediast", "smooth", "body")
SHARP_WORDS = ("lung", "bone", "sharp", "edge", "detail", "hrct")
MAPS = {"PERFUSION", "ANGIO", "MATERIAL", "VMI_MAP"}
"""Kinds of images computed from CT whose values are something else."""


@dataclass(frozen=True, eq=False)
class Series:
    """Slices that share a series UID, and what can be said without their pixels.

    Args:
        uid: SeriesInstanceUID; "" where files lack it.
        headers: of all its slices.
        stack: the slices in order; None if they cannot be a volume.
        refusal: why it is not usable; None if it is, as far as headers tell.
        findings: what else is worth saying.
        part: what tells it from others of its UID; "" where it has the UID for itself.
    """

    uid: str
    headers: tuple[Header, ...]
    stack: Stack | None
    refusal: ReadingError | None
    findings: tuple[Finding, ...] = ()
    part: str = ""

    @property
    def pseudonym(self) -> str:
        """Its name in results: a hash of the UID, and of what tells it from others of this UID."""
        name = f"{self.uid} {self.part}".strip()
        return pseudonym(name) if name else ""

    @property
    def coverage_mm(self) -> float:
        """Distance from the first to the last slice, one spacing added; 0 if unknown."""
        return self.stack.grid.size_mm[0] if self.stack else 0.0

    @property
    def orientation(self) -> Orientation:
        """Which way its slices lie in the patient."""
        if self.stack is None:
            return ""
        cosines = np.abs(np.array(self.stack.grid.direction[0]))
        names: tuple[Orientation, ...] = ("sagittal", "coronal", "axial")
        return names[int(cosines.argmax())] if cosines.max() > OBLIQUE_COSINE else "oblique"


@dataclass(frozen=True, eq=False)
class Found:
    """What a folder holds.

    Args:
        series: DICOM series, by first file name.
        images: files of other formats.
        broken: DICOM files that cannot be read, with the reason.
    """

    series: tuple[Series, ...]
    images: tuple[Source, ...]
    broken: tuple[tuple[Source, ReadingError], ...]


def find_series(
    sources: Iterable[Source], limits: Limits, deadline: Deadline, *, suffixes: tuple[str, ...]
) -> Found:
    """Read all headers and group them.

    Args:
        sources: files.
        limits: what to take on.
        deadline: when to give up.
        suffixes: of image formats that are not DICOM.
    """
    headers: list[Header] = []
    images, broken = [], []
    for source in sources:
        deadline.check(source.label)
        if source.name.lower().endswith(suffixes):
            images.append(source)
            continue
        try:
            headers += read_headers(source, limits)
        except ReadingError as error:
            broken.append((source, error))
    series = tuple(_judge(group, part, limits) for part, group in _groups(headers))
    return Found(series, tuple(images), tuple(broken))


def _groups(headers: Iterable[Header]) -> Iterator[tuple[str, list[Header]]]:
    """Headers of one series each, and what tells it from others of its UID."""
    by_uid: dict[str, list[Header]] = {}
    for header in headers:
        by_uid.setdefault(header.series, []).append(header)
    for group in by_uid.values():
        # A missing value contradicts nothing: some writers leave it out here and there.
        values = zip(*(header.origin for header in group), strict=True)
        if all(len(set(column) - {""}) <= 1 for column in values):
            yield "", group
            continue
        parts: dict[str, list[Header]] = {}
        for header in group:
            parts.setdefault(" ".join(header.origin), []).append(header)
        yield from parts.items()


def choose(candidates: Sequence[Series]) -> list[Series]:
    """Usable series, best first: axial original, most coverage, thinnest, softest kernel.

    Coverage within a tenth of the longest counts as equal; ties fall to the first series UID.
    """
    usable = [s for s in candidates if s.refusal is None]
    longest = max((s.coverage_mm for s in usable), default=0.0)

    def rank(series: Series) -> tuple[float | str, ...]:
        covered = series.coverage_mm
        spacing = series.stack.grid.spacing_mm[0] if series.stack else 0.0
        return (
            series.orientation != "axial",
            "ORIGINAL" not in series.headers[0].image_type,
            -longest if covered >= FULL_SHARE * longest else -covered,
            round(spacing, 2),
            sharpness(series.headers[0].kernel),
            -covered,
            series.uid,
            series.part,
        )

    return sorted(usable, key=rank)


def sharpness(kernel: str) -> float:
    """How sharp a reconstruction kernel is by its name: 0 for soft, 100 for the sharpest.

    Siemens and Philips kernels carry a number or letter; others are known by words; 50 if unknown.

    Example:
        >>> sharpness("B30f") < sharpness("B70f")
        True
    """
    name = kernel.lower()
    if any(word in name for word in SHARP_WORDS):
        return 80.0
    if any(word in name for word in SOFT_WORDS):
        return 20.0
    digits = "".join(c if c.isdigit() else " " for c in name).split()
    return float(min(int(digits[0][:4]), 100)) if digits else 50.0


def _judge(headers: list[Header], part: str, limits: Limits) -> Series:
    uid, findings = headers[0].series, list[Finding]()
    if part:
        findings.append(Finding(codes.SHARED_UID, f"{len(headers)} slices are of this one"))
    try:
        headers = _only_volume(headers, findings)
        for header in headers:
            check_pixels(header, limits)
        _check_storage(headers)
        voxels = len(headers) * headers[0].pixels.rows * headers[0].pixels.columns
        if voxels > limits.voxels:
            what = f"{len(headers)} slices make {voxels} voxels"
            raise ReadingError(codes.TOO_LARGE, what)
        _check_ratio(headers, limits)
        stacked = stack(headers)
    except ReadingError as error:
        return Series(uid, tuple(headers), None, error, tuple(findings), part)
    if stacked.grid.shape[0] > 4 * len(headers):
        gap = ReadingError(
            codes.GAP, f"{len(headers)} slices over {stacked.grid.size_mm[0]:.0f} mm"
        )
        return Series(uid, tuple(headers), None, gap, tuple(findings), part)
    findings += stacked.findings
    findings += _origin(headers)
    return Series(uid, tuple(headers), stacked, None, tuple(findings), part)


def _only_volume(headers: list[Header], findings: list[Finding]) -> list[Header]:
    """The CT slices among the files of a series, localizers left out."""
    kinds = Counter((h.sop_class, h.modality) for h in headers)
    (sop_class, modality), _ = kinds.most_common(1)[0]
    slices = [h for h in headers if is_ct(h)]
    odd = next((h for h in headers if h.sop_class in CT_CLASSES and not is_ct(h)), None)
    if odd is not None:
        what = f"{odd.name} says modality {odd.modality} and {_class_name(odd.sop_class)}"
        raise ReadingError(codes.NOT_CT, what)
    if not slices:
        what = f"{len(headers)} images of modality {modality or 'unknown'}"
        raise ReadingError(codes.NOT_CT, f"{what}, {_class_name(sop_class)}")
    kept = [h for h in slices if not _is_localizer(h)]
    if not kept:
        what = f"{len(slices)} localizer images"
        raise ReadingError(codes.LOCALIZER, what)
    if len(kept) < len(slices):
        findings.append(Finding(codes.LOCALIZER_DROPPED, f"{len(slices) - len(kept)} images"))
    if len(slices) < len(headers):
        findings.append(Finding(codes.OTHER_DROPPED, f"{len(headers) - len(slices)} files"))
    computed = next((h for h in kept if _unit(h)), None)
    if computed is not None:
        what = f"{computed.name} holds {_unit(computed)}, not Hounsfield units"
        raise ReadingError(codes.NOT_CT, what)
    return kept


def _check_ratio(headers: Sequence[Header], limits: Limits) -> None:
    """Refuse pixels that all together swell beyond reason when decoded."""
    files = {id(header.source): header for header in headers}.values()
    packed = sum(header.source.packed for header in files)
    needed = sum(pixel_bytes(header) for header in files)
    if limits.inflates(packed, needed):
        what = f"{len(files)} files of {packed} bytes declare {needed} bytes of pixels"
        raise ReadingError(codes.TOO_LARGE, what)


def _check_storage(headers: Sequence[Header]) -> None:
    """Refuse slices whose stored values cannot all mean the same."""
    first = headers[0]
    for header in headers:
        for label, mine, other in (
            ("a rescale slope", header.slope is not None, first.slope is not None),
            ("a rescale intercept", header.intercept is not None, first.intercept is not None),
        ):
            if mine != other:
                having, lacking = (header, first) if mine else (first, header)
                what = f"{having.name} has {label}, {lacking.name} has none"
                raise ReadingError(codes.MIXED_STORAGE, what)
        bits, usual = header.pixels.allocated, first.pixels.allocated
        if bits != usual:
            what = f"{header.name} stores {bits} bits per value, {first.name} {usual}"
            raise ReadingError(codes.MIXED_STORAGE, what)


def is_ct(header: Header) -> bool:
    """Whether an image is CT, by its SOP class and its modality, whichever it has."""
    modality = header.modality.upper()
    if header.sop_class:
        return header.sop_class in CT_CLASSES and modality in {"", "CT"}
    return modality == "CT"


def _is_localizer(header: Header) -> bool:
    return any("LOCALIZER" in word.upper() for word in header.image_type)


def _unit(header: Header) -> str:
    kinds = {word.upper() for word in header.image_type[2:]} & MAPS
    unit = header.rescale_type.upper()
    if unit not in {"", "HU", "US", "HU_MOD"}:
        return unit[:16]
    return f"a {min(kinds).lower()} map" if kinds else ""


def _class_name(uid: str) -> str:
    from pydicom.uid import UID

    name = str(UID(uid).name) if uid else "no SOP class"
    return name if name != uid else "an unknown SOP class"


def _origin(headers: Sequence[Header]) -> list[Finding]:
    findings = []
    lossy = [h for h in headers if h.pixels.lossy or h.pixels.syntax in LOSSY]
    if lossy:
        where = f"in {len(lossy)} of {len(headers)} slices"
        findings.append(Finding(codes.LOSSY, lossy[0].pixels.syntax or "stated", where))
    if headers[0].image_type[:1] == ("DERIVED",) or "SECONDARY" in headers[0].image_type[:2]:
        findings.append(Finding(codes.DERIVED, "\\".join(headers[0].image_type[:3])))
    unscaled = [h for h in headers if h.slope is None or h.intercept is None]
    if unscaled:
        where = f"in {len(unscaled)} of {len(headers)} slices"
        findings.append(Finding(codes.NO_RESCALE, "missing", where))
    if headers[0].contrast and headers[0].contrast.upper() not in {"NONE", "NO", "N"}:
        findings.append(Finding(codes.CONTRAST, "stated in the header"))
    return findings
