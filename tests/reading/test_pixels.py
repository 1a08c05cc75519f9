"""Stored numbers become Hounsfield units exactly, however they are stored."""

import numpy as np
import pytest

from squeezect.errors import ReadingError
from squeezect.phantom import DicomStyle, write_dicom
from squeezect.phantom.dicom import SYNTAXES
from squeezect.reading import read_scan, read_slice
from squeezect.reading.hounsfield import to_hounsfield


def refused(path, code):
    with pytest.raises(ReadingError) as caught:
        read_scan(path)
    assert caught.value.code == code
    return str(caught.value)


def expected(scan, *, padded=True):
    hu = scan.hu.copy()
    if padded:
        hu[:, outside(hu.shape[1:])] = -1024
    return hu


def outside(shape):
    """Where a slice lies outside of the circular field of view."""
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in shape)
    return np.hypot(rows[:, None], columns) > min(shape) / 2


@pytest.mark.parametrize("syntax", sorted(set(SYNTAXES) - {"big-endian"}))
def test_every_lossless_encoding_gives_the_same_values(chest, tmp_path, syntax):
    write_dicom(chest, tmp_path, DicomStyle(syntax=syntax))
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.hu, expected(chest))
    assert scan.grid.isclose(chest.grid)


def test_big_endian_gives_the_same_values(writer, agrees):
    from pydicom.dataset import Dataset

    def swap(ds, index):
        ds.PixelData = np.frombuffer(ds.PixelData, "<i2").astype(">i2").tobytes()

    for depth in range(0, 60, 6):
        ds = writer.slice(np.array([-40.0, -50.0, 20.0 + depth]))
        swap(ds, 0)
        other = Dataset()
        other.update(ds)
        other.file_meta = ds.file_meta
        other.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.2"
        writer.folder.mkdir(exist_ok=True)
        path = writer.folder / f"{depth}.dcm"
        other.save_as(path, implicit_vr=False, little_endian=False, enforce_file_format=True)
    agrees(read_scan(writer.folder))


@pytest.mark.parametrize(
    "style",
    [
        DicomStyle(unsigned=True),
        DicomStyle(unsigned=True, bits_stored=12, padding=None),
        DicomStyle(bits_stored=12, padding=None),
        DicomStyle(monochrome1=True),
        DicomStyle(monochrome1=True, unsigned=True),
        DicomStyle(padding=-3024),
        DicomStyle(padding=-2048, syntax="jpeg-ls"),
        DicomStyle(slope=0.5),
        DicomStyle(shuffle=4),
    ],
    ids=str,
)
def test_every_way_of_storing_gives_the_same_values(chest, tmp_path, style):
    write_dicom(chest, tmp_path, style)
    hu = expected(chest, padded=style.padding is not None)
    np.testing.assert_array_equal(read_scan(tmp_path).hu, hu)


def test_rescale_counts_slice_by_slice(chest, tmp_path):
    write_dicom(chest, tmp_path, DicomStyle(slope_per_slice=True))
    # Slopes up to 1.5 round by at most 0.75, once more to whole numbers.
    error = np.abs(read_scan(tmp_path).hu.astype(int) - expected(chest))
    assert error.max() <= 1


def test_bits_above_the_high_bit_do_not_count(writer, agrees):
    def overlay(ds, index):
        stored = (np.frombuffer(ds.PixelData, "<i2").astype(int) + 2048).astype("<u2")
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
        ds.RescaleIntercept = str(-100 - 2048 / 4)
        ds.PixelData = (stored | 0xF000).astype("<u2").tobytes()

    writer.write(edit=overlay)
    agrees(read_scan(writer.folder))


@pytest.mark.parametrize("syntax", ["", "1.2.840.10008.1.2.5"], ids=["native", "rle"])
@pytest.mark.parametrize("signed", [0, 1])
def test_values_in_the_upper_bits_are_shifted_down(writer, agrees, syntax, signed):
    def raise_bits(ds, index):
        stored = np.frombuffer(ds.PixelData, "<i2").astype(int) // 2 + 2048 * (1 - signed)
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 15, signed
        ds.RescaleSlope, ds.RescaleIntercept = "0.5", str(-100 - 1024 * (1 - signed))
        ds.PixelData = ((stored << 4) | 5).astype("<u2").tobytes()
        if syntax:
            ds.compress(syntax, generate_instance_uid=False)

    writer.write(edit=raise_bits)
    agrees(read_scan(writer.folder), tolerance=1.7)


def test_bits_above_the_others_in_a_jpeg_stream_are_refused(chest, tmp_path):
    from pydicom import dcmread

    style = DicomStyle(syntax="jpeg-2000", bits_stored=12, padding=None)
    for path in write_dicom(chest, tmp_path, style):
        ds = dcmread(path)
        ds.HighBit = 15
        ds.save_as(path)
    assert "high bit 15" in refused(tmp_path, "bad-pixels")


@pytest.mark.parametrize("value", [63536, 63488, 62512])
def test_padding_read_as_unsigned_is_air(value):
    stored = np.full((4, 4), 1024, np.uint16)
    stored[0, 0] = value
    hu = np.empty((4, 4), np.int16)
    to_hounsfield(stored, hu, intercept=-1024.0)
    assert hu[0, 0] == -1024
    assert (hu.ravel()[1:] == 0).all()


