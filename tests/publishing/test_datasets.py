"""Data sets in every form that others may give them: read, or refused with a reason; never lost."""

import json
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from squeezect.candidates import CandidateClassifier
from squeezect.errors import EvaluationError, SqueezeCTError
from squeezect.publishing.scores import score_weights


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The mean of the middle instead of the network: these tests are about reading."""

    def score(self, patches, *, progress=None):
        if progress is not None:
            progress(len(patches.labels), 1)
        return patches.values[:, 20:30, 20:30].mean((1, 2)) / 255.0

    monkeypatch.setattr(CandidateClassifier, "score", score)


@pytest.fixture
def patches(patch_folder):
    """The folder of patches with one list, test.txt."""
    (patch_folder / "train.txt").unlink()
    shutil.rmtree(patch_folder / "train")
    (patch_folder / "val.txt").rename(patch_folder / "test.txt")
    return patch_folder


def rewrite(folder, change, *, encoding="utf-8", name="test.txt"):
    lines = (folder / "test.txt").read_text().splitlines()
    (folder / "test.txt").unlink()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(change(lines)) + "\n", encoding)


def each(pattern):
    """A change of every line, given its path and label."""
    return lambda lines: [pattern.format(*line.split()) for line in lines]


FORMS = {
    "mark": (each("{} {}"), {"encoding": "utf-8-sig"}),
    "utf-16": (each("{} {}"), {"encoding": "utf-16"}),
    "comment": (lambda lines: ["# the patches", *lines], {}),
    "heading": (lambda lines: ["path label", *lines], {}),
    "commas": (each("{},{}"), {}),
    "semicolons": (each("{}; {}"), {}),
    "quotes": (each('"{}" {}'), {}),
    "prefix": (each("far/away/{} {}"), {}),
    "absolute": (each("/no/such/root/{} {}"), {}),
    "windows root": (each("C:\\data\\{} {}"), {}),
    "backslashes": (lambda lines: [line.replace("/", "\\") for line in lines], {}),
    "bare names": (lambda lines: [line.removeprefix("val/") for line in lines], {}),
    "capitals": (each("{} {}"), {"name": "TEST.TXT"}),
    "folder of lists": (each("{} {}"), {"name": "lists/test.txt"}),
    "folder of lists, from there": (each("../{} {}"), {"name": "lists/test.txt"}),
    "table": (lambda lines: ["path,label", *each("{},{}")(lines)], {"name": "test.csv"}),
    "wide table": (lambda lines: ["n;label;file", *each("1;{1};{0}")(lines)], {"name": "t.csv"}),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_list_is_known_by_its_form(patches, form):
    change, options = FORMS[form]
    rewrite(patches, change, **options)
    scores = score_weights("nodule", patches)
    (row,) = scores.parts.values()
    assert (row["cases"], row["positives"], row["ROC AUC"].value) == (12, 6, 1.0)
    assert not scores.warnings


def test_the_label_is_not_another_class_and_its_column_is_told(patches):
    def table(lines):
        cells = [line.split() for line in lines]
        return ["path,class,label", *(f"{path},{1 - int(label)},{label}" for path, label in cells)]

    rewrite(patches, table, name="test.csv")
    scores = score_weights("nodule", patches)
    assert scores.parts["test.csv"]["ROC AUC"].value == 1.0
    assert "6 positive in the column label" in str(scores)
    scores = score_weights("nodule", patches, label="class")
    assert scores.parts["test.csv"]["ROC AUC"].value == 0.0
    assert scores.as_dict()["label_columns"] == {"test.csv": "class"}


def test_progress_is_of_patches_over_all_lists(patches):
    shutil.copy(patches / "test.txt", patches / "second.txt")
    told = []
    score_weights("nodule", patches, tell=lambda *what: told.append(what))
    assert told == [("scoring", 12, 24, "second.txt"), ("scoring", 24, 24, "test.txt")]


@pytest.mark.parametrize("first", ["val/gone.png 1", "\ufeff# two", "path label"])
def test_no_list_is_lost_for_its_first_line(patches, first):
    text = (patches / "test.txt").read_text()
    (patches / "more.txt").write_text(f"{first}\n{text}")
    if "gone" in first:
        with pytest.raises(SqueezeCTError, match=r"row 1 of more\.txt: scan val/gone\.png"):
            score_weights("nodule", patches)
    else:
        assert list(score_weights("nodule", patches).parts) == ["more.txt", "test.txt"]


def test_what_is_no_list_is_passed_over_by_name(patches, run_cli):
    (patches / "README.txt").write_text("test.txt holds the labels\n")
    (patches / "notes.txt").mkdir()
    code, out, err = run_cli("evaluate", "--weights", "nodule", patches, "--json")
    assert code == 0
    assert "README.txt" in err
    assert "README.txt" in json.loads(out)["warnings"][0]
    (patches / "test.txt").unlink()
    with pytest.raises(EvaluationError, match=r"no-lists") as caught:
        score_weights("nodule", patches)
    assert "README.txt" in str(caught.value)


def test_a_missing_picture_is_not_replaced_by_another_one_of_its_name(patches):
    shutil.copy(patches / "val" / "image_3.png", patches / "image_3.png")
    (patches / "val" / "image_3.png").unlink()
    with pytest.raises(SqueezeCTError, match=r"row 4 of test\.txt: scan val/image_3\.png"):
        score_weights("nodule", patches)


def test_rows_are_lines_of_their_list(patches):
    rewrite(patches, lambda lines: ["", "# two", *lines])
    (patches / "val" / "image_0.png").write_bytes(b"no picture")
    with pytest.raises(SqueezeCTError, match=r"row 3 of test\.txt: image_0\.png"):
        score_weights("nodule", patches)


def test_a_zip_and_a_list_will_do_and_other_files_are_told_as_what_they_are(patches, tmp_path):
    packed = tmp_path / "patches.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(patches.rglob("*")):
            archive.write(path, path.relative_to(tmp_path))
    whole = score_weights("nodule", patches)
    assert score_weights("nodule", packed).as_dict() == whole.as_dict()
    assert score_weights("nodule", patches / "test.txt").as_dict() == whole.as_dict()
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("../out.png", b"")
    with pytest.raises(EvaluationError, match="unsafe-name"):
        score_weights("nodule", packed)
    with pytest.raises(EvaluationError, match="no-such-data"):
        score_weights("nodule", tmp_path / "gone")
    with pytest.raises(EvaluationError, match=r"image_1\.png is one file"):
        score_weights("nodule", patches / "val" / "image_1.png")
    with pytest.raises(EvaluationError, match="no-lists"):
        score_weights("nodule", patches / "val")


def test_copies_count_once_and_two_labels_are_refused(patches):
    lines = (patches / "test.txt").read_text().splitlines()
    (patches / "test.txt").write_text("\n".join([*lines, "./" + lines[2], lines[5]]))
    scores = score_weights("nodule", patches)
    assert scores.parts["test.txt"]["cases"] == 12
    assert "2 copies" in scores.warnings[0]
    (patches / "test.txt").write_text("\n".join([*lines, lines[2].replace(" 0", " 1")]))
    with pytest.raises(EvaluationError, match=r"rows 3 and 13 of test\.txt are one image_2\.png"):
        score_weights("nodule", patches)


def test_a_column_of_the_label_is_refused_where_there_are_no_columns(patches):
    with pytest.raises(EvaluationError, match="unused-label-column"):
        score_weights("nodule", patches, label="malignant")


def answers(folder):
    score_weights("nodule", folder, out=folder.parent / "scores")
    lines = (folder.parent / "scores" / "probabilities.csv").read_text().splitlines()
    return [line.rpartition(",")[2] for line in lines[1:]]


def convert(folder, change, ending):
    for path in sorted((folder / "val").iterdir()):
        change(Image.open(path), path.with_suffix(ending))
        if ending != ".png":
            path.unlink()
    rewrite(folder, lambda lines: [line.replace(".png", ending) for line in lines])


@pytest.mark.parametrize("ending", [".tif", ".bmp", ".gif", ".pgm"])
def test_pictures_may_be_stored_in_any_common_form(patches, ending):
    before = answers(patches)
    convert(patches, lambda image, path: image.save(path), ending)
    assert answers(patches) == before


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_grey_may_be_stored_as_colour(patches, mode):
    before = answers(patches)
    convert(patches, lambda image, path: image.convert(mode).save(path), ".png")
    assert answers(patches) == before


def deep(image, path):
    Image.fromarray(np.asarray(image).astype(np.uint16) * 257).save(path)


def red(image, path):
    colours = np.asarray(image.convert("RGB")).copy()
    colours[..., 1:] //= 2
    Image.fromarray(colours).save(path)


def clear(image, path):
    image.putalpha(100)
    image.save(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda image, path: image.convert("1").save(path), "of 1 bit"),
        (deep, "of 16 bits"),
        (red, "RGB"),
        (clear, "LA"),
        (lambda image, path: image.resize((64, 64)).save(path), "64 x 64"),
    ],
)
def test_what_is_not_eight_bit_grey_is_refused_in_words(patches, change, words):
    convert(patches, change, ".png")
    with pytest.raises(SqueezeCTError, match="is not 8-bit grey of at most 50 x 50") as caught:
        score_weights("nodule", patches)
    assert words in str(caught.value)
    assert "row 1 of test.txt: image_0.png" in str(caught.value)


def test_patches_cut_by_the_edge_are_taken(patches):
    convert(patches, lambda image, path: image.crop((0, 0, 47, 50)).save(path), ".png")
    assert len(answers(patches)) == 12


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    patches, tmp_path, run_cli, monkeypatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(CandidateClassifier, "score", lambda *_: pytest.fail("asked"))
    for verb in (("evaluate", "--weights", "nodule"), ("gallery", "nodule")):
        code, _, err = run_cli(*verb, patches, "--out", tmp_path / "file")
        assert code == 2
        assert "[unwritable-folder]" in err
        assert str(tmp_path / "file") in err


def test_one_class_gets_what_is_defined(patches, run_cli):
    rewrite(patches, lambda lines: [line for line in lines if line.endswith("1")])
    code, out, _ = run_cli("evaluate", "--weights", "nodule", patches)
    assert code == 0
    assert "one class only: no ROC AUC" in out
    assert "sensitivity at 0.5" in out
    assert "Brier score" in out
    code, out, _ = run_cli("evaluate", "--weights", "nodule", patches, "--json")
    row = json.loads(out, parse_constant=pytest.fail)["parts"]["test.txt"]
    assert "specificity at 0.5" not in row
    assert row["sensitivity at 0.5"]["value"] is not None
