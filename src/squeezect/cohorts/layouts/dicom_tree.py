"""CT series in a tree of DICOM folders, known by their headers: names of folders vary."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from squeezect.cohorts.layouts.headers import BAD_HEADER
from squeezect.errors import CohortError
from squeezect.scan import Grid

if TYPE_CHECKING:
    from pydicom import Dataset

WHO = ["SeriesInstanceUID", "PatientID", "Modality"]
WHERE = ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns"]


@dataclass(frozen=True)
class Series:
    """A folder with the slices of one CT.

    Args:
        folder: where they are.
        uid: series UID.
        patient: patient id.
    """

    folder: Path
    uid: str
    patient: str


def find_series(root: Path) -> list[Series]:
    """All CT series below a folder, one per folder, told by the first DICOM file in each.

    Radiographs and other objects beside the CT are passed over. The order is by patient and UID.
    """
    found = []
    for folder in sorted(p for p in [root, *root.rglob("*")] if p.is_dir()):
        header = next(_headers(folder, WHO), None)
        if header is not None and header.get("Modality") == "CT":
            uid, patient = str(header.get("SeriesInstanceUID")), str(header.get("PatientID") or "")
            found.append(Series(folder, uid, patient))
    return sorted(found, key=lambda series: (series.patient, series.uid))


def grid_of_series(folder: Path) -> Grid:
    """The grid of the slices in a folder, from all their headers.

    Slices are ordered along their normal; their spacing is the median gap.

    Raises:
        CohortError: `bad-header`.
    """
    headers = list(_headers(folder, WHERE))
    try:
        positions = np.array([h.ImagePositionPatient for h in headers], float)
        along_row, along_column = np.reshape(headers[0].ImageOrientationPatient, (2, 3))
        row_mm, column_mm = map(float, headers[0].PixelSpacing)
        rows, columns = int(headers[0].Rows), int(headers[0].Columns)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise CohortError(BAD_HEADER, f"{folder.name} has slices without a position") from error
    normal = np.cross(np.array(along_row, float), np.array(along_column, float))
    depths_mm = np.unique(np.round(positions @ normal, 4))
    gap_mm = float(np.median(np.diff(depths_mm))) if len(depths_mm) > 1 else 1.0
    x, y, z = positions[(positions @ normal).argmin()].tolist()
    axes = [tuple(map(float, axis)) for axis in (normal, along_column, along_row)]
    count = round((depths_mm[-1] - depths_mm[0]) / gap_mm) + 1
    return Grid(
        (count, rows, columns),
        (gap_mm, row_mm, column_mm),
        (x, y, z),
        (axes[0][:3], axes[1][:3], axes[2][:3]),  # type: ignore[arg-type]
    )


def _headers(folder: Path, tags: list[str]) -> "Iterator[Dataset]":
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix.lower() in {".dcm", ""}:
            try:
                yield dcmread(path, stop_before_pixels=True, specific_tags=tags)
            except InvalidDicomError:
                continue
