"""Laws of the bank: what goes in comes out, patients stay apart, drawing is repeatable."""

import json

import nibabel
import numpy as np
import pytest
from safetensors.numpy import save_file

from squeezect.errors import CohortError, PreparationError
from squeezect.nodules import Bank, build_bank
from squeezect.scan import pseudonym

COLUMNS = "patient_id,seriesuid,coordX,coordY,coordZ,diameter_mm,Diagnosis_value,file"


@pytest.fixture
def bank(lobed):
    return Bank(tuple(lobed(i, diameter_mm=4 + 2 * i) for i in range(12)), "made for tests")


def test_a_bank_comes_back_from_disk_to_the_bit(bank, tmp_path):
    again = Bank.load(bank.save(tmp_path / "bank.safetensors"))
    assert again.source == bank.source
    for one, other in zip(bank.nodules, again.nodules, strict=True):
        assert np.array_equal(one.hu, other.hu)
        assert np.array_equal(one.mask, other.mask)
        for fact in ("name", "patient", "series", "spacing_mm"):
            assert getattr(one, fact) == getattr(other, fact)


def test_the_same_bank_is_the_same_file(bank, tmp_path):
    files = [bank.save(tmp_path / f"{n}.safetensors").read_bytes() for n in (1, 2)]
    assert files[0] == files[1]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_split_shares_no_patient_and_loses_no_nodule(bank, share):
    one, other = bank.split(share, seed=3)
    assert not {n.patient for n in one.nodules} & {n.patient for n in other.nodules}
    assert len(one) + len(other) == len(bank)
    assert len(other) == round(share * len(bank))
    again = bank.split(share, seed=3)[1]
    assert [n.name for n in again.nodules] == [n.name for n in other.nodules]


def test_a_patient_who_is_left_out_is_never_drawn(bank):
    rest = bank.without({bank.nodules[3].patient})
    random = np.random.default_rng(0)
    drawn = {rest.draw(10.0, random=random)[0].patient for _ in range(200)}
    assert bank.nodules[3].patient not in drawn
    assert len(drawn) > 4


def test_a_drawn_nodule_is_scaled_to_the_size_asked_for(bank):
    random = np.random.default_rng(1)
    for size in (3.0, 7.5, 15.0, 40.0):
        nodule, scale = bank.draw(size, random=random)
        assert nodule.diameter_mm * scale == pytest.approx(size)
    one, other = (bank.draw(9.0, random=np.random.default_rng(5)) for _ in range(2))
    assert one[0] is other[0]


def test_an_empty_bank_says_so(bank):
    nobody = bank.without({n.patient for n in bank.nodules})
    with pytest.raises(PreparationError) as found:
        nobody.draw(8.0, random=np.random.default_rng(0))
    assert found.value.code == "empty-nodule-bank"


@pytest.mark.parametrize("kind", ["text", "other tensors", "no mask", "missing"])
def test_what_is_no_bank_is_refused(kind, tmp_path):
    path = tmp_path / "bank.safetensors"
    if kind == "text":
        path.write_text("nodules")
    elif kind == "other tensors":
        save_file({"weight": np.zeros(3, np.float32)}, path)
    elif kind == "no mask":
        row = {"name": "n", "patient": "p", "spacing_mm": [1, 1, 1]}
        table = json.dumps({"nodules": [row]})
        empty = {"hu.0": np.zeros((2, 2, 2), np.int16), "mask.0": np.zeros((2, 2, 2), np.uint8)}
        save_file(empty, path, {"squeezect-nodules-1": table})
    with pytest.raises(PreparationError) as found:
        Bank.load(path)
    assert found.value.code == "bad-nodule-bank"


