"""Public data sets as they lie on disk, each read into a cohort by one function."""

from squeezect.cohorts.layouts.crops import read_nodule_crops
from squeezect.cohorts.layouts.detection import LayoutName, detect_layout, read_dataset
from squeezect.cohorts.layouts.dsb2017 import read_dsb2017
from squeezect.cohorts.layouts.lidc import read_lidc
from squeezect.cohorts.layouts.luna16 import read_luna16
from squeezect.cohorts.layouts.nodulemnist3d import read_nodulemnist3d
from squeezect.cohorts.layouts.patch_lists import read_patch_lists
from squeezect.cohorts.layouts.patients import read_patients

__all__ = [
    "LayoutName",
    "detect_layout",
    "read_dataset",
    "read_dsb2017",
    "read_lidc",
    "read_luna16",
    "read_nodule_crops",
    "read_nodulemnist3d",
    "read_patch_lists",
    "read_patients",
]
