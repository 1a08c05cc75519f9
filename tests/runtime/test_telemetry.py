"""Exports and answers send nothing, whoever imported OpenVINO first."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

from squeezect import Preparation
from squeezect.checkpoint import Card, Checkpoint
from squeezect.models import create_model

FORM = "openvino-int8" if find_spec("nncf") else "openvino"
"""In 8 bits, both OpenVINO and NNCF are at work."""

WATCHED = """
import multiprocessing, sys
from pathlib import Path

# What the package sends, it sends from a process of its own; here none is ever started.
started = []
multiprocessing.Process.start = lambda self: started.append("process")
multiprocessing.Process.join = lambda self, *_: None
multiprocessing.Process.is_alive = lambda self: False

def flushed():
    # Messages wait in a pool of threads.
    telemetry = sys.modules.get("openvino_telemetry")
    if telemetry is not None:
        telemetry.Telemetry().sender.executor.shutdown(wait=True)
    return len(started)
"""
EXPORT = """
import numpy as np
from squeezect.runtime import export, open_engine
folder = Path(sys.argv[1])
volumes = [np.random.default_rng(0).random((32, 32, 32), dtype=np.float32)]
place = export(folder, form=sys.argv[2], calibration=volumes)
open_engine(folder, engine=sys.argv[2])(volumes[0])
assert place.is_dir()
"""


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    options = {"width": 0.25, "depth": 2}
    card = Card(
        model="squeezenet3d-modern", options=options, preparation=Preparation(size=(32, 32, 32))
    )
    model = create_model(card.model, options=options)
    return Checkpoint(card, model.state_dict()).save(tmp_path / "network")


def said(tmp_path, folder, code):
    """What a process says that is in no test and no continuous integration, with a new home."""
    home = tmp_path / "home"
    home.mkdir()
    quiet = {"CI", "TF_BUILD", "JENKINS_URL", "PYTEST_CURRENT_TEST"}
    variables = {name: value for name, value in os.environ.items() if name not in quiet}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", WATCHED + code, str(folder), FORM],
        env={**variables, "HOME": str(home), "SQUEEZECT_CACHE": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split(), [path.name for path in home.iterdir()]


def test_an_export_starts_no_process_and_leaves_the_home_alone(tmp_path, folder):
    told, written = said(tmp_path, folder, EXPORT + "print(flushed())")
    assert told == ["0"]
    assert "intel" not in written


FIRST = """
import time
import openvino, torch
openvino.convert_model(torch.nn.Flatten(), example_input=torch.zeros(1, 1, 4, 4, 4))
sender = sys.modules["openvino_telemetry"].Telemetry().sender
while sender.queue_size:
    time.sleep(0.05)
before = len(started)
"""


def test_nothing_is_sent_either_where_openvino_was_there_before(tmp_path, folder):
    told, _ = said(tmp_path, folder, FIRST + EXPORT + "print(before, flushed())")
    before, after = map(int, told)
    assert before > 0  # or nothing is tested here
    assert after == before
