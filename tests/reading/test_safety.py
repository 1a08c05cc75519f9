"""Archives and folders that want to do harm: bounded memory and time, a coded error."""

import os
import resource
import struct
import time
import zipfile

import numpy as np
import pytest

from squeezect.errors import ReadingError, SqueezeCTError
from squeezect.reading import LIMITS, Limits, inspect, read_scan


def refused(path, *, limits=LIMITS):
    started = time.process_time()  # a busy machine is no reason to fail
    with pytest.raises(ReadingError) as refusal:
        read_scan(path, limits=limits)
    assert time.process_time() - started < 5
    return refusal.value.code


def zipped(path, members, *, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def test_a_bomb_is_refused_without_unpacking_it(tmp_path):
    bomb = zipped(tmp_path / "bomb.zip", [("a.dcm", b"\0" * (64 << 20))])
    assert bomb.stat().st_size < 100_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(bomb) in {"too-large", "unsafe-archive"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32_000


def test_a_size_that_lies_is_found_out(writer, tmp_path):
    (path,) = writer.write(range(0, 6, 6))
    archive = zipped(tmp_path / "lie.zip", [("a.dcm", path.read_bytes())])
    data = bytearray(archive.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 0xFFFFFFF0)
    archive.write_bytes(bytes(data))
    with pytest.raises(SqueezeCTError):
        read_scan(archive)


@pytest.mark.parametrize(
    "name", ["../../evil.dcm", "/etc/evil.dcm", "a/../../evil.dcm", "C:\\x.dcm"]
)
def test_paths_that_lead_out_are_never_followed(writer, tmp_path, name):
    (path,) = writer.write(range(0, 6, 6))
    archive = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr(name, path.read_bytes())
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SqueezeCTError):
        read_scan(archive)
    assert sorted(tmp_path.rglob("*")) == before


def test_linked_files_are_read_and_linked_folders_are_not_walked(writer, agrees, tmp_path):
    paths = writer.write()
    view = tmp_path / "view"
    view.mkdir()
    (view / "series").symlink_to(writer.folder)
    assert refused(view) in {"no-files", "not-an-image"}
    for path in paths:
        (view / path.name).symlink_to(path)
    agrees(read_scan(view))
    (view / paths[0].name).unlink()
    (view / paths[0].name).symlink_to(tmp_path / "gone")
    assert read_scan(view).grid.shape[0] == len(paths) - 1


def test_a_folder_that_holds_itself_ends(writer, agrees):
    writer.write()
    (writer.folder / "again").symlink_to(writer.folder)
    agrees(read_scan(writer.folder))


def test_links_inside_archives_are_refused_or_passed_over(writer, tmp_path):
    info = zipfile.ZipInfo("link.dcm")
    info.external_attr = 0o120777 << 16
    archive = tmp_path / "links.zip"
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr(info, "/etc/passwd")
    assert refused(archive) in {"unsafe-archive", "no-files", "not-an-image"}


def test_archives_in_archives_are_not_opened(writer, tmp_path):
    inner = zipped(tmp_path / "inner.zip", [(p.name, p.read_bytes()) for p in writer.write()])
    outer = zipped(tmp_path / "outer.zip", [("inner.zip", inner.read_bytes())])
    assert refused(outer) in {"not-an-image", "no-usable-series", "unsafe-archive", "no-files"}


def test_encrypted_archives_say_so(writer, tmp_path):
    (path,) = writer.write(range(0, 6, 6))
    archive = zipped(tmp_path / "locked.zip", [("a.dcm", path.read_bytes())])
    data = bytearray(archive.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    archive.write_bytes(bytes(data))
    with pytest.raises(SqueezeCTError):
        read_scan(archive)


def test_too_many_files_too_deep_and_too_long(writer, tmp_path):
    writer.write()
    assert refused(writer.folder, limits=Limits(files=5)) == "too-large"
    assert refused(writer.folder, limits=Limits(total_bytes=1000)) == "too-large"
    assert refused(writer.folder, limits=Limits(voxels=1000)) == "too-large"
    deep = tmp_path / "deep" / "/".join("abcdef")
    deep.mkdir(parents=True)
    os.link(writer.folder / "000.dcm", deep / "a.dcm")
    assert refused(tmp_path / "deep", limits=Limits(depth=3)) == "too-large"
    assert refused(writer.folder, limits=Limits(seconds=1e-9)) == "too-slow"


def test_a_declared_size_costs_no_memory(writer):
    def edit(ds, index):
        if index == 4:
            ds.Rows = ds.Columns = 65535

    writer.write(edit=edit)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(writer.folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64_000


@pytest.mark.parametrize("filled", [False, True], ids=["empty", "zeros"])
@pytest.mark.parametrize("name", ["{}.dcm", "{}", "1.2.3.{}", "IM{}.IMA"])
def test_files_that_a_copy_left_empty_are_told(writer, name, filled):
    paths = writer.write()
    (writer.folder / "notes.txt").write_bytes(b"")
    assert "unread-files" not in {f.code.name for f in read_scan(writer.folder).findings}
    for number, path in enumerate(paths[-4:]):
        path.write_bytes(bytes(path.stat().st_size if filled else 0))
        path.rename(writer.folder / name.format(1000 + number))
    scan = read_scan(writer.folder)
    (told,) = (f for f in scan.findings if f.code.name == "unread-files")
    assert told.value == "4 files"
    rows = inspect(writer.folder).as_dict()["series"]
    assert (
        sum(row["findings"][0]["code"] == "broken-file" for row in rows if not row["usable"]) == 4
    )


def test_a_dicom_name_on_something_else_is_told(writer):
    paths = writer.write()
    paths[-1].write_bytes(b"<html>not found</html>" * 100)
    assert "unread-files" in {f.code.name for f in read_scan(writer.folder).findings}


def compressed(writer, side, syntax):
    """Three slices of zeros, far smaller than what they declare."""
    from pydicom.uid import UID

    for depth in range(0, 18, 6):
        ds = writer.slice(np.array([-40.0, -50.0, 20.0 + depth]))
        ds.Rows = ds.Columns = side
        ds.PixelData = bytes(2 * side * side)
        ds.compress(UID(syntax), generate_instance_uid=False)
        writer.save(ds)


@pytest.mark.parametrize("side", [2400, 3000], ids=["all files together", "each file"])
def test_compressed_pixels_that_swell_are_refused_before_decoding(writer, side):
    compressed(writer, side, "1.2.840.10008.1.2.4.80")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(writer.folder) == "too-large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8_000


def test_sequences_that_never_end(writer, tmp_path):
    (path,) = writer.write(range(0, 6, 6))
    data = path.read_bytes()
    head = data[: 128 + 4]
    nested = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    trap = tmp_path / "endless.dcm"
    trap.write_bytes(head + data[132:400] + nested * 5000)
    with pytest.raises(SqueezeCTError):
        read_scan(trap)
    assert not any(row["usable"] for row in inspect(trap).as_dict()["series"])


@pytest.mark.parametrize("data", [b"", b"DICM", b"PK\x03\x04", b"\x1f\x8b", os.urandom(5000)])
@pytest.mark.parametrize("suffix", ["", ".dcm", ".zip", ".nii.gz", ".mha", ".nrrd", ".mhd", ".nii"])
def test_bytes_that_mean_nothing(tmp_path, data, suffix):
    path = tmp_path / f"noise{suffix}"
    path.write_bytes(data)
    with pytest.raises(SqueezeCTError):
        read_scan(path)
