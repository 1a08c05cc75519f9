"""A recipe as a TOML file that training takes, and nothing lost on the way."""

import json
from collections.abc import Mapping
from pathlib import Path

from squeezect.checkpoint import write_atomically
from squeezect.errors import Code, RecipeError
from squeezect.training.recipe import Recipe

NOT_TOML = Code(
    "recipe-not-toml",
    "A recipe has a value that TOML cannot hold.",
    "leave out fields that are none",
)


def write_recipe(path: Path, recipe: Recipe, *, comment: str = "") -> None:
    """Write a recipe as TOML, whole or not at all.

    Args:
        path: the file, ending in ``.toml``.
        recipe: what to write.
        comment: lines for its head.

    Raises:
        RecipeError: `recipe-not-toml`, if reading it back would not give the same recipe.
    """
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    scratch = path.with_name(f"{path.stem}.check.toml")
    write_atomically(scratch, (head + _toml(recipe.model_dump(mode="json"))).encode())
    try:
        if Recipe.load(scratch) != recipe:
            raise RecipeError(NOT_TOML, f"recipe {recipe.name} would not be read back from TOML")
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _toml(data: Mapping[str, object], prefix: str = "") -> str:
    """Plain values first, then tables; what is None is left out."""
    lines, tables = [], []
    for key, value in data.items():
        if isinstance(value, Mapping):
            inner = _toml(value, f"{prefix}{_key(key)}.")
            tables.append(f"\n[{prefix}{_key(key)}]\n{inner}")
        elif value is not None:
            lines.append(f"{_key(key)} = {_value(value)}\n")
    return "".join([*lines, *tables])


def _key(key: str) -> str:
    bare = key.replace("_", "").replace("-", "")
    return key if bare.isascii() and bare.isalnum() else json.dumps(key, ensure_ascii=False)


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    # Text, numbers and truth are written by JSON as TOML wants them; a float keeps its point.
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return f"{text.split('e')[0]}.0e{text.split('e')[1]}" if _bare_power(value, text) else text


def _bare_power(value: object, text: str) -> bool:
    return isinstance(value, float) and "e" in text and "." not in text
