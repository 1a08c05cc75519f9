"""Any grid, orientation, order, encoding or format: the same scan comes back."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from squeezect.phantom import DicomStyle, write_dicom
from squeezect.phantom.dicom import SYNTAXES
from squeezect.reading import read_scan
from squeezect.scan import Acquisition, Grid, Scan

spacings = st.floats(0.4, 5.0).map(lambda v: round(v, 4))
quiet = settings(max_examples=25, suppress_health_check=list(HealthCheck))


@st.composite
def scans(draw):
    """Small CT-like volumes on grids of any size, spacing and place."""
    shape = draw(st.tuples(st.integers(4, 9), st.integers(32, 44), st.integers(32, 44)))
    down, across, along = draw(spacings), draw(spacings), draw(spacings)
    origin = draw(st.tuples(*[st.floats(-300, 300).map(lambda v: round(v, 3))] * 3))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    hu = random.integers(-1000, 1200, shape).astype(np.int16)
    # Air and tissue enough that it can be Hounsfield units.
    hu[:, : shape[1] // 3] = -1000
    hu[:, shape[1] // 3 : shape[1] // 2] = 40
    acquisition = Acquisition(source_format="phantom", slice_thickness_mm=along)
    grid = Grid(shape, (along, down, across), origin)
    return Scan(hu, grid, acquisition, identity="abcdef")


def same(scan, expected):
    assert scan.grid.shape == expected.grid.shape
    assert np.allclose(scan.grid.spacing_mm, expected.grid.spacing_mm, atol=1e-3)
    assert np.allclose(scan.grid.origin_mm, expected.grid.origin_mm, atol=2e-3)
    assert np.array_equal(scan.hu, expected.hu)


@quiet
@given(
    scan=scans(),
    syntax=st.sampled_from(sorted(SYNTAXES)),
    shuffle=st.integers(0, 100),
    unsigned=st.booleans(),
    padding=st.sampled_from([None, -2000]),
)
def test_dicom_in_any_order_and_encoding(scan, syntax, shuffle, unsigned, padding):
    style = DicomStyle(syntax=syntax, shuffle=shuffle, unsigned=unsigned, padding=padding)
    with tempfile.TemporaryDirectory() as folder:
        write_dicom(scan, Path(folder) / "scan", style)
        found = read_scan(Path(folder) / "scan")
    assert found.grid.shape == scan.grid.shape
    assert np.allclose(found.grid.spacing_mm, scan.grid.spacing_mm, atol=1e-3)
    assert np.allclose(found.grid.origin_mm, scan.grid.origin_mm, atol=2e-3)
    outside = found.hu == -1024
    assert np.array_equal(found.hu[~outside], scan.hu[~outside])
    # Only what the writer padded, outside the field of view, may have become air.
    assert (padding is not None) or not outside.any()


@quiet
@given(
    scan=scans(),
    suffix=st.sampled_from([".mha", ".mhd", ".nii", ".nii.gz", ".nrrd"]),
    order=st.permutations([0, 1, 2]),
    flips=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_images_with_their_axes_in_any_order(scan, suffix, order, flips):
    image = sitk.GetImageFromArray(scan.hu)
    image.SetSpacing(scan.grid.spacing_mm[::-1])
    image.SetOrigin(scan.grid.origin_mm)
    image = sitk.PermuteAxes(image, order)
    image = sitk.Flip(image, flips)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"scan{suffix}"
        sitk.WriteImage(image, str(path))
        same(read_scan(path), scan)


@pytest.mark.parametrize("repeat", range(3))
def test_reading_twice_gives_the_same_bytes(chest, tmp_path, repeat):
    write_dicom(chest, tmp_path / "scan", DicomStyle(shuffle=repeat))
    one, two = (read_scan(tmp_path / "scan", threads=threads) for threads in (1, 4))
    assert one.hu.tobytes() == two.hu.tobytes()
    assert one.identity == two.identity
