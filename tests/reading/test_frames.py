"""Enhanced and legacy-converted CT: one file of many frames is the same scan as many files."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from squeezect.errors import ReadingError
from squeezect.reading import inspect, read_scan

ENHANCED = "1.2.840.10008.5.1.4.1.1.2.1"
LEGACY = "1.2.840.10008.5.1.4.1.1.2.2"


def group(**values):
    item = Dataset()
    for key, value in values.items():
        setattr(item, key, value)
    return Sequence([item])


def multi_frame(writer, sop_class, *, order, slopes_per_frame=False, drop=()):
    """One file with a frame per slice of the ramp, stored in any order."""
    slices = [writer.slice(np.array([-40.0, -50.0, 20.0 + 6.0 * n])) for n in range(10)]
    kept = [n for n in order if n not in drop]
    ds = slices[0]
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    shared, frames, pixels = Dataset(), [], []
    shared.PixelMeasuresSequence = group(PixelSpacing=["5.0", "4.0"], SliceThickness="6.0")
    shared.PlaneOrientationSequence = group(ImageOrientationPatient=["1", "0", "0", "0", "1", "0"])
    if not slopes_per_frame:
        shared.PixelValueTransformationSequence = group(
            RescaleSlope="0.25", RescaleIntercept="-100", RescaleType="HU"
        )
    for number in kept:
        frame = Dataset()
        position = slices[number].ImagePositionPatient
        frame.PlanePositionSequence = group(ImagePositionPatient=position)
        stored = np.frombuffer(slices[number].PixelData, "<i2")
        slope = 0.25 if number % 2 or not slopes_per_frame else 0.5
        if slopes_per_frame:
            frame.PixelValueTransformationSequence = group(
                RescaleSlope=str(slope), RescaleIntercept="-100", RescaleType="HU"
            )
        frames.append(frame)
        pixels.append(np.rint(stored * 0.25 / slope).astype("<i2").tobytes())
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    ds.PerFrameFunctionalGroupsSequence = Sequence(frames)
    ds.NumberOfFrames = len(kept)
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(ds, name)
    del ds.RescaleSlope, ds.RescaleIntercept
    ds.PixelData = b"".join(pixels)
    return writer.save(ds)


@pytest.mark.parametrize("sop_class", [ENHANCED, LEGACY])
@pytest.mark.parametrize("order", [range(10), range(9, -1, -1), [3, 1, 4, 0, 5, 9, 2, 6, 8, 7]])
def test_frames_in_any_order_are_the_scan(writer, agrees, sop_class, order):
    path = multi_frame(writer, sop_class, order=order)
    scan = read_scan(path)
    assert scan.grid.shape == (10, 20, 24)
    assert scan.grid.spacing_mm == pytest.approx((6, 5, 4))
    agrees(scan)


def test_rescale_counts_frame_by_frame(writer, agrees):
    agrees(read_scan(multi_frame(writer, ENHANCED, order=range(10), slopes_per_frame=True)))


def test_many_frames_are_the_scan_of_many_files(writer, tmp_path):
    single = read_scan(multi_frame(writer, ENHANCED, order=range(10)))
    other = type(writer)(tmp_path / "files")
    other.write()
    many = read_scan(other.folder)
    assert np.array_equal(single.hu, many.hu)
    assert single.grid == many.grid


def test_a_missing_frame_is_a_gap(writer):
    path = multi_frame(writer, ENHANCED, order=range(10), drop=(4,))
    with pytest.raises(ReadingError) as refusal:
        read_scan(path)
    assert refusal.value.code == "slice-gap"


def without_rescale(path, frame):
    from pydicom import dcmread

    ds = dcmread(path)
    del ds.PerFrameFunctionalGroupsSequence[frame].PixelValueTransformationSequence
    ds.save_as(path)


def test_one_frame_without_a_rescale_is_refused(writer):
    path = multi_frame(writer, ENHANCED, order=range(10), slopes_per_frame=True)
    without_rescale(path, 4)
    with pytest.raises(ReadingError) as refusal:
        read_scan(path)
    assert refusal.value.code == "mixed-storage"


@pytest.mark.parametrize("syntax", ["", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1.99"])
def test_a_file_of_many_frames_is_unpacked_once_for_all_of_them(writer, tmp_path, syntax, agrees):
    import zipfile
    from unittest.mock import patch

    from pydicom import dcmread

    from squeezect.reading.sources import Source

    path = multi_frame(writer, ENHANCED, order=[3, 1, 4, 0, 5, 9, 2, 6, 8, 7])
    ds = dcmread(path)
    if syntax.endswith(".5"):
        ds.compress(syntax, generate_instance_uid=False)
    elif syntax:
        ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(path)
    archive = tmp_path / "frames.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        out.write(path, path.name)
    whole = 0
    unpack = Source._unpack

    def counted(source, size):
        nonlocal whole
        whole += size > source.size
        return unpack(source, size)

    with patch.object(Source, "_unpack", counted):
        agrees(read_scan(archive))
    # Once for the header of a deflated file, once for the pixels.
    assert whole <= 2


def test_time_is_looked_at_frame_by_frame(writer):
    from unittest.mock import patch

    from squeezect.reading.sources import Deadline

    path = multi_frame(writer, ENHANCED, order=range(10))
    with patch.object(Deadline, "check") as check:
        read_scan(path)
    assert check.call_count >= 10


def test_inspect_counts_frames_as_slices(writer):
    path = multi_frame(writer, ENHANCED, order=range(10))
    (row,) = inspect(path).as_dict()["series"]
    assert row["slices"] == 10
    assert row["usable"]
