"""Keep third parties from printing: their messages can hold names, dates and UIDs."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Silence pydicom's log, all warnings, and checks of values that reading repeats more strictly.

    Enter it once around threads, not inside them: the filter of warnings belongs to the process.
    """
    from pydicom import config

    logger = logging.getLogger("pydicom")
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before
