"""What all tests share: where the real data is, and quiet third parties."""

import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from squeezect.runtime.telemetry import switch_off_telemetry

# Some tests import OpenVINO themselves.
switch_off_telemetry()
# Networks compiled in tests are not kept in the user's cache.
os.environ.setdefault("SQUEEZECT_CACHE", "off")

settings.register_profile("default", deadline=None, max_examples=50)
settings.load_profile("default")


@pytest.fixture(scope="session")
def real_data(tmp_path_factory):
    """Function from an archive's name to its unpacked folder; skips where the data is absent.

    Unpacks once into a cache that workers and later runs share.
    """
    root = os.environ.get("SQUEEZECT_DATA", "")
    cache = Path(__file__).parent.parent / ".cache" / "real"

    def folder(name):
        archive = Path(root) / f"{name}.zip"
        if not root or not archive.exists():
            pytest.skip(f"{name}.zip is not there; set SQUEEZECT_DATA to the folder that holds it")
        target = cache / name
        if not target.exists():
            scratch = tmp_path_factory.mktemp(name)
            zipfile.ZipFile(archive).extractall(scratch)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                scratch.rename(target)
            except OSError:  # another worker was faster, or another file system
                if not target.exists():
                    shutil.copytree(scratch, target)
        return target

    return folder


def disc_patch(radius, *, seed=0, side=50):
    """A grey patch with a disc in its middle, or without one if the radius is 0."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    image = np.where(np.hypot(y, x) < radius, 190.0, 40.0) + random.normal(0, 6, (side, side))
    return image.clip(0, 255).astype(np.uint8)


@pytest.fixture
def patch_folder(tmp_path):
    """Patches on the lists train.txt (16) and val.txt (12); every other one has a disc."""
    folder = tmp_path / "patches"
    for name, count in (("train", 16), ("val", 12)):
        (folder / name).mkdir(parents=True)
        lines = []
        for number in range(count):
            image = disc_patch(9.0 * (number % 2), seed=number + 100 * (name == "val"))
            Image.fromarray(image).save(folder / name / f"image_{number}.png")
            lines.append(f"{name}/image_{number}.png {number % 2}")
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def crop_folder(tmp_path):
    """Forty crops of twenty patients with nodules.csv; bright nodules are of class 1."""
    import csv

    import SimpleITK

    root = tmp_path / "crops"
    (root / "images").mkdir(parents=True)
    lines = [["patient_id", "coordX", "coordY", "coordZ", "diameter_mm", "Diagnosis_value", "file"]]
    random = np.random.default_rng(0)
    for number in range(40):
        label, name = number % 2, f"crop_{number}.nii.gz"
        z, y, x = np.mgrid[:7, :24, :22] - np.array([3, 11.5, 10.5])[:, None, None, None]
        inside = (2.5 * z) ** 2 + (0.7 * y) ** 2 + (0.7 * x) ** 2 < 5**2
        hu = np.where(inside, 150.0 if label else -500.0, -850.0) + random.normal(0, 30, z.shape)
        image = SimpleITK.GetImageFromArray(hu.astype(np.int16))
        image.SetSpacing((0.7, 0.7, 2.5))
        image.SetOrigin((10.0 + number, -40.0, -200.0))
        SimpleITK.WriteImage(image, str(root / "images" / name))
        centre = [10 + number + 10.5 * 0.7, -40 + 11.5 * 0.7, -192.5]
        # The size tells little: a diameter is drawn without a look at the label.
        lines.append([f"P{number // 2}", *centre, 5 + random.random() * 11, label, name])
    with (root / "nodules.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return root


@pytest.fixture
def run_cli(monkeypatch, capsys):
    """The command line in this process: exit status, standard output and error."""
    import sys

    from squeezect import cli

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["squeezect", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        captured = capsys.readouterr()
        return leaving.value.code or 0, captured.out, captured.err

    return call


@pytest.fixture
def two_series(tmp_path):
    """A folder of two series, one the mirror image of the other, and their UIDs."""
    from pydicom import dcmread

    from squeezect.phantom import DicomStyle, chest_grid, thorax, write_dicom

    scan = thorax(1, grid=chest_grid(1, spacing_mm=5.0, thickness_mm=7.0))[0]
    mirrored = replace(scan, hu=np.ascontiguousarray(scan.hu[:, :, ::-1]))
    uids = []
    for number, values in enumerate((scan, mirrored), start=1):
        folder = tmp_path / "two" / str(number)
        files = write_dicom(values, folder, DicomStyle(series=number))
        uids.append(str(dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID))
    return tmp_path / "two", tuple(uids)
