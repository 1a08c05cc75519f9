"""What is in a folder, which series is read and why; and who is named in it: nobody."""

import io
import json
import zipfile

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.sequence import Sequence
from pydicom.uid import UID

from squeezect.errors import ReadingError
from squeezect.phantom import DicomStyle, write_dicom
from squeezect.reading import inspect, read_scan
from squeezect.reading.names import shown_name

LOCALIZER = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
OTHERS = {
    "dose report": ("SR", "1.2.840.10008.5.1.4.1.1.88.67"),
    "secondary capture": ("OT", "1.2.840.10008.5.1.4.1.1.7"),
    "X-ray": ("DX", "1.2.840.10008.5.1.4.1.1.1.1"),
    "segmentation": ("SEG", "1.2.840.10008.5.1.4.1.1.66.4"),
    "magnetic resonance": ("MR", "1.2.840.10008.5.1.4.1.1.4"),
}


def series_of(report, **wanted):
    rows = report.as_dict()["series"]
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def other(number, modality, sop_class):
    def edit(ds, index):
        ds.SeriesInstanceUID = f"1.2.3.4.5.6.7.{number}"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.9.{number}.{index + 1}"
        ds.Modality = modality
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UID(sop_class)

    return edit


def change(number, **values):
    def edit(ds, index):
        ds.SeriesInstanceUID = f"1.2.3.4.5.6.7.{number}"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.9.{number}.{index + 1}"
        for key, value in values.items():
            setattr(ds, key, value)

    return edit


@pytest.mark.parametrize(("what", "kind"), OTHERS.items(), ids=OTHERS)
def test_what_is_no_ct_is_listed_and_left_alone(writer, agrees, what, kind):
    writer.write()
    writer.write(range(0, 6, 6), edit=other(9, *kind))
    (writer.folder / "notes.txt").write_text(f"a {what} lies here")
    report = inspect(writer.folder)
    (chosen,) = series_of(report, chosen=True)
    assert chosen["slices"] == 10
    (rejected,) = series_of(report, usable=False, modality=kind[0])
    assert rejected["findings"][0]["code"] in {"not-ct", "no-pixel-data", "localizer"}
    agrees(read_scan(writer.folder))


def test_the_json_has_the_promised_fields(writer):
    writer.write()
    report = json.loads(json.dumps(inspect(writer.folder).as_dict()))
    (row,) = report["series"]
    assert row.keys() >= {"series_uid", "slices", "spacing_mm", "usable", "chosen", "findings"}
    assert row["slices"] == 10
    assert row["spacing_mm"] == pytest.approx([6, 5, 4])
    for finding in row["findings"]:
        assert finding.keys() >= {"code", "severity", "value", "advice"}


def test_a_localizer_is_not_read(writer, agrees):
    writer.write()
    writer.write(range(0, 12, 6), edit=change(8, ImageType=LOCALIZER))
    report = inspect(writer.folder)
    assert len(series_of(report, usable=True)) == 1
    agrees(read_scan(writer.folder))


def test_only_localizers_are_refused_by_that_name(writer):
    writer.write(edit=change(8, ImageType=LOCALIZER))
    with pytest.raises(ReadingError) as refusal:
        read_scan(writer.folder)
    assert refusal.value.code == "localizer"