def write_crops(folder, lobed, *, masks=True):
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    rows = [COLUMNS]
    nodules = [lobed(i, spacing_mm=(2.0, 0.5, 0.75)) for i in range(3)]
    # LPS directions as scans have them: NIfTI's first two axes point the other way.
    affine = np.diag([-0.75, -0.5, 2.0, 1.0])
    for number, nodule in enumerate(nodules):
        name = f"{number}.nii.gz"
        for part, values in (("images", nodule.hu), ("masks", nodule.mask.astype(np.uint8))):
            if part == "images" or masks:
                image = nibabel.Nifti1Image(values.transpose(2, 1, 0), affine)
                nibabel.save(image, folder / part / name)
        rows.append(f"P{number},1.2.3.4.5.6.{number},0,0,0,12,{number % 2},{name}")
    (folder / "nodules.csv").write_text("\n".join(rows))
    return nodules


def test_a_folder_of_crops_becomes_a_bank_without_names(lobed, tmp_path):
    nodules = write_crops(tmp_path / "crops", lobed)
    bank = build_bank(tmp_path / "crops", source="tests")
    for made, nodule, number in zip(bank.nodules, nodules, range(3), strict=True):
        assert made.spacing_mm == pytest.approx((2.0, 0.5, 0.75))
        assert made.diameter_mm == pytest.approx(nodule.diameter_mm, rel=1e-5)
        assert sorted(made.hu[made.mask]) == sorted(nodule.hu[nodule.mask])
        inside = np.argwhere(nodule.mask)
        start = np.maximum(inside.min(0) - 2, 0)
        stop = inside.max(0) + 3
        cut = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        assert np.array_equal(made.hu, nodule.hu[cut])
        assert made.patient == pseudonym(f"P{number}")
        assert made.series == pseudonym(f"1.2.3.4.5.6.{number}")
    path = bank.save(tmp_path / "bank.safetensors")
    assert b"P1" not in path.read_bytes()[:2000]
    assert b"1.2.3" not in path.read_bytes()[:2000]


def write_mask(path, values, **image):
    affine = np.diag([-0.75, -0.5, 2.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(values.transpose(2, 1, 0), affine, **image), path)


@pytest.mark.parametrize("highest", [0.4, 0.9, np.float32(1.5)])
def test_soft_masks_are_refused_and_do_not_shrink(lobed, tmp_path, highest):
    nodules = write_crops(tmp_path / "crops", lobed)
    rim = np.where(nodules[1].mask, highest, 0).astype(np.float32)
    rim[tuple(np.argwhere(nodules[1].mask)[0])] = 1
    write_mask(tmp_path / "crops" / "masks" / "1.nii.gz", rim)
    with pytest.raises(
        CohortError, match=r"row 2 of .*1\.nii\.gz is not of whole numbers"
    ) as found:
        build_bank(tmp_path / "crops")
    assert found.value.code == "unclear-mask"


def test_an_empty_mask_is_called_empty(lobed, tmp_path):
    nodules = write_crops(tmp_path / "crops", lobed)
    write_mask(tmp_path / "crops" / "masks" / "1.nii.gz", np.zeros(nodules[1].mask.shape, np.uint8))
    with pytest.raises(CohortError, match=r"row 2 of .*1\.nii\.gz is empty;.*unclear-mask"):
        build_bank(tmp_path / "crops")


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64])
def test_masks_of_whole_numbers_are_alike_however_they_are_stored(lobed, tmp_path, kind):
    nodules = write_crops(tmp_path / "crops", lobed)
    before = build_bank(tmp_path / "crops")
    for number, nodule in enumerate(nodules):
        path = tmp_path / "crops" / "masks" / f"{number}.nii.gz"
        write_mask(path, nodule.mask.astype(kind) * kind(2))
    for one, other in zip(build_bank(tmp_path / "crops").nodules, before.nodules, strict=True):
        assert np.array_equal(one.mask, other.mask)


def test_crops_without_masks_are_refused(lobed, tmp_path):
    write_crops(tmp_path / "crops", lobed, masks=False)
    (tmp_path / "crops" / "masks").rmdir()
    with pytest.raises(CohortError) as found:
        build_bank(tmp_path / "crops")
    assert found.value.code == "no-masks"
