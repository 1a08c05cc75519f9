"""Cohort and store in, judged networks out: recipes, cross-validation, augmentation."""

from squeezect.training.crossval import cross_validate
from squeezect.training.recipe import Augmentation, Recipe, recipe_names

__all__ = ["Augmentation", "Recipe", "cross_validate", "recipe_names"]
