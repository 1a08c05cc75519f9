"""Cohort and store in, judged networks out: recipes, cross-validation, augmentation."""

from squeezect.training.candidates import train_on_patches
from squeezect.training.crossval import cross_validate
from squeezect.training.recipe import Augmentation, Recipe, recipe_names

__all__ = ["Augmentation", "Recipe", "cross_validate", "recipe_names", "train_on_patches"]
