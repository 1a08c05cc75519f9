"""Write the answer for a point for people and programs: page, pictures, outline, JSON."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from squeezect.checkpoint import Card
from squeezect.errors import Finding
from squeezect.evaluation import Page, Picture, PictureBlock, TableBlock
from squeezect.evaluation.blocks import Block
from squeezect.publishing.pictures import View
from squeezect.publishing.point_pictures import patch_picture, patch_views, place_picture
from squeezect.publishing.publish import name_of, whole
from squeezect.scan import Scan
from squeezect.sight import Drawn, Sight

if TYPE_CHECKING:
    from squeezect.publishing.point_answers import PointAnswer

OUTLINED = (
    "The line is around what the networks take for the nodule, where they are half sure or more. "
    "They judge by what lies within it, by its size and by its shape: where it is around something "
    "else, the answer is about something else."
)
PAINTED = (
    "Colours show what raises the probability, from none over red to the strongest, which is pale "
    "yellow. A negative answer has a strongest spot too."
)
BARE = "These networks do not tell what they go by."
CROPPED = ("short-coverage", "too-few-slices")
"""Findings that are no news of a crop."""
PLACED = "The axial slice through the point; the frame is what the networks see, and all they see."


def publish_point(answer: "PointAnswer", card: Card, sight: Sight, scan: Scan, out: Path) -> Path:
    """Write one folder per answer, whole or not at all.

    Args:
        answer: what was answered.
        card: of the weights.
        sight: what the networks saw and made of it.
        scan: whole scan or crop.
        out: folder that receives a folder named by weights, scan (see `name_of`) and point,
            replacing an older one of the same.

    Returns:
        The page, ``index.html``, beside ``prediction.json``, the pictures, and ``outline.nii.gz``
        where the networks draw one.
    """
    target = out / folder_name(answer, scan)
    views = patch_views(sight)
    pictures = {str(view): patch_picture(sight, view) for view in views}
    pictures |= {f"{view}-plain": patch_picture(sight, view, plain=True) for view in views}
    if answer.point_mm is not None:
        pictures["place"] = place_picture(scan, sight, answer.point_mm)
    with whole(target) as scratch:
        for name, data in pictures.items():
            (scratch / f"{name}.png").write_bytes(data)
        if sight.outline is not None:
            sight.save_outline(scratch / "outline.nii.gz")
        found = [f for f in scan.findings if answer.point_mm or f.code.name not in CROPPED]
        page = _page(answer, card, sight, pictures, found)
        (scratch / "index.html").write_text(page.html(), "utf-8")
        told = [finding.as_dict() for finding in found]
        document = {"schema": 1, **answer.as_dict(), "findings": told}
        (scratch / "prediction.json").write_text(json.dumps(document, indent=1), "utf-8")
    return target / "index.html"


def folder_name(answer: "PointAnswer", scan: Scan) -> str:
    """Weights, scan and point; nothing that names a patient."""
    weights = re.sub(r"[^\w.-]+", "_", Path(answer.weights).name) or "weights"
    where = "middle"
    if answer.point_mm is not None:
        # To the micrometre: answers for two points that are close do not replace each other.
        where = "_".join(str(round(float(value), 3) + 0.0) for value in answer.point_mm)
    return f"{weights}-{name_of(scan)}-{where}"


def _page(
    answer: "PointAnswer",
    card: Card,
    sight: Sight,
    pictures: dict[str, bytes],
    findings: Sequence[Finding],
) -> Page:
    call = "positive" if answer.positive else "negative"
    blocks: list[Block] = [*_seen(sight, pictures)]
    if "place" in pictures:
        picture = Picture(pictures["place"], PLACED)
        blocks.append(PictureBlock(title="Where it is", pictures=[picture]))
    if sight.drawn is not None:
        blocks.append(_measures(sight.drawn))
    blocks += _trust(card, findings)
    return Page(
        title=f"{answer.where.capitalize()}, scan {answer.scan}",
        lead=f"Probability {answer.probability:.3f}, {call} at threshold {answer.threshold:.3f}; "
        f"weights {Path(answer.weights).name}.",
        facts={
            "probability": f"{answer.probability:.3f}",
            "threshold": f"{answer.threshold:.3f}",
            "call": call,
            "model": card.model,
            "patch": f"{' x '.join(map(str, sight.values.shape))} voxels of "
            f"{' x '.join(f'{step:.2f}' for step in sight.grid.spacing_mm)} mm",
        },
        cards=[],
        cautions=[card.statement],
        blocks=blocks,
    )


def _seen(sight: Sight, pictures: dict[str, bytes]) -> list[Block]:
    text = BARE
    if sight.outline is not None:
        text = OUTLINED
    elif sight.evidence is not None:
        text = PAINTED
    views: tuple[View, ...] = patch_views(sight)
    marked = [Picture(pictures[view], f"{view}, middle of the patch") for view in views]
    plain = [Picture(pictures[f"{view}-plain"], f"{view}, as it is") for view in views]
    blocks: list[Block] = [
        PictureBlock(title="What the networks see and go by", text=text, pictures=marked)
    ]
    if text is not BARE:
        blocks.append(PictureBlock(title="", pictures=plain))
    return blocks


def _measures(drawn: Drawn) -> Block:
    rows = [
        ["volume", f"{drawn.volume_mm3:.0f} mm³"],
        ["diameter of a ball of that volume", f"{drawn.diameter_mm:.1f} mm"],
        ["diameter of a disc like its largest axial section", f"{drawn.section_mm:.1f} mm"],
        ["mean density within", f"{drawn.mean_hu:.0f} HU"],
    ]
    text = "Each voxel counts by how sure the networks are that it is nodule."
    if drawn.touches:
        text += (
            " The outline reaches the end of the patch: the nodule may be larger than what is "
            "seen and measured of it."
        )
    return TableBlock(
        title="What they measured", text=text, columns=("of the outline", "value"), rows=rows
    )


def _trust(card: Card, findings: Sequence[Finding]) -> list[Block]:
    blocks: list[Block] = []
    if card.data:
        blocks.append(Block(title="What the weights learned from", text=card.data))
    if card.scores:
        rows = [[name.replace("_", " "), f"{value:.3f}"] for name, value in card.scores.items()]
        blocks.append(TableBlock(title="How good they were", columns=("score", ""), rows=rows))
    if card.limits:
        blocks.append(Block(title="What they are not", text="\n\n".join(card.limits)))
    if findings:
        rows = [[f.severity, f.code.name, f"{f.value} {f.where}", f.code.remedy] for f in findings]
        heads = ("severity", "finding", "value", "advice")
        blocks.append(
            TableBlock(title="What reading found", columns=heads, rows=rows, numeric=False)
        )
    return blocks
