"""Scan in, network input out: exactly, on its own grid, kept in a store."""

from squeezect.preparation.chest import check_chest
from squeezect.preparation.export import prepare_file
from squeezect.preparation.lungs import LungFigures, Lungs, find_lungs
from squeezect.preparation.patches import Patch, cut_patch, cut_planes, cut_scales
from squeezect.preparation.pipeline import (
    Preparation,
    Volume,
    parse_preparation,
    prepare,
)
from squeezect.preparation.store import Filled, Store

__all__ = [
    "Filled",
    "LungFigures",
    "Lungs",
    "Patch",
    "Preparation",
    "Store",
    "Volume",
    "check_chest",
    "cut_patch",
    "cut_planes",
    "cut_scales",
    "find_lungs",
    "parse_preparation",
    "prepare",
    "prepare_file",
]
