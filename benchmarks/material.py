"""What several benchmarks work on: scans, networks of peers, checkpoints."""

import argparse
import os
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from squeezect import Preparation
from squeezect.checkpoint import Card, Checkpoint
from squeezect.models import create_model
from squeezect.phantom import chest_grid, thorax, write_dicom
from squeezect.runtime import export
from squeezect.scan import Grid, Scan

SIDE = 128


def arguments(about: str | None) -> argparse.Namespace:
    """Folder for the tables, and turns."""
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for the tables")
    parser.add_argument("--runs", type=int, default=7, help="turns that count")
    return parser.parse_args()


def real_archive() -> Path | None:
    """The zip of LIDC-IDRI-0001, where SQUEEZECT_DATA has it."""
    archive = Path(os.environ.get("SQUEEZECT_DATA") or ".") / "lidc-idri-0001.zip"
    return archive if archive.is_file() else None


def scan_name() -> str:
    """Which scan `find_scan` gives."""
    return "LIDC-IDRI-0001" if real_archive() else "a synthetic scan like LIDC-IDRI-0001"


def find_scan(folder: Path) -> Path:
    """A folder of DICOM: LIDC-IDRI-0001 (133 slices), or a synthetic chest much like it."""
    archive = real_archive()
    if archive:
        zipfile.ZipFile(archive).extractall(folder)
    else:
        write_dicom(thorax(1, grid=chest_grid(1, spacing_mm=0.7, thickness_mm=2.5))[0], folder)
    return folder


def chest(slices: int, *, side: int = 512, length_mm: float = 340.0) -> Scan:
    """A chest of many small voxels: a coarse synthetic one enlarged, with noise of its own."""
    coarse_mm, depth = 2.8, 68
    grid = Grid((depth, 128, 128), (length_mm / depth, coarse_mm, coarse_mm))
    corner = -(128 - 1) / 2 * coarse_mm
    low = thorax(1, grid=replace(grid, origin_mm=(corner, corner, -length_mm / 2)))[0].hu
    planes = np.arange(slices) * depth // slices
    across = np.arange(side) * 128 // side
    hu = np.ascontiguousarray(low[planes][:, across][:, :, across])
    hu += np.random.default_rng(0).integers(-30, 31, hu.shape, np.int16)
    spacing = (length_mm / slices, 128 * coarse_mm / side, 128 * coarse_mm / side)
    return Scan(hu, Grid(hu.shape, spacing, (corner, corner, -length_mm / 2)))


def checkpoint(folder: Path, calibration: Sequence[np.ndarray]) -> Path:
    """The paper's network with fresh weights, exported in every form."""
    torch.manual_seed(0)
    model = create_model("squeezenet3d")
    card = Card(model="squeezenet3d", preparation=Preparation())
    Checkpoint(card, model.state_dict()).save(folder)
    export(folder)
    export(folder, form="openvino-float16")
    export(folder, form="openvino-int8", calibration=calibration)
    export(folder, form="onnx")
    return folder


def gflop_of(name: str) -> float:
    """Multiply-adds of one forward pass at 128^3, counted twice, in 10^9, as it is written."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        create_model(name).eval()(torch.empty(1, 1, SIDE, SIDE, SIDE))
    return counter.get_total_flops() / 1e9


def monai_network(name: str) -> torch.nn.Module:
    """DenseNet121 or ResNet18 in 3D, two classes."""
    from monai.networks import nets

    if name == "DenseNet121":
        return nets.DenseNet121(spatial_dims=3, in_channels=1, out_channels=2)
    return nets.resnet18(spatial_dims=3, n_input_channels=1, num_classes=2)
