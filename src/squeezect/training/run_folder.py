"""A run folder: whose it is, what it depends on, and files that are whole or not there."""

import json
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
from filelock import FileLock, Timeout
from pydantic import ValidationError

from squeezect import __version__
from squeezect.checkpoint import write_atomically
from squeezect.cohorts import Audit, Folds
from squeezect.errors import Code, RecipeError
from squeezect.training.recipe import Recipe

OTHER_RUN = Code(
    "other-run",
    "The run folder holds a run of another cohort or recipe.",
    "name another folder with --out, or delete this one",
)


IN_USE = Code(
    "run-in-use",
    "Another process is writing into the run folder.",
    "wait for it to end, or name another folder with --out",
)
LOCK = ".lock"
RUN_FILE = "run.json"
ENVIRONMENT = "environment.json"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes from writing into a run folder meanwhile.

    The system lets go of the lock when the process ends, however it ends. Where the file system
    knows no locks, nothing is kept.

    Raises:
        RecipeError: `run-in-use`.
    """
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise RecipeError(IN_USE, f"another process is writing into {folder}") from None
    except (NotImplementedError, OSError):
        yield
        return
    try:
        yield
    finally:
        lock.release()


def holds(folder: Path, stamp: Mapping[str, object]) -> bool:
    """Whether a run folder is this run's, or may become it; False if it is nobody's yet.

    Writes nothing.

    Args:
        folder: of the run.
        stamp: all that must be the same for it to be this run, or a part of that.

    Raises:
        RecipeError: `other-run`.
    """
    if not (folder / RUN_FILE).exists():
        return False
    differing = _differing(folder, stamp)
    if not may_change(differing, folder.glob("fold-*")):
        raise RecipeError(OTHER_RUN, f"folder {folder} holds a run with another {differing[0]}")
    return True


def may_change(differing: Sequence[str], begun: Iterable[Path]) -> bool:
    """Whether all that a call wants otherwise can still be had.

    Scans that cannot be prepared are told before the first fold; who then decides to leave them
    out goes on in the same folder.

    Args:
        differing: names of what is stamped otherwise.
        begun: folders of folds.
    """
    return not differing or (list(differing) == ["skip_unreadable"] and not any(begun))


def _differing(folder: Path, stamp: Mapping[str, object]) -> list[str]:
    found = json.loads((folder / RUN_FILE).read_text("utf-8"))
    found["recipe"] = _with_defaults(found.get("recipe"))
    return [key for key in stamp if found.get(key) != stamp[key]]


def claim(folder: Path, stamp: Mapping[str, object]) -> None:
    """Write who owns the folder, or check that this run does.

    Raises:
        RecipeError: `other-run`, `run-in-use`.
    """
    path, whole = folder / RUN_FILE, {"status": "training", "version": __version__, **stamp}
    if not holds(folder, stamp):
        # What is half written under the claim's own name was killed before it claimed anything.
        scratch = folder / f".{path.name}.part"
        if folder.exists() and any(found != scratch for found in folder.iterdir()):
            raise RecipeError(OTHER_RUN, f"folder {folder} is not empty and holds no run")
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, whole)
    elif _differing(folder, stamp):
        with alone(folder):
            holds(folder, stamp)  # still: another process may have begun a fold meanwhile
            write_json(path, whole)
    if not (folder / "recipe.json").exists():
        write_json(folder / "recipe.json", stamp["recipe"])


def note_environment(folder: Path, recipe: Recipe) -> None:
    """Write where a run was begun; where it is gone on with, append what is different there.

    For a process that has the folder alone, and is about to train.
    """
    path, now = folder / ENVIRONMENT, environment(recipe)
    if not path.exists():
        write_json(path, now)
        return
    kept = json.loads(path.read_text("utf-8"))
    later = kept.pop("later", [])
    last = dict(kept)
    for changes in later:
        last |= changes
    changed = {name: value for name, value in now.items() if last.get(name) != value}
    if changed:
        write_json(path, {**kept, "later": [*later, changed]})


def keep_folds(folder: Path, folds: Folds) -> None:
    """Write who is in which part, or check that it is what the run's folds were trained on.

    A scan that could not be read when the run began, and can be now, moves everybody else.

    Raises:
        RecipeError: `other-run`.
    """
    path = folder / "folds.json"
    # Before the first fold nothing depends on the division.
    if not (path.exists() and any(folder.glob("fold-*"))):
        write_json(path, folds.as_dict())
        return
    before, now = json.loads(path.read_text("utf-8")), json.loads(json.dumps(folds.as_dict()))
    if before == now:
        return
    was, has = ({int(row) for row in drawn["patients"]} for drawn in (before, now))
    told = [
        f"row{'s' if len(rows) > 1 else ''} {_listed(rows)} {said}"
        for rows, said in ((has - was, "can be read now"), (was - has, "cannot be read any more"))
        if rows
    ]
    why = " and ".join(told) or "patients are divided otherwise now"
    raise RecipeError(
        OTHER_RUN,
        f"folder {folder} holds a run whose folds were drawn from other cases: {why}",
        remedy="name another folder with --out, or put the scans back as they were",
    )


def _listed(rows: Iterable[int]) -> str:
    first = sorted(rows)
    return ", ".join(map(str, first[:3])) + (" ..." if len(first) > 3 else "")


def _with_defaults(recipe: object) -> object:
    """A recipe as written, with the fields that it did not know yet at their defaults."""
    try:
        return Recipe.model_validate(recipe).model_dump(mode="json")
    except ValidationError:
        return recipe


def environment(recipe: Recipe) -> dict[str, object]:
    """Versions and hardware that a result depends on, and the precision that a recipe has on it."""
    from squeezect.training.fold import precision_of

    packages = ("torch", "pytorch-lightning", "numpy", "scikit-learn", "zarr", "pydicom")
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "squeezect": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "precision": precision_of(recipe),
        "gpus": gpus,
        **{name: version(name) for name in packages},
    }


def keep_audit(
    folder: Path, found: Audit, facts: Mapping[str, object], *, allow_leaks: bool
) -> None:
    """Write what an audit found into the run folder, and refuse leaks unless they are allowed.

    Raises:
        CohortError: `leak`.
    """
    told = {**found.as_dict(), **facts, "leaks_allowed": allow_leaks}
    write_json(folder / "audit.json", told)
    if not allow_leaks:
        found.require_ok()


def write_json(path: Path, data: object) -> None:
    """Write JSON so that it is whole or not there."""
    write_atomically(path, json.dumps(data, indent=1).encode())


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table so that it is whole or not there."""
    write_atomically(path, table.to_csv(index=False).encode())
