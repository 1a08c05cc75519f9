"""Volumes' facts as plain JSON and back: what a store keeps beside the values."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from squeezect.errors import Finding
from squeezect.preparation.lungs import LungFigures
from squeezect.preparation.pipeline import Preparation, Volume
from squeezect.preparation.resample import FloatVolume
from squeezect.scan import Grid

_adapter = cache(TypeAdapter)
"""Building an adapter takes longer than reading a patch."""


def volume_facts(volume: Volume) -> dict[str, Any]:
    """Everything about a volume but its values, as plain JSON."""
    return {
        "digest": volume.preparation.digest,
        "preparation": volume.preparation.model_dump(mode="json"),
        "grid": asdict(volume.grid),
        "identity": volume.identity,
        "lungs": asdict(volume.lungs) if volume.lungs else None,
        "findings": [asdict(finding) for finding in volume.findings],
    }


def lungs_from(facts: Mapping[str, Any]) -> LungFigures | None:
    """The figures of the lungs that `volume_facts` holds; None if there are none that are sound."""
    try:
        lungs: LungFigures | None = _adapter(LungFigures | None).validate_python(facts["lungs"])
    except (LookupError, ValueError):
        return None
    return lungs


def volume_from(facts: Mapping[str, Any], values: FloatVolume, preparation: Preparation) -> Volume:
    """The volume that `volume_facts` described.

    Raises:
        ValueError: if the facts are of another preparation, or do not fit the values.
    """
    if facts["digest"] != preparation.digest:
        raise ValueError(f"digest {facts['digest']} instead of {preparation.digest}")
    if values.shape != preparation.size:
        raise ValueError(f"shape {values.shape} instead of {preparation.size}")
    return Volume(
        values,
        _adapter(Grid).validate_python(facts["grid"]),
        preparation,
        _adapter(LungFigures | None).validate_python(facts["lungs"]),
        _adapter(tuple[Finding, ...]).validate_python(facts["findings"]),
        str(facts["identity"]),
    )
