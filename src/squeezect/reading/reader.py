"""`read_scan`: a folder, zip or file to one CT in Hounsfield units, or a refusal with a reason."""

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from squeezect.errors import Finding, ReadingError
from squeezect.reading import codes
from squeezect.reading.checks import check_fitness, check_slices, check_values
from squeezect.reading.geometry import Stack, straighten
from squeezect.reading.header import Header
from squeezect.reading.hounsfield import Hu
from squeezect.reading.images import SUFFIXES, image_format, read_image
from squeezect.reading.pixels import decode_into
from squeezect.reading.quiet import quiet
from squeezect.reading.series import Found, Series, choose, find_series
from squeezect.reading.sources import LIMITS, Deadline, Limits, Source, open_sources
from squeezect.scan import Acquisition, Grid, Scan, canonical, pseudonym

_UID = re.compile(r"^\d+(\.\d+){5,}$")


def read_scan(
    path: str | Path,
    *,
    series: str | None = None,
    allow: Collection[str] = (),
    limits: Limits = LIMITS,
    threads: int | None = None,
) -> Scan:
    """Read one CT as Hounsfield units on a canonical grid.

    Where several series are usable, one is taken: axial before other orientations, original
    before derived, then most coverage (within a tenth counts as equal), thinnest slices, softest
    kernel; the choice is a finding.

    Args:
        path: DICOM folder (searched recursively), zip of one, DICOM file, or a ``.mhd``,
            ``.mha``, ``.nii``, ``.nii.gz`` or ``.nrrd`` file.
        series: SeriesInstanceUID, or the name that `inspect` gives to a series.
        allow: codes of refusals to go on in spite of, as far as a volume exists; recorded.
        limits: what to take on.
        threads: that decode; by default one per core.

    Returns:
        The scan: int16 HU [z, y, x]; what is outside the field of view is -1024.

    Raises:
        ReadingError: with one of the codes of `squeezect.reading.codes`.

    Example:
        >>> read_scan("patient01/").hu.dtype               # doctest: +SKIP
        dtype('int16')
    """
    deadline = Deadline(limits)
    with open_sources(Path(path), limits) as sources, quiet():
        found = find_series(sources, limits, deadline, suffixes=SUFFIXES)
        if found.images and not _named(found.series, series):
            image = _pick_image(found, series)
            if image is not None:
                return read_image_scan(image, sources, limits=limits, allow=allow)
        candidates = _candidates(found, series)
        skipped: list[tuple[Series, ReadingError]] = []
        for candidate in candidates:
            try:
                scan = read_series(candidate, deadline, allow=allow, threads=threads)
            except ReadingError as error:
                skipped.append((candidate, error))
                continue
            return _with_choice(scan, candidate, candidates, skipped, found)
    raise skipped[0][1]


def read_series(
    series: Series,
    deadline: Deadline,
    *,
    allow: Collection[str] = (),
    threads: int | None = None,
) -> Scan:
    """Decode a series that its headers let pass.

    Raises:
        ReadingError: from decoding or from the look of the values.
    """
    if series.stack is None:
        raise series.refusal or ReadingError(codes.NO_SERIES, "no slices")
    stack = series.stack
    hu = np.empty((len(stack.headers), *stack.grid.shape[1:]), np.int16)
    decode_into(hu, stack.headers, deadline, threads=threads)
    names = [header.name for header in stack.headers]
    findings = [*series.findings, *check_slices(hu, names, allow=allow)]
    if stack.repeats:
        _compare_repeats(hu, stack, deadline, threads)
        findings.append(Finding(codes.DUPLICATE, f"{len(stack.repeats)} slices"))
    hu, grid = canonical(straighten(hu, stack), stack.grid)
    # Files without a UID must not make all patients one.
    identity = series.pseudonym or _fingerprint(hu, grid)
    return _finish(hu, grid, _acquisition(stack.headers[0]), findings, identity, allow=allow)


def read_image_scan(
    source: Source,
    sources: Sequence[Source],
    *,
    limits: Limits,
    allow: Collection[str] = (),
) -> Scan:
    """Read a volume that is no DICOM.

    Raises:
        ReadingError: from reading or from the look of the values.
    """
    hu, grid, findings = read_image(source, {s.name: s for s in sources}, limits, allow=allow)
    hu, grid = canonical(hu, grid)
    acquisition = Acquisition(source_format=image_format(source.name))
    stem = PurePosixPath(source.name).name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        stem = stem[: -len(suffix)] if stem.lower().endswith(suffix) else stem
    # LUNA16 and others name files by the series: the same scan keeps its pseudonym.
    identity = pseudonym(stem) if _UID.match(stem) else _fingerprint(hu, grid)
    return _finish(hu, grid, acquisition, findings, identity, allow=allow)


