"""Write a scan as a real DICOM series, as scanners do it or as they should not.

The defaults are a clean axial CT series. `DicomStyle` turns on, one by one, what readers have to
survive; none of it changes the Hounsfield units unless it says so.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from squeezect.scan import Scan

SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg-ls": JPEGLSLossless,
    "jpeg-2000": JPEG2000Lossless,
}


@dataclass(frozen=True)
class DicomStyle:
    """How a series is written; each field is one habit of scanners, archives or accidents.

    Args:
        syntax: name of a transfer syntax in `SYNTAXES`.
        shuffle: seed that shuffles file names and instance numbers; None keeps their order.
        unsigned: store unsigned with intercept -1024 - 1024, else signed with intercept -1024.
        bits_stored: 16 or 12.
        slope: rescale slope; values are stored rounded to it.
        slope_per_slice: let slope and intercept differ from slice to slice.
        padding: stored outside the circular field, None for plain air; in HU before rescale.
        monochrome1: invert the stored values, as MONOCHROME1 has them.
        series: distinguishes several series of one patient.
        modality: written as is.
        drop: slices left out, by index from the bottom.
        repeat: slices written twice, by index.
        repeat_changed: make the repeated slices differ in their pixels.
        displace_mm: how far slices are moved along the normal, by index.
        tilt_deg: gantry tilt: positions are sheared along y as they are on a tilted scanner.
        thickness_mm: what SliceThickness claims; None tells the truth.
        patient: name and id, to test that they never show.
    """

    syntax: str = "explicit"
    shuffle: int | None = None
    unsigned: bool = False
    bits_stored: int = 16
    slope: float = 1.0
    slope_per_slice: bool = False
    padding: int | None = -2000
    monochrome1: bool = False
    series: int = 1
    modality: str = "CT"
    drop: tuple[int, ...] = ()
    repeat: tuple[int, ...] = ()
    repeat_changed: bool = False
    displace_mm: tuple[tuple[int, float], ...] = ()
    tilt_deg: float = 0.0
    thickness_mm: float | None = None
    patient: str = "PHANTOM^0001"


PLAIN = DicomStyle()


def write_dicom(scan: Scan, folder: Path | str, style: DicomStyle = PLAIN) -> list[Path]:
    """Write a scan as one file per slice.

    Args:
        scan: canonical orientation.
        folder: made if missing.
        style: how.

    Returns:
        The files, in the order of their slices; repeated ones follow their originals.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    kept = [i for i in range(scan.grid.shape[0]) if i not in style.drop]
    slices = [(i, copy) for i in kept for copy in range(2 if i in style.repeat else 1)]
    numbers = np.arange(len(slices))
    if style.shuffle is not None:
        numbers = np.random.default_rng(style.shuffle).permutation(numbers)
    files = []
    for (index, copy), number in zip(slices, numbers.tolist(), strict=True):
        dataset = _slice(scan, index, style, number=number)
        if copy and style.repeat_changed:
            changed = np.frombuffer(dataset.PixelData, np.uint16).copy()
            changed[len(changed) // 2 :: 7] += 3
            dataset.PixelData = changed.tobytes()
        files.append(folder / f"IM_{number:04d}.dcm")
        _save(dataset, files[-1], style)
    return files


def _slice(scan: Scan, index: int, style: DicomStyle, *, number: int) -> FileDataset:
    uid = f"1.2.826.0.1.3680043.10.1570.{int(scan.identity or '1', 16)}"
    series = f"{uid}.{style.series}"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(f"{series}.{number + 1}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(
        "",
        {},
        file_meta=meta,
        preamble=b"\0" * 128,
        is_implicit_VR=False,
        is_little_endian=style.syntax != "big-endian",
    )
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = uid
    dataset.SeriesInstanceUID = series
    dataset.FrameOfReferenceUID = f"{uid}.0"
    dataset.Modality = style.modality
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PatientName = style.patient
    dataset.PatientID = style.patient.replace("^", "-")
    dataset.PatientBirthDate = "19500101"
    dataset.PatientSex = "O"
    dataset.StudyDate = dataset.SeriesDate = "20170101"
    dataset.StudyTime = "120000"
    dataset.StudyID = "1"
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    dataset.Manufacturer = "SqueezeCT phantom"
    dataset.SeriesDescription = "synthetic chest"
    dataset.BodyPartExamined = "CHEST"
    dataset.PatientPosition = "HFS"
    dataset.KVP = scan.acquisition.tube_voltage_kv or 120
    dataset.ConvolutionKernel = scan.acquisition.kernel or "STANDARD"
    dataset.SeriesNumber = style.series
    dataset.InstanceNumber = number + 1
    _place(dataset, scan, index, style)
    _pixels(dataset, scan.hu[index], style, index=index)
    return dataset


def _place(dataset: Dataset, scan: Scan, index: int, style: DicomStyle) -> None:
    grid = scan.grid
    position = grid.to_mm((index, 0, 0))
    normal, rows, columns = (np.array(axis) for axis in grid.direction)
    position = position + normal * dict(style.displace_mm).get(index, 0.0)
    if style.tilt_deg:
        # The table moves along the normal of an upright gantry; tilted slices keep their own axes.
        angle = np.deg2rad(style.tilt_deg)
        rows = rows * np.cos(angle) - normal * np.sin(angle)
        dataset.GantryDetectorTilt = style.tilt_deg
    dataset.ImagePositionPatient = [_decimal(v) for v in position]
    dataset.ImageOrientationPatient = [_decimal(v) for v in (*columns, *rows)]
    dataset.PixelSpacing = [_decimal(grid.spacing_mm[1]), _decimal(grid.spacing_mm[2])]
    dataset.SliceThickness = _decimal(
        grid.spacing_mm[0] if style.thickness_mm is None else style.thickness_mm
    )
    dataset.SliceLocation = _decimal(float(position[2]))


def _pixels(dataset: Dataset, hu: npt.NDArray[np.int16], style: DicomStyle, *, index: int) -> None:
    slope, intercept = style.slope, -1024.0
    if style.slope_per_slice:
        slope, intercept = slope * (1 + 0.25 * (index % 3)), intercept - 16 * (index % 5)
    if style.unsigned:
        intercept -= 1024.0 if style.padding is not None else 0.0
    values = hu.astype(float)
    if style.padding is not None:
        values[_outside(hu.shape)] = style.padding
    top = (1 << style.bits_stored) - 1
    low, high = (0, top) if style.unsigned else (-(top + 1) // 2, top // 2)
    stored = np.rint((values - intercept) / slope).clip(low, high).astype(np.int64)
    if style.monochrome1:
        # Stored so that the highest value shows darkest; the rescale runs the other way.
        stored = low + high - stored
        slope, intercept = -slope, intercept + slope * (low + high)
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if style.monochrome1 else "MONOCHROME2"
    dataset.Rows, dataset.Columns = hu.shape
    dataset.BitsAllocated = 16
    dataset.BitsStored = style.bits_stored
    dataset.HighBit = style.bits_stored - 1
    dataset.PixelRepresentation = 0 if style.unsigned else 1
    dataset.RescaleSlope = _decimal(slope)
    dataset.RescaleIntercept = _decimal(intercept)
    dataset.RescaleType = "HU"
    mask = (1 << style.bits_stored) - 1
    dataset.PixelData = (stored & mask).astype("<u2").tobytes()


def _outside(shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in shape)
    outside: npt.NDArray[np.bool_] = np.hypot(rows[:, None], columns) > min(shape) / 2
    return outside


def _save(dataset: FileDataset, path: Path, style: DicomStyle) -> None:
    syntax = SYNTAXES[style.syntax]
    if syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian:
        dataset.compress(syntax, generate_instance_uid=False)
    elif syntax == ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(
        path,
        enforce_file_format=True,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
    )


def _decimal(value: float) -> str:
    """A number as a DICOM decimal string: sixteen characters at most."""
    for digits in range(12, 0, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return text
    return f"{value:.6g}"
