"""Every job has one outcome, even if a process dies under it."""

from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import pytest

from squeezect.errors import Code, StoreError
from squeezect.preparation.workers import run_each

# Tasks must be importable in a fresh process, which the functions of a test are not: the jobs are
# expressions instead, and the task evaluates them.
DIE = "__import__('os')._exit(9)"
FAIL = (
    "__import__('squeezect.errors').errors.StoreError("
    "__import__('squeezect.errors').errors.Code('some-code', 'A cause.', 'mend it'), 'it failed')"
)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_has_its_outcome(workers):
    jobs = ["None", FAIL, "[][:] or None"]
    outcomes = dict(run_each(eval, jobs, workers=workers))
    assert set(outcomes) == set(jobs)
    assert outcomes["None"] is None
    assert isinstance(outcomes[FAIL], StoreError)
    assert str(outcomes[FAIL]) == "it failed; mend it [some-code]"


def test_a_dying_process_is_named_and_stops_no_other():
    jobs = ["None", DIE, *[f"None or None if {n} else None" for n in range(4)]]
    outcomes = dict(run_each(eval, jobs, workers=2))
    assert set(outcomes) == set(jobs)
    assert outcomes[DIE].code == "worker-died"
    assert [job for job, outcome in outcomes.items() if outcome] == [DIE]


class Idle:
    """A pool of processes that breaks while it has nothing to do, after some jobs."""

    def __init__(self, jobs):
        self.jobs = jobs

    def submit(self, task, job):
        if not self.jobs:
            raise BrokenProcessPool("a process ended")
        self.jobs -= 1
        done = Future()
        done.set_result(task(job))
        return done

    def shutdown(self, **_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.mark.timeout(20)
@pytest.mark.parametrize("life", [0, 1, 2])
def test_a_pool_that_breaks_while_idle_is_replaced(monkeypatch, life):
    monkeypatch.setattr("squeezect.preparation.workers._pool", lambda n: Idle(life if n > 1 else 1))
    jobs = ["None", "1", "2", "3", "4"]
    assert dict(run_each(eval, jobs, workers=2)) == {job: eval(job) for job in jobs}  # noqa: S307


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bug_is_not_swallowed(workers):
    with pytest.raises(ZeroDivisionError):
        list(run_each(eval, ["None", "1 / 0"], workers=workers))


def test_errors_come_back_as_they_were():
    """An error that crosses a process keeps its code and remedy."""
    code = Code("some-code", "A cause.", "mend it")
    outcome = dict(run_each(eval, [FAIL, "None"], workers=2))[FAIL]
    assert outcome.kind == code
    assert outcome.remedy == "mend it"
