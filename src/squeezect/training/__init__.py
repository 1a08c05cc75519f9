"""Cohort and store in, judged networks out: recipes, cross-validation, augmentation.

What needs the trainer loads on first use, so that audits and recipes do without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from squeezect.training.recipe import Augmentation, Recipe, recipe_names

if TYPE_CHECKING:
    from squeezect.training.candidates import train_on_patches
    from squeezect.training.crossval import cross_validate

_HOMES = {
    "cross_validate": "squeezect.training.crossval",
    "train_on_patches": "squeezect.training.candidates",
}

__all__ = ["Augmentation", "Recipe", "cross_validate", "recipe_names", "train_on_patches"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'squeezect.training' has no attribute {name!r}")
