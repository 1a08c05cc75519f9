"""Laws of fine-tuning: no fold starts from a network that knows its judges; frozen stays frozen."""

import json

import pytest
import torch

from squeezect.checkpoint import Card, Checkpoint, read_card
from squeezect.cohorts import Folds
from squeezect.errors import CheckpointError, RecipeError
from squeezect.models import create_model
from squeezect.preparation import Preparation
from squeezect.training import cross_validate
from squeezect.training.freezing import freeze
from squeezect.training.seen import SEEN_FILE, Seen, seen_by
from squeezect.training.starting import Source, adopt

PLAIN = {"width": 0.125, "depth": 2, "cell": 8}


def run(cohort, recipe, store, folder, **options):
    return cross_validate(cohort, recipe, folder, store=store.folder, **options)


def tuned(recipe, **changes):
    return recipe.model_copy(update={"learning_rate": 1e-4, "epochs": 2, **changes})


def weights(folder, fold=0):
    return Checkpoint.load(folder / f"fold-{fold}").weights


def judges(folder, fold):
    folds = Folds.from_dict(json.loads((folder / "folds.json").read_text()))
    return {folds.patients[row] for row in (*folds.folds[fold].validation, *folds.test)}


@pytest.fixture
def source(cohort, recipe, store, tmp_path):
    return run(cohort, recipe, store, tmp_path / "source")


def test_no_fold_starts_from_a_network_that_has_seen_its_judges(
    cohort, recipe, store, source, tmp_path
):
    folder = run(cohort, tuned(recipe), store, tmp_path / "tuned", source=Source.open(source))
    for fold in range(2):
        (start,) = read_card(folder / f"fold-{fold}").lineage
        assert (start.kind, start.patients) == ("start", "known")
        assert start.name == f"source/fold-{fold}"
        donor = source / f"fold-{fold}"
        assert start.weights_sha256 == read_card(donor).weights_sha256
        assert not set(seen_by(donor).patients) & judges(folder, fold)
        assert set(seen_by(donor).patients) <= set(seen_by(folder / f"fold-{fold}").patients)
        assert not set(seen_by(folder / f"fold-{fold}").patients) & judges(folder, fold)
    assert "SECRET" not in "".join(p.read_text() for p in folder.rglob("*.json"))


def test_other_folds_would_leak_and_are_refused_before_anything_is_written(
    cohort, recipe, store, source, tmp_path
):
    other = tuned(recipe, seed=recipe.seed + 1)
    with pytest.raises(RecipeError, match=r"source-saw-judged.*") as caught:
        run(cohort, other, store, tmp_path / "tuned", source=Source.open(source))
    assert "fold-" in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert not (tmp_path / "tuned").exists()


def test_what_ancestors_have_seen_is_not_forgotten(cohort, recipe, store, source, tmp_path):
    lone = tmp_path / "lone"
    Checkpoint.load(source / "fold-0").save(lone)
    Seen(patients=("stranger",)).save(lone)
    folder = run(cohort, tuned(recipe), store, tmp_path / "tuned", source=Source.open(lone))
    assert all("stranger" in seen_by(folder / f"fold-{fold}").patients for fold in range(2))
    Seen(patients=tuple(judges(folder, 1))[:1]).save(lone)
    with pytest.raises(RecipeError, match="source-saw-judged"):
        run(cohort, tuned(recipe), store, tmp_path / "other", source=Source.open(lone))


def test_a_checkpoint_that_does_not_say_whom_it_saw_is_recorded_as_such(
    cohort, recipe, store, source, tmp_path
):
    lone = tmp_path / "lone"
    Checkpoint.load(source / "fold-1").save(lone)
    folder = run(cohort, tuned(recipe), store, tmp_path / "tuned", source=Source.open(lone))
    card = read_card(folder / "fold-0")
    assert card.lineage[0].patients == "unknown"
    assert not seen_by(folder / "fold-0").complete
    again = run(cohort, tuned(recipe), store, tmp_path / "again", source=Source.open(folder))
    lineage = read_card(again / "fold-0").lineage
    # Its parent is known, and has itself an unknown parent: nothing can be ruled out.
    assert [a.patients for a in lineage] == ["unknown", "unknown"]
    assert [a.name for a in lineage] == ["tuned/fold-0", "lone"]


def test_runs_without_a_list_of_patients_are_answered_from_their_folds(source):
    kept = seen_by(source / "fold-0")
    (source / "fold-0" / SEEN_FILE).unlink()
    assert seen_by(source / "fold-0") == kept
    (source / "fold-0" / SEEN_FILE).write_text("[]")
    with pytest.raises(CheckpointError, match="checkpoint-damaged"):
        seen_by(source / "fold-0")


