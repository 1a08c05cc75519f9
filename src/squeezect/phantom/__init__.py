"""Synthetic chest CTs with known truth: for the demo, the tests, and anyone without data."""

from squeezect.phantom.anatomy import Anatomy, Nodule, Vessel, draw_anatomy
from squeezect.phantom.cohort import write_cohort
from squeezect.phantom.dicom import DicomStyle, write_dicom
from squeezect.phantom.thorax import Truth, chest_grid, thorax

__all__ = [
    "Anatomy",
    "DicomStyle",
    "Nodule",
    "Truth",
    "Vessel",
    "chest_grid",
    "draw_anatomy",
    "thorax",
    "write_cohort",
    "write_dicom",
]
