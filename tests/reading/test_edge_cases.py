"""What other projects break readers with, and two real scans: every one has its outcome here."""

import hashlib

import pytest

from squeezect.errors import SqueezeCTError
from squeezect.reading import inspect, read_scan, read_slice
from squeezect.scan import pseudonym

LOSSLESS = "4761701f"
SYNTAX = "one-ct-many-transfer-syntaxes/testImages/CTImage.dcm"
SLICES = {
    "": LOSSLESS,
    "_BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2.dcm": LOSSLESS,
    "_DeflatedExplicitVRLittleEndianTransferSyntax_1.2.840.10008.1.2.1.99.dcm": LOSSLESS,
    "_JPEG2000LosslessOnlyTransferSyntax_1.2.840.10008.1.2.4.90.dcm": LOSSLESS,
    "_JPEGLSLosslessTransferSyntax_1.2.840.10008.1.2.4.80.dcm": LOSSLESS,
    "_JPEGProcess14SV1TransferSyntax_1.2.840.10008.1.2.4.70.dcm": LOSSLESS,
    "_JPEGProcess14TransferSyntax_1.2.840.10008.1.2.4.57.dcm": LOSSLESS,
    "_LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1.dcm": LOSSLESS,
    "_LittleEndianImplicitTransferSyntax_1.2.840.10008.1.2.dcm": LOSSLESS,
    "_RLELosslessTransferSyntax_1.2.840.10008.1.2.5.dcm": LOSSLESS,
    "_JPEG2000TransferSyntax_1.2.840.10008.1.2.4.91.dcm": "lossy",
    "_JPEGLSLossyTransferSyntax_1.2.840.10008.1.2.4.81.dcm": "lossy",
    "_JPEGProcess2_4TransferSyntax_1.2.840.10008.1.2.4.51.dcm": "lossy",
    "_JPEGProcess10_12TransferSyntax_1.2.840.10008.1.2.4.55.dcm": "undecodable",
    "_JPEGProcess6_8TransferSyntax_1.2.840.10008.1.2.4.53.dcm": "undecodable",
    "_JPEGProcess1TransferSyntax_1.2.840.10008.1.2.4.50.dcm": "broken-file",
}
REFUSED = {
    "gantry-tilt": "not-hounsfield",
    "ge-gantry-tilt-variable-spacing": "slice-gap",
    "mixed-orientation": "not-ct",
    "not-a-volume": "too-few-slices",
    "one-ct-many-transfer-syntaxes": "no-usable-series",
    "too-few-slices": "not-ct",
    "transfer-syntaxes": "no-usable-series",
    "uneven-slice-spacing": "slice-gap",
    "transfer-syntaxes/693_J2KR.dcm": "too-few-slices",
    "transfer-syntaxes/693_UNCI.dcm": "too-few-slices",
    "transfer-syntaxes/693_UNCR.dcm": "too-few-slices",
    "transfer-syntaxes/JLSL_16_15_1_1F.dcm": "not-ct",
    "transfer-syntaxes/JPEG-LL.dcm": "not-ct",
    "transfer-syntaxes/JPEG2000_UNC.dcm": "not-ct",
    "transfer-syntaxes/MR2_J2KR.dcm": "not-ct",
    "transfer-syntaxes/SC_rgb.dcm": "not-ct",
    "transfer-syntaxes/US1_J2KR.dcm": "not-ct",
    "transfer-syntaxes/bad_sequence.dcm": "too-few-slices",
    "transfer-syntaxes/eCT_Supplemental.dcm": "not-ct",
    "transfer-syntaxes/emri_small_jpeg_2k_lossless_too_short.dcm": "not-ct",
    "transfer-syntaxes/explicit_VR-UN.dcm": "too-few-slices",
    "transfer-syntaxes/parametric_map_float.dcm": "not-ct",
    "one-ct-many-transfer-syntaxes/testImages/no-pixel-data.dcm": "not-ct",
    "one-ct-many-transfer-syntaxes/testImages/no-pixel-spacing.dcm": "not-ct",
    "LICENSE-pydicom-data": "not-an-image",
}


@pytest.mark.parametrize(("ending", "outcome"), SLICES.items())
def test_one_slice_in_sixteen_encodings(real_data, ending, outcome):
    path = real_data("dicom-edge-cases") / (SYNTAX + ending)
    if outcome in {"undecodable", "broken-file"}:
        with pytest.raises(SqueezeCTError) as refusal:
            read_slice(path)
        assert refusal.value.code == outcome
        assert pseudonym(path.name) in str(refusal.value)
        return
    hu = read_slice(path)
    assert hu.shape == (512, 512)
    digest = hashlib.sha256(hu.tobytes()).hexdigest()[:8]
    assert (digest == LOSSLESS) == (outcome != "lossy")
    if outcome == "lossy":
        exact = read_slice(real_data("dicom-edge-cases") / SYNTAX)
        assert abs(hu.astype(int) - exact).mean() < 10


@pytest.mark.parametrize(("name", "code"), REFUSED.items())
def test_what_is_refused_says_so_by_its_code(real_data, name, code):
    path = real_data("dicom-edge-cases") / name
    with pytest.raises(SqueezeCTError) as refusal:
        read_scan(path)
    assert refusal.value.code == code


def test_no_file_or_folder_of_the_edge_cases_raises_anything_else(real_data):
    root = real_data("dicom-edge-cases")
    outcomes = {}
    for path in [root, *sorted(root.rglob("*"))]:
        for verb in (read_scan, inspect):
            try:
                verb(path)
                outcome = "read"
            except SqueezeCTError as error:
                outcome = error.code
            outcomes[verb.__name__, path.relative_to(root).as_posix()] = outcome
    told = {name: o for (verb, name), o in outcomes.items() if verb == "read_scan"}
    assert {name: told[name] for name in REFUSED} == REFUSED
    assert "read" not in told.values()


@pytest.mark.parametrize(
    ("name", "shape", "range_hu"),
    [
        ("lidc-idri-0001", (133, 512, 512), (-1024, 3071)),
        ("lidc-idri-0132", (127, 512, 512), (-1024, 3071)),
    ],
)
def test_real_scans_are_read_and_agree_with_simpleitk(real_data, name, shape, range_hu):
    import numpy as np
    import SimpleITK as sitk

    folder = real_data(name)
    scan = read_scan(folder)
    assert scan.grid.shape == shape
    assert scan.hu.min() >= range_hu[0]
    assert scan.hu.max() <= range_hu[1]
    reader = sitk.ImageSeriesReader()
    place = next(p.parent for p in sorted(folder.rglob("*.dcm")))
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(place)))
    image = reader.Execute()
    theirs = sitk.GetArrayFromImage(image)
    assert np.allclose(scan.grid.spacing_mm, image.GetSpacing()[::-1], atol=1e-3)
    assert np.allclose(scan.grid.origin_mm, image.GetOrigin(), atol=1e-3)
    # Below air the peer keeps the padding of the scanner.
    assert np.array_equal(scan.hu, np.maximum(theirs, -1024))
