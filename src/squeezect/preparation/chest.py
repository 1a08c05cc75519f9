"""Whether a scan shows a chest that can be judged, and what about its lungs is worth saying."""

from squeezect.errors import Code, Finding
from squeezect.preparation.lungs import LungFigures, Side, find_lungs
from squeezect.scan import Scan

REFUSE_BELOW_L = 1.0
"""Less than this in total is not a chest of an adult."""
PLAUSIBLE_L = (1.8, 9.5)
"""Outside of this the volume is worth a warning."""
ONE_SIDED = 0.12
"""A side with less than this share of all lung counts as missing."""

NO_LUNGS = Code(
    "no-lungs",
    "Less than one litre of lung was found: not a chest, not an adult's, or only a part of one.",
    "give a scan of the whole chest",
)
CUT_TOP = Code(
    "lungs-cut-top",
    "The lungs reach the uppermost slice: their apices are not in the scan.",
    "look at the missing part elsewhere; the answer covers only what was scanned",
    "warn",
)
CUT_BOTTOM = Code(
    "lungs-cut-bottom",
    "The lungs reach the lowest slice: their bases are not in the scan.",
    "look at the missing part elsewhere; the answer covers only what was scanned",
    "warn",
)
CUT_SIDE = Code(
    "lungs-cut-side",
    "The lungs reach the side of the field of view.",
    "reconstruct with a larger field of view if the raw data is still there",
    "warn",
)
ONE_LUNG = Code(
    "one-lung",
    "Nearly all of the lung found lies on one side of the body.",
    "look at the scan: a lung may be removed, collapsed or filled",
    "warn",
)
ODD_VOLUME = Code(
    "lung-volume",
    "The lungs are unusually small or large for an adult.",
    "look at the scan: a child, deep disease, or a wrong spacing",
    "warn",
)
CUTS: dict[Side, Code] = {"top": CUT_TOP, "bottom": CUT_BOTTOM, "side": CUT_SIDE}


def check_chest(
    scan: Scan, *, threads: int | None = None
) -> tuple[LungFigures, tuple[Finding, ...]]:
    """Figures of the lungs, and what they say about the scan.

    Args:
        scan: any CT.
        threads: how many share the work; the processor's cores by default.

    Returns:
        Figures and findings: `no-lungs` (refuse), `lungs-cut-top`, `lungs-cut-bottom`,
        `lungs-cut-side`, `one-lung`, `lung-volume` (warn).

    Example:
        >>> from squeezect.phantom import thorax
        >>> figures, findings = check_chest(thorax(1)[0])
        >>> 3 < figures.volume_l < 7, findings
        (True, ())
    """
    figures = find_lungs(scan, threads=threads).figures
    return figures, judge_lungs(figures)


def judge_lungs(figures: LungFigures) -> tuple[Finding, ...]:
    """What the figures of the lungs say about a scan; see `check_chest`."""
    volume = f"{figures.volume_l:.2f} l"
    if figures.volume_l < REFUSE_BELOW_L:
        return (Finding(NO_LUNGS, volume),)
    findings = [Finding(CUTS[side], "reached", side) for side in figures.touches]
    if min(figures.left_l, figures.right_l) < ONE_SIDED * figures.volume_l:
        value = f"left {figures.left_l:.2f} l, right {figures.right_l:.2f} l"
        findings.append(Finding(ONE_LUNG, value))
    if not PLAUSIBLE_L[0] <= figures.volume_l <= PLAUSIBLE_L[1]:
        findings.append(Finding(ODD_VOLUME, volume))
    return tuple(findings)
