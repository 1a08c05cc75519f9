"""Which data set is it: told by the files that only it has."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, get_args

from squeezect.cohorts.layouts.crops import read_nodule_crops
from squeezect.cohorts.layouts.dsb2017 import read_dsb2017
from squeezect.cohorts.layouts.lidc import read_lidc
from squeezect.cohorts.layouts.luna16 import read_luna16
from squeezect.cohorts.layouts.nodulemnist3d import read_nodulemnist3d
from squeezect.cohorts.layouts.patch_lists import read_patch_lists
from squeezect.cohorts.table import Cohort
from squeezect.errors import Code, CohortError

LayoutName = Literal[
    "table", "dsb2017", "luna16", "lidc-idri", "nodule-crops", "patch-lists", "nodulemnist3d"
]

UNKNOWN_LAYOUT = Code(
    "unknown-layout",
    "The path is none of the data sets whose layout is known.",
    "write a table with the columns scan, patient and label, and give its path",
)

MARKS: Mapping[str, LayoutName] = {
    "cohort.csv": "table",
    "stage1_labels.csv": "dsb2017",
    "stage2_solution.csv": "dsb2017",
    "subset[0-9]": "luna16",
    "nodules.csv": "nodule-crops",
    "train.txt": "patch-lists",
    "LIDC-IDRI-[0-9]*": "lidc-idri",
    "**/*.xml": "lidc-idri",
}
"""What to look for in a folder, in this order."""


def detect_layout(path: Path | str) -> LayoutName:
    """The layout of a data set: a file by its ending, a folder by what is in it (`MARKS`).

    Raises:
        CohortError: `unknown-layout`.
    """
    place = Path(path)
    if place.is_file():
        return "nodulemnist3d" if place.suffix.lower() == ".npz" else "table"
    for mark, layout in MARKS.items():
        if place.is_dir() and next(place.glob(mark), None) is not None:
            return layout
    known = ", ".join(get_args(LayoutName))
    raise CohortError(UNKNOWN_LAYOUT, f"{place} is no data set of a known layout ({known})")


def read_dataset(
    path: Path | str,
    *,
    layout: LayoutName | None = None,
    patients: Mapping[str, str] | Path | str | None = None,
) -> Cohort:
    """Read any known data set with its reader's usual options.

    Args:
        path: a table, an npz file, or the folder of a data set.
        layout: what it is; found out where None.
        patients: patient of each series for LUNA16, see `read_patients`.

    Raises:
        CohortError: `unknown-layout`, and what the reader of the layout says.
    """
    place = Path(path)
    found = layout or detect_layout(place)
    if found == "table":
        return Cohort.read(place / "cohort.csv" if place.is_dir() else place)
    if found == "luna16":
        return read_luna16(place, patients=patients)
    if found == "dsb2017":
        first = (place / "stage1_labels.csv").exists()
        return read_dsb2017(place, stage="stage1" if first else "stage2")
    readers: Mapping[LayoutName, Callable[[Path], Cohort]] = {
        "lidc-idri": read_lidc,
        "nodule-crops": read_nodule_crops,
        "patch-lists": read_patch_lists,
        "nodulemnist3d": read_nodulemnist3d,
    }
    return readers[found](place)
