"""Series whose Hounsfield units are a linear function of the place: easy to check anywhere."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from squeezect.phantom import chest_grid, thorax
from squeezect.scan import Grid

RAMP = np.array([2.0, -3.0, 1.5])
AXIAL_PLANE = (1, 0, 0, 0, 1, 0)


def ramp(points_mm):
    """HU at world points: linear, so that linear interpolation is exact."""
    return np.asarray(points_mm) @ RAMP - 150.0


class Writer:
    """Writes slices; keywords of `write` and `edit` make what breaks readers."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.count = 0

    def slice(self, position, orientation=AXIAL_PLANE, *, shape=(20, 24), spacing=(5.0, 4.0)):
        """A data set whose pixels are the ramp at their places."""
        row = np.array(orientation[:3], float)
        column = np.array(orientation[3:], float)
        y, x = np.mgrid[: shape[0], : shape[1]]
        points = position + y[..., None] * spacing[0] * column + x[..., None] * spacing[1] * row
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{self.count + 1}"
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID = CTImageStorage
        ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        ds.SeriesInstanceUID = "1.2.3.4.5.6.7"
        ds.StudyInstanceUID = "1.2.3.4.5.6"
        ds.PatientName = "SECRET^NAME"
        ds.PatientID = "SECRET-ID"
        ds.PatientBirthDate = "19010203"
        ds.SeriesDescription = "SECRET description"
        ds.Modality = "CT"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.ImagePositionPatient = [f"{v:.6f}" for v in position]
        ds.ImageOrientationPatient = [f"{v:.9f}" for v in orientation]
        ds.PixelSpacing = [str(v) for v in spacing]
        ds.SamplesPerPixel = 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.Rows, ds.Columns = shape
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit = 15
        ds.PixelRepresentation = 1
        ds.RescaleSlope, ds.RescaleIntercept = "0.25", "-100"
        ds.PixelData = np.rint((ramp(points) + 100) * 4).astype("<i2").tobytes()
        return ds

    def save(self, ds, name=None):
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / (name or f"{self.count:03d}.dcm")
        self.count += 1
        ds.save_as(path, enforce_file_format=True)
        return path

    def write(self, depths=range(0, 60, 6), orientation=AXIAL_PLANE, *, step=None, edit=None, **kw):
        """One slice per depth along the normal (or along `step`), edited before it is saved."""
        normal = np.cross(orientation[:3], orientation[3:]) if step is None else np.array(step)
        paths = []
        for index, depth in enumerate(depths):
            ds = self.slice(np.array([-40.0, -50.0, 20.0]) + depth * normal, orientation, **kw)
            if edit is not None:
                edit(ds, index)
            paths.append(self.save(ds))
        return paths


@pytest.fixture
def writer(tmp_path):
    return Writer(tmp_path / "scan")


@pytest.fixture
def agrees():
    """Function that checks a scan of the ramp: every voxel has the value of its place."""

    def check(scan, *, margin=0, tolerance=1.2):
        index = np.stack(np.meshgrid(*map(np.arange, scan.grid.shape), indexing="ij"), -1)
        error = np.abs(scan.hu - ramp(scan.grid.to_mm(index)))
        inner = error[tuple(slice(margin, n - margin) for n in scan.grid.shape)]
        assert inner.max() <= tolerance

    return check


@pytest.fixture(scope="session")
def chest():
    """A coarse synthetic chest."""
    return thorax(1, grid=chest_grid(1, spacing_mm=6.0, thickness_mm=5.0))[0]


@pytest.fixture(scope="session")
def small():
    """A small volume with the range of a chest, on a grid whose numbers are not round."""
    grid = Grid((7, 30, 28), (2.5, 1.375, 1.75), (-17.5, 31.25, -211.125))
    hu = np.random.default_rng(0).integers(-1024, 1500, grid.shape).astype(np.int16)
    return hu, grid


def codes_of(found):
    """Codes of findings."""
    return {finding.code.name for finding in found}


def empty():
    """A data set without anything."""
    return Dataset()
