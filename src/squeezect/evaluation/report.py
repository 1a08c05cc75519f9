"""From a run folder to its scores, as a page to read and a JSON file beside it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from squeezect.errors import Code, EvaluationError
from squeezect.evaluation.blocks import Block
from squeezect.evaluation.history import read_histories
from squeezect.evaluation.judging import judge
from squeezect.evaluation.page import write_page
from squeezect.evaluation.predictions import FILE, read_predictions
from squeezect.evaluation.results import Evaluation

BAD_RUN_FILE = Code(
    "bad-run-file",
    "A file that describes the run is not a JSON object.",
    "restore the file or train the run again",
)

FACTS = {
    "recipe": ("recipe.json", ()),
    "preparation": ("preparation.json", ()),
    "environment": ("environment.json", ()),
    "run": (
        "run.json",
        ("status", "version", "cohort", "cases", "patients", "positives", "transductive"),
    ),
}
"""Files that say what the run was; of each, the keys that are shown (all if none are named)."""


def evaluate(
    run: Path | str,
    *,
    target_sensitivity: float = 0.9,
    bootstrap: int = 2000,
    seed: int = 0,
    out: Path | str | None = None,
    extras: Sequence[Block] = (),
) -> Evaluation:
    """Score a run; write ``index.html``, one page that needs no network, and ``evaluation.json``.

    Every score comes with a 95 % interval, per fold, pooled out of fold and on the test part, at
    threshold 0.5 and at the threshold for `target_sensitivity`, which is never chosen on the cases
    that it judges.

    Args:
        run: folder of a finished run; ``predictions.csv`` is read from it, and, where they are
            there, ``recipe.json``, ``run.json`` and ``fold-*/history.csv``.
        target_sensitivity: the sensitivity that the second threshold is chosen for, above 0 and
            at most 1.
        bootstrap: number of resamples of patients.
        seed: of the resampling.
        out: folder to write into, ``report`` inside the run by default.
        extras: further sections of the page, whose numbers also go into the JSON file.

    Returns:
        The scores.

    Raises:
        EvaluationError: `no-predictions`, `bad-prediction`, `duplicate-prediction`,
            `patient-in-two-folds`, `single-class`, `bad-history` or `bad-run-file`, naming file
            and line; `bad-choice`. Nothing is written then.

    Example:
        >>> evaluate("runs/demo").summary()  # doctest: +SKIP
    """
    from squeezect.evaluation.front import page_of

    run = Path(run)
    evaluation = judge(
        read_predictions(run / FILE),
        run=run.resolve().name,
        target_sensitivity=target_sensitivity,
        replicates=bootstrap,
        seed=seed,
    )
    evaluation = replace(evaluation, facts=read_facts(run))
    page = page_of(evaluation, read_histories(run), extras)
    data = evaluation.as_dict() | {"extras": [block.as_dict() for block in extras]}
    write_page(Path(out) if out else run / "report", page, data, name="evaluation")
    return evaluation


def read_facts(run: Path) -> dict[str, object]:
    """What a run says of itself: recipe, preparation, environment, counts.

    Args:
        run: the run folder; files that are not there are left out.

    Raises:
        EvaluationError: `bad-run-file`.
    """
    facts: dict[str, object] = {}
    for name, (file, keys) in FACTS.items():
        path = run / file
        if not path.is_file():
            continue
        try:
            found = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise EvaluationError(BAD_RUN_FILE, f"{file} of run {run.name} is not JSON") from error
        if not isinstance(found, Mapping):
            raise EvaluationError(BAD_RUN_FILE, f"{file} of run {run.name} is not a JSON object")
        facts[name] = _placeless({key: found[key] for key in keys or found if key in found})
        skipped = found.get("skipped")
        if skipped:
            facts["skipped"] = [{key: row.get(key) for key in ("row", "code")} for row in skipped]
    return facts


def _placeless(value: object) -> object:
    """JSON with every absolute path cut to its last part."""
    # A report travels; where files lay on the machine that made it does not.
    if isinstance(value, Mapping):
        return {str(key): _placeless(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_placeless(item) for item in value]
    for kind in (PurePosixPath, PureWindowsPath):
        if isinstance(value, str) and kind(value).is_absolute():
            return kind(value).name
    return value
