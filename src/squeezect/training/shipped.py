"""What is shipped as TOML files beside the code, by name, and files of the user's own, by path."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from squeezect.errors import Code, RecipeError


@dataclass(frozen=True)
class Shelf:
    """A folder of shipped TOML files.

    Args:
        kind: what one of them is called in messages.
        package: that holds the folder.
        folder: its name in the package.
        unknown: code for a name that is not here, or a path that is not there.
        bad: code for what is not TOML.
    """

    kind: str
    package: str
    folder: str
    unknown: Code
    bad: Code

    @property
    def _place(self) -> Traversable:
        return files(self.package).joinpath(self.folder)

    def names(self) -> tuple[str, ...]:
        """Names of what is shipped, sorted."""
        found = self._place.iterdir()
        return tuple(sorted(p.name[:-5] for p in found if p.name.endswith(".toml")))

    def read(self, name: str | Path) -> dict[str, object]:
        """What a shipped file by name, or a file by a path that ends in ``.toml``, says.

        Raises:
            RecipeError: the codes of the shelf.
        """
        try:
            return tomllib.loads(self._text(name))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RecipeError(self.bad, f"{self.kind} {name}: {error}") from error

    def _text(self, name: str | Path) -> str:
        path = Path(name)
        if path.suffix == ".toml":
            if not path.is_file():
                raise RecipeError(self.unknown, f"no {self.kind} file {path}")
            return path.read_text("utf-8")
        if str(name) not in self.names():
            known = ", ".join(self.names())
            raise RecipeError(self.unknown, f"no {self.kind} {str(name)!r}; shipped are {known}")
        return self._place.joinpath(f"{name}.toml").read_text("utf-8")
