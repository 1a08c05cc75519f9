"""The two real scans through the whole line, where the data is present."""

import json
import subprocess
import sys

import numpy as np
import pytest

from squeezect.phantom import chest_grid, thorax, write_dicom
from squeezect.preparation import Preparation, check_chest, prepare
from squeezect.reading import read_scan
from squeezect.scan import Grid

NODULE_MM = (56.2, 86.3, -115.9)
NODULE_DIAMETER_MM = 23.4


@pytest.mark.parametrize("crop", ["none", "lungs"])
@pytest.mark.parametrize("size", [64, 128])
def test_the_known_nodule_is_a_bright_spot_of_its_size_in_the_prepared_volume(
    real_data, crop, size
):
    scan = read_scan(real_data("lidc-idri-0001"))
    volume = prepare(scan, Preparation(size=(size,) * 3, crop=crop))
    index = volume.grid.to_index(NODULE_MM)
    voxel = tuple(np.rint(index).astype(int))
    assert volume.values[voxel] > (-200 + 1000) / 1400
    # Its surroundings beyond the nodule are lung, except where it touches the pleura.
    at = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), -1)
    distance = np.linalg.norm((at - index) * volume.grid.spacing_mm, axis=-1)
    inside = volume.values[distance < NODULE_DIAMETER_MM / 4]
    around = volume.values[(distance > 20) & (distance < 26)]
    assert np.median(inside) > (-100 + 1000) / 1400
    assert np.median(around) < (-600 + 1000) / 1400


@pytest.mark.parametrize(
    ("name", "shape", "spacing", "litres"),
    [
        ("lidc-idri-0001", (133, 512, 512), (2.5, 0.703125, 0.703125), 3.60),
        ("lidc-idri-0132", (127, 512, 512), (3.0, 0.537109, 0.537109), 4.94),
    ],
)
def test_real_scans_have_the_geometry_and_lungs_that_are_known(
    real_data, name, shape, spacing, litres
):
    scan = read_scan(real_data(name))
    assert scan.grid.shape == shape
    assert np.allclose(scan.grid.spacing_mm, spacing, atol=1e-4)
    assert scan.hu.min() == -1024
    lungs, findings = check_chest(scan)
    assert lungs.volume_l == pytest.approx(litres, abs=0.02)
    assert not [f for f in findings if f.severity == "refuse"]


MEASURE = """
import json, sys
from squeezect import Session, read_scan
session = Session.open(sys.argv[1])
scan = read_scan(sys.argv[2])
prediction = session.predict(scan)
prediction.heatmap.save(sys.argv[3])
# Not getrusage, whose figure a process inherits from the one that started it.
lines = open("/proc/self/status").read().splitlines()
peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
print(json.dumps([scan.grid.shape[0], peak * 1024 / 1e9]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from Linux's /proc")
def test_predicting_300_slices_takes_less_than_a_gigabyte_and_a_half(tmp_path):
    import torch

    from squeezect.checkpoint import Card, Checkpoint
    from squeezect.models import create_model

    card = Card(model="squeezenet3d", preparation=Preparation())
    torch.manual_seed(0)
    Checkpoint(card, create_model("squeezenet3d").state_dict()).save(tmp_path / "fold-0")
    small, _ = thorax(2, grid=chest_grid(2, spacing_mm=2.8, thickness_mm=2.8, field_mm=358.4))
    big = Grid((300, 512, 512), (1.0, 0.7, 0.7), small.grid.origin_mm)
    index = [np.arange(n) * small.grid.shape[a] // n for a, n in enumerate(big.shape)]
    hu = small.hu[np.ix_(*index)]
    write_dicom(type(small)(hu, big, small.acquisition, identity="abc"), tmp_path / "scan")
    del hu
    command = [sys.executable, "-c", MEASURE, tmp_path / "fold-0", tmp_path / "scan"]
    told = subprocess.run(  # noqa: S603
        [*map(str, command), str(tmp_path / "heat.nii.gz")],
        capture_output=True,
        text=True,
        check=True,
    )
    count, gigabytes = json.loads(told.stdout)
    assert count == 300
    print(f"peak {gigabytes:.2f} GB")
    assert gigabytes < 1.5
