"""What an export says of itself, and whether its files are still the ones that were written."""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from squeezect.checkpoint import DAMAGED, Card
from squeezect.errors import CheckpointError
from squeezect.scan import Shape, Triple

if TYPE_CHECKING:
    from squeezect.models import Classifier

FACTS_FILE = "facts.json"
EXPORT_AGAIN = "export again with squeezect export, or use --engine torch"


class Cells(BaseModel):
    """Where the cells of a class map look, for volumes of one size.

    Args:
        size: of the volumes, [z, y, x].
        first: centre of cell [0, 0, 0] in input voxels.
        step: distance of cells in input voxels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: Shape
    first: Triple
    step: Triple


class Facts(BaseModel):
    """What stands in ``facts.json`` beside an exported network.

    Args:
        weights_sha256: checksum of the weights that were exported.
        cells: of volumes of the size that the card prepares; None without a class map. Exports
            made before that was kept have cells of two sizes of no use here.
        card: of the checkpoint.
        sha256: checksum of each file; empty in exports made before it was kept.
    """

    # As of the card in it.
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    weights_sha256: str
    cells: Cells | dict[str, object] | None
    card: Card
    sha256: dict[str, str] = Field(default_factory=dict)

    def cells_of(self, shape: tuple[int, ...]) -> tuple[Triple, Triple] | None:
        """First cell's centre and the cells' step for volumes of `shape`; None without a map.

        Only a size that is not recorded needs PyTorch, to ask the network's own rule.
        """
        if self.cells is None:
            return None
        if isinstance(self.cells, Cells) and self.cells.size == tuple(shape):
            return self.cells.first, self.cells.step
        return self.network.cells((shape[0], shape[1], shape[2]))

    @cached_property
    def network(self) -> "Classifier":
        """The network without weights: it computes nothing, but knows where its cells look."""
        import torch

        from squeezect.models import create_model

        with torch.device("meta"):
            return create_model(
                self.card.model, classes=self.card.classes, options=self.card.options
            )


def checksums(place: Path) -> dict[str, str]:
    """SHA-256 of each file in a folder, by name."""
    return {path.name: _sha256(path) for path in sorted(place.iterdir())}


def read_facts(place: Path) -> Facts:
    """The facts of an export, after a look at its files.

    Args:
        place: the folder of the export.

    Raises:
        CheckpointError: `checkpoint-damaged`.
    """
    try:
        facts = Facts.model_validate_json((place / FACTS_FILE).read_bytes())
        # What is no file beside it is not opened: a device would be read without end.
        odd = [name for name in facts.sha256 if not _is_inside(place, name)]
        changed = [n for n, own in facts.sha256.items() if not odd and _sha256(place / n) != own]
    except (OSError, ValidationError) as error:
        first = " ".join(str(error).splitlines()[:3])
        raise damaged(place, f"{FACTS_FILE}: {first}") from error
    if odd:
        raise damaged(place, f"{FACTS_FILE} names {odd[0]!r}, which is no file beside it")
    if changed:
        raise damaged(place, f"{changed[0]} does not have the checksum of its {FACTS_FILE}")
    return facts


def _is_inside(place: Path, name: str) -> bool:
    """Whether a name is the bare one of a regular file in a folder."""
    return Path(name).name == name and (place / name).is_file()


def damaged(place: Path, what: str) -> CheckpointError:
    """The error that says what is wrong with an export."""
    where = f"{place.parent.name}/{place.name}"
    return CheckpointError(DAMAGED, f"export {where}: {what}", remedy=EXPORT_AGAIN)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
