"""Images with headers written by hand, and what reading them gives."""

import numpy as np
import pytest
import SimpleITK as sitk

from squeezect.errors import ReadingError
from squeezect.reading.images import read_image
from squeezect.reading.sources import LIMITS, Source

HU = np.random.default_rng(4).normal(-300, 400, (7, 9, 8)).clip(-1024, 1500).astype(np.int16)
SIZES = "8 9 7"
FIRST = {
    "vox_offset": (108, "<f4"),
    "pixdim": (76, "<f4"),
    "scale": (112, "<f4"),
    "units": (123, "u1"),
    "form_codes": (252, "<i2"),
    "quaternion": (256, "<f4"),
    "qoffset": (268, "<f4"),
    "sform": (280, "<f4"),
    "magic": (344, "S4"),
    "bits": (72, "<i2"),
}


def load(path):
    """Without the look at the values, which may be anything here."""
    return read_image(Source(path.name, path.stat().st_size, path), {}, LIMITS)


def refused(path):
    with pytest.raises(ReadingError) as caught:
        load(path)
    return caught.value.code


def warned(path):
    return {finding.code.name for finding in load(path)[2]}


def same_as_itk(path, tolerance_mm=1e-3):
    hu, grid, _ = load(path)
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(hu, sitk.GetArrayFromImage(image))
    for index in np.ndindex(2, 2, 2):
        z, y, x = (int(n - 1) * i for n, i in zip(hu.shape, index, strict=True))
        theirs = image.TransformIndexToPhysicalPoint((x, y, z))
        np.testing.assert_allclose(grid.to_mm((z, y, x)), theirs, atol=tolerance_mm)


def read_or_refused(path):
    try:
        hu, grid, _ = load(path)
    except ReadingError:
        return
    assert hu.shape == grid.shape


def nifti(path, **fields):
    """A plain NIfTI with qform and sform, some of its fields overwritten."""
    steps = np.array([[-1.5, 0, 0, 10], [0, -1.5, 0, 20], [0, 0, 2.5, -300]])
    image = sitk.GetImageFromArray(HU)
    image.SetSpacing((1.5, 1.5, 2.5))
    sitk.WriteImage(image, str(path))
    told = {"sform": steps, "qoffset": steps[:, 3], "quaternion": [0, 0, 1], "form_codes": [1, 1]}
    data = bytearray(path.read_bytes())
    for name, value in (told | fields).items():
        place, kind = FIRST[name]
        packed = np.asarray(value, kind).tobytes()
        data[place : place + len(packed)] = packed
    path.write_bytes(data)
    return path


def metaimage(path, *drop, **fields):
    """A plain MetaImage; fields by name, some left out."""
    told = {
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "10 20 -300",
        "ElementSpacing": "1.5 1.5 2.5",
        "DimSize": SIZES,
        "ElementType": "MET_SHORT",
        **fields,
    }
    lines = [f"{key} = {value}" for key, value in told.items() if key not in drop]
    head = "\n".join([*lines, "ElementDataFile = LOCAL\n"])
    path.write_bytes(head.encode() + HU.astype("<i2").tobytes())
    return path


def nrrd(path, *drop, **fields):
    """A plain NRRD; fields by name with _ for a blank, some left out."""
    told = {
        "type": "short",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": SIZES,
        "space_directions": "(1.5,0,0) (0,1.5,0) (0,0,2.5)",
        "space_origin": "(10,20,-300)",
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": "raw",
        **fields,
    }
    lines = [f"{key.replace('_', ' ')}: {v}" for key, v in told.items() if key not in drop]
    head = "\n".join(["NRRD0004", "# comment: x", *lines, "key:=value", "\n"])
    path.write_bytes(head.encode() + HU.astype("<i2").tobytes())
    return path
