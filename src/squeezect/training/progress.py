"""What a long run tells while it works, without knowing who listens."""

from collections.abc import Callable

Progress = Callable[[str, int, int, str], None]
"""Called with (stage, done, total, note): ``("fold 1 of 5", 12, 80, "tuning AUC 0.81")``."""


def silent(stage: str, done: int, total: int, note: str) -> None:
    """The listener that says nothing."""
