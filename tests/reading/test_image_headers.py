"""Any header is read or refused, and what is read is a scan."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reading.headers import (
    metaimage,
    nifti,
    nrrd,
    read_or_refused,
)

from squeezect.reading import read_scan


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