def test_frozen_layers_keep_every_bit_and_the_others_learn(cohort, recipe, store, source, tmp_path):
    # Norms keep statistics, which have to stay as well.
    options = recipe.model_options | {"norm": "batch"}
    plain = tuned(recipe, model_options=options, learning_rate=1e-2)
    first = run(cohort, plain, store, tmp_path / "first")
    again = plain.model_copy(update={"freeze": ("stem*", "fires.0")})
    folder = run(cohort, again, store, tmp_path / "tuned", source=Source.open(first))
    before, after = weights(first), weights(folder)
    frozen = {name for name in before if name.startswith(("stem", "fires.0."))}
    assert frozen
    assert any("running_mean" in name for name in frozen)
    for name in frozen:
        assert torch.equal(before[name], after[name]), name
    learnt = [n for n in before if n not in frozen and before[n].is_floating_point()]
    assert all(not torch.equal(before[name], after[name]) for name in learnt)


def test_unknown_layers_are_answered_with_the_known_ones(cohort, recipe, store, tmp_path):
    wrong = recipe.model_copy(update={"freeze": ("fire77",)})
    with pytest.raises(
        RecipeError, match=r"fire77.*layers are stem, stem_norm, fires.0, .*unknown-layer"
    ):
        run(cohort, wrong, store, tmp_path / "run")
    with pytest.raises(RecipeError, match="all-frozen"):
        run(cohort, recipe.model_copy(update={"freeze": ("*",)}), store, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("patterns", "count"),
    [(["conv1"], 2), (["fire2"], 6), (["fire2.squeeze.bias"], 1), (["fire*.squeeze"], 16)],
)
def test_names_freeze_what_is_inside_them(patterns, count):
    model = create_model("squeezenet3d")
    assert len(freeze(model, patterns)) == count
    assert sum(not p.requires_grad for p in model.parameters()) == count


@pytest.mark.parametrize("stage", ["fold 1 of 2", "fold 2 of 2"])
def test_a_killed_fine_tuning_resumes_to_the_same_bits(
    cohort, recipe, store, source, tmp_path, stage
):
    plan = tuned(recipe, freeze=("stem*",))

    class Killed(Exception):
        pass

    def kill(name, done, total, _note):
        if name == stage and done > 0.6 * total:
            raise Killed

    whole = run(cohort, plan, store, tmp_path / "whole", source=Source.open(source))
    with pytest.raises(Killed):
        run(cohort, plan, store, tmp_path / "k", source=Source.open(source), progress=kill)
    killed = run(cohort, plan, store, tmp_path / "k", source=Source.open(source))
    for fold in range(2):
        one, two = weights(whole, fold), weights(killed, fold)
        assert all(torch.equal(one[name], two[name]) for name in one)
        cards = [(f / f"fold-{fold}" / "card.json").read_text() for f in (whole, killed)]
        assert cards[0] == cards[1]
    with pytest.raises(RecipeError, match="another source"):
        run(cohort, plan, store, tmp_path / "k")


def card(**options):
    return Card(model="squeezenet3d-modern", options=PLAIN | options, preparation=Preparation())


def network(**options):
    return create_model("squeezenet3d-modern", options=PLAIN | options)


def test_heads_of_another_class_count_are_made_anew_and_nothing_else():
    three = network(classes=3)
    two = network()
    fresh = {name: value.clone() for name, value in two.state_dict().items()}
    source = Checkpoint(card(classes=3), three.state_dict())
    remade = adopt(two, source, classes=2)
    assert remade
    for name, value in two.state_dict().items():
        assert torch.equal(value, fresh[name] if name in remade else source.weights[name])
    assert all(source.weights[name].shape[0] == 3 for name in remade)
    assert adopt(network(), Checkpoint(card(), two.state_dict()), classes=2) == ()


def test_weights_of_another_network_are_refused():
    wide = network(width=0.25)
    with pytest.raises(CheckpointError, match=r"shape .*weights-do-not-fit"):
        adopt(network(), Checkpoint(card(), wide.state_dict()), classes=2)
    paper = create_model("squeezenet3d")
    with pytest.raises(CheckpointError, match="weights-do-not-fit"):
        adopt(network(), Checkpoint(card(), paper.state_dict()), classes=2)
    # Three classes in the weights, but the card says two: that is no other head, but damage.
    with pytest.raises(CheckpointError, match="weights-do-not-fit"):
        adopt(network(), Checkpoint(card(), network(classes=3).state_dict()), classes=2)


def test_what_is_no_source_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="unknown-weights"):
        Source.open(tmp_path / "nowhere")
    assert Source.open("nodule").donors[0].seen == Seen(complete=False)
