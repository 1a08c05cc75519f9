"""Faithful miniatures of public data sets: true file formats and tables, a few voxels each."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from tests.cohorts.layouts.miniatures import (
    IDS,
    ORIGIN,
    PATIENTS,
    READINGS,
    SERIES,
    TRAIN,
    VAL,
    xml,
)

from squeezect.cohorts.layouts.crops import COLUMNS
from squeezect.scan import Grid

UID = "1.3.6.1.4.1.14519.5.2.1.6279.6001."
SHAPE = (8, 20, 24)
SPACING_MM = (2.5, 0.8, 0.7)
FLIPPED = ((0.0, 0.0, 1.0), (0.0, -1.0, 0.0), (-1.0, 0.0, 0.0))
BRIGHT = 300


def write_table(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows] if header else rows)


@dataclass
class Luna:
    """A miniature of LUNA16 and what is true of it."""

    folder: Path
    grids: dict[str, Grid] = field(default_factory=dict)
    subset: dict[str, int] = field(default_factory=dict)
    nodules: dict[str, tuple[float, float, float]] = field(default_factory=dict)

    def table(self, name):
        with (self.folder / f"{name}.csv").open() as file:
            return list(csv.reader(file))

    def rewrite(self, name, change):
        rows = self.table(name)
        write_table(self.folder / f"{name}.csv", None, change(rows))


def _write_mhd(folder, uid, grid, bright):
    """A volume as LUNA16 has it: header keys in its order, MET_SHORT, little endian."""
    z_axis, y_axis, x_axis = grid.direction
    numbers = {
        "TransformMatrix": [*x_axis, *y_axis, *z_axis],
        "Offset": grid.origin_mm,
        "CenterOfRotation": (0, 0, 0),
        "AnatomicalOrientation": ["RAI"],
        "ElementSpacing": grid.spacing_mm[::-1],
        "DimSize": grid.shape[::-1],
        "ElementType": ["MET_SHORT"],
        "ElementDataFile": [f"{uid}.raw"],
    }
    head = ["ObjectType = Image", "NDims = 3", "BinaryData = True"]
    head += ["BinaryDataByteOrderMSB = False", "CompressedData = False"]
    lines = [
        f"{key} = {' '.join(f'{v:g}' if isinstance(v, float) else str(v) for v in values)}"
        for key, values in numbers.items()
    ]
    hu = np.full(grid.shape, -1000, "<i2")
    hu[bright] = BRIGHT
    (folder / f"{uid}.mhd").write_text("\n".join([*head, *lines, ""]))
    hu.tofile(folder / f"{uid}.raw")


@pytest.fixture
def luna(tmp_path):
    """Three subsets of four scans, every third one flipped, one nodule in all but the last ones."""
    folder = tmp_path / "LUNA16"
    luna = Luna(folder)
    rng = np.random.default_rng(0)
    candidates, annotations = [], []
    for subset in range(3):
        place = folder / f"subset{subset}"
        place.mkdir(parents=True)
        for number in range(4):
            uid = f"{UID}{100 + 4 * subset + number}"
            direction = FLIPPED if number % 3 == 0 else ((0, 0, 1.0), (0, 1.0, 0), (1.0, 0, 0))
            grid = Grid(SHAPE, SPACING_MM, (12.5 + number, -30.25, -200.5), direction)
            bright = tuple(int(rng.integers(2, n - 2)) for n in SHAPE)
            _write_mhd(place, uid, grid, bright)
            luna.grids[uid], luna.subset[uid] = grid, subset
            point = tuple(grid.to_mm(bright).tolist())
            other = tuple(grid.to_mm((1, 1, 1)).tolist())
            candidates.append([uid, *other, 0])
            if number < 3:
                luna.nodules[uid] = point
                annotations.append([uid, *point, 6.5])
                candidates += [[uid, *point, 1], [uid, *grid.to_mm((6, 3, 2)), 0]]
    columns = ["seriesuid", "coordX", "coordY", "coordZ"]
    write_table(folder / "candidates.csv", [*columns, "class"], candidates)
    write_table(folder / "annotations.csv", [*columns, "diameter_mm"], annotations)
    excluded = [[*row[:4], -1] for row in annotations[:2]] + [annotations[2]]
    write_table(folder / "annotations_excluded.csv", [*columns, "diameter_mm"], excluded)
    write_table(folder / "seriesuids.csv", None, [[uid] for uid in luna.grids])
    return luna


def write_ct(folder, *, series, patient, slices=6, modality="CT", origin_mm=(-20.0, -30.0, -100.0)):
    """A folder of CT slices (or another object) with the headers that a layout looks at."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    x, y, z = origin_mm
    for number in range(slices):
        data = Dataset()
        data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        data.SOPInstanceUID = generate_uid(entropy_srcs=[series, str(number)])
        data.SeriesInstanceUID = series
        data.PatientID = patient
        data.Modality = modality
        if modality == "CT":
            data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            data.ImagePositionPatient = [x, y, z + 2.5 * number]
            data.PixelSpacing = [0.8, 0.7]
        data.Rows, data.Columns = 40, 50
        data.BitsAllocated = data.BitsStored = 16
        data.PixelData = bytes(2 * 40 * 50)
        data["PixelData"].VR = "OW"
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        # Names say nothing about the order of slices.
        name = f"1-{(number * 5) % 7:03d}.dcm"
        data.save_as(folder / name, enforce_file_format=True)


