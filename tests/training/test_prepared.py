"""Laws of preparing any data set: each case its own volume, whatever file it lies in."""

import json

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from PIL import Image

from squeezect.cohorts import Case, Cohort
from squeezect.cohorts.layouts import read_dataset, read_nodule_crops
from squeezect.errors import PreparationError, StoreError
from squeezect.evaluation import evaluate
from squeezect.preparation import Preparation, Store, cut_patch, prepare
from squeezect.reading import read_scan
from squeezect.scan import pseudonym
from squeezect.training import cross_validate
from squeezect.training.auditing import fingerprints_of
from squeezect.training.prepared import InMemory, case_key, prepare_cohort

PATCH = Preparation(crop="point", size=(16, 16, 16), spacing_mm=1.0)
FLAT = Preparation(crop="point", size=(1, 50, 50), spacing_mm=None)


def quiet(*_):
    """Tells nobody."""


def write_crop(path, *, diameter_mm, random, slices=9):
    """A sphere of soft tissue in very noisy lung, tightly cut; gives its centre (x, y, z)."""
    z, y, x = np.ogrid[:slices, :24, :24]
    far = np.hypot(np.hypot((z - slices // 2) * 2.0, y - 12), x - 12)
    hu = np.where(far < diameter_mm / 2, 30, -850) + random.normal(0, 200, far.shape)
    image = sitk.GetImageFromArray(hu.astype(np.int16))
    image.SetSpacing((1.0, 1.0, 2.0))
    image.SetOrigin((-100.0, 50.0, 10.0))
    sitk.WriteImage(image, str(path))
    return -88.0, 62.0, 10.0 + slices // 2 * 2.0


@pytest.fixture
def crops(tmp_path):
    """Twenty nodules of ten patients as crops with a table; large ones are malignant."""
    folder = tmp_path / "crops"
    (folder / "images").mkdir(parents=True)
    rows = ["patient_id,seriesuid,coordX,coordY,coordZ,diameter_mm,Diagnosis_value,file,Margin"]
    for i in range(20):
        random = np.random.default_rng(i)
        diameter = 4 + i % 2 * 10
        name = f"n{i}.nii.gz"
        # One of them has two slices only, as crops of flat nodules do.
        slices = 2 if i == 3 else 9
        x, y, z = write_crop(
            folder / "images" / name, diameter_mm=diameter, random=random, slices=slices
        )
        rows.append(f"SECRET{i // 2},1.2.{i // 2},{x},{y},{z},{diameter},{i % 2},{name},3")
    (folder / "nodules.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def patches(tmp_path):
    """Twenty pictures in two lists, bright in the middle where the label is 1; one is smaller."""
    folder = tmp_path / "patches"
    folder.mkdir()
    lists = {"train.txt": [], "val.txt": []}
    for i in range(20):
        random = np.random.default_rng(i)
        grey = random.integers(0, 60, (50, 47 if i == 5 else 50), dtype=np.uint8)
        if i % 2:
            grey[20:30, 20:30] = 200
        Image.fromarray(grey).save(folder / f"p{i}.png")
        lists["val.txt" if i < 6 else "train.txt"].append(f"p{i}.png {i % 2}")
    for name, lines in lists.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def archive(tmp_path):
    """An npz file like NoduleMNIST3D's."""
    random = np.random.default_rng(0)
    arrays = {}
    for part, size in (("train", 8), ("val", 4), ("test", 4)):
        arrays[f"{part}_images"] = random.integers(0, 256, (size, 12, 12, 12), dtype=np.uint8)
        arrays[f"{part}_labels"] = (np.arange(size) % 2)[:, None].astype(np.uint8)
    np.savez(tmp_path / "set.npz", **arrays)
    return tmp_path / "set.npz", arrays


def test_a_nodule_is_prepared_around_its_point(crops, tmp_path):
    cohort = read_dataset(crops)
    volumes, failed = prepare_cohort(cohort, PATCH, tmp_path / "store", progress=quiet)
    assert not failed
    case = cohort.case(1)
    expected = cut_patch(read_scan(case.scan), case.point_mm, shape=PATCH.size, spacing_mm=1.0)
    assert np.array_equal(volumes.read(case_key(case, PATCH)).values, expected.values)


def test_two_points_of_one_scan_are_two_volumes_and_it_is_read_once(crops, tmp_path, monkeypatch):
    first = read_dataset(crops).case(1)
    x, y, z = first.point_mm
    near = Case(first.scan, "p", 0, 2, point_mm=(x + 4, y, z))
    lost = Case(first.scan, "p", 0, 3, point_mm=(x + 400, y, z))
    cohort = Cohort((first, near, lost), tmp_path / "points.csv")
    reads = []
    monkeypatch.setattr(
        "squeezect.reading.read_scan", lambda p, **o: reads.append(p) or read_scan(p, **o)
    )
    volumes, failed = prepare_cohort(cohort, PATCH, tmp_path / "store", progress=quiet)
    assert reads == [first.scan]
    # The point outside is named by its row, and the others are there all the same.
    assert {row: error.code for row, error in failed.items()} == {3: "point-outside"}
    one, two = (volumes.read(case_key(case, PATCH)).values for case in (first, near))
    np.testing.assert_allclose(one[:, :, 4:], two[:, :, :-4], atol=1e-6)
    store = Store.open(tmp_path / "store", PATCH)
    keys = [case_key(case, PATCH) for case in (first, near)]
    sources, points = dict.fromkeys(keys, first.scan), dict(zip(keys, (first, near), strict=True))
    points = {key: case.point_mm for key, case in points.items()}
    assert set(store.fill(sources, points=points).skipped) == set(keys)
    # Another point under the same key is another volume.
    moved = points | {keys[0]: (x, y + 1, z)}
    assert store.fill(sources, points=moved).done == (keys[0],)


@pytest.mark.parametrize("how", [Preparation(size=(16, 16, 16)), PATCH])
def test_a_scan_is_read_for_the_series_of_its_row(two_series, tmp_path, how):
    folder, (one, other) = two_series
    point = tuple(read_scan(folder, series=one).grid.centre_mm.tolist())
    point = point if how.cuts_patches else None
    lost = "1.2.3.4.5.6"
    cohort = Cohort(
        tuple(
            Case(folder, f"p{row}", row % 2, row, series=uid, point_mm=point)
            for row, uid in enumerate((one, other, lost), start=1)
        ),
        tmp_path / "cohort.csv",
    )
    volumes, failed = prepare_cohort(cohort, how, tmp_path / "store", progress=quiet)
    assert {row: error.code for row, error in failed.items()} == {3: "no-such-series"}
    for case in cohort.cases[:2]:
        scan = read_scan(case.scan, series=case.series)
        volume = volumes.read(case_key(case, how))
        assert volume.identity == pseudonym(case.series)
        assert np.array_equal(volume.values, prepare(scan, how, point_mm=case.point_mm).values)
    # What is told of each is told apart, and what is there is not made again.
    assert len(fingerprints_of(cohort.without([3]), volumes)) == 2
    keys = {row: case_key(case, how) for row, case in enumerate(cohort.cases, start=1)}
    filled = volumes.fill(
        dict.fromkeys(keys.values(), folder),
        points=dict.fromkeys(keys.values(), point) if point else None,
        series={keys[case.row]: case.series for case in cohort.cases},
    )
    assert set(filled.skipped) == {keys[1], keys[2]}
    stored = "".join(p.read_text("utf-8") for p in (tmp_path / "store").rglob("*.json"))
    assert one not in stored


def test_keys_change_only_where_a_series_is_read_for(tmp_path):
    """Stores that are there stay of use: of rows without a series, and of images that have one."""
    point, whole = (1.0, 2.0, 3.0), Preparation()
    place = tmp_path.resolve()
    for name, series in (("a", ""), ("a.mhd", "1.2.3"), ("a.NII.GZ", "1.2.3"), ("a.png", "1.2.3")):
        case = Case(tmp_path / name, "p", 0, 1, series=series, point_mm=point)
        assert case_key(case, PATCH) == pseudonym(f"{place / name}@{point}")
        assert case_key(case, whole) == pseudonym(str(place / name))
    for name in ("a", "a.zip", "a.dcm"):
        keys = {
            case_key(Case(tmp_path / name, "p", 0, 1, series=series, point_mm=point), how)
            for series in ("", "1.2.3", "1.2.4")
            for how in (PATCH, whole)
        }
        assert len(keys) == 6


def test_whole_scans_have_no_point_to_cut_around(crops, tmp_path):
    case = read_dataset(crops).case(1)
    cohort = Cohort((Case(case.scan, "p", 1, 1),), tmp_path / "cohort.csv")
    _, failed = prepare_cohort(cohort, PATCH, tmp_path / "store", progress=quiet)
    assert failed[1].code == "no-point"


def test_a_picture_is_a_volume_one_voxel_deep(patches, tmp_path):
    cohort = read_dataset(patches)
    volumes, failed = prepare_cohort(cohort, FLAT, tmp_path / "store", progress=quiet)
    assert not failed
    assert not (tmp_path / "store").exists()
    for case in cohort.cases:
        grey = np.asarray(Image.open(case.scan)) / 255
        values = volumes.read(case_key(case, FLAT)).values
        assert values.shape == (1, 50, 50)
        left = (50 - grey.shape[1]) // 2
        # Whole Hounsfield units are finer than 8 bits over the window.
        np.testing.assert_allclose(values[0, :, left : left + grey.shape[1]], grey, atol=4e-4)


def test_elements_of_an_archive_are_told_apart(archive, tmp_path):
    path, arrays = archive
    cohort = read_dataset(path)
    how = Preparation(crop="point", size=(12, 12, 12), spacing_mm=None)
    volumes, failed = prepare_cohort(cohort, how, tmp_path / "store", progress=quiet)
    assert not failed
    for case in cohort.cases:
        array, index = case.element.split("/")
        values = volumes.read(case_key(case, how)).values
        np.testing.assert_allclose(values, arrays[array][int(index)] / 255, atol=4e-4)


@pytest.mark.parametrize(
    ("element", "words"),
    [
        ("train_images/8", "has no volume train_images/8, train_images holds 8"),
        ("train_images/-1", "has no volume train_images/-1"),
        ("train_images/first", "has no volume train_images/first"),
        ("holdout_images/0", "set.npz holds no array holdout_images"),
        ("train_labels/0", "train_labels is uint8 of shape (8, 1), not 8-bit volumes"),
    ],
)
def test_an_element_that_is_not_there_is_told_by_its_row(archive, recipe, tmp_path, element, words):
    lines = [f"set.npz,SECRET{i},{i % 2},train_images/{i}" for i in range(8)]
    lines[4] = f"set.npz,SECRET4,0,{element}"
    table = tmp_path / "elements.csv"
    table.write_text("\n".join(["scan,patient,label,element", *lines]) + "\n")
    how = Preparation(crop="point", size=(12, 12, 12), spacing_mm=None)
    plan = recipe.model_copy(update={"preparation": how, "epochs": 1})
    with pytest.raises(PreparationError, match=r"row 5 of .*elements\.csv") as caught:
        cross_validate(Cohort.read(table), plan, tmp_path / "run")
    assert words in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_memory_names_what_it_lacks():
    with pytest.raises(StoreError) as error:
        InMemory(PATCH, {}).read("nobody")
    assert error.value.code == "not-in-memory"


def test_nodules_are_cross_validated_by_patient(crops, recipe, tmp_path):
    plan = recipe.model_copy(update={"preparation": PATCH, "epochs": 1})
    folder = cross_validate(read_dataset(crops), plan, tmp_path / "run")
    table = pd.read_csv(folder / "predictions.csv")
    assert sorted(table["row"]) == list(range(1, 21))
    assert table.groupby("patient")["fold"].nunique().max() == 1
    assert set(table["diameter_mm"]) == {4.0, 14.0}
    audited = json.loads((folder / "audit.json").read_text())
    assert audited["ok"]
    assert not audited["exact_copies_only"]
    assert evaluate(folder, bootstrap=20).out_of_fold.cases.n == 20


def test_pictures_and_archives_are_cross_validated_with_their_own_test_part(
    patches, archive, recipe, tmp_path
):
    for data, size, judged in ((patches, (1, 50, 50), 6), (archive[0], (12, 12, 12), 4)):
        how = Preparation(crop="point", size=size, spacing_mm=None)
        plan = recipe.model_copy(
            update={
                "preparation": how,
                "epochs": 1,
                "tune_fraction": 0.0,
                "model": "cnn2d",
                "model_options": {"width": 8},
            }
        )
        folder = cross_validate(read_dataset(data), plan, tmp_path / f"run{judged}")
        table = pd.read_csv(folder / "predictions.csv")
        assert table[table["part"] == "test"]["row"].nunique() == judged


def test_a_failing_case_is_named_by_its_row(crops, recipe, tmp_path):
    (crops / "images" / "n7.nii.gz").write_bytes(b"no volume")
    plan = recipe.model_copy(update={"preparation": PATCH, "epochs": 1})
    cohort = read_nodule_crops(crops, check_points=False)
    with pytest.raises(PreparationError, match="row 8"):
        cross_validate(cohort, plan, tmp_path / "run")
