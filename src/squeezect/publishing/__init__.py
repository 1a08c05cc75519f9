"""Predictions for people and programs: JSON, pictures, a page."""

from squeezect.publishing.document import as_document
from squeezect.publishing.publish import publish

__all__ = ["as_document", "publish"]
