"""Laws of drawing trials: repeatable, within the space, and clear about what decides."""

import pytest

from squeezect.training.search import Space
from squeezect.training.search.records import Record
from squeezect.training.search.sampling import Sampling, importances

SPACE = Space(
    name="tiny",
    axes={
        "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
        "model_options.dropout": {"low": 0.0, "high": 0.5},
        "batch_size": {"low": 3, "high": 5},
        "optimiser": {"choices": ["adam", "adamw"]},
    },
)


def pretend(sampling, trials, *, from_scratch):
    """A search whose scores are a formula; rebuilt before every trial if asked."""
    records = []
    for number in range(trials):
        current = sampling()
        if from_scratch or number == 0:
            for record in records:
                current.add(record)
            held = current
        asked = held.ask(number)
        state, by_step = "complete", {}
        for step in range(1, 10):
            far = abs(asked.values["learning_rate"] - 1e-3) * 100 + asked.values["batch_size"] / 10
            by_step[step] = far + 1 / step
            if asked.report(by_step[step], step):
                state = "pruned"
                break
        record = Record(
            name=f"trial-{number}",
            state=state,
            values=asked.values,
            score=by_step[max(by_step)],
            by_step=by_step,
        )
        records.append(held.tell(asked, record))
    return records


@pytest.mark.parametrize("sampler", ["random", "tpe"])
@pytest.mark.parametrize("pruner", ["none", "median", "hyperband"])
def test_draws_depend_on_seed_and_finished_trials_only(sampler, pruner):
    def make(seed=3):
        return Sampling(SPACE, sampler=sampler, pruner=pruner, seed=seed, maximise=False, steps=9)

    once = pretend(make, 12, from_scratch=False)
    assert pretend(make, 12, from_scratch=True) == once
    assert pretend(lambda: make(4), 12, from_scratch=False) != once
    assert [Record.model_validate_json(r.model_dump_json()) for r in once] == once
    states = {record.state for record in once}
    assert states == ({"complete"} if pruner == "none" else {"complete", "pruned"})
    for record in once:
        assert 1e-5 <= record.values["learning_rate"] <= 1e-2
        assert record.values["batch_size"] in (3, 4, 5)
        assert record.values["optimiser"] in ("adam", "adamw")


def test_the_field_that_decides_is_the_important_one():
    def make():
        return Sampling(SPACE, sampler="random", pruner="none", seed=0, maximise=False, steps=9)

    records = [
        r.model_copy(update={"score": float(r.values["model_options.dropout"])})
        for r in pretend(make, 20, from_scratch=False)
    ]
    shares = importances(SPACE, records, maximise=False, replicates=4)
    assert max(shares, key=lambda name: shares[name][0]) == "model_options.dropout"
    assert shares["model_options.dropout"][0] > 0.8
    assert sum(share for share, _, _ in shares.values()) == pytest.approx(1)
    assert importances(SPACE, records[:3], maximise=False) == {}


def test_true_and_one_are_different_choices():
    axes = {"balanced_sampling": {"choices": [True, False]}, "mixup": {"choices": [1, 0]}}
    space = Space(name="two", axes=axes)
    sampling = Sampling(space, sampler="random", pruner="none", seed=0, maximise=False, steps=1)
    values = sampling.ask(0).values
    assert isinstance(values["balanced_sampling"], bool)
    assert not isinstance(values["mixup"], bool)