@pytest.fixture
def ct():
    """Function that writes a folder of CT slices."""
    return write_ct


@pytest.fixture
def bowl(tmp_path, ct):
    """Twelve patients of stage 1, the last four without labels; two patients of stage 2."""
    root = tmp_path / "bowl"
    for patient in IDS:
        ct(root / "stage1" / patient, series=f"1.2.{int(patient, 16)}", patient=patient, slices=1)
    rows = [f"{patient},{i % 3 == 0:d}" for i, patient in enumerate(IDS[:8])]
    (root / "stage1_labels.csv").write_text("\n".join(["id,cancer", *rows]))
    rows = [f"{patient},0.5" for patient in IDS[8:]]
    (root / "stage1_sample_submission.csv").write_text("\n".join(["id,cancer", *rows]))
    for patient in ("a" * 32, "b" * 32):
        ct(root / "stage2" / patient, series="1.2", patient=patient, slices=1)
    (root / "stage2_solution.csv").write_text(
        f"Id,Cancer,Usage\n{'a' * 32},1,Private\n{'b' * 32},0,Private\n"
    )
    return root


@pytest.fixture
def lidc(tmp_path, ct):
    """Three series of two patients in folders of misleading names, radiographs beside them."""
    root = tmp_path / "tree"
    for series, patient in zip(SERIES, PATIENTS, strict=True):
        folder = root / patient / "01-01-2000-NA" / f"3000566.0-{series[-2:]}"
        ct(folder, series=series, patient=patient, origin_mm=ORIGIN)
        (folder / "158.xml").write_text(xml(series, READINGS[series]))
    chest = root / PATIENTS[0] / "chest"
    ct(chest, series="9.9", patient=PATIENTS[0], slices=2, modality="DX")
    (chest / "rx.xml").write_text('<IdriReadMessage xmlns="http://www.nih.gov/idri"/>')
    return root


@pytest.fixture
def crops(tmp_path):
    """Four nodules of three patients as NIfTI crops with their masks."""
    root = tmp_path / "crops"
    rows = []
    for number, patient in enumerate(["P1", "P1", "P2", "P3"]):
        name = f"{patient}_R_{number}.nii.gz"
        hu = np.full((5, 12, 10), -800, np.int16)
        for kind, values in (("images", hu), ("masks", (hu > 0).astype(np.uint8))):
            (root / kind).mkdir(parents=True, exist_ok=True)
            image = SimpleITK.GetImageFromArray(values)
            image.SetSpacing((0.7, 0.7, 2.5))
            image.SetOrigin((10.0 + number, -40.0, -200.0))
            SimpleITK.WriteImage(image, str(root / kind / name))
        point = (13.0 + number, -36.0, -195.0)
        rows.append([patient, f"1.2.{number}", *point, 6.0 + number, number % 2, name, "Solid"])
    with (root / "nodules.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[*COLUMNS, "Texture"], *rows])
    return root


@pytest.fixture
def patches(tmp_path):
    """Three patches to train with and two to judge by, as files without a picture."""
    root = tmp_path / "patches"
    for part, numbers in (("train", TRAIN), ("val", VAL)):
        (root / part).mkdir(parents=True)
        names = {f"{part}/image_{number}.jpg": label for number, label in numbers.items()}
        for name in names:
            (root / name).touch()
        (root / f"{part}.txt").write_text("".join(f"{n} {label}\n" for n, label in names.items()))
    return root


SIZES = {"train": 6, "val": 3, "test": 4}


def arrays():
    rng = np.random.default_rng(0)
    made = {}
    for part, size in SIZES.items():
        made[f"{part}_images"] = rng.integers(0, 255, (size, 28, 28, 28), np.uint8)
        made[f"{part}_labels"] = (np.arange(size) % 2).astype(np.uint8)[:, None]
    return made


@pytest.fixture
def archive(tmp_path):
    """Function that writes an archive, with some arrays replaced or (None) left out."""

    def write(**change):
        made = {k: v for k, v in (arrays() | change).items() if v is not None}
        np.savez_compressed(tmp_path / "nodulemnist3d.npz", **made)
        return tmp_path / "nodulemnist3d.npz"

    return write
