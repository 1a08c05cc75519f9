"""Slices end up where their positions say, or the series is refused with the place."""

import numpy as np
import pytest

from squeezect.errors import ReadingError
from squeezect.reading import read_scan
from squeezect.scan import AXIAL

ORIENTATIONS = {
    "axial": (1, 0, 0, 0, 1, 0),
    "feet first": (-1, 0, 0, 0, 1, 0),
    "prone": (-1, 0, 0, 0, -1, 0),
    "coronal": (1, 0, 0, 0, 0, -1),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "turned by 90 degrees": (0, 1, 0, -1, 0, 0),
}


def refused(path, code):
    with pytest.raises(ReadingError) as caught:
        read_scan(path)
    assert caught.value.code == code
    return str(caught.value)


def codes_of(scan):
    return {finding.code.name for finding in scan.findings}


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_any_orientation_comes_out_canonical_with_every_voxel_in_place(writer, agrees, orientation):
    writer.write(orientation=orientation)
    scan = read_scan(writer.folder)
    np.testing.assert_allclose(scan.grid.direction, AXIAL, atol=1e-9)
    agrees(scan)


def test_an_oblique_series_keeps_its_angle_and_every_voxel_its_place(writer, agrees):
    row = np.array([np.cos(0.3), np.sin(0.3), 0])
    column = np.array([-np.sin(0.3) * np.cos(0.2), np.cos(0.3) * np.cos(0.2), np.sin(0.2)])
    writer.write(orientation=(*row, *column))
    agrees(read_scan(writer.folder))


def test_order_comes_from_positions_not_from_names_or_numbers(writer, agrees):
    depths = np.random.default_rng(3).permutation(np.arange(0, 60, 6))

    def lie(ds, index):
        ds.InstanceNumber = index + 1
        ds.SliceLocation = -index
        ds.SliceThickness = 99

    writer.write(depths=depths, edit=lie)
    scan = read_scan(writer.folder)
    assert scan.grid.spacing_mm == pytest.approx((6, 5, 4))
    agrees(scan)


def test_pixels_need_not_be_square(writer, agrees):
    writer.write(spacing=(1.5, 6.0))
    scan = read_scan(writer.folder)
    assert scan.grid.spacing_mm[1:] == (1.5, 6.0)
    agrees(scan)


@pytest.mark.parametrize("degrees", [-25, 8, 18.5, 30])
def test_a_tilted_gantry_is_sheared_back(writer, agrees, degrees):
    angle = np.deg2rad(degrees)
    tilted = (1, 0, 0, 0, np.cos(angle), -np.sin(angle))
    writer.write(orientation=tilted, step=(0, 0, 1), depths=range(0, 30, 3), shape=(40, 24))
    scan = read_scan(writer.folder)
    finding = next(f for f in scan.findings if f.code.name == "gantry-tilt")
    assert finding.value == f"{abs(degrees):.1f} degrees"
    agrees(scan, margin=4)


def test_a_tilt_beyond_any_gantry_is_refused_with_its_angle(writer):
    angle = np.deg2rad(50)
    writer.write(orientation=(1, 0, 0, 0, np.cos(angle), -np.sin(angle)), step=(0, 0, 1))
    assert "50.0 degrees" in refused(writer.folder, "steep-tilt")


def test_slices_beside_the_stack_are_refused(writer):
    def push(ds, index):
        if index == 4:
            ds.ImagePositionPatient[0] += 15

    writer.write(edit=push)
    assert "004.dcm lies 15.0 mm" in refused(writer.folder, "scattered-positions")


def test_uneven_slices_are_interpolated_onto_an_even_grid(writer, agrees):
    writer.write(depths=[0, 5, 10, 16, 21, 27, 32, 39])
    scan = read_scan(writer.folder)
    assert "uneven-spacing" in codes_of(scan)
    assert scan.grid.shape[0] == 9
    agrees(scan)


def test_small_jitter_of_positions_is_no_uneven_spacing(writer, agrees):
    writer.write(depths=[0, 6.01, 11.99, 18, 24.01, 30])
    scan = read_scan(writer.folder)
    assert "uneven-spacing" not in codes_of(scan)
    agrees(scan)


@pytest.mark.parametrize("missing", [1, 4, 8])
def test_a_missing_slice_is_refused_with_its_place_and_size(writer, missing):
    writer.write(depths=[d for d in range(0, 60, 6) if d != 6 * missing])
    text = refused(writer.folder, "slice-gap")
    assert "12.00 mm" in text
    assert "expected 6.00 mm" in text
    assert f"{missing - 1:03d}.dcm" in text


def test_a_stack_with_half_of_it_thinned_out_is_refused(writer):
    writer.write(depths=[0, 2, 4, 6, 8, 12, 16, 20, 24])
    refused(writer.folder, "slice-gap")


def test_identical_slices_at_one_place_count_once(writer, agrees):
    writer.write(depths=[0, 6, 6, 12, 18, 18, 24])
    scan = read_scan(writer.folder)
    assert scan.grid.shape[0] == 5
    assert "duplicate-slices" in codes_of(scan)
    agrees(scan)


def test_different_slices_at_one_place_are_refused(writer):
    def change(ds, index):
        if index == 2:
            ds.RescaleIntercept = "-99"

    writer.write(depths=[0, 6, 6, 12, 18], edit=change)
    assert "001.dcm" in refused(writer.folder, "conflicting-slices")


def test_thick_slices_overlap_and_thin_ones_leave_gaps(writer, tmp_path):
    writer.write(edit=lambda ds, _: setattr(ds, "SliceThickness", "8"))
    assert "overlapping-slices" in codes_of(read_scan(writer.folder))
    writer.count = 0
    writer.write(edit=lambda ds, _: setattr(ds, "SliceThickness", "1.25"))
    assert "sparse-slices" in codes_of(read_scan(writer.folder))


def test_mixed_matrix_sizes_are_refused(writer):
    writer.write(depths=range(0, 30, 6))
    writer.write(depths=range(30, 60, 6), shape=(20, 26))
    refused(writer.folder, "mixed-size")


def test_mixed_pixel_spacing_is_refused(writer):
    writer.write(depths=range(0, 30, 6))
    writer.write(depths=range(30, 60, 6), spacing=(5.1, 4.0))
    refused(writer.folder, "mixed-size")


def test_mixed_orientations_are_refused(writer):
    writer.write(depths=range(0, 30, 6))
    writer.write(depths=range(0, 30, 6), orientation=ORIENTATIONS["coronal"])
    refused(writer.folder, "mixed-orientation")


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_slices_are_refused(writer, count):
    writer.write(depths=range(0, 6 * count, 6))
    refused(writer.folder, "too-few-slices")


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ImagePositionPatient", None),
        ("ImageOrientationPatient", None),
        ("PixelSpacing", None),
        ("PixelSpacing", ["0", "1"]),
        ("ImageOrientationPatient", ["0"] * 6),
        ("ImageOrientationPatient", ["1", "0", "0", "1", "0", "0"]),
    ],
)
def test_without_a_place_in_space_there_is_no_volume(writer, keyword, value):
    def edit(ds, index):
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)

    writer.write(edit=edit)
    refused(writer.folder, "no-geometry")