def test_a_padding_range_is_air():
    stored = np.array([[-2000, -1800, 5], [-1500, 7, 8], [9, 10, 11]], np.int16)
    hu = np.empty((3, 3), np.int16)
    to_hounsfield(stored, hu, intercept=700.0, padding=(-2000, -1500))
    assert hu.tolist() == [[-1024, -1024, 705], [-1024, 707, 708], [709, 710, 711]]


def test_padding_with_the_value_of_tissue_is_believed_only_from_a_corner_on():
    stored = np.array([[5, 5, 5], [5, 0, 5], [5, 5, 5]], np.int16)
    hu = np.empty((3, 3), np.int16)
    to_hounsfield(stored, hu, padding=(0, 0))
    assert hu[1, 1] == 0
    stored[0, 0] = 0
    to_hounsfield(stored, hu, padding=(0, 0))
    assert hu[0, 0] == -1024
    assert hu[1, 1] == 0
    stored[0, 1] = 0
    to_hounsfield(stored, hu, padding=(0, 0))
    assert hu[:2, :2].tolist() == [[-1024, -1024], [5, -1024]]


def test_tissue_of_the_padding_value_stays_tissue(chest, tmp_path):
    from pydicom import dcmread

    for path in write_dicom(chest, tmp_path, DicomStyle(padding=None)):
        ds = dcmread(path)
        hu = np.frombuffer(ds.PixelData, "<i2").reshape(ds.Rows, ds.Columns).astype(int) - 1024
        hu[outside(hu.shape)] = 0
        ds.PixelData = hu.astype("<i2").tobytes()
        ds.RescaleIntercept = "0"
        ds.add_new("PixelPaddingValue", "SS", 0)
        ds.save_as(path)
    assert (chest.hu == 0).any()
    np.testing.assert_array_equal(read_scan(tmp_path).hu, expected(chest))


def test_overflow_is_refused(writer):
    writer.write(edit=lambda ds, _: setattr(ds, "RescaleSlope", "1000"))
    refused(writer.folder, "hu-overflow")


def test_missing_rescale_is_said_and_values_that_are_no_hu_refused(chest, tmp_path):
    from pydicom import dcmread

    for path in write_dicom(chest, tmp_path, DicomStyle(padding=None)):
        ds = dcmread(path)
        del ds.RescaleSlope, ds.RescaleIntercept
        ds.save_as(path)
    assert "no air near -1000" in refused(tmp_path, "not-hounsfield")
    scan = read_scan(tmp_path, allow=["not-hounsfield"])
    found = {f.code.name: f for f in scan.findings}
    assert found["not-hounsfield"].overridden
    assert found["not-hounsfield"].severity == "warn"
    assert "no-rescale" in found


@pytest.mark.parametrize(
    "change",
    [
        lambda hu: hu // 100,
        lambda hu: (hu.clip(-1000, 400) + 1000) * 255 // 1400,
        lambda hu: hu - 1024,
        lambda hu: -hu,
        lambda hu: hu + 1024,
    ],
    ids=["scaled", "windowed to 8 bit", "offset twice", "inverted", "offset forgotten"],
)
def test_what_is_no_hounsfield_scale_is_refused(chest, tmp_path, change):
    from dataclasses import replace

    wrong = replace(chest, hu=change(chest.hu.astype(int)).astype(np.int16))
    write_dicom(wrong, tmp_path, DicomStyle(padding=None))
    refused(tmp_path, "not-hounsfield")


def test_lookup_tables_colours_and_floats_are_refused(writer):
    def colour(ds, index):
        ds.PhotometricInterpretation = "RGB"
        ds.SamplesPerPixel = 3

    writer.write(edit=colour)
    refused(writer.folder, "bad-pixels")


def test_headers_without_pixels_are_refused(writer):
    writer.write(edit=lambda ds, _: delattr(ds, "PixelData"))
    refused(writer.folder, "no-pixel-data")


def test_a_file_cut_short_is_named(writer):
    paths = writer.write()
    data = paths[3].read_bytes()
    paths[3].write_bytes(data[:-100])
    assert "003.dcm" in refused(paths[3], "broken-file")


def test_too_few_bytes_of_pixels_are_refused(writer):
    writer.write(edit=lambda ds, _: setattr(ds, "PixelData", ds.PixelData[:-200]))
    refused(writer.folder, "broken-file")


def test_a_compressed_stream_of_another_size_is_refused_before_decoding(chest, tmp_path):
    from pydicom import dcmread

    for path in write_dicom(chest, tmp_path, DicomStyle(syntax="jpeg-2000")):
        ds = dcmread(path)
        ds.Rows += 2
        ds.save_as(path)
    assert "60 x 58" in refused(tmp_path, "bad-pixels")


def test_damaged_compressed_pixels_are_refused_by_name(chest, tmp_path):
    paths = write_dicom(chest, tmp_path, DicomStyle(syntax="jpeg-ls"))
    data = bytearray(paths[5].read_bytes())
    data[-1500:-8] = b"\xff" * 1492
    paths[5].write_bytes(data)
    assert paths[5].name in refused(tmp_path, "broken-file")


def test_one_slice_alone_gives_its_values(chest, tmp_path):
    paths = write_dicom(chest, tmp_path)
    np.testing.assert_array_equal(read_slice(paths[7]), expected(chest)[7])
