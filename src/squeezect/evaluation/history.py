"""The training curves of a run, read from ``fold-*/history.csv``."""

import re
from pathlib import Path

from squeezect.errors import Code, EvaluationError

FILE = "history.csv"

BAD_HISTORY = Code(
    "bad-history",
    "A table of training curves cannot be read.",
    "delete the file to evaluate without it, or train the run again",
)

History = dict[str, list[float]]
"""Columns by name, one number per epoch; NaN where nothing was computed."""


def read_histories(run: Path) -> dict[str, History]:
    """Training curves of all folds that have them.

    Args:
        run: the run folder.

    Returns:
        By name of the fold (``fold 0``), its columns; folds in order.

    Raises:
        EvaluationError: `bad-history`, naming the file.
    """
    import pandas as pd

    found: dict[int, History] = {}
    for path in run.glob(f"fold-*/{FILE}"):
        number = re.fullmatch(r"fold-(\d+)", path.parent.name)
        if not number:
            continue
        name = f"{path.parent.name}/{FILE}"
        try:
            table = pd.read_csv(path).apply(pd.to_numeric)
        except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
            raise EvaluationError(BAD_HISTORY, f"{name} is not a table of numbers") from error
        if "epoch" not in table:
            raise EvaluationError(BAD_HISTORY, f"{name} has no column 'epoch'")
        found[int(number[1])] = {str(c): table[c].astype(float).tolist() for c in table.columns}
    return {f"fold {k}": found[k] for k in sorted(found)}
