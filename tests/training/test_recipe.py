"""Every shipped recipe parses and builds; wrong ones are refused by the name of the field."""

import pytest

from squeezect.errors import RecipeError
from squeezect.models import create_model
from squeezect.training import Recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_parse_and_their_networks_build(name):
    recipe = Recipe.load(name)
    assert recipe.description
    assert create_model(recipe.model, options=recipe.model_options)


def test_the_paper_recipe_is_the_paper():
    recipe = Recipe.load("paper")
    assert (recipe.learning_rate, recipe.batch_size, recipe.epochs) == (1e-5, 4, 250)
    assert (recipe.optimiser, recipe.model_options["dropout"]) == ("adam", 0.9)
    assert recipe.preparation.size == (128, 128, 128)
    assert recipe.preparation.window_hu == (-1000, 400)


def test_changes_replace_fields_and_none_leaves_them():
    recipe = Recipe.load("modern", epochs=3, folds=None)
    assert (recipe.epochs, recipe.folds) == (3, Recipe.load("modern").folds)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epochs = 0", "epochs = 0"),
        ("colour = 1", "colour"),
        ("patience = 5\ntune_fraction = 0.0", "tune_fraction"),
        ("epochs = = 3", "Invalid"),
        ("[preparation]\nwindow_hu = [400, -1000]", "window_hu"),
    ],
)
def test_wrong_recipes_are_refused(tmp_path, text, said):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match="bad-recipe") as caught:
        Recipe.load(path)
    assert said in str(caught.value)


TAUGHT = """
model = "squeezenet-nodule"
model_options = { outlines = true }
tune_fraction = 0
teaching = {}
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TAUGHT + "augmentation = {}\nmixup = 0.2", "augmentation, mixup undone"),
        (TAUGHT + "insertion = { pointing = 0 }", "insertion undone"),
        (TAUGHT + "turning = {}", "tumbling"),
        ("mixup = 0.2\ninsertion = {}", "no pointing under mixup"),
        ("turning = {}\ninsertion = {}", "no pointing under turning"),
        ("tumbling = {}\ninsertion = { pointing = 1 }", "no pointing under tumbling"),
    ],
)
def test_fields_that_cancel_each_other_are_refused(tmp_path, text, said):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match="bad-recipe") as caught:
        Recipe.load(path)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        TAUGHT + "tumbling = {}",
        "mixup = 0.2\naugmentation = {}\ninsertion = { pointing = 0 }",
        "tumbling = {}\ninsertion = { pointing = 0 }",
        "turning = {}\nmixup = 0.2",
    ],
)
def test_fields_that_go_together_are_taken(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert Recipe.load(path)


def test_unknown_recipes_are_answered_with_the_known_ones(tmp_path):
    with pytest.raises(RecipeError, match="demo, malignancy, modern, nodule, paper"):
        Recipe.load("best")
    with pytest.raises(RecipeError, match="no recipe file"):
        Recipe.load(tmp_path / "none.toml")
