"""One scan in any format is one scan: the same values at the same places."""

import zipfile

import numpy as np
import pytest
import SimpleITK as sitk

from squeezect.errors import ReadingError
from squeezect.reading import read_scan
from squeezect.scan import canonical, pseudonym

LPS = np.diag([-1.0, -1, 1, 1])


def refused(path, code):
    with pytest.raises(ReadingError) as caught:
        read_scan(path)
    assert caught.value.code == code
    return str(caught.value)


def same(scan, small):
    hu, grid = small
    np.testing.assert_array_equal(scan.hu, hu)
    assert scan.grid.isclose(grid, tolerance_mm=1e-3)


def itk(small, axes=np.eye(3)):
    """The volume as ITK has it, stored along other axes (columns of a signed permutation)."""
    hu, grid = small
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetOrigin(grid.origin_mm)
    order = [int(np.abs(axes[:, i]).argmax()) for i in range(3)]
    image = sitk.PermuteAxes(image, order)
    return sitk.Flip(image, [bool(axes[:, i].sum() < 0) for i in range(3)], flipAboutOrigin=False)


AXES = {
    "plain": np.eye(3),
    "flipped in x and y": np.diag([-1.0, -1, 1]),
    "flipped in z": np.diag([1.0, 1, -1]),
    "left-handed": np.diag([-1.0, 1, 1]),
    "coronal": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "sagittal": np.array([[0.0, 0, 1], [1, 0, 0], [0, -1, 0]]),
}


@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nii", ".nii.gz", ".nrrd", ".nhdr"])
def test_any_format_with_any_axes_is_the_same_scan(small, tmp_path, suffix, axes):
    path = tmp_path / f"scan{suffix}"
    sitk.WriteImage(itk(small, axes), str(path))
    same(read_scan(path), small)


@pytest.mark.parametrize("kind", ["sform", "qform", "both"])
@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "PIR"])
def test_nifti_of_any_orientation_is_the_same_scan(small, tmp_path, kind, codes):
    nib = pytest.importorskip("nibabel")
    hu, grid = small
    affine = np.eye(4)
    affine[:3, :3] = grid.steps_mm[::-1].T
    affine[:3, 3] = grid.origin_mm
    image = nib.Nifti1Image(np.transpose(hu), LPS @ affine)
    start = nib.orientations.io_orientation(image.affine)
    end = nib.orientations.axcodes2ornt(tuple(codes))
    image = image.as_reoriented(nib.orientations.ornt_transform(start, end))
    place = image.affine.copy()  # each set_... below works the image's affine out anew
    image.set_sform(place if kind != "qform" else None, code=int(kind != "qform"))
    image.set_qform(place if kind != "sform" else None, code=int(kind != "sform"))
    path = tmp_path / "scan.nii.gz"
    nib.save(image, path)
    same(read_scan(path), small)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_any_number_type_gives_the_same_values(small, tmp_path, dtype):
    path = tmp_path / "scan.nii"
    image = sitk.Cast(itk(small), sitk.GetImageFromArray(np.zeros((1, 1, 1), dtype)).GetPixelID())
    sitk.WriteImage(image, str(path))
    same(read_scan(path), small)


def test_nifti_with_slope_and_intercept_is_rescaled(small, tmp_path):
    nib = pytest.importorskip("nibabel")
    hu, grid = small
    affine = LPS @ np.block(
        [[grid.steps_mm[::-1].T, np.array(grid.origin_mm)[:, None]], [np.zeros(3), 1]]
    )
    image = nib.Nifti1Image(np.transpose(hu).astype(np.int16) + 1024, affine)
    image.header.set_slope_inter(1, -1024)
    stored = tmp_path / "scan.nii"
    nib.save(image, stored)
    data = bytearray(stored.read_bytes())
    data[352:] = (np.transpose(hu) + 1024).astype("<i2").tobytes(order="F")
    data[112:120] = np.array([1, -1024], "<f4").tobytes()
    stored.write_bytes(data)
    same(read_scan(stored), small)


def test_nifti_without_orientation_says_so(small, tmp_path):
    nib = pytest.importorskip("nibabel")
    image = nib.Nifti1Image(np.transpose(small[0]), None)
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    path = tmp_path / "scan.nii"
    nib.save(image, path)
    assert "no-orientation" in {f.code.name for f in read_scan(path).findings}


@pytest.mark.parametrize("matrix", ["1 0 0 0 1 0 0 0 1", "-1 0 0 0 -1 0 0 0 1"])
def test_a_header_as_luna16_writes_it_puts_voxels_where_they_belong(tmp_path, matrix):
    hu = np.random.default_rng(1).integers(-1000, 1000, (5, 6, 7)).astype("<i2")
    uid = "1.3.6.1.4.1.14519.5.2.1.6279.6001.100"
    (tmp_path / f"{uid}.raw").write_bytes(hu.tobytes())
    (tmp_path / f"{uid}.mhd").write_text(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        f"CompressedData = False\nTransformMatrix = {matrix}\nOffset = -150 -140 -300\n"
        "CenterOfRotation = 0 0 0\nAnatomicalOrientation = RAI\nElementSpacing = 0.7 0.8 2.5\n"
        f"DimSize = 7 6 5\nElementType = MET_SHORT\nElementDataFile = {uid}.raw\n"
    )
    scan = read_scan(tmp_path / f"{uid}.mhd")
    assert scan.identity == pseudonym(uid)
    sign = -1 if matrix.startswith("-1") else 1
    for z, y, x in [(0, 0, 0), (4, 5, 6), (2, 3, 1)]:
        place = (-150 + sign * 0.7 * x, -140 + sign * 0.8 * y, -300 + 2.5 * z)
        index = tuple(np.rint(scan.grid.to_index(place)).astype(int))
        assert scan.hu[index] == max(hu[z, y, x], -1024)


