"""Judge a malignancy run beside diameter and hand-made features, and ship its networks as one file.

    squeezect train CROPS --recipe malignancy --out runs/malignancy
    python scripts/malignancy.py runs/malignancy CROPS

CROPS is the folder of LIDC nodule crops (``nodules.csv``, ``images``, ``masks``). Everything is out
of fold: each nodule is judged by the network that learned nothing of its patient. What is shipped
are two members of the network of each fold, rounded to float16, as one ensemble; nothing is trained
on all nodules, so the ensemble's own score on these nodules would be no score and is not computed.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parent))

from handmade import NAMES, features, measures, out_of_fold

from squeezect import read_scan
from squeezect.candidates import mean_view
from squeezect.checkpoint import Checkpoint
from squeezect.cohorts import Case
from squeezect.cohorts.layouts import read_nodule_crops
from squeezect.evaluation import (
    Estimate,
    TableBlock,
    decision_scores,
    roc_auc,
    threshold_at_sensitivity,
)
from squeezect.evaluation.compare import compare_auc
from squeezect.evaluation.markdown import markdown
from squeezect.points import PointClassifier
from squeezect.preparation import prepare
from squeezect.scan import pseudonym
from squeezect.sight import HALF
from squeezect.training.seen import Seen

Array = npt.NDArray[np.float64]
MEMBERS = 2
"""Members of each fold's network that are shipped."""
TAUGHT_ONLY = ("ratings",)
"""Parts of a network that only teach it; it judges by what it outlines."""
TYPICAL_MM = 8.25
"""Mean diameter of the nodules; all are brought to it where size is taken away."""
DRAWN = "the same features of the outlines that the networks draw, {}"
SAID = "diameter and eight ratings of the same readers, {}"
ALL_SAID = "diameter and eight ratings, means over all readers, {}"
RATINGS = [
    f"{name}_value"
    for name in (
        *("Subtlety", "Calcification", "InternalStructure", "Lobulation"),
        *("Margin", "Sphericity", "Spiculation", "Texture"),
    )
]
"""What readers said of a nodule, without how malignant they held it."""
FEWEST = 4
"""Voxels that an outline has at least, so that it has axes."""
LUNG, TISSUE = 0.11, 0.74
"""-850 and 30 HU in the window."""
DATA = (
    "789 nodules of 437 patients, cut from LUNA16's scans, labelled by LIDC's readers (254 "
    "malignant). LUNA16 (Setio et al. 2017, CC BY 4.0) is made of LIDC-IDRI (Armato et al. 2011, "
    "CC BY 3.0); crops from a course of the Universitat Autònoma de Barcelona, CC BY 3.0."
)
LIMITS = (
    "Repeats what four radiologists thought of a picture; it was not trained on pathology.",
    "Judges a nodule whose centre is given; it finds none, and does not know what is none.",
    "The scores are those of single folds' networks on patients they had not seen; the shipped "
    "ensemble of all folds was not judged, since every nodule at hand was learned by some of it.",
    "Diameter alone is nearly as good over all sizes; see docs/results.md for the difference.",
    "Crops were tight and as large as their nodules; what lay beyond was lung to the networks, and "
    "at most 14 mm along z are seen. In a whole scan they see what is there, which no score is of.",
    "The label is a vote of three or four readers: a third of the malignant nodules are ties.",
    "Nodules of 3 to 32 mm of adults in American hospitals before 2011; nothing else was seen.",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("crops", type=Path)
    parser.add_argument("--out", type=Path, default=Path("src/squeezect/weights/malignancy"))
    parser.add_argument(
        "--readers", type=Path, help="nodules.csv of scripts/readers.py: all readers' opinions"
    )
    parser.add_argument("--table", type=Path, default=Path("docs/results/malignancy.md"))
    options = parser.parse_args()
    cohort = read_nodule_crops(options.crops)
    table = pd.read_csv(options.run / "predictions.csv").sort_values("row")
    cases = [cohort.case(row) for row in table["row"]]
    if [case.label for case in cases] != table["label"].tolist():
        raise SystemExit("the run is of another table of nodules")
    drawn, shapes = outlined(options.run, cases, table)
    rows = judged(options.run, cases, table, shapes)
    if options.readers:
        rows |= opinions(pd.read_csv(options.readers), cases, table)
    options.table.parent.mkdir(parents=True, exist_ok=True)
    options.table.write_text(report(rows, drawn, cases, table), "utf-8")
    ship(options.run, table, drawn, options.out)
    # Whoever scores the weights on these patients is told so.
    Seen.of(pseudonym(case.patient) for case in cases).save(options.out)


def judged(
    run: Path, cases: Sequence[Case], table: pd.DataFrame, shapes: Array
) -> dict[str, Array]:
    """Out-of-fold scores by name: the network, its rivals, and what size alone does.

    Args:
        run: of the networks.
        cases: in the order of `table`.
        table: the run's predictions.
        shapes: see `outlined`.
    """
    labels, folds = table["label"].to_numpy(), table["fold"].to_numpy()
    diameter = np.array([case.diameter_mm or np.nan for case in cases])
    found = {"network": table["probability"].to_numpy(float), "diameter alone": diameter}
    found |= {
        f"hand-made features, {model}": scores
        for model, scores in out_of_fold(features(cases), labels, folds).items()
    }
    found |= {DRAWN.format(m): p for m, p in out_of_fold(shapes, labels, folds).items()}
    said = np.column_stack([diameter, table[RATINGS].to_numpy(float)])
    found |= {
        SAID.format(model): scores for model, scores in out_of_fold(said, labels, folds).items()
    }
    same, balls = np.zeros(len(cases)), np.zeros(len(cases))
    for fold in np.unique(folds):
        checkpoint = Checkpoint.load(run / f"fold-{fold}")
        model, how = checkpoint.build(), checkpoint.card.preparation
        for place in np.flatnonzero(folds == fold):
            case, size = cases[place], float(diameter[place])
            spacing = (how.spacing_mm or 1.0) * size / TYPICAL_MM
            scaled = how.model_copy(update={"spacing_mm": spacing})
            scan = read_scan(case.scan, allow=("too-few-slices",))
            values = prepare(scan, scaled, point_mm=case.point_mm).values
            same[place] = answer(model, values)
            balls[place] = answer(model, ball(values.shape, size / (how.spacing_mm or 1.0)))
    found["network, all nodules scaled to one size"] = same
    found["network, shown balls of the nodules' size"] = balls
    return found


def outlined(run: Path, cases: Sequence[Case], table: pd.DataFrame) -> tuple[Array, Array]:
    """What networks draw of nodules that they did not learn.

    Returns:
        Diameters of balls as large as the outlines, and of balls as large as the readers' masks, in
        mm, shape (n, 2); and the hand-made features of the outlines' largest parts, shape (n, 17).
    """
    found, shapes = np.zeros((len(cases), 2)), np.zeros((len(cases), 17))
    folds = table["fold"].to_numpy()
    for fold in np.unique(folds):
        classifier = PointClassifier.open(run / f"fold-{fold}")
        for place in np.flatnonzero(folds == fold):
            case = cases[place]
            scan = read_scan(case.scan, allow=("too-few-slices",))
            sight = classifier.look(classifier.prepare(scan, case.point_mm))
            drawn = sight.drawn
            if drawn is None or sight.outline is None or case.mask is None:
                raise SystemExit("the networks draw no outline, or a nodule has no mask")
            spacing, diameter = sight.grid.spacing_mm, drawn.section_mm
            whole = largest(sight.outline)
            shapes[place] = measures(sight.hu, whole, spacing_mm=spacing, diameter_mm=diameter)
            mask = read_scan(case.mask, allow=("too-few-slices", "not-hounsfield"))
            volume = float((mask.hu > 0).sum()) * np.prod(mask.grid.spacing_mm)
            found[place] = drawn.diameter_mm, (6 * volume / np.pi) ** (1 / 3)
    return found, shapes


def largest(share: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """The largest part of an outline; of one that is nowhere sure, its `FEWEST` surest voxels."""
    sure = min(HALF, float(np.sort(share, axis=None)[-FEWEST]))
    parts, _ = ndimage.label(share >= sure)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return parts == sizes.argmax() if sizes.max() >= FEWEST else share >= sure


def misdrawn(drawn: Array) -> dict[str, float]:
    """How far outlines are from the masks: of the diameters, median and nine of ten."""
    away = np.abs(drawn[:, 0] - drawn[:, 1])
    return {
        "outline_error_mm_median": float(np.median(away)),
        "outline_error_mm_90": float(np.quantile(away, 0.9)),
        "outline_error_share_median": float(np.median(away / drawn[:, 1])),
        "outline_error_share_90": float(np.quantile(away / drawn[:, 1], 0.9)),
    }


def opinions(said: pd.DataFrame, cases: Sequence[Case], table: pd.DataFrame) -> dict[str, Array]:
    """What all readers of LIDC together would answer; the data set's own word where none is found.

    Args:
        said: table of `scripts/readers.py`, all rows of the cohort in its order.
    """
    said = said.iloc[[case.row - 1 for case in cases]].reset_index(drop=True)
    if not np.allclose(said["diameter_mm"], [case.diameter_mm or np.nan for case in cases]):
        raise SystemExit("the readers' table is of another table of nodules")
    for name in (*RATINGS, "Malignancy_value"):
        mean = f"{name.removesuffix('_value')}_mean"
        said[mean] = said[mean].fillna(said[name])
    words = said[[f"{name.removesuffix('_value')}_mean" for name in RATINGS]].to_numpy(float)
    given = np.column_stack([np.log(said["diameter_mm"].to_numpy(float)), words])
    labels, folds = table["label"].to_numpy(), table["fold"].to_numpy()
    found = {ALL_SAID.format(m): p for m, p in out_of_fold(given, labels, folds).items()}
    found["how malignant all readers held it, the mean"] = said["Malignancy_mean"].to_numpy(float)
    share = said["Malignant_share"].to_numpy(float)
    share = np.where(np.isnan(share), labels, share)
    found["share of the readers who held it malignant"] = share
    return found


def answer(model: torch.nn.Module, values: npt.NDArray[np.float32]) -> float:
    with torch.inference_mode():
        return float(mean_view(model, torch.from_numpy(values)[None, None], 8)[0])


def ball(shape: tuple[int, ...], diameter: float) -> npt.NDArray[np.float32]:
    """A soft-edged ball of soft tissue in lung; diameter in voxels."""
    axes = [np.arange(n) - (n - 1) / 2 for n in shape]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    share = np.clip(diameter / 2 - np.sqrt(z**2 + y**2 + x**2) + 0.5, 0, 1)
    return (LUNG + (TISSUE - LUNG) * share).astype(np.float32)


def report(rows: dict[str, Array], drawn: Array, cases: Sequence[Case], table: pd.DataFrame) -> str:
    """The table of scores as Markdown."""
    labels, patients = table["label"].to_numpy(), table["patient"].to_numpy()
    diameter = np.array([case.diameter_mm for case in cases], float)
    middle = (diameter >= 6) & (diameter <= 15)
    lines: list[list[str | Estimate]] = []
    for name, scores in rows.items():
        told: list[str | Estimate] = [name]
        for part in (np.ones(len(labels), bool), middle):
            told.append(roc_auc(labels[part], scores[part], patients=patients[part]))
            told.append("" if name == "network" else against(rows["network"], scores, table, part))
        lines.append(told)
    text = (
        f"{len(labels)} nodules ({labels.sum()} malignant) of {len(set(patients))} patients, "
        f"{middle.sum()} of them ({labels[middle].sum()}) of 6 to 15 mm, each judged by the "
        "network of a fold that did not know its patient. Intervals and tests count patients, not "
        f"nodules; the test is DeLong's, paired. Hand-made features: {NAMES}."
    )
    error = misdrawn(drawn)
    text += (
        "\n\nThe diameter of a ball as large as the outline that these networks draw differs from "
        f"that of the mask by {error['outline_error_mm_median']:.1f} mm "
        f"({error['outline_error_share_median']:.0%}) in the median, by "
        f"{error['outline_error_mm_90']:.1f} mm ({error['outline_error_share_90']:.0%}) or less in "
        f"nine of ten; log volumes correlate with {np.corrcoef(np.log(drawn).T)[0, 1]:.3f}."
    )
    columns = ("", "ROC AUC", "network better by", "6 to 15 mm", "network better by")
    return markdown([TableBlock(title="", text=text, columns=columns, rows=lines)])


def against(ours: Array, theirs: Array, table: pd.DataFrame, part: npt.NDArray[np.bool_]) -> str:
    labels, patients = table["label"].to_numpy()[part], table["patient"].to_numpy()[part]
    found = compare_auc(labels, ours[part], theirs[part], patients=patients)
    p = "p < 0.0001" if found.p_value < 1e-4 else f"p = {found.p_value:.4f}"
    return f"{found.difference.value:+.3f}, {p}"


def ship(run: Path, table: pd.DataFrame, drawn: Array, out: Path) -> None:
    """Write the first members of all folds' networks as one checkpoint with its card."""
    folds = sorted(run.glob("fold-*/card.json"))
    networks = [Checkpoint.load(path.parent) for path in folds]
    weights: dict[str, torch.Tensor] = {}
    for number, network in enumerate(networks):
        for name, value in network.weights.items():
            _, member, *rest = name.split(".")
            if int(member) >= MEMBERS or rest[0] in TAUGHT_ONLY:
                continue
            kept = value.half() if value.is_floating_point() else value
            weights[".".join(("members", str(number * MEMBERS + int(member)), *rest))] = kept
    first = networks[0].card
    card = first.model_copy(
        update={
            "options": {
                **first.options,
                "members": MEMBERS * len(networks),
                "ratings": 0,
            },
            "trained_on": {"nodules": len(table), "patients": int(table["patient"].nunique())},
            "scores": {
                name: round(value, 5)
                for name, value in {
                    **scores(table),
                    **{f"out_of_fold_{name}": value for name, value in misdrawn(drawn).items()},
                }.items()
            },
            "thresholds": thresholds(table),
            "data": DATA,
            "limits": LIMITS,
        }
    )
    folder = Checkpoint(card, weights).save(out)
    Checkpoint.load(folder).build()
    numbers = sum(value.numel() for value in weights.values())
    print(f"{numbers:,} numbers in {folder}; torch {torch.__version__}")


def scores(table: pd.DataFrame) -> dict[str, float]:
    labels, p = table["label"].to_numpy(), table["probability"].to_numpy(float)
    auc = roc_auc(labels, p, patients=table["patient"].to_numpy())
    half = decision_scores(labels, p, 0.5)
    return {
        "out_of_fold_auc": auc.value,
        "out_of_fold_auc_low": auc.low,
        "out_of_fold_auc_high": auc.high,
        "out_of_fold_sensitivity_at_0.5": half.sensitivity.value,
        "out_of_fold_specificity_at_0.5": half.specificity.value,
        "out_of_fold_brier": float(np.mean((p - labels) ** 2)),
        "out_of_fold_mean_probability": float(p.mean()),
        "out_of_fold_share_positive": float(labels.mean()),
    }


def thresholds(table: pd.DataFrame) -> dict[str, float]:
    labels, p = table["label"].to_numpy(), table["probability"].to_numpy(float)
    return {"half": 0.5, "sensitivity-90": threshold_at_sensitivity(labels, p, 0.9)}


if __name__ == "__main__":
    main()
