"""A written volume lies where its grid says, for any other program too."""

import numpy as np
import pytest
import SimpleITK as sitk

from squeezect.errors import PreparationError
from squeezect.phantom import chest_grid, thorax
from squeezect.preparation import Preparation, prepare, prepare_file

HOW = Preparation(size=(24, 28, 32))


@pytest.fixture
def source(tmp_path):
    scan = thorax(1, grid=chest_grid(1, spacing_mm=6.0, thickness_mm=6.0))[0]
    image = sitk.GetImageFromArray(scan.hu)
    image.SetOrigin(scan.grid.origin_mm)
    image.SetSpacing(scan.grid.spacing_mm[::-1])
    sitk.WriteImage(image, str(tmp_path / "scan.mha"))
    return scan, tmp_path / "scan.mha"


@pytest.mark.parametrize("name", ["v.nii.gz", "v.mha", "v.nrrd"])
def test_other_programs_find_the_voxels_in_place(name, source, tmp_path):
    scan, path = source
    image = sitk.ReadImage(str(prepare_file(path, HOW, tmp_path / name)))
    volume = prepare(scan, HOW)
    assert np.allclose(sitk.GetArrayFromImage(image), volume.values, atol=1e-6)
    for z, y, x in [(0, 0, 0), (23, 0, 0), (0, 27, 0), (0, 0, 31), (5, 6, 7)]:
        point = image.TransformIndexToPhysicalPoint((x, y, z))
        assert np.allclose(point, volume.grid.to_mm((z, y, x)), atol=1e-3)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["v.jpg", "v", "absent/v.mha"])
def test_what_cannot_be_written_is_refused_before_any_work(name, source, tmp_path):
    with pytest.raises(PreparationError, match=r"\[bad-output\]"):
        prepare_file(source[1], HOW, tmp_path / name)
