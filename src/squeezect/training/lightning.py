"""The trainer, or a refusal that names the extra it comes with; nothing else imports it."""

from importlib.util import find_spec

from squeezect.errors import Code, RecipeError

NEEDS_LIGHTNING = Code(
    "needs-lightning",
    "Training needs Lightning and TensorBoard, which are not installed.",
    "install the extra: pip install 'squeezect[train]'",
)

for _needed in ("pytorch_lightning", "tensorboard"):
    if find_spec(_needed) is None:
        raise RecipeError(NEEDS_LIGHTNING, f"training needs {_needed}, which is not installed")

import pytorch_lightning as lightning  # noqa: E402
from pytorch_lightning.callbacks import Checkpoint as TrainerCheckpoint  # noqa: E402
from pytorch_lightning.loggers import TensorBoardLogger  # noqa: E402

__all__ = ["NEEDS_LIGHTNING", "TensorBoardLogger", "TrainerCheckpoint", "lightning"]