def _finish(
    hu: Hu,
    grid: Grid,
    acquisition: Acquisition,
    findings: list[Finding],
    identity: str,
    *,
    allow: Collection[str],
) -> Scan:
    found = [*findings, *check_values(hu, grid, allow=allow), *check_fitness(grid, acquisition)]
    return Scan(np.ascontiguousarray(hu), grid, acquisition, tuple(found), identity)


def _compare_repeats(hu: Hu, stack: Stack, deadline: Deadline, threads: int | None) -> None:
    """Refuse slices that claim a place already taken and differ."""
    # Many at a time, as a file of many frames is opened anew each time.
    batches = [stack.repeats[i : i + 64] for i in range(0, len(stack.repeats), 64)]
    for some in batches:
        other = np.empty((len(some), *hu.shape[1:]), np.int16)
        decode_into(other, [header for _, header in some], deadline, threads=threads)
        for plane, (index, header) in zip(other, some, strict=True):
            if not np.array_equal(plane, hu[index]):
                what = f"{header.name} and {stack.headers[index].name} lie at one place and differ"
                raise ReadingError(codes.CONFLICT, f"{what}; {len(stack.repeats)} repeats in all")


def _named(series: Sequence[Series], name: str | None) -> list[Series]:
    return [s for s in series if name is not None and name in {s.uid, s.pseudonym}]


def _pick_image(found: Found, name: str | None) -> Source | None:
    """The image file to read; DICOM beside it goes first unless it is named."""
    if name is not None:
        named = [s for s in found.images if image_name(s) == name]
        return named[0] if named else None
    if any(s.refusal is None for s in found.series):
        return None
    if len(found.images) > 1:
        what = f"{len(found.images)} image files, from {found.images[0].label} on"
        raise ReadingError(codes.SEVERAL_IMAGES, what)
    return found.images[0]


def image_name(source: Source) -> str:
    """Name of an image file in results: a hash, as its file name may be a UID."""
    return pseudonym(source.name)


def _candidates(found: Found, name: str | None) -> list[Series]:
    """Series to try, best first.

    Raises:
        ReadingError: naming why there is none.
    """
    if name is not None:
        named = _named(found.series, name)
        if not named:
            raise ReadingError(codes.UNKNOWN_SERIES, f"no series {name} among {len(found.series)}")
        usable = choose(named)
        if not usable:
            raise named[0].refusal or ReadingError(codes.NO_SERIES, "no slices")
        return usable
    usable = choose(found.series)
    if usable:
        return usable
    if not found.series and not found.broken:
        raise ReadingError(codes.NOT_AN_IMAGE, "nothing here is an image that can be read")
    errors = [s.refusal for s in found.series if s.refusal is not None]
    errors += [error for _, error in found.broken]
    # A CT that fails says more than the other things beside it.
    telling = [e for e in errors if e.kind not in {codes.NOT_CT, codes.LOCALIZER}]
    if len(errors) == 1 or len(telling) == 1:
        raise (telling or errors)[0]
    reasons = sorted({f"{e.code}: {e.what}" for e in errors})
    what = f"{len(errors)} series or files, none usable ({'; '.join(reasons[:3])})"
    raise ReadingError(codes.NO_SERIES, what)


def _with_choice(
    scan: Scan,
    series: Series,
    candidates: Sequence[Series],
    skipped: Sequence[tuple[Series, ReadingError]],
    found: Found,
) -> Scan:
    extra = []
    if len(candidates) > 1:
        value = f"{series.pseudonym} of {len(candidates)}"
        extra.append(Finding(codes.SERIES_CHOSEN, value))
    for other, error in skipped:
        extra.append(Finding(codes.SERIES_SKIPPED, f"{other.pseudonym}: {error.code}"))
    if found.broken:
        where = f"first {found.broken[0][0].label}"
        extra.append(Finding(codes.UNREAD_FILES, f"{len(found.broken)} files", where))
    return replace(scan, findings=(*scan.findings, *extra)) if extra else scan


def _acquisition(header: Header) -> Acquisition:
    contrast = None
    if header.contrast:
        contrast = header.contrast.upper() not in {"NONE", "NO", "N"}
    return Acquisition(
        source_format="dicom",
        manufacturer=header.manufacturer,
        kernel=header.kernel,
        slice_thickness_mm=header.thickness_mm,
        tube_voltage_kv=header.voltage_kv,
        contrast_agent=contrast,
    )


def _fingerprint(hu: Hu, grid: Grid) -> str:
    digest = hashlib.blake2b(np.ascontiguousarray(hu[::4, ::4, ::4]).tobytes(), digest_size=6)
    numbers = np.round([*grid.spacing_mm, *grid.origin_mm], 2) + 0.0
    digest.update(f"{grid.shape} {numbers.tolist()}".encode())
    return digest.hexdigest()