def test_a_zip_of_a_header_and_its_data_is_read(small, tmp_path):
    sitk.WriteImage(itk(small), str(tmp_path / "scan.mhd"))
    archive = tmp_path / "scan.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for name in ("scan.mhd", "scan.raw"):
            out.write(tmp_path / name, f"deep/{name}")
    same(read_scan(archive), small)


def test_nrrd_in_ras_space_is_the_same_scan(small, tmp_path):
    hu, grid = small
    sz, sy, sx = grid.spacing_mm
    x, y, z = grid.origin_mm
    head = (
        "NRRD0004\ntype: short\ndimension: 3\nspace: right-anterior-superior\n"
        f"sizes: {hu.shape[2]} {hu.shape[1]} {hu.shape[0]}\n"
        f"space directions: ({-sx},0,0) (0,{-sy},0) (0,0,{sz})\n"
        f"space origin: ({-x},{-y},{z})\nendian: little\nencoding: raw\n\n"
    )
    path = tmp_path / "scan.nrrd"
    path.write_bytes(head.encode() + hu.astype("<i2").tobytes())
    same(read_scan(path), small)


@pytest.mark.parametrize("name", ["/etc/hostname", "../up.raw", "LIST", "a%03d.raw 1 9 1"])
def test_headers_that_point_elsewhere_are_refused(tmp_path, name):
    (tmp_path / "scan.mhd").write_text(
        f"NDims = 3\nDimSize = 4 4 4\nElementType = MET_SHORT\nElementDataFile = {name}\n"
    )
    with pytest.raises(ReadingError) as caught:
        read_scan(tmp_path / "scan.mhd")
    assert caught.value.code in {"unsafe-link", "broken-file"}


def test_a_nrrd_header_that_points_elsewhere_is_refused(tmp_path):
    (tmp_path / "scan.nhdr").write_text(
        "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 4 4\nencoding: raw\n"
        "endian: little\ndata file: ../other.raw\n"
    )
    refused(tmp_path / "scan.nhdr", "unsafe-link")


def test_a_tiny_file_that_declares_a_huge_volume_is_refused(tmp_path):
    (tmp_path / "scan.raw").write_bytes(b"0" * 100)
    (tmp_path / "scan.mhd").write_text(
        "NDims = 3\nDimSize = 30000 30000 30000\nElementType = MET_SHORT\nBinaryData = True\n"
        "ElementSpacing = 1 1 1\nElementDataFile = scan.raw\n"
    )
    refused(tmp_path / "scan.mhd", "too-large")


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd", ".nii"])
def test_truncated_and_random_files_are_refused(small, tmp_path, suffix):
    path = tmp_path / f"scan{suffix}"
    sitk.WriteImage(itk(small), str(path), useCompression=suffix == ".nii.gz")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ReadingError):
        read_scan(path)
    path.write_bytes(np.random.default_rng(0).bytes(4000))
    refused(path, "broken-file")


def test_colour_images_and_time_series_are_refused(tmp_path):
    path = tmp_path / "scan.nii"
    sitk.WriteImage(sitk.Image([4, 4, 4], sitk.sitkVectorUInt8, 3), str(tmp_path / "c.mha"))
    refused(tmp_path / "c.mha", "bad-pixels")
    sitk.WriteImage(sitk.Image([4, 4, 4, 2], sitk.sitkInt16), str(path))
    refused(path, "bad-pixels")


def test_values_that_are_not_finite_are_refused(small, tmp_path):
    image = sitk.Cast(itk(small), sitk.sitkFloat32)
    image[1, 1, 1] = float("nan")
    sitk.WriteImage(image, str(tmp_path / "scan.nii"))
    refused(tmp_path / "scan.nii", "bad-pixels")


def test_several_images_in_a_folder_have_to_be_named(small, tmp_path):
    for name in ("a.nii", "b.nii"):
        sitk.WriteImage(itk(small), str(tmp_path / name))
    refused(tmp_path, "several-images")
    same(read_scan(tmp_path, series=pseudonym("b.nii")), small)


def test_padding_below_air_is_lifted_in_every_format(small, tmp_path):
    hu, grid = small
    low = hu.copy()
    low[0, :3] = -3024
    sitk.WriteImage(itk((low, grid)), str(tmp_path / "scan.mha"))
    assert (read_scan(tmp_path / "scan.mha").hu[0, :3] == -1024).all()
    assert canonical(hu, grid)[1].isclose(grid)
