"""What networks were made for, by their card: whole scans, points, or patches of one slice."""

from squeezect.checkpoint import Card
from squeezect.errors import Code
from squeezect.preparation import Preparation
from squeezect.preparation.patches import WINDOW_HU

OTHER_KIND = Code(
    "weights-of-another-kind",
    "The weights answer another question than the one that was asked.",
    "name weights whose card says that they are made for this kind of data",
)
SIDE = 50
"""Voxels along each side; patches cut by the scan's edge are centred, with air around."""


def judges_slices(card: Card) -> bool:
    """Whether networks were made for patches of one slice, as `Patches` are.

    Args:
        card: of a network that was trained on lists of patches (which its preparation does not
            tell), compared with others on such lists, or made for something else.
    """
    if _learnt_from_lists(card):
        return True
    if card.preparation.cuts_patches:
        return cuts_slices(card.preparation)
    # Folds of whole scans may have flat kernels, too.
    return "fold" not in card.trained_on and bool(card.options.get("flat"))


def judges_cuts(card: Card) -> bool:
    """Whether networks were made for patches cut around points as their preparation says.

    Those of lists learned from pictures, whatever their preparation says; it tells the truth of
    them where it cuts just such patches.
    """
    how = card.preparation
    return how.cuts_patches and (cuts_slices(how) or not _learnt_from_lists(card))


def cuts_slices(how: Preparation) -> bool:
    """Whether a preparation cuts such patches around points as lists of pictures hold."""
    return how.cuts_patches and how.size == (1, SIDE, SIDE) and how.window_hu == WINDOW_HU


def _learnt_from_lists(card: Card) -> bool:
    # Only training on lists knows no folds: it judges on a list of its own.
    return "train" in card.trained_on and "fold" not in card.trained_on
