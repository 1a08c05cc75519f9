"""`inspect`: every series of a folder, zip or file, and why it is or is not usable."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from squeezect.errors import Finding, ReadingError
from squeezect.reading import codes
from squeezect.reading.images import SUFFIXES, image_format
from squeezect.reading.names import printable
from squeezect.reading.quiet import quiet
from squeezect.reading.reader import image_name, read_image_scan, read_series
from squeezect.reading.series import Series, choose, find_series
from squeezect.reading.sources import LIMITS, Deadline, Limits, Source, open_sources
from squeezect.scan import AXIAL, Scan, Triple

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


@dataclass(frozen=True)
class SeriesReport:
    """What can be said of one series, or of one image file.

    Args:
        series_uid: its pseudonym, or the UID itself where ids are kept.
        slices: files or frames in it.
        spacing_mm: along [z, y, x], None if it has none.
        usable: whether `read_scan` reads it.
        chosen: whether `read_scan` takes it when not told which.
        findings: refusals first.
        modality: as the header says.
        description: of the series; only where ids are kept, as it may name the patient.
        orientation: of the slices: axial, coronal, sagittal, oblique or "".
        kernel: of the reconstruction.
        coverage_mm: along the slices' normal.
        format: dicom, metaimage, nifti or nrrd.
        why: one line for a person.
    """

    series_uid: str
    slices: int
    spacing_mm: Triple | None = None
    usable: bool = False
    chosen: bool = False
    findings: tuple[Finding, ...] = ()
    modality: str = ""
    description: str = ""
    orientation: str = ""
    kernel: str = ""
    coverage_mm: float = 0.0
    format: str = "dicom"
    why: str = ""

    def as_dict(self) -> dict[str, object]:
        """The report as plain JSON."""
        spacing = self.spacing_mm and [round(v, 4) for v in self.spacing_mm]
        row: dict[str, object] = {
            "series_uid": self.series_uid,
            "modality": self.modality,
            "format": self.format,
            "slices": self.slices,
            "spacing_mm": spacing,
            "orientation": self.orientation,
            "kernel": self.kernel,
            "coverage_mm": round(self.coverage_mm, 1),
            "usable": self.usable,
            "chosen": self.chosen,
            "why": self.why,
            "findings": [finding.as_dict() for finding in self.findings],
        }
        return row | ({"description": self.description} if self.description else {})


@dataclass(frozen=True)
class Inspection:
    """All that is in a folder, zip or file.

    Args:
        series: what was found, the chosen one first.
        scan: the chosen one, read, if it was asked for.
    """

    series: tuple[SeriesReport, ...]
    scan: Scan | None = None

    @property
    def chosen(self) -> SeriesReport | None:
        """The series that `read_scan` takes; None if there is none."""
        return next((s for s in self.series if s.chosen), None)

    def as_dict(self) -> Mapping[str, object]:
        """The inspection as plain JSON."""
        return {"series": [series.as_dict() for series in self.series]}

    def table(self) -> "Table":
        """The inspection as a table for the terminal."""
        from rich.table import Table

        table = Table(show_lines=True)
        for name in ("", "series", "kind", "slices", "spacing and cover, mm", "lies"):
            table.add_column(name, no_wrap=name in {"", "series", "kind"})
        table.add_column("why", ratio=1, min_width=24)
        for s in self.series:
            spacing = " x ".join(f"{v:.2f}" for v in s.spacing_mm or ())
            table.add_row(
                "read" if s.chosen else "usable" if s.usable else "no",
                _cell(s.series_uid),
                _cell(s.modality or s.format),
                str(s.slices),
                _cell(spacing, f"{s.coverage_mm:.0f}" if spacing else ""),
                _cell(s.orientation, s.kernel),
                _cell(s.why, *(str(f) for f in s.findings if f.severity != "refuse")),
            )
        return table


def _cell(*lines: str) -> "Text":
    """Lines that are shown as they are: no markup, nothing that steers the terminal."""
    from rich.text import Text

    return Text("\n".join(printable(line) for line in lines if line))


def inspect(
    path: str | Path,
    *,
    series: str | None = None,
    keep_ids: bool = False,
    pixels: bool = True,
    limits: Limits = LIMITS,
    threads: int | None = None,
) -> Inspection:
    """List every series of a folder, zip or file, and say which one `read_scan` takes and why.

    Args:
        path: as for `read_scan`.
        series: choose this one, by UID or by the name given here.
        keep_ids: show series UIDs, descriptions and paths of files as they are; else UIDs and
            names are hashed and descriptions left out, as they may name a patient.
        pixels: decode too: without, damage and values that are no HU are not seen.
        limits: what to take on.
        threads: that decode.

    Returns:
        The inspection; its `scan` is the chosen series, if pixels are read.

    Raises:
        ReadingError: if the path itself cannot be looked at (`no-such-path`, `no-files`,
            `too-large`, `unsafe-archive`) or holds nothing to judge (`not-an-image`).

    Example:
        >>> inspect("patient01/").as_dict()["series"]      # doctest: +SKIP
    """
    deadline = Deadline(limits)
    with open_sources(Path(path), limits) as files, quiet():
        sources = [replace(source, named=keep_ids) for source in files]
        found = find_series(sources, limits, deadline, suffixes=SUFFIXES)
        reports: dict[str, SeriesReport] = {}
        scan: Scan | None = None
        taken = False
        for one in (*choose(found.series), *(s for s in found.series if s.refusal is not None)):
            report, read = _series_report(one, deadline, keep_ids, pixels, threads)
            wanted = series is None or series in {one.uid, one.pseudonym}
            if report.usable and wanted and not taken:
                report, scan, taken = replace(report, chosen=True), read, True
            reports[f"series {one.uid} {one.part}"] = report
        for image in found.images:
            report, read = _image_report(image, sources, limits, keep_ids)
            wanted = len(found.images) == 1 if series is None else series == image_name(image)
            if report.usable and wanted and not taken:
                report, scan, taken = replace(report, chosen=True), read, True
            reports[f"image {image.name}"] = report
        for source, error in found.broken:
            reports[f"broken {source.name}"] = SeriesReport(
                "", 0, findings=(_refusal(error),), why=error.what
            )
    if not reports:
        raise ReadingError(codes.NOT_AN_IMAGE, "nothing here is an image that can be read")
    if series is not None and not taken:
        _check_known(reports, series, [s.uid for s in found.series])
    rows = sorted(reports.values(), key=lambda r: (not r.chosen, not r.usable))
    return Inspection(tuple(_explain(row, rows) for row in rows), scan)


def _series_report(
    series: Series,
    deadline: Deadline,
    keep_ids: bool,  # noqa: FBT001
    pixels: bool,  # noqa: FBT001
    threads: int | None,
) -> tuple[SeriesReport, Scan | None]:
    first = series.headers[0]
    report = SeriesReport(
        series_uid=series.uid if keep_ids else series.pseudonym,
        slices=len(series.headers),
        modality=first.modality,
        description=first.description if keep_ids else "",
        orientation=series.orientation,
        kernel=first.kernel,
        coverage_mm=series.coverage_mm,
        spacing_mm=series.stack.grid.spacing_mm if series.stack else None,
        findings=series.findings,
    )
    refusal, scan = series.refusal, None
    if refusal is None and pixels:
        try:
            scan = read_series(series, deadline, threads=threads)
        except ReadingError as error:
            refusal = error
        else:
            report = replace(report, findings=scan.findings, spacing_mm=scan.grid.spacing_mm)
    if refusal is not None:
        findings = (_refusal(refusal), *report.findings)
        return replace(report, findings=findings, why=refusal.what), None
    return replace(report, usable=True), scan


def _image_report(
    source: Source,
    sources: list[Source],
    limits: Limits,
    keep_ids: bool,  # noqa: FBT001
) -> tuple[SeriesReport, Scan | None]:
    name = source.name if keep_ids else image_name(source)
    kind = image_format(source.name)
    try:
        scan = read_image_scan(source, sources, limits=limits)
    except ReadingError as error:
        finding = _refusal(error)
        return SeriesReport(name, 0, findings=(finding,), why=error.what, format=kind), None
    report = SeriesReport(
        series_uid=name,
        slices=scan.grid.shape[0],
        spacing_mm=scan.grid.spacing_mm,
        usable=True,
        findings=scan.findings,
        coverage_mm=scan.grid.size_mm[0],
        orientation="axial" if scan.grid.direction == AXIAL else "oblique",
        format=kind,
    )
    return report, scan


def _refusal(error: ReadingError) -> Finding:
    return Finding(replace(error.kind, remedy=error.remedy), error.what)


def _check_known(reports: Mapping[str, SeriesReport], name: str, uids: list[str]) -> None:
    known = {report.series_uid for report in reports.values()}
    if name not in known and name not in uids:
        raise ReadingError(codes.UNKNOWN_SERIES, f"no series {name} among {len(known)}")


def _explain(report: SeriesReport, reports: list[SeriesReport]) -> SeriesReport:
    if report.why:
        return report
    usable = sum(r.usable for r in reports)
    if not report.chosen:
        return replace(report, why="usable; another series goes first, or name it")
    if usable == 1:
        return replace(report, why="the only usable series")
    return replace(report, why=f"first of {usable} usable: {codes.SERIES_CHOSEN.cause}")
