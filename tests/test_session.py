"""From checkpoint to answer: the same on every engine and format, and honest about refusals."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from squeezect.checkpoint import Card, Checkpoint, read_card
from squeezect.errors import CheckpointError, EvaluationError, PreparationError
from squeezect.models import create_model
from squeezect.phantom import chest_grid, thorax, write_dicom
from squeezect.preparation import Preparation
from squeezect.publishing.judged import judge_dataset
from squeezect.reading import read_scan
from squeezect.runtime import export, is_exported, open_engine
from squeezect.scan import Grid, Scan
from squeezect.session import Session, export_run

OPTIONS = {"width": 0.25, "depth": 4, "dropout": 0.0}
PREPARATION = Preparation(size=(48, 48, 48), crop="lungs")


def make_run(folder, *, folds=2, model="squeezenet3d-modern", options=OPTIONS):
    """A run folder with fresh networks: enough to answer, if not to be right."""
    for fold in range(folds):
        torch.manual_seed(fold)
        network = create_model(model, options=options)
        card = Card(model=model, options=options, preparation=PREPARATION)
        Checkpoint(card, network.state_dict()).save(folder / f"fold-{fold}")
    facts = {"status": "finished", "thresholds": {"half": 0.5, "sensitivity-90": 0.25}}
    (folder / "run.json").write_text(json.dumps(facts))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def scan():
    return thorax(1, grid=chest_grid(1, spacing_mm=3.0, thickness_mm=4.0), nodules=1)[0]


@pytest.fixture(scope="module")
def prediction(run, scan):
    return Session.open(run).predict(scan)


def test_the_answer_is_the_mean_of_the_networks(prediction):
    assert len(prediction.fold_probabilities) == 2
    assert prediction.probability == pytest.approx(np.mean(prediction.fold_probabilities))
    assert prediction.spread == pytest.approx(np.std(prediction.fold_probabilities))
    assert prediction.threshold == 0.25
    assert prediction.positive == (prediction.probability >= 0.25)
    assert 1 < prediction.lungs.volume_l < 9


def test_the_heat_map_adds_up_to_the_answer(run, scan):
    session = Session.open(run / "fold-0")
    answer = session.predict(scan)
    log_odds = np.log(answer.probability / (1 - answer.probability))
    assert answer.heatmap.logit == pytest.approx(log_odds, abs=1e-4)
    assert answer.heatmap.grid == scan.grid


def test_the_map_of_a_run_adds_up_to_the_mean_of_its_networks_log_odds(prediction):
    folds = np.array(prediction.fold_probabilities)
    expected = np.log(folds / (1 - folds)).mean()
    assert prediction.heatmap.logit == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("suffix", [".mha", ".nii.gz", ".nrrd", "dicom"])
def test_every_format_gives_the_same_answer(run, scan, prediction, tmp_path, suffix):
    path = tmp_path / f"scan{suffix}"
    if suffix == "dicom":
        write_dicom(scan, path)
    else:
        image = sitk.GetImageFromArray(scan.hu)
        image.SetSpacing(scan.grid.spacing_mm[::-1])
        image.SetOrigin(scan.grid.origin_mm)
        sitk.WriteImage(image, str(path))
    answer = Session.open(run).predict(read_scan(path))
    assert answer.probability == pytest.approx(prediction.probability, abs=1e-5)


@pytest.mark.parametrize("model", ["squeezenet3d", "squeezenet3d-modern"])
def test_an_export_gives_the_answer_of_its_checkpoint(tmp_path, scan, model):
    options = OPTIONS if model.endswith("modern") else {}
    folder = make_run(tmp_path / "run", folds=1, model=model, options=options)
    before = Session.open(folder).predict(scan)
    assert not is_exported(folder / "fold-0")
    export_run(folder)
    after = Session.open(folder, engine="openvino").predict(scan)
    assert after.engine.startswith("openvino")
    assert after.probability == pytest.approx(before.probability, abs=1e-4)
    assert after.heatmap.peak_index == before.heatmap.peak_index
    for shape in [(48, 48, 48), (32, 64, 40)]:
        values = np.random.default_rng(0).random(shape, np.float32)
        outputs = [open_engine(folder / "fold-0", engine=e)(values) for e in ("torch", "openvino")]
        assert np.abs(outputs[0].logits - outputs[1].logits).max() < 1e-3


def test_an_export_of_other_weights_is_not_used(tmp_path):
    folder = make_run(tmp_path / "run", folds=1) / "fold-0"
    export(folder)
    card = read_card(folder)
    torch.manual_seed(9)
    network = create_model(card.model, options=card.options)
    Checkpoint(card, network.state_dict()).save(folder)
    assert not is_exported(folder)
    with pytest.raises(CheckpointError, match="no-engine"):
        open_engine(folder, engine="openvino")


def test_what_is_not_a_chest_is_refused_unless_allowed(run):
    water = np.full((40, 60, 60), 20, np.int16)
    water[:, :6] = water[:, -6:] = -1000
    head = Scan(water, Grid((40, 60, 60), (5.0, 4.0, 4.0)))
    session = Session.open(make_plain(run.parent / "plain"))
    with pytest.raises(PreparationError, match=r"no-lungs.*--allow no-lungs.*\[refused-scan\]"):
        session.predict(head)
    answer = session.predict(head, allow=["no-lungs"])
    assert [f.overridden for f in answer.findings if f.code.name == "no-lungs"] == [True]


def make_plain(folder):
    network = create_model("squeezenet3d-modern", options=OPTIONS)
    plain = Preparation(size=(32, 32, 32))
    card = Card(model="squeezenet3d-modern", options=OPTIONS, preparation=plain)
    return Checkpoint(card, network.state_dict()).save(folder)


def test_a_cohort_is_judged_by_the_series_that_it_names(run, two_series, tmp_path):
    folder, uids = two_series
    table = tmp_path / "cohort.csv"
    rows = [f"two,p{label},{label},{uid}" for label, uid in enumerate(uids)]
    table.write_text("\n".join(["scan,patient,label,series", *rows]) + "\n")
    (judged,) = judge_dataset(str(run), table, label=None, tell=lambda *_: None)
    session = Session.open(run)
    expected = [session.predict(read_scan(folder, series=uid)).probability for uid in uids]
    assert judged.probability.tolist() == expected
    assert expected[0] != expected[1]
    table.write_text(table.read_text("utf-8").replace(uids[1], "1.2.3"))
    with pytest.raises(EvaluationError, match=r"row 2 of cohort.csv.*\[no-such-series\]"):
        judge_dataset(str(run), table, label=None, tell=lambda *_: None)


def test_damaged_checkpoints_are_refused(run, tmp_path):
    with pytest.raises(CheckpointError, match="checkpoint-missing"):
        Checkpoint.load(tmp_path)
    folder = make_plain(tmp_path / "one")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-4] + b"\0\1\2\3")
    with pytest.raises(CheckpointError, match="checksum"):
        Checkpoint.load(folder)
    (folder / "card.json").write_text('{"model": "squeezenet3d", "extra": 1}')
    with pytest.raises(CheckpointError, match="checkpoint-damaged"):
        read_card(folder)


@pytest.mark.parametrize("content", ["", '{"status": "training"}', "[]", "{"])
def test_unfinished_runs_are_refused(tmp_path, content):
    folder = make_run(tmp_path / "run", folds=1)
    (folder / "run.json").write_text(content)
    with pytest.raises(CheckpointError, match="no-run"):
        Session.open(folder)


def test_checkpoints_read_back_as_written(tmp_path):
    folder = make_plain(tmp_path / "one")
    again = Checkpoint.load(folder)
    network = again.build()
    assert all(
        torch.equal(value, again.weights[name]) for name, value in network.state_dict().items()
    )
    assert "not a medical device" in again.card.statement


@pytest.fixture(scope="module")
def volumes(scan):
    """Prepared volumes of a few synthetic chests."""
    from squeezect.preparation import prepare

    others = [
        thorax(seed, grid=chest_grid(seed, spacing_mm=4.0, thickness_mm=5.0))[0] for seed in (2, 3)
    ]
    return [prepare(s, PREPARATION).values for s in (scan, *others)]


def test_onnx_runtime_gives_the_answer_of_the_checkpoint_at_any_size(run, volumes, scan):
    export(run / "fold-0", form="onnx")
    engine = open_engine(run / "fold-0", engine="onnx")
    reference = open_engine(run / "fold-0", engine="torch")
    assert engine.name.startswith("onnxruntime")
    for values in (volumes[0], np.ascontiguousarray(volumes[1][:40, :36])):
        answer, expected = engine(values), reference(values)
        assert answer.probability == pytest.approx(expected.probability, abs=1e-5)
        assert np.abs(answer.class_map - expected.class_map).max() < 1e-4
    assert engine.cells((48, 48, 48)) == reference.cells((48, 48, 48))


def test_eight_bits_answer_within_a_hundredth_and_take_a_quarter_of_the_room(run, volumes):
    folder = run / "fold-1"
    export(folder)
    export(folder, form="openvino-int8", calibration=volumes)
    engine, reference = (open_engine(folder, engine=e) for e in ("openvino-int8", "torch"))
    assert "int8" in engine.name
    for values in volumes:
        assert engine(values).probability == pytest.approx(reference(values).probability, abs=0.01)
    sizes = [
        (folder / place / "model.bin").stat().st_size for place in ("openvino-int8", "openvino")
    ]
    assert sizes[0] < 0.45 * sizes[1]


def test_bfloat16_is_said_and_close(run, volumes):
    export(run / "fold-0")
    engine = open_engine(run / "fold-0", engine="openvino-bfloat16")
    assert "bfloat16" in engine.name
    reference = open_engine(run / "fold-0", engine="torch")
    for values in volumes:
        assert engine(values).probability == pytest.approx(reference(values).probability, abs=0.01)


def test_eight_bits_need_volumes_and_the_card_travels_with_the_model(run):
    with pytest.raises(CheckpointError, match="no-calibration"):
        export(run / "fold-0", form="openvino-int8")
    place = export(run / "fold-0")
    facts = json.loads((place / "facts.json").read_text())
    assert facts["card"]["preparation"]["size"] == [48, 48, 48]
    assert "squeezenet3d-modern" in (place / "model.xml").read_text()


def test_an_engine_without_its_export_is_refused(tmp_path):
    folder = make_run(tmp_path / "bare", folds=1) / "fold-0"
    for engine in ("openvino", "openvino-int8", "onnx"):
        with pytest.raises(CheckpointError, match="no-engine"):
            open_engine(folder, engine=engine)
    assert open_engine(folder).name.startswith("torch")


def test_compiled_networks_are_cached_where_asked(run, volumes, tmp_path, monkeypatch):
    export(run / "fold-0")
    monkeypatch.setenv("SQUEEZECT_CACHE", str(tmp_path / "cache"))
    first = open_engine(run / "fold-0", engine="openvino")(volumes[0])
    assert list((tmp_path / "cache").rglob("*.blob"))
    second = open_engine(run / "fold-0", engine="openvino")(volumes[0])
    assert first.probability == pytest.approx(second.probability, abs=1e-6)
