"""What is said of a tag is what pydicom says of it, however it is stored."""

import io

import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from squeezect.reading.values import TAGS, value_of

SYNTAXES = {
    ImplicitVRLittleEndian: (True, True),
    ExplicitVRLittleEndian: (False, True),
    ExplicitVRBigEndian: (False, False),
}


def stored(syntax, **values):
    """A data set that was written in a syntax and read back, not converted yet."""
    implicit, little = SYNTAXES[syntax]
    dataset = Dataset()
    dataset.update({"SpecificCharacterSet": "ISO_IR 192"})
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    file = io.BytesIO()
    dataset.save_as(file, implicit_vr=implicit, little_endian=little)
    file.seek(0)
    return read_dataset(file, is_implicit_VR=implicit, is_little_endian=little)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda s: s.name)
def test_values_are_those_of_pydicom(syntax):
    values = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "Modality": "CT",
        "Manufacturer": "Gerätebau Süd",
        "KVP": "120",
        "ConvolutionKernel": ["B30f", "2"],
        "SliceThickness": "2.5",
        "ImagePositionPatient": [-166.5, "171.699997", -12.5],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": ["0.703125", "0.703125"],
        "Rows": 512,
        "BitsAllocated": 16,
        "PixelRepresentation": 1,
        "RescaleSlope": "1",
        "RescaleIntercept": "-1024",
    }
    for _ in range(2):
        # The second time the answers come from what was kept.
        ours, theirs = stored(syntax, **values), stored(syntax, **values)
        for keyword in TAGS:
            assert value_of(ours, keyword) == theirs.get(keyword), keyword


def test_equal_bytes_of_another_order_are_another_value():
    little = stored(ExplicitVRLittleEndian, Rows=0x0102)
    big = stored(ExplicitVRBigEndian, Rows=0x0201)
    assert [value_of(little, "Rows"), value_of(big, "Rows")] == [0x0102, 0x0201]


def test_what_cannot_be_converted_is_none_every_time():
    for _ in range(2):
        dataset = stored(ExplicitVRLittleEndian, Rows=512)
        raw = dataset.get_item("Rows")
        dataset._dict[raw.tag] = raw._replace(value=b"\x01", length=1)
        assert value_of(dataset, "Rows") is None
