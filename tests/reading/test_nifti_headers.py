"""NIfTI headers that contradict themselves or lack what matters are refused; else as ITK reads."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reading.headers import (
    HU,
    load,
    nifti,
    read_or_refused,
    refused,
    same_as_itk,
)


def sform(*, mirror=1.0, shear=0.0, z_mm=2.5, shift=0.0):
    return [[-1.5 * mirror, 0, 0, 10 + shift], [0, -1.5, shear, 20], [0, 0, z_mm, -300]]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"sform": sform(mirror=-1)}, "unclear-header"),
        ({"sform": sform(shear=2.5 * np.tan(np.radians(15)))}, "unclear-header"),
        ({"sform": sform(z_mm=1.25)}, "unclear-header"),
        ({"sform": sform(shift=0.2)}, "unclear-header"),
        ({"sform": sform(z_mm=1.25), "form_codes": [0, 1]}, "unclear-header"),
        ({"sform": sform(shear=0.05), "form_codes": [0, 2]}, "no-geometry"),
        ({"sform": np.zeros((3, 4)), "form_codes": [0, 1]}, "no-geometry"),
        ({"sform": sform(shift=np.nan)}, "no-geometry"),
        ({"quaternion": [1, 1, 1], "form_codes": [1, 0]}, "no-geometry"),
        ({"quaternion": [np.nan, 0, 0], "form_codes": [1, 0]}, "no-geometry"),
        ({"qoffset": [np.inf, 0, 0], "form_codes": [1, 0]}, "no-geometry"),
        ({"pixdim": [1, 0, 1.5, 2.5]}, "no-geometry"),
        ({"pixdim": [1, -1.5, 1.5, 2.5]}, "no-geometry"),
        ({"pixdim": [1, 1.5, 1.5, np.nan], "form_codes": [0, 1]}, "no-geometry"),
        ({"pixdim": [1, 1.5, 1.5, 0], "form_codes": [0, 0]}, "no-geometry"),
        ({"scale": [0, 500]}, "unclear-header"),
        ({"scale": [np.nan, -1024]}, "unclear-header"),
        ({"scale": [1, np.nan]}, "unclear-header"),
        ({"scale": [np.inf, 0]}, "unclear-header"),
        ({"units": 5}, "unclear-header"),
        ({"vox_offset": 0}, "broken-file"),
        ({"vox_offset": 348}, "broken-file"),
        ({"vox_offset": -4}, "broken-file"),
        ({"vox_offset": 351.5}, "broken-file"),
        ({"vox_offset": np.nan}, "broken-file"),
        ({"vox_offset": 354}, "broken-file"),
        ({"magic": b"ni1"}, "broken-file"),
        ({"magic": b""}, "broken-file"),
        ({"bits": 32}, "broken-file"),
    ],
    ids=str,
)
def test_a_nifti_that_contradicts_itself_is_refused(tmp_path, fields, code):
    assert refused(nifti(tmp_path / "scan.nii", **fields)) == code


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"form_codes": [1, 0], "sform": np.zeros((3, 4))},
        {"form_codes": [0, 2], "quaternion": [0, 0, 0]},
        {"form_codes": [1, 4], "sform": sform(shift=0.01)},
        {"form_codes": [0, 0]},
        {"scale": [0, 0]},
        {"scale": [np.nan, np.nan]},
        {"pixdim": [-1, 1.5, 1.5, 2.5], "form_codes": [1, 0], "quaternion": [0, 0, 0]},
        {"units": 0},
        {"units": 2 | 8},
    ],
    ids=str,
)
def test_a_nifti_that_is_clear_lies_where_itk_puts_it(tmp_path, fields):
    same_as_itk(nifti(tmp_path / "scan.nii", **fields), tolerance_mm=0.02)


def test_metres_become_millimetres(tmp_path):
    metres = {
        "pixdim": [1, 0.0015, 0.0015, 0.0025],
        "sform": np.array(sform()) / 1000,
        "qoffset": [0.01, 0.02, -0.3],
        "units": 1,
    }
    grid = load(nifti(tmp_path / "metres.nii", **metres))[1]
    assert grid.isclose(load(nifti(tmp_path / "mm.nii"))[1])


@settings(max_examples=60, deadline=None)
@given(
    turn=st.tuples(*[st.floats(-3, 3)] * 3),
    spacing=st.tuples(*[st.floats(0.2, 6)] * 3),
    place=st.tuples(*[st.floats(-500, 500)] * 3),
    suffix=st.sampled_from([".nii", ".nii.gz", ".mha", ".nrrd"]),
)
def test_any_turned_volume_lies_where_itk_puts_it(turn, spacing, place, suffix):
    image = sitk.GetImageFromArray(HU)
    image.SetSpacing(spacing)
    image.SetOrigin(place)
    image.SetDirection(sitk.Euler3DTransform((0, 0, 0), *turn).GetMatrix())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"scan{suffix}"
        sitk.WriteImage(image, str(path))
        # Single-precision quaternions turn by up to 0.0003.
        same_as_itk(path, tolerance_mm=0.05 if ".nii" in suffix else 1e-3)


@pytest.mark.parametrize("kind", ["Nifti1Image", "Nifti2Image"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", ["i2", "i4", "f4", "f8", "i8"])
def test_any_nifti_that_nibabel_writes_is_read(tmp_path, kind, order, dtype):
    nib = pytest.importorskip("nibabel")
    affine = np.diag([-1.5, -1.5, 2.5, 1])
    header = getattr(nib, kind.replace("Image", "Header"))(endianness=order)
    values = np.transpose(HU).astype(order + dtype)
    image = getattr(nib, kind)(values, affine, header, dtype=dtype)
    nib.save(image, tmp_path / "scan.nii.gz")
    hu, grid, findings = load(tmp_path / "scan.nii.gz")
    np.testing.assert_array_equal(hu, HU)
    assert grid.spacing_mm == (2.5, 1.5, 1.5)
    assert not findings


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 351), st.integers(0, 255)), min_size=1, max_size=6))
def test_any_nifti_header_is_read_or_refused(edits):
    with tempfile.TemporaryDirectory() as folder:
        path = nifti(Path(folder) / "scan.nii")
        data = bytearray(path.read_bytes())
        for place, value in edits:
            data[place] = value
        path.write_bytes(data)
        read_or_refused(path)
