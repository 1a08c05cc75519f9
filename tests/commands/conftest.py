"""A command line run in this process, a chest to give it, and a run that answers."""

import json
import sys

import pytest
import torch
from tests.commands.tables import PREPARATION

from squeezect import cli
from squeezect.checkpoint import Card, Checkpoint
from squeezect.models import create_model
from squeezect.phantom import chest_grid, thorax, write_dicom

OPTIONS = {"width": 0.25, "depth": 3, "dropout": 0.0}


class Result:
    """Exit status and output of one command."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run_cli(monkeypatch, capsys):
    """Run a command line in this process."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["squeezect", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        captured = capsys.readouterr()
        return Result(leaving.value.code or 0, captured.out, captured.err)

    return run


@pytest.fixture(scope="module")
def chest(tmp_path_factory):
    """A synthetic chest as a DICOM folder."""
    folder = tmp_path_factory.mktemp("scans") / "chest"
    scan, _ = thorax(1, grid=chest_grid(1, spacing_mm=3.5, thickness_mm=5.0), nodules=1)
    write_dicom(scan, folder)
    return folder


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A finished run of untrained networks: it can answer, if not be right."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    for fold in range(2):
        torch.manual_seed(fold)
        weights = create_model("squeezenet3d-modern", options=OPTIONS).state_dict()
        card = Card(model="squeezenet3d-modern", options=OPTIONS, preparation=PREPARATION)
        Checkpoint(card, weights).save(folder / f"fold-{fold}")
    facts = {"status": "finished", "thresholds": {"half": 0.5, "sensitivity-90": 0.25}}
    (folder / "run.json").write_text(json.dumps(facts))
    return folder
