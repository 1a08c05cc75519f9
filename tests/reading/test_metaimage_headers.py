"""MetaImage headers that are unclear are refused; clear ones are read as ITK reads them."""

import numpy as np
import pytest
from tests.reading.headers import HU, load, metaimage, refused, same_as_itk, warned


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
