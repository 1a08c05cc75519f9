"""Nodules cut out of scans: a table of nodules with a small volume and a mask for each."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from squeezect.cohorts.layouts.closing import close, folder_of
from squeezect.cohorts.layouts.list_lines import there
from squeezect.cohorts.parsing import Cells
from squeezect.cohorts.problems import MISSING_COLUMN, Problem
from squeezect.cohorts.sheet import Sheet
from squeezect.cohorts.table import Case, Cohort
from squeezect.errors import CohortError
from squeezect.reading.images import SUFFIXES

POINT = ("coordX", "coordY", "coordZ")
LABEL = "Diagnosis_value"
NEEDED = ("patient_id", "file")
COLUMNS = ("patient_id", "seriesuid", *POINT, "diameter_mm", LABEL, "file")


def read_nodule_crops(
    folder: Path | str,
    *,
    table: str = "nodules.csv",
    label: str = LABEL,
    check_points: bool = True,
    masks: bool = True,
) -> Cohort:
    """Nodules with their crops, labelled 1 where malignant.

    A crop is looked for where its cell says, from the table's folder; in ``images`` first, unless
    the cell leads out of the folder. Where a cell's folders are those of another place, its bare
    name will do if only one file here and one row have it. A name may lack the ending of its file,
    such as ``.nii.gz``, if there is but one of that name.

    Args:
        folder: holds the table, ``images`` and, if there are any, ``masks`` of the same file names.
        table: its file's name. It needs the columns `NEEDED` and the label; of the other `COLUMNS`,
            those that are not there are unknown. A point needs all three of its coordinates.
        label: the column of the label, 0 or 1; cells may be empty.
        check_points: refuse centres outside their crop (reads the headers).
        masks: False passes the masks over.

    Returns:
        One case per nodule; the table's other columns are its `Case.extra`.

    Raises:
        CohortError: `missing-scan`, `missing-column`, `empty-value`, `bad-value`,
            `point-outside-scan`, `bad-header` and what `Cohort.read` says of tables, with row and
            file.
    """
    root = folder_of(folder, f"{table}, images and masks")
    source = root / table
    sheet = Sheet.read(source, needs=NEEDED)
    if label not in sheet.columns:
        raise _no_label(sheet.columns, label, table)
    if set(POINT) & set(sheet.columns):
        sheet = Sheet.read(source, needs=(*NEEDED, label, *POINT))
    files = _Files(root, [values["file"] for _, values in sheet.rows()])
    drawn = root / "masks" if masks and (root / "masks").is_dir() else None
    problems: list[Problem] = []
    cases = []
    for row, values in sheet.rows():
        cells = Cells(values, sheet.at(row), problems)
        scan = files.find(cells.text("file"))
        case = Case(
            scan=scan,
            patient=cells.text("patient_id"),
            label=cells.whole(label),
            row=row,
            extra={k: v for k, v in values.items() if k not in {*COLUMNS, label}},
            series=values.get("seriesuid", ""),
            point_mm=cells.point(POINT),
            diameter_mm=cells.number("diameter_mm"),
            mask=None if drawn is None else files.mask(scan, drawn),
        )
        cases.append(case)
    return close({source: cases}, problems, check_points=check_points)


def _no_label(columns: Sequence[str], label: str, table: str) -> CohortError:
    like = [c for c in columns if c.lower() == label.lower()]
    named = like or [c for c in columns if c not in {*NEEDED, *POINT}]
    what = f"{table} lacks the column {label!r} of the label; it has {', '.join(named)}"
    return CohortError(MISSING_COLUMN, what, remedy="name the column of 0 and 1 with --label")


class _Files:
    """The files of a folder of crops by what a table calls them.

    Args:
        root: the table's folder.
        written: all cells of its column of files.
    """

    def __init__(self, root: Path, written: list[str]) -> None:
        self.root = root
        self.images = root / "images" if (root / "images").is_dir() else root
        self.rows = Counter(_parts(text)[-1:] for text in set(written))
        self.named: dict[str, list[Path]] | None = None

    def find(self, text: str) -> Path:
        """The file of a cell; where there is none, the path that it should have."""
        parts, written = _parts(text), self.root / text
        leads_out = Path(text).is_absolute() or ".." in Path(text).parts
        if leads_out and there(written):
            return written
        for folder in dict.fromkeys((self.images, self.root)):
            if parts and folder.joinpath(*parts).exists():
                return folder.joinpath(*parts)
        homes = [written] if leads_out else [self.images.joinpath(*parts), written]
        ended = [file for home in homes if parts for file in _ended(home)]
        if len(set(ended)) == 1:
            return ended[0]
        if len(parts) > 1 and self.rows[parts[-1:]] == 1:
            found = self._everywhere().get(parts[-1], [])
            if len(found) == 1:
                return found[0]
        return written if leads_out else self.images.joinpath(*parts)

    def mask(self, scan: Path, masks: Path) -> Path:
        """The mask of a crop: of the same name in the same folder below the masks."""
        inside = scan.is_relative_to(self.images)
        beside = masks / (scan.relative_to(self.images) if inside else scan.name)
        return beside if beside.is_file() else masks / scan.name

    def _everywhere(self) -> dict[str, list[Path]]:
        if self.named is None:
            self.named = {}
            for folder in dict.fromkeys((self.images, self.root)):
                found = folder.rglob("*") if folder == self.images else folder.glob("*")
                for path in found:
                    if path.is_file():
                        self.named.setdefault(path.name, []).append(path)
        return self.named


def _ended(path: Path) -> list[Path]:
    """Images of a name that lacks its ending."""
    files = [path.with_name(path.name + ending) for ending in SUFFIXES]
    return [file for file in files if there(file)]


def _parts(text: str) -> tuple[str, ...]:
    """Parts of a path below whatever folder it starts at, here or elsewhere."""
    parts = PurePosixPath(text.replace("\\", "/")).parts
    return tuple(part for part in parts if part not in {"/", ".."} and not part.endswith(":"))
