"""Headers that contradict themselves or leave out what matters are refused; else as ITK reads."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezect.errors import ReadingError
from squeezect.reading import read_scan
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


# NIfTI


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


def read_or_refused(path):
    try:
        hu, grid, _ = load(path)
    except ReadingError:
        return
    assert hu.shape == grid.shape


# MetaImage


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


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"ElementSpacing": "-1.5 1.5 2.5"}, "no-geometry"),
        ({"ElementSpacing": "0 1.5 2.5"}, "no-geometry"),
        ({"ElementSpacing": "nan 1.5 2.5"}, "no-geometry"),
        ({"ElementSpacing": "inf 1.5 2.5"}, "no-geometry"),
        ({"ElementSpacing": "1,5 1,5 2,5"}, "no-geometry"),
        ({"ElementSpacing": "1.5 1.5"}, "no-geometry"),
        ({"ElementSpacing": "1_5 1_5 2_5"}, "no-geometry"),
        ({"TransformMatrix": "1 0 0 0 1 0 0 0.26 0.97"}, "no-geometry"),
        ({"TransformMatrix": "2 0 0 0 2 0 0 0 2"}, "no-geometry"),
        ({"Offset": "nan 0 0"}, "no-geometry"),
        ({"DistanceUnits": "cm"}, "unclear-header"),
        ({"ElementToIntensityFunctionOffset": "-500"}, "unclear-header"),
        ({"ElementByteOrderMSB": "True"}, "unclear-header"),
        ({"BinaryData": "False"}, "undecodable"),
        ({"BinaryData": "perhaps"}, "broken-file"),
        ({"ElementType": "MET_LONG"}, "bad-pixels"),
        ({"ElementNumberOfChannels": "3"}, "bad-pixels"),
        ({"NDims": "2"}, "broken-file"),
        ({"DimSize": "8 9"}, "broken-file"),
        ({"DimSize": "8 9 7.5"}, "broken-file"),
        ({"DimSize": "8 9 0_7"}, "broken-file"),
        ({"DimSize": "8 9 -7"}, "too-few-slices"),
        ({"HeaderSize": "-2"}, "broken-file"),
        ({"ObjectType": "Tube"}, "broken-file"),
    ],
    ids=str,
)
def test_a_metaimage_that_is_unclear_is_refused(tmp_path, fields, code):
    assert refused(metaimage(tmp_path / "scan.mha", **fields)) == code


def test_a_metaimage_without_spacing_is_refused_unless_it_gives_sizes(tmp_path):
    assert refused(metaimage(tmp_path / "a.mha", "ElementSpacing")) == "no-geometry"
    sized = metaimage(tmp_path / "b.mha", "ElementSpacing", ElementSize="1.5 1.5 2.5")
    same_as_itk(sized)


def test_a_metaimage_without_place_or_axes_says_so(tmp_path):
    assert not warned(metaimage(tmp_path / "a.mha"))
    assert warned(metaimage(tmp_path / "b.mha", "Offset")) == {"no-orientation"}
    assert warned(metaimage(tmp_path / "c.mha", "TransformMatrix")) == {"no-orientation"}


def test_a_metaimage_that_says_a_thing_twice_is_refused(tmp_path):
    path = metaimage(tmp_path / "scan.mha")
    path.write_bytes(b"ElementSpacing = 1 1 1\nComment = a\nComment = b\n" + path.read_bytes())
    assert refused(path) == "unclear-header"


@pytest.mark.parametrize("size", ["16", "-1"])
def test_voxels_behind_another_header_are_found(tmp_path, size):
    path = metaimage(tmp_path / "scan.mhd", HeaderSize=size)
    head = path.read_bytes().partition(b"LOCAL")[0] + b"scan.raw\n"
    path.write_bytes(head)
    (tmp_path / "scan.raw").write_bytes(b"x" * 16 + HU.tobytes())
    np.testing.assert_array_equal(load(path)[0], HU)


# NRRD


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


BARE = ("space", "space_directions", "space_origin")


@pytest.mark.parametrize(
    ("drop", "fields", "code"),
    [
        (BARE, {}, "no-geometry"),
        (BARE, {"spacings": "nan nan nan"}, "no-geometry"),
        (BARE, {"spacings": "-1.5 1.5 2.5"}, "no-geometry"),
        (BARE, {"spacings": "1.5 1.5"}, "no-geometry"),
        (BARE, {"axis_mins": "0 0 0"}, "unclear-header"),
        (BARE, {"spacings": "1 1 1", "units": '"cm" "cm" "cm"'}, "unclear-header"),
        ((), {"spacings": "1.5 1.5 2.5"}, "unclear-header"),
        ((), {"space_units": '"cm" "cm" "cm"'}, "unclear-header"),
        ((), {"space_units": "m m m"}, "unclear-header"),
        ((), {"space": "somewhere"}, "unclear-header"),
        ((), {"space_directions": "(1.5,0,0) (0,1.5,0) none"}, "no-geometry"),
        ((), {"space_directions": "(1.5,0,0) (0,1.5,0) (0,0,nan)"}, "no-geometry"),
        ((), {"space_directions": "(1.5,0,0) (0,1.5,0) (0,0,0)"}, "no-geometry"),
        ((), {"space_directions": "(1.5,0,0) (0,1.5,0) (0,0.7,2.5)"}, "no-geometry"),
        ((), {"space_origin": "(nan,0,0)"}, "no-geometry"),
        ((), {"space_origin": "(0,0)"}, "no-geometry"),
        (("endian",), {}, "unclear-header"),
        ((), {"byte_skip": "16"}, "undecodable"),
        ((), {"line_skip": "1"}, "undecodable"),
        ((), {"kinds": "3-vector domain domain"}, "bad-pixels"),
        ((), {"type": "block"}, "bad-pixels"),
        ((), {"dimension": "4"}, "broken-file"),
        ((), {"what_is_this": "1"}, "broken-file"),
    ],
    ids=str,
)
def test_a_nrrd_that_is_unclear_is_refused(tmp_path, drop, fields, code):
    assert refused(nrrd(tmp_path / "scan.nrrd", *drop, **fields)) == code


def test_a_nrrd_without_orientation_says_so(tmp_path):
    assert not warned(nrrd(tmp_path / "a.nrrd"))
    assert not warned(nrrd(tmp_path / "b.nrrd", space_units='"mm" "mm" "mm"'))
    bare = [
        nrrd(tmp_path / "c.nrrd", *BARE, spacings="1.5 1.5 2.5"),
        nrrd(tmp_path / "d.nrrd", space="scanner-xyz"),
        nrrd(tmp_path / "e.nrrd", "space_origin"),
    ]
    for path in bare:
        assert warned(path) == {"no-orientation"}
        same_as_itk(path)


@pytest.mark.parametrize("space", ["RAS", "LAS", "LPS", "left-anterior-superior"])
def test_a_nrrd_in_any_space_lies_where_itk_puts_it(tmp_path, space):
    same_as_itk(nrrd(tmp_path / "scan.nrrd", space=space))


@settings(max_examples=200, deadline=None)
@given(
    make=st.sampled_from([(metaimage, ".mha"), (nrrd, ".nrrd")]),
    edits=st.lists(
        st.tuples(st.integers(0, 330), st.binary(min_size=1, max_size=4), st.booleans()),
        min_size=1,
        max_size=4,
    ),
)
def test_any_header_of_text_is_read_or_refused(make, edits):
    write, suffix = make
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / f"scan{suffix}")
        data = bytearray(path.read_bytes())
        for place, new, insert in edits:
            data[place : place + (0 if insert else len(new))] = new
        path.write_bytes(data)
        read_or_refused(path)


def test_what_is_read_here_is_a_scan_too(tmp_path):
    for path in (
        nifti(tmp_path / "a.nii"),
        metaimage(tmp_path / "a.mha"),
        nrrd(tmp_path / "a.nrrd"),
    ):
        assert read_scan(path, allow=["not-hounsfield"]).grid.spacing_mm == (2.5, 1.5, 1.5)
