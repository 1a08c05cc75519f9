"""A header names a file beside itself, or nothing is opened: no path, link, list or pattern."""

import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from squeezect.errors import ReadingError
from squeezect.reading import read_scan

HU = np.random.default_rng(5).normal(-300, 400, (7, 30, 28)).clip(-1024, 1500).astype("<i2")
ALLOW = ["not-hounsfield"]
LONG = "".join(f"{'x' * 200}\n" for _ in range(2000))  # beyond all that is looked at
MHD_LINES = [
    "ElementDataFile = {}",
    " ElementDataFile = {}",
    "\tElementDataFile\t=\t{}",
    "ElementDataFile: {}",
    "ElementDataFile : {}",
    "ElementDataFile={}\r",
    "X = 1\nElementDataFile = {}\nElementDataFile = LOCAL",
    "Comment = ElementDataFile = LOCAL\nElementDataFile = {}",
]
NRRD_LINES = [
    "data file: {}",
    "datafile: {}",
    "DATA FILE: {}",
    " data file: {}",
    "data  file: {}",
    "data file: {}\r",
    "data file: LIST\n{}",
    "data file: LIST 2\n{}",
]


def mhd(last, before=""):
    comments = "".join(f"Comment = {line}\n" for line in before.splitlines())
    return (
        f"{comments}ObjectType = Image\nNDims = 3\nBinaryData = True\n"
        "BinaryDataByteOrderMSB = False\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\n"
        f"ElementSpacing = 2 2 2\nDimSize = 28 30 7\nElementType = MET_SHORT\n{last}\n"
    ).encode()


def nhdr(last, before=""):
    comments = "".join(f"# {line}\n" for line in before.splitlines())
    return (
        f"NRRD0004\n{comments}type: short\ndimension: 3\nspace: left-posterior-superior\n"
        "sizes: 28 30 7\nspace directions: (2,0,0) (0,2,0) (0,0,2)\nspace origin: (0,0,0)\n"
        f"endian: little\nencoding: raw\n{last}\n"
    ).encode()


HEADERS = [(".mhd", mhd, line) for line in MHD_LINES] + [
    (suffix, nhdr, line) for suffix in (".nhdr", ".nrrd") for line in NRRD_LINES
]


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret" / "s.raw"
    path.parent.mkdir()
    path.write_bytes(HU.tobytes())
    return path


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "in"
    path.mkdir()
    return path


def refused(path):
    with pytest.raises(ReadingError) as caught:
        read_scan(path, allow=ALLOW)
    return caught.value.code


@pytest.mark.parametrize("before", ["", LONG[:90_000], LONG], ids=["short", "long", "too long"])
@pytest.mark.parametrize(("suffix", "make", "line"), HEADERS)
def test_no_spelling_of_a_path_leads_out(folder, secret, suffix, make, line, before):
    header = folder / f"a{suffix}"
    for name in (str(secret), "../secret/s.raw", f"../../../../../../../..{secret}"):
        header.write_bytes(make(line.format(name), before))
        expected = {"broken-file"} if before == LONG else {"unsafe-link", "broken-file"}
        assert refused(header) in expected
        assert refused(folder) in expected
        with zipfile.ZipFile(folder.parent / "z.zip", "w") as archive:
            archive.writestr(header.name, header.read_bytes())
        assert refused(folder.parent / "z.zip") in expected


@pytest.mark.parametrize(
    "name",
    [
        "s%01d.raw 1 9 1",
        "LIST",
        "LIST 2",
        "list",
        "..",
        "a/s.raw",
        "a\\s.raw",
        "C:s.raw",
        "./s.raw",
    ],
)
def test_lists_patterns_and_paths_are_unsafe_even_beside_the_header(folder, secret, name):
    (folder / "s1.raw").write_bytes(secret.read_bytes())
    (folder / "s.raw").write_bytes(secret.read_bytes())
    (folder / "a.mhd").write_bytes(mhd(f"ElementDataFile = {name}\ns.raw"))
    assert refused(folder / "a.mhd") == "unsafe-link"
    (folder / "a.nhdr").write_bytes(nhdr(f"data file: {name}\ns.raw"))
    assert refused(folder / "a.nhdr") == "unsafe-link"


@pytest.mark.parametrize(("suffix", "make", "line"), [HEADERS[0], HEADERS[len(MHD_LINES)]])
def test_a_link_out_of_the_folder_is_not_followed(folder, secret, suffix, make, line):
    (folder / "x.raw").symlink_to(secret)
    (folder / f"x{suffix}").write_bytes(make(line.format("x.raw")))
    assert refused(folder / f"x{suffix}") == "unsafe-link"
    assert refused(folder) == "unsafe-link"


@pytest.mark.parametrize(("suffix", "make", "line"), HEADERS[:6] + HEADERS[8:11])
def test_every_spelling_of_a_file_beside_the_header_is_read(folder, suffix, make, line):
    name = "scan 1 of 2.raw"
    (folder / name).write_bytes(HU.tobytes())
    (folder / f"a{suffix}").write_bytes(make(line.format(name), LONG[:90_000]))
    (folder / "link.raw").symlink_to(folder / name)
    for path in (folder / f"a{suffix}", folder):
        np.testing.assert_array_equal(read_scan(path, allow=ALLOW).hu, HU)
    (folder / f"a{suffix}").write_bytes(make(line.format("link.raw")))
    np.testing.assert_array_equal(read_scan(folder, allow=ALLOW).hu, HU)


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_a_header_that_names_no_file_is_refused(folder, suffix):
    (folder / f"a{suffix}").write_bytes(mhd("") if suffix == ".mhd" else nhdr(""))
    assert refused(folder / f"a{suffix}") == "broken-file"


def test_a_header_cut_within_the_name_is_refused(folder):
    # The part that is looked at ends inside the name, where a shorter file lies too.
    (folder / "s.raw").write_bytes(HU.tobytes())
    start = mhd("ElementDataFile = s.raw")[:-1]
    comment = b"C = " + b"x" * ((256 << 10) - len(start) - 5) + b"\n"
    (folder / "a.mhd").write_bytes(comment + start + b".other\n")
    assert refused(folder / "a.mhd") == "broken-file"


@settings(max_examples=300, deadline=None)
@given(name=st.text(max_size=30))
@example("../secret/s.raw")
@example("/proc/self/exe")
@example("s.raw\0")
def test_no_name_at_all_reads_a_file_elsewhere(name):
    with tempfile.TemporaryDirectory() as root:
        (Path(root) / "in").mkdir()
        (Path(root) / "secret").mkdir()
        (Path(root) / "secret" / "s.raw").write_bytes(HU.tobytes())
        for suffix, make, line in (HEADERS[0], HEADERS[len(MHD_LINES)]):
            header = Path(root) / "in" / f"a{suffix}"
            header.write_bytes(make(line.format(name)))
            assert refused(header) in {"unsafe-link", "broken-file", "undecodable"}
