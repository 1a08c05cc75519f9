"""One series is one patient, one acquisition, one reconstruction, stored in one way."""

import numpy as np
import pytest

from squeezect.errors import ReadingError
from squeezect.reading import inspect, read_scan

OTHER = {
    "patient": {"PatientID": "OTHER"},
    "study": {"StudyInstanceUID": "1.2.3.99"},
    "frame of reference": {"FrameOfReferenceUID": "1.2.3.77"},
}


def change(ds, values):
    for key, value in values.items():
        setattr(ds, key, value)


def codes(scan):
    return {finding.code.name for finding in scan.findings}


def refused(path, code):
    with pytest.raises(ReadingError) as refusal:
        read_scan(path)
    assert refusal.value.code == code
    return str(refusal.value)


@pytest.mark.parametrize("what", OTHER)
def test_interleaved_origins_are_never_one_volume(writer, agrees, what):
    def edit(ds, index):
        ds.FrameOfReferenceUID = "1.2.3.66"
        if index % 2:
            change(ds, OTHER[what])
            ds.PixelData = bytes(len(ds.PixelData))

    writer.write(range(0, 120, 6), edit=edit)
    scan = read_scan(writer.folder, series=first_part(writer.folder))
    assert scan.grid.shape[0] == 10
    assert "shared-series-uid" in codes(scan)
    agrees(scan)


def first_part(folder):
    """The name of the series whose pixels are those of the ramp."""
    names = [row["series_uid"] for row in inspect(folder).as_dict()["series"]]
    assert len(set(names)) == 2
    scans = {name: read_scan(folder, series=name, allow=["not-hounsfield"]) for name in names}
    assert len({scan.identity for scan in scans.values()}) == 2
    return max(names, key=lambda name: scans[name].hu.std())


def test_two_patients_end_to_end_without_a_series_uid_are_two_series(writer):
    def edit(ds, index):
        del ds.SeriesInstanceUID
        if index >= 12:
            change(ds, OTHER["patient"] | OTHER["study"])

    writer.write(range(0, 120, 6), edit=edit)
    rows = inspect(writer.folder).as_dict()["series"]
    assert sorted(row["slices"] for row in rows) == [8, 12]
    assert all(row["series_uid"] for row in rows)
    assert "OTHER" not in str(rows)


def test_an_origin_left_out_here_and_there_contradicts_nothing(writer, agrees):
    def edit(ds, index):
        if index % 2:
            ds.FrameOfReferenceUID = "1.2.3.66"
            del ds.PatientID

    writer.write(edit=edit)
    scan = read_scan(writer.folder)
    assert scan.grid.shape[0] == 10
    assert "shared-series-uid" not in codes(scan)
    agrees(scan)


@pytest.mark.parametrize(
    "other",
    [{"ConvolutionKernel": "B70f"}, {"KVP": "80"}, {"AcquisitionNumber": 2}],
    ids=lambda other: next(iter(other)),
)
def test_acquisitions_and_reconstructions_among_each_other_are_refused(writer, agrees, other):
    def edit(ds, index):
        change(ds, {"ConvolutionKernel": "B30f", "KVP": "120", "AcquisitionNumber": 1})
        if index in {5, 7}:
            change(ds, other)

    writer.write(edit=edit)
    refused(writer.folder, "conflicting-slices")


def test_acquisitions_that_overlap_by_half_a_spacing_are_refused(writer):
    for acquisition, first in ((1, 0), (2, 27)):
        writer.write(
            range(first, first + 60, 6),
            edit=lambda ds, _, n=acquisition: change(ds, {"AcquisitionNumber": n}),
        )
    refused(writer.folder, "conflicting-slices")


@pytest.mark.parametrize("length", [1, 2, 5])
def test_acquisitions_one_behind_the_other_are_one_scan(writer, agrees, length):
    writer.write(edit=lambda ds, index: change(ds, {"AcquisitionNumber": index // length}))
    agrees(read_scan(writer.folder))


def test_slices_stored_twice_under_two_acquisitions_are_taken_once(writer, agrees):
    for acquisition in (1, 2):
        writer.write(edit=lambda ds, _, n=acquisition: change(ds, {"AcquisitionNumber": n}))
    scan = read_scan(writer.folder)
    assert "duplicate-slices" in codes(scan)
    agrees(scan)


@pytest.mark.parametrize("count", [1, 10])
def test_another_modality_than_the_kind_of_object_is_refused(writer, count):
    writer.write(edit=lambda ds, index: change(ds, {"Modality": "MR"} if index < count else {}))
    assert "modality MR" in refused(writer.folder, "not-ct")


def test_names_of_the_parts_do_not_hang_on_the_order_of_files(writer, tmp_path):
    def edit(ds, index):
        if index % 2:
            change(ds, OTHER["patient"])

    paths = writer.write(range(0, 120, 6), edit=edit)
    before = {row["series_uid"] for row in inspect(writer.folder).as_dict()["series"]}
    shuffled = np.random.default_rng(0).permutation(len(paths))
    for number, path in zip(shuffled.tolist(), paths, strict=True):
        path.rename(writer.folder / f"other-{number}.dcm")
    after = {row["series_uid"] for row in inspect(writer.folder).as_dict()["series"]}
    assert after == before


LACKING = {
    "slope and intercept": ("RescaleSlope", "RescaleIntercept"),
    "intercept": ("RescaleIntercept",),
}


@pytest.mark.parametrize("what", LACKING)
@pytest.mark.parametrize("lacking", [{4}, set(range(5, 10)), {0, 2, 4, 6, 8}], ids=str)
def test_slices_with_and_without_a_rescale_are_refused(writer, what, lacking):
    def edit(ds, index):
        if index in lacking:
            for keyword in LACKING[what]:
                delattr(ds, keyword)

    writer.write(edit=edit)
    assert "has none" in refused(writer.folder, "mixed-storage")


def test_slices_of_8_among_slices_of_16_bits_are_refused(writer):
    def edit(ds, index):
        if index == 7:
            change(ds, {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7})

    writer.write(edit=edit)
    assert "8 bits" in refused(writer.folder, "mixed-storage")


def swap_bytes(ds):
    ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()


ODD = {
    "no offset": lambda ds: change(ds, {"RescaleIntercept": "0"}),
    "swapped bytes": swap_bytes,
    "empty": lambda ds: change(ds, {"PixelData": bytes(len(ds.PixelData))}),
}


@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("places", [{0}, {7}, {7, 8}, {-1}], ids=str)
def test_slices_out_of_line_with_their_neighbours_are_refused(chest, tmp_path, what, places):
    from pydicom import dcmread

    from squeezect.phantom import write_dicom

    paths = write_dicom(chest, tmp_path)
    if what == "empty" and places != {7}:
        pytest.skip("empty slices at the ends are common in reformatted series")
    for place in places:
        ds = dcmread(paths[place])
        ODD[what](ds)
        ds.save_as(paths[place])
    refused(tmp_path, "odd-slice")
    found = {f.code.name: f for f in read_scan(tmp_path, allow=["odd-slice"]).findings}
    assert found["odd-slice"].severity == "warn"


def test_slices_out_of_line_are_not_found_in_sound_chests_however_thin_or_thick(chest):
    from squeezect.reading.checks import check_slices

    for axis in range(3):
        for step in range(1, 7):
            hu = np.moveaxis(chest.hu, axis, 0)[::step]
            assert check_slices(hu, [""] * len(hu)) == []
