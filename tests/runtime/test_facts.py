"""Recorded cells are the network's own at every size, and the prepared size needs no PyTorch."""

import math
import subprocess
import sys

import pytest

from squeezect import Preparation
from squeezect.checkpoint import Card
from squeezect.errors import CheckpointError
from squeezect.models import create_model
from squeezect.runtime.facts import Cells, Facts, read_facts

SIZES = [(48, 48, 48), (112, 112, 112), (64, 65, 65), (65, 64, 64), (33, 40, 47), (1, 64, 64)]


def facts_of(name, *, size=(64, 64, 64), **options):
    first, step = create_model(name, options=options).cells(size)
    return Facts(
        weights_sha256="",
        cells=Cells(size=size, first=first, step=step),
        card=Card(model=name, options=options, preparation=Preparation(size=(64, 64, 64))),
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("voxel64", {}),
        ("voxel64", {"step": 48}),
        ("squeezenet3d", {}),
        ("squeezenet3d-v11", {}),
        ("squeezenet3d-modern", {"cell": 16, "depth": 3}),
        ("cnn2d", {"slices": "middle"}),
        ("squeezenet-nodule", {}),
    ],
)
def test_cells_are_those_of_the_network_at_any_size(name, options):
    facts = facts_of(name, **options)
    again = Facts.model_validate_json(facts.model_dump_json())
    model = create_model(name, options=options)
    for size in SIZES:
        assert again.cells_of(size) == model.cells(size), size


def test_the_recorded_size_needs_no_torch():
    text = facts_of("voxel64", size=(48, 48, 48)).model_dump_json()
    code = """
import sys
from squeezect.runtime.facts import Facts
facts = Facts.model_validate_json(sys.argv[1])
assert facts.cells_of((48, 48, 48)) == ((23.5, 23.5, 23.5), (32.0, 32.0, 32.0))
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, text], check=True)  # noqa: S603 - own code


@pytest.mark.parametrize(
    "name", ["/dev/zero", "../card.json", "folder", "gone.bin", "link.bin", "..", ""]
)
def test_checksums_of_what_is_no_file_beside_them_are_damage_and_never_read(name, tmp_path):
    place = tmp_path / "network" / "openvino"
    (place / "folder").mkdir(parents=True)
    (tmp_path / "network" / "card.json").write_text("{}")
    (place / "link.bin").symlink_to("/dev/zero")
    facts = facts_of("voxel64").model_copy(update={"sha256": {name: "0"}})
    (place / "facts.json").write_text(facts.model_dump_json())
    with pytest.raises(CheckpointError, match=r"no file beside it.*\[checkpoint-damaged\]"):
        read_facts(place)


def test_a_score_that_is_not_a_number_comes_back(tmp_path):
    facts = facts_of("voxel64")
    scores = {"validation_auc": float("nan"), "odds": float("inf")}
    odd = facts.model_copy(update={"card": facts.card.model_copy(update={"scores": scores})})
    (tmp_path / "facts.json").write_text(odd.model_dump_json(indent=1))
    again = read_facts(tmp_path).card
    assert math.isnan(again.scores["validation_auc"])
    assert again.scores["odds"] == math.inf
    alone = Card.model_validate_json(odd.card.model_dump_json())
    assert math.isnan(alone.scores["validation_auc"])


def test_without_a_map_there_are_no_cells():
    card = Card(model="general3d", preparation=Preparation())
    assert Facts(weights_sha256="", cells=None, card=card).cells_of((1, 2, 3)) is None
