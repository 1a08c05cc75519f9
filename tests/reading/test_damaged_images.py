"""A damaged or cut image file is refused, whatever its format: never a volume with holes."""

import bz2
import gzip
import io
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezect.errors import ReadingError
from squeezect.reading import Limits, read_scan
from squeezect.reading.unpacking import Unpacked
from squeezect.scan import Grid

PACKED = [".nii.gz", ".mha", ".nrrd", ".mhd", ".nhdr"]
HU = np.random.default_rng(3).normal(-300, 400, (7, 30, 28)).clip(-1024, 1500).astype(np.int16)


def written(folder, suffix, *, packed=True, hu=HU):
    """The file that is read, and the one that holds the voxels."""
    path = Path(folder) / f"scan{suffix}"
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((1.5, 1.5, 2.5))
    sitk.WriteImage(image, str(path), useCompression=packed)
    beside = [p for p in Path(folder).iterdir() if p != path]
    return path, (beside or [path])[0]


def refused(path):
    with pytest.raises(ReadingError) as caught:
        read_scan(path)
    return caught.value.code


@settings(max_examples=120, deadline=None)
@given(
    suffix=st.sampled_from(PACKED),
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
)
def test_one_bit_of_packed_voxels_never_changes_the_scan(suffix, place, bit):
    with tempfile.TemporaryDirectory() as folder:
        path, voxels = written(folder, suffix)
        whole = read_scan(path)
        data = bytearray(voxels.read_bytes())
        start = 400 if voxels == path else 10  # behind headers
        data[start + int(place * (len(data) - start))] ^= 1 << bit
        voxels.write_bytes(data)
        try:
            found = read_scan(path)
        except ReadingError as error:
            assert error.code == "broken-file"  # noqa: PT017
        else:
            # Deflate ends within a byte, whose last bits mean nothing.
            assert place > 0.99
            assert (found.hu == whole.hu).all()
            assert found.grid == whole.grid


@pytest.mark.parametrize("suffix", PACKED)
def test_a_hole_in_packed_voxels_is_refused(tmp_path, suffix):
    path, voxels = written(tmp_path, suffix)
    data = bytearray(voxels.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 512] = bytes(512)
    voxels.write_bytes(data)
    assert refused(path) == "broken-file"


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("suffix", [*PACKED, ".nii"])
def test_missing_and_surplus_bytes_are_refused(tmp_path, suffix, packed):
    path, voxels = written(tmp_path, suffix, packed=packed and suffix != ".nii")
    data = voxels.read_bytes()
    read_scan(path)
    for wrong in (data[:-1], data[:-100], data[: len(data) * 2 // 3], data + b"\0", data + data):
        voxels.write_bytes(wrong)
        assert refused(path) == "broken-file"


@pytest.mark.parametrize("slices", [6, 8])
def test_a_sound_stream_of_another_size_is_refused(tmp_path, slices):
    other = np.resize(HU, (slices, *HU.shape[1:])).astype("<i2").tobytes()
    path, _ = written(tmp_path, ".nii.gz")
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:352] + other))
    assert refused(path) == "broken-file"
    path, _ = written(tmp_path, ".nrrd")
    head = path.read_bytes().partition(b"\n\n")[0] + b"\n\n"
    path.write_bytes(head + gzip.compress(other))
    assert refused(path) == "broken-file"


def test_damage_goes_before_what_it_makes_of_the_values(tmp_path):
    path, _ = written(tmp_path, ".nii.gz", hu=HU.astype(np.float32))
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[400:800] = np.full(100, np.nan, "<f4").tobytes()
    path.write_bytes(gzip.compress(data)[:-8] + bytes(8))
    assert refused(path) == "broken-file"
    path.write_bytes(gzip.compress(data))
    assert refused(path) == "bad-pixels"


def test_a_stream_of_several_members_is_one_volume(tmp_path):
    path, _ = written(tmp_path, ".nii.gz")
    whole = read_scan(path).hu
    data = gzip.decompress(path.read_bytes())
    path.write_bytes(b"".join(gzip.compress(data[i : i + 5000]) for i in range(0, len(data), 5000)))
    np.testing.assert_array_equal(read_scan(path).hu, whole)


def test_a_stream_that_swells_is_refused_by_its_header(tmp_path):
    path, _ = written(tmp_path, ".nii.gz")
    head = bytearray(gzip.decompress(path.read_bytes())[:352])
    head[42:48] = np.array([512, 512, 512], "<i2").tobytes()
    path.write_bytes(gzip.compress(bytes(head) + bytes(1 << 20)))
    assert refused(path) == "too-large"
    with pytest.raises(ReadingError) as caught:
        read_scan(written(tmp_path, ".mha")[0], limits=Limits(voxels=100))
    assert caught.value.code == "too-large"


@pytest.mark.parametrize("encoding", ["bzip2", "text", "hex"])
def test_other_encodings_say_so(tmp_path, encoding):
    head = (
        f"NRRD0004\ntype: short\ndimension: 3\nsizes: 28 30 7\nspacings: 1 1 1\n"
        f"endian: little\nencoding: {encoding}\n\n"
    )
    (tmp_path / "scan.nrrd").write_bytes(head.encode() + bz2.compress(HU.tobytes()))
    assert refused(tmp_path / "scan.nrrd") == "undecodable"


@settings(max_examples=200, deadline=None)
@given(
    parts=st.lists(st.binary(max_size=3000), min_size=1, max_size=4),
    size=st.integers(1, 5000),
    level=st.integers(0, 9),
)
def test_unpacking_gives_back_what_was_packed(parts, size, level):
    packed = b"".join(gzip.compress(part, level) for part in parts)
    assert drained(packed, size) == b"".join(parts)
    assert drained(zlib.compress(parts[0], level), size) == parts[0]


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=3000), cut=st.integers(1, 60), wide=st.booleans())
def test_unpacking_never_ends_early_in_silence(data, cut, wide):
    packed = gzip.compress(data) if wide else zlib.compress(data)
    with pytest.raises((EOFError, zlib.error)):
        drained(packed[: -min(cut, len(packed))], 700)
    with pytest.raises((EOFError, zlib.error)):
        drained(packed + b"more", 700)


def test_unpacking_takes_streams_that_swell():
    data = bytes(3 << 20)
    assert drained(gzip.compress(data), 100_000) == data


def drained(packed, size):
    file = io.BufferedReader(Unpacked(io.BytesIO(packed)), 1000)
    return b"".join(iter(lambda: file.read(size), b""))


def test_the_grid_is_that_of_the_file(tmp_path):
    path, _ = written(tmp_path, ".mha")
    assert read_scan(path).grid.isclose(Grid(HU.shape, (2.5, 1.5, 1.5)))
