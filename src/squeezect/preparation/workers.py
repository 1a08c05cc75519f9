"""Run one job after another in a few processes, and survive the death of one.

A process that runs out of memory is ended by the system without a word, and takes its pool along.
Here the jobs that were under way are then tried again one at a time, so that the guilty one is
named and the others are done.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from squeezect.errors import Code, SqueezeCTError, StoreError

Job = TypeVar("Job")
Result = TypeVar("Result")

WORKER_DIED = Code(
    "worker-died",
    "A worker process ended in the middle of a scan, usually for want of memory.",
    "use fewer workers or more memory; a script of your own that asks for workers must do so "
    'under `if __name__ == "__main__":`',
)


def run_each(
    task: Callable[[Job], Result], jobs: Sequence[Job], *, workers: int
) -> Iterator[tuple[Job, Result | SqueezeCTError]]:
    """Run a task on every job, at most `workers` at a time.

    Args:
        task: a function that pickles, and whose results do.
        jobs: what it is called with.
        workers: processes; 1 works in this one.

    Yields:
        Every job with its result, or with the error `worker-died`, in order of completion.
    """
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield job, task(job)
        return
    waiting = deque(jobs)
    while waiting:
        suspects: list[Job] = []
        yield from _pooled(task, waiting, suspects, workers)
        for job in suspects:
            yield job, _alone(task, job)


def _pooled(
    task: Callable[[Job], Result], waiting: deque[Job], suspects: list[Job], workers: int
) -> Iterator[tuple[Job, Result]]:
    """Work through `waiting` until it is empty or a process dies; what was under way is suspect."""
    running: dict[Future[Result], Job] = {}
    pool = _pool(workers)
    try:
        while (waiting and not suspects) or running:
            while waiting and not suspects and len(running) < workers:
                try:
                    running[pool.submit(task, waiting[0])] = waiting[0]
                except BrokenProcessPool:
                    if not running:
                        # A process was ended while it had nothing to do. The pool is of no more
                        # use; the job goes on alone, so that each turn does at least one.
                        suspects.append(waiting.popleft())
                    break
                waiting.popleft()
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                job = running.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool:
                    suspects.append(job)
                else:
                    yield job, result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _alone(task: Callable[[Job], Result], job: Job) -> Result | SqueezeCTError:
    with _pool(1) as pool:
        try:
            return pool.submit(task, job).result()
        except BrokenProcessPool:
            return StoreError(WORKER_DIED, f"the process that worked on {job} ended")


def _pool(workers: int) -> ProcessPoolExecutor:
    # Spawned, not forked: a fork would copy the threads' locks of whatever runs here.
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


def is_running(process: int) -> bool:
    """Whether a process of this machine still works.

    A zombie does not: in a container without an init nobody collects orphans.

    Args:
        process: its number.
    """
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        stat = Path(f"/proc/{process}/stat").read_text("utf-8", "replace")
    except OSError:
        return True  # No such file system here.
    # The state follows the name, which is in brackets and may hold anything.
    return stat.rpartition(")")[2].split()[:1] != ["Z"]
