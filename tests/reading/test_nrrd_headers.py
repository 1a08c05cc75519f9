"""NRRD headers that contradict themselves or lack what matters are refused; else as ITK reads."""

import pytest
from tests.reading.headers import nrrd, refused, same_as_itk, warned

BARE = ("space", "space_directions", "space_origin")


@pytest.mark.parametrize(
    ("drop", "fields", "code"),
    [
        (BARE, {}, "no-geometry"),
        (BARE, {"spacings": "nan nan nan"}, "no-geometry"),
        (BARE, {"spacings": "-1.5 1.5 2.5"}, "no-geometry"),
        (BARE, {"spacings": "1.5 1.5"}, "no-geometry"),
        (BARE, {"axis_mins": "0 0 0"}, "unclear-header"),
        (BARE, {"spacings": "1 1 1", "units": '"cm" "cm" "cm"'}, "unclear-header"),
        ((), {"spacings": "1.5 1.5 2.5"}, "unclear-header"),
        ((), {"space_units": '"cm" "cm" "cm"'}, "unclear-header"),
        ((), {"space_units": "m m m"}, "unclear-header"),
        ((), {"space": "somewhere"}, "unclear-header"),
        ((), {"space_directions": "(1.5,0,0) (0,1.5,0) none"}, "no-geometry"),
        ((), {"space_directions": "(1.5,0,0) (0,1.5,0) (0,0,nan)"}, "no-geometry"),
        ((), {"space_directions": "(1.5,0,0) (0,1.5,0) (0,0,0)"}, "no-geometry"),
        ((), {"space_directions": "(1.5,0,0) (0,1.5,0) (0,0.7,2.5)"}, "no-geometry"),
        ((), {"space_origin": "(nan,0,0)"}, "no-geometry"),
        ((), {"space_origin": "(0,0)"}, "no-geometry"),
        (("endian",), {}, "unclear-header"),
        ((), {"byte_skip": "16"}, "undecodable"),
        ((), {"line_skip": "1"}, "undecodable"),
        ((), {"kinds": "3-vector domain domain"}, "bad-pixels"),
        ((), {"type": "block"}, "bad-pixels"),
        ((), {"dimension": "4"}, "broken-file"),
        ((), {"what_is_this": "1"}, "broken-file"),
    ],
    ids=str,
)
def test_a_nrrd_that_is_unclear_is_refused(tmp_path, drop, fields, code):
    assert refused(nrrd(tmp_path / "scan.nrrd", *drop, **fields)) == code


def test_a_nrrd_without_orientation_says_so(tmp_path):
    assert not warned(nrrd(tmp_path / "a.nrrd"))
    assert not warned(nrrd(tmp_path / "b.nrrd", space_units='"mm" "mm" "mm"'))
    bare = [
        nrrd(tmp_path / "c.nrrd", *BARE, spacings="1.5 1.5 2.5"),
        nrrd(tmp_path / "d.nrrd", space="scanner-xyz"),
        nrrd(tmp_path / "e.nrrd", "space_origin"),
    ]
    for path in bare:
        assert warned(path) == {"no-orientation"}
        same_as_itk(path)


@pytest.mark.parametrize("space", ["RAS", "LAS", "LPS", "left-anterior-superior"])
def test_a_nrrd_in_any_space_lies_where_itk_puts_it(tmp_path, space):
    same_as_itk(nrrd(tmp_path / "scan.nrrd", space=space))