RULES = {
    "axial before coronal": (
        {"depths": range(0, 90, 6), "orientation": (1, 0, 0, 0, 0, -1), "edit": change(5)},
        {"depths": range(0, 60, 6), "edit": change(6)},
    ),
    "original before derived": (
        {"depths": range(0, 90, 6), "edit": change(5, ImageType=["DERIVED", "SECONDARY"])},
        {"depths": range(0, 60, 6), "edit": change(6)},
    ),
    "most coverage": (
        {"depths": range(0, 60, 3), "edit": change(5)},
        {"depths": range(0, 90, 6), "edit": change(6)},
    ),
    "thinnest": (
        {"depths": range(0, 60, 6), "edit": change(5)},
        {"depths": range(0, 60, 3), "edit": change(6)},
    ),
    "softest kernel": (
        {"edit": change(5, ConvolutionKernel="B70f")},
        {"edit": change(6, ConvolutionKernel="B30f")},
    ),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("swapped", [False, True])
def test_the_series_is_chosen_by_the_stated_rule_and_said(writer, rule, swapped):
    worse, better = RULES[rule]
    for how in (better, worse) if swapped else (worse, better):
        writer.write(**how)
    report = inspect(writer.folder, keep_ids=True)
    (chosen,) = series_of(report, chosen=True)
    assert chosen["series_uid"].endswith(".6")
    scan = read_scan(writer.folder)
    assert "series-chosen" in {finding.code.name for finding in scan.findings}


def test_any_series_can_be_asked_for_by_either_name(writer):
    writer.write(range(0, 60, 6), edit=change(5))
    writer.write(range(0, 60, 3), edit=change(6))
    for keep_ids in (False, True):
        for row in inspect(writer.folder, keep_ids=keep_ids).as_dict()["series"]:
            scan = read_scan(writer.folder, series=row["series_uid"])
            assert scan.grid.shape[0] == row["slices"]
    with pytest.raises(ReadingError) as refusal:
        read_scan(writer.folder, series="1.2.3.4.5.6.7.99")
    assert "99" in str(refusal.value)


def test_two_patients_are_two_series(writer, chest, tmp_path):
    for number, patient in enumerate("ab"):
        write_dicom(chest, tmp_path / "both" / patient, DicomStyle(series=number + 1))
    report = inspect(tmp_path / "both")
    assert len(series_of(report, usable=True)) == 2


def test_a_deep_tree_and_its_zip_are_the_same_scan(writer, agrees, tmp_path):
    paths = writer.write()
    deep = tmp_path / "tree" / "study" / "series"
    for index, path in enumerate(paths):
        target = deep / str(index % 3) / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (deep / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 40)
    archive = tmp_path / "tree.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for path in sorted(tmp_path.glob("tree/**/*")):
            out.write(path, path.relative_to(tmp_path))
    folder, zipped = read_scan(tmp_path / "tree"), read_scan(archive)
    agrees(folder)
    assert np.array_equal(folder.hu, zipped.hu)
    assert folder.grid == zipped.grid
    assert folder.identity == zipped.identity


def test_nobody_is_named_unless_asked(writer, capsys, caplog, tmp_path):
    paths = writer.write()
    writer.write(range(0, 6, 6), edit=other(9, "OT", "1.2.840.10008.5.1.4.1.1.7"))
    secrets = ("SECRET", "1901", "1.2.3.4.5.6.7")
    report = inspect(writer.folder)
    scan = read_scan(writer.folder)
    console = tmp_path / "table.txt"
    with console.open("w") as file:
        from rich.console import Console

        Console(file=file, width=200).print(report.table())
    told = [json.dumps(report.as_dict()), console.read_text(), repr(scan), scan.identity]
    paths[4].write_bytes(paths[4].read_bytes()[:700])
    with pytest.raises(ReadingError) as refusal:
        read_scan(writer.folder)
    told += [str(refusal.value), repr(refusal.value), capsys.readouterr().err, caplog.text]
    for text in told:
        assert not [secret for secret in secrets if secret in text], text
    kept = json.dumps(inspect(writer.folder, keep_ids=True).as_dict())
    assert "1.2.3.4.5.6.7" in kept
    assert "SECRET^NAME" not in kept


BAD_NAME = "DOE^JANE.19500101/\x1b]0;title\x07MRN12345.dcm"


def test_names_of_files_and_folders_show_only_if_asked(writer):
    paths = writer.write(range(0, 120, 6), edit=lambda ds, _: setattr(ds, "SliceThickness", "6"))
    bad = writer.folder / BAD_NAME
    bad.parent.mkdir()
    bad.write_bytes(b"\0" * 128 + b"DICM" + b"damage" * 30)
    for number, path in enumerate(paths):
        path.rename(bad.parent / f"MRN12345 {number}.dcm")
    moved = sorted(bad.parent.glob("MRN*"))[-1]
    ds = dcmread(moved)
    ds.ImagePositionPatient = [*ds.ImagePositionPatient[:2], ds.ImagePositionPatient[2] + 1]
    ds.save_as(moved)
    told = [str(f) for f in read_scan(writer.folder).findings]
    assert any("uneven-spacing" in text for text in told)
    assert any("unread-files" in text for text in told)
    told.append(json.dumps(inspect(writer.folder).as_dict()))
    moved.write_bytes(moved.read_bytes()[:-900])
    told.append(json.dumps(inspect(writer.folder).as_dict()))
    for text in told:
        assert not [secret for secret in ("DOE", "1950", "MRN") if secret in text], text
    kept = json.dumps(inspect(writer.folder, keep_ids=True).as_dict())
    assert "DOE^JANE.19500101/MRN12345" in kept


def test_names_that_only_count_are_shown():
    for name in ("a/IM_0113.dcm", "1-001.dcm", "000042", "003.dcm", "I10"):
        assert shown_name(name) == name.rsplit("/", 1)[-1]
    for name in ("19500101.dcm", "JANE_1.dcm", "1.2.840.113619.2.dcm", "123456.dcm", "x\n1.dcm"):
        assert shown_name(name).startswith("file ")


def test_nothing_from_a_file_steers_the_terminal(writer):
    from rich.console import Console

    def edit(ds, _index):
        ds.ConvolutionKernel = "B[/]30\x1b[31m"

    writer.write(edit=edit)
    bad = writer.folder / BAD_NAME
    bad.parent.mkdir()
    bad.write_bytes(b"\0" * 128 + b"DICM" + b"damage" * 30)
    for keep_ids in (False, True):
        console = Console(width=300, record=True, file=io.StringIO())
        console.print(inspect(writer.folder, keep_ids=keep_ids).table())
        shown = console.export_text(styles=True)
        assert "B[/]30" in shown
        assert "\x1b]" not in shown
        assert "\x1b[31m" not in shown
        assert "\x07" not in shown
    assert read_scan(writer.folder).acquisition.kernel == "B[/]30?[31m"


def test_a_private_sequence_does_not_disturb(writer, agrees):
    def edit(ds, _index):
        ds.add_new((0x0009, 0x0010), "LO", "SOMEBODY")
        ds.add_new((0x0009, 0x1001), "SQ", Sequence([]))

    writer.write(edit=edit)
    agrees(read_scan(writer.folder))
