"""A bank of nodules: crops of real scans with their masks, in one file without any pickle.

The file is safetensors: per nodule an int16 array of Hounsfield units and a uint8 mask, both
[z, y, x] at the spacing of the scan they came from, and a JSON table in the header. Nothing in it
names a patient: ids are pseudonyms, which still allow a split by patient.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, PositiveFloat, ValidationError

from squeezect.errors import Code, PreparationError
from squeezect.scan import Triple

FORMAT = "squeezect-nodules-1"
SEARCH = 1.25
"""A nodule is resized by less than this to have the size asked for, where enough are near."""
FEWEST = 8
"""Where fewer nodules than this are near the size asked for, the nearest ones are drawn from."""

BAD_BANK = Code(
    "bad-nodule-bank",
    "The file is not a bank of nodules, or is damaged.",
    "build it again from a folder of crops with squeezect nodule-bank",
)
EMPTY_BANK = Code(
    "empty-nodule-bank",
    "No nodule of the bank may be used.",
    "build the bank from more patients, or leave fewer out",
)


@dataclass(frozen=True, eq=False)
class Nodule:
    """One nodule as it was in its scan.

    Args:
        hu: Hounsfield units, int16, shape [z, y, x].
        mask: True in the nodule, same shape.
        spacing_mm: along [z, y, x].
        name: pseudonym of the nodule.
        patient: pseudonym of the patient.
        series: pseudonym of the series that it was cut from; "" if unknown.
        person: False if the patient is known by another name of a series or study only.
    """

    hu: npt.NDArray[np.int16]
    mask: npt.NDArray[np.bool_]
    spacing_mm: Triple
    name: str = ""
    patient: str = ""
    series: str = ""
    person: bool = True

    @property
    def volume_mm3(self) -> float:
        """Volume of the mask."""
        return float(self.mask.sum() * np.prod(self.spacing_mm))

    @property
    def diameter_mm(self) -> float:
        """Diameter of the sphere of the mask's volume."""
        return float((6 / np.pi * self.volume_mm3) ** (1 / 3))


class _Row(BaseModel):
    """A nodule in the header's table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    patient: str
    spacing_mm: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    series: str = ""
    person: bool = True

    @classmethod
    def of(cls, n: Nodule) -> Self:
        """The row of a nodule."""
        return cls(
            name=n.name,
            patient=n.patient,
            spacing_mm=n.spacing_mm,
            series=n.series,
            person=n.person,
        )


class _Header(BaseModel):
    """The JSON in the header."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = ""
    nodules: tuple[_Row, ...]


@dataclass(frozen=True, eq=False)
class Bank:
    """Nodules to draw from.

    Args:
        nodules: in the order of their names.
        source: where they come from and under which licence.

    Example:
        >>> import numpy as np
        >>> ball = np.ones((4, 4, 4), bool)
        >>> nodule = Nodule(np.zeros((4, 4, 4), np.int16), ball, (1.0, 1.0, 1.0), "n1", "p1")
        >>> round(Bank((nodule,)).nodules[0].diameter_mm, 1)
        5.0
    """

    nodules: tuple[Nodule, ...]
    source: str = field(default="", compare=False)

    def __len__(self) -> int:
        return len(self.nodules)

    @cached_property
    def diameters_mm(self) -> npt.NDArray[np.float64]:
        """Diameter of every nodule; see `Nodule.diameter_mm`."""
        return np.array([nodule.diameter_mm for nodule in self.nodules])

    def draw(self, diameter_mm: float, *, random: np.random.Generator) -> tuple[Nodule, float]:
        """A nodule of about a size, and the factor that gives it exactly this size.

        Args:
            diameter_mm: of the sphere of its volume.
            random: source of the draw.

        Raises:
            PreparationError: `empty-nodule-bank`.
        """
        if not self.nodules:
            raise PreparationError(EMPTY_BANK, "the bank of nodules is empty")
        away = np.abs(np.log(self.diameters_mm / diameter_mm))
        near = np.flatnonzero(away < np.log(SEARCH))
        if len(near) < FEWEST:
            near = np.argsort(away, kind="stable")[:FEWEST]
        nodule = self.nodules[int(random.choice(near))]
        return nodule, diameter_mm / nodule.diameter_mm

    def without(self, names: Collection[str]) -> Self:
        """The bank without the nodules of some patients or series, named by their pseudonyms.

        Of a patient with a nodule in one of these series, no nodule is kept.
        """
        left_out = set(names)
        # A data set may call a patient by the series, another one by a name: both are told here.
        left_out |= {n.patient for n in self.nodules if n.series and n.series in left_out}
        kept = tuple(n for n in self.nodules if n.patient not in left_out)
        return type(self)(kept, self.source)

    def split(self, share: float, *, seed: int = 0) -> tuple[Self, Self]:
        """Two banks that have no patient in common.

        Args:
            share: of the patients that goes into the second bank.
            seed: decides who.
        """
        everyone = sorted({n.patient for n in self.nodules})
        order = np.random.default_rng((seed, 7)).permutation(len(everyone))
        chosen = {everyone[i] for i in order[: round(share * len(everyone))]}
        return self.without(chosen), self.without(set(everyone) - chosen)

    def save(self, path: Path) -> Path:
        """Write the bank to one file; whole, or not there.

        Args:
            path: to write, ``.safetensors`` by custom.
        """
        from safetensors.numpy import save_file

        arrays = {}
        for number, nodule in enumerate(self.nodules):
            arrays[f"hu.{number}"] = np.ascontiguousarray(nodule.hu)
            arrays[f"mask.{number}"] = np.ascontiguousarray(nodule.mask.astype(np.uint8))
        rows = tuple(_Row.of(nodule) for nodule in self.nodules)
        header = _Header(source=self.source, nodules=rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}.part")
        # One entry only: the library writes several in any order.
        save_file(arrays, scratch, {FORMAT: header.model_dump_json()})
        scratch.replace(path)
        return path

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a bank.

        Raises:
            PreparationError: `bad-nodule-bank`.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                facts = file.metadata() or {}
                if FORMAT not in facts:
                    raise PreparationError(BAD_BANK, f"{path} is no bank of nodules")
                header = _Header.model_validate(json.loads(facts[FORMAT]))
                arrays = [
                    (file.get_tensor(f"hu.{i}"), file.get_tensor(f"mask.{i}"))
                    for i in range(len(header.nodules))
                ]
        except (SafetensorError, OSError, ValidationError, ValueError, KeyError) as error:
            if isinstance(error, PreparationError):
                raise
            raise PreparationError(BAD_BANK, f"nodule bank {path} cannot be read") from error
        nodules = _checked(path, header.nodules, arrays)
        return cls(nodules, header.source)


def _checked(
    path: Path | str,
    rows: Sequence[_Row],
    arrays: Sequence[tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]],
) -> tuple[Nodule, ...]:
    nodules = []
    for row, (hu, mask) in zip(rows, arrays, strict=True):
        sound = hu.dtype == np.int16 and hu.ndim == 3 and mask.shape == hu.shape and mask.any()
        if not sound:
            raise PreparationError(BAD_BANK, f"nodule {row.name} of bank {path} has no mask or HU")
        names = (row.name, row.patient, row.series, row.person)
        nodules.append(Nodule(hu, mask > 0, row.spacing_mm, *names))
    return tuple(nodules)
