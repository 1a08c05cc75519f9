"""Networks by name; no files, no data."""

from typing import TYPE_CHECKING

from squeezect.models.registry import create_model, model_names

if TYPE_CHECKING:
    from squeezect.models.classifier import Classifier

__all__ = ["Classifier", "create_model", "model_names"]


def __getattr__(name: str) -> object:
    if name == "Classifier":
        from squeezect.models import classifier

        return classifier.Classifier
    raise AttributeError(f"module 'squeezect.models' has no attribute {name!r}")
