"""What is in a folder, and whether the chest in it can be judged: headers and lungs together."""

from dataclasses import dataclass
from pathlib import Path

from squeezect.errors import Finding, ReadingError
from squeezect.preparation import LungFigures, check_chest
from squeezect.reading import Inspection, inspect, read_scan


@dataclass(frozen=True)
class ChestReport:
    """An inspection, and what the pixels of the chosen series say.

    Args:
        inspection: every series.
        lungs: figures of the lungs, where the chosen series could be read.
        findings: of the chosen series, lungs included.
    """

    inspection: Inspection
    lungs: LungFigures | None
    findings: tuple[Finding, ...]

    @property
    def usable(self) -> bool:
        """Whether a model may answer for the chosen series."""
        return self.lungs is not None and all(f.severity != "refuse" for f in self.findings)

    def as_dict(self) -> dict[str, object]:
        """Everything as plain JSON; ``series`` lists all series."""
        return {
            **self.inspection.as_dict(),
            "usable": self.usable,
            "lungs": self.lungs.as_dict() if self.lungs else None,
            "chest_findings": [finding.as_dict() for finding in self.findings],
        }

    def print(self) -> None:
        """Print a table of the series and what was found in the chosen one."""
        from rich.console import Console

        console = Console()
        console.print(self.inspection.table())
        if self.lungs is not None:
            console.print(
                f"lungs {self.lungs.volume_l:.2f} l (left {self.lungs.left_l:.2f}, "
                f"right {self.lungs.right_l:.2f})"
            )
        known = {str(f) for s in self.inspection.series for f in s.findings}
        for finding in self.findings:
            if str(finding) not in known:
                console.print(str(finding), markup=False, highlight=False)


def inspect_path(path: Path, *, series: str | None = None, keep_ids: bool = False) -> ChestReport:
    """Inspect a folder or file, and look for lungs in the series that would be read.

    Args:
        path: as `squeezect.reading.read_scan` takes it.
        series: which series to look into, instead of the chosen one.
        keep_ids: show UIDs as they are.

    Raises:
        ReadingError: if nothing at the path can be listed.
    """
    inspection = inspect(path, keep_ids=keep_ids)
    try:
        scan = read_scan(path, series=series)
    except ReadingError as error:
        return ChestReport(inspection, None, (Finding(error.kind, error.what),))
    lungs, found = check_chest(scan)
    return ChestReport(inspection, lungs, (*scan.findings, *found))
