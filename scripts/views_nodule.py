"""Do more views at test time help the shipped weights ``nodule``? Shifts by a voxel, zooms.

    python scripts/views_nodule.py PATCHES [--list val.txt] [--out views.md]

Every form is the mean over eight mirrored and turned views of the patch and of its shifted or
zoomed copies; each is compared with the eight views alone on the same patches (paired DeLong).
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from squeezect.candidates import SIDE, CandidateClassifier, read_patches
from squeezect.cohorts.layouts import read_patch_lists
from squeezect.evaluation import TableBlock, compare_auc, roc_auc, sensitivity_at_specificity
from squeezect.evaluation.markdown import markdown
from squeezect.runtime.telemetry import switch_off_telemetry

if TYPE_CHECKING:
    import openvino

BATCH = 8


def zoomed(patches: torch.Tensor, factor: float) -> torch.Tensor:
    pose = torch.eye(2, 3).div(factor).repeat(len(patches), 1, 1)
    points = functional.affine_grid(pose, [len(patches), 1, SIDE, SIDE], align_corners=False)
    seen = functional.grid_sample(
        patches[:, :, 0], points, padding_mode="reflection", align_corners=False
    )
    return seen[:, :, None]


def shifted(patches: torch.Tensor, down: int, right: int) -> torch.Tensor:
    wide = functional.pad(patches[:, :, 0], (1, 1, 1, 1), mode="replicate")
    seen = wide[:, :, 1 + down : 1 + down + SIDE, 1 + right : 1 + right + SIDE]
    return seen[:, :, None]


def views_of(network: "openvino.CompiledModel", patches: torch.Tensor) -> np.ndarray:
    """Probability of class 1 by view and patch, shape (8, n)."""
    rows = []
    for view in range(8):
        seen = patches.rot90(view % 4, (3, 4))
        seen = seen.flip(4) if view >= 4 else seen
        answers = []
        for start in range(0, len(seen), BATCH):
            batch = seen[start : start + BATCH].contiguous()
            logits = torch.from_numpy(network(batch.numpy())[0].copy())
            answers.append(logits.double().softmax(1)[:, 1].numpy())
        rows.append(np.concatenate(answers))
    return np.stack(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("patches", type=Path)
    parser.add_argument("--list", default="val.txt")
    parser.add_argument("--out", type=Path, default=Path("views.md"))
    options = parser.parse_args()
    held = read_patches(read_patch_lists(options.patches, lists={options.list: "test"}).cases)
    patches = held.tensors(np.arange(len(held.labels)))
    model = CandidateClassifier.open("nodule").models[0].eval()
    switch_off_telemetry()
    import openvino

    shape = openvino.PartialShape([-1, 1, 1, SIDE, SIDE])
    graph = openvino.convert_model(model, example_input=patches[:BATCH], input=[shape])
    network = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    plain = views_of(network, patches)
    steps = ((1, 0), (-1, 0), (0, 1), (0, -1))
    shifts = [views_of(network, shifted(patches, *step)) for step in steps]
    zooms = [views_of(network, zoomed(patches, factor)) for factor in (0.9, 1.1)]
    forms = {
        "the patch alone": plain[:1],
        "eight views": plain,
        "and four shifts by one voxel (40)": np.concatenate([plain, *shifts]),
        "and zooms 0.9 and 1.1 (24)": np.concatenate([plain, *zooms]),
        "and both (56)": np.concatenate([plain, *shifts, *zooms]),
    }
    options.out.write_text(table(held.labels, {k: v.mean(0) for k, v in forms.items()}), "utf-8")


def table(labels: np.ndarray, forms: dict[str, np.ndarray]) -> str:
    rows = []
    for name, probability in forms.items():
        area = roc_auc(labels, probability)
        found = sensitivity_at_specificity(labels, probability, 0.982)
        gap = compare_auc(labels, probability, forms["eight views"])
        ends = f"({gap.difference.low:+.4f} to {gap.difference.high:+.4f})"
        rows.append(
            [
                name,
                f"{area.value:.4f} ({area.low:.4f} to {area.high:.4f})",
                str(found),
                f"{gap.difference.value:+.4f} {ends}",
                f"{gap.p_value:.3f}",
            ]
        )
    columns = (
        "views",
        "ROC AUC (95 %)",
        "sensitivity at specificity 0.982",
        "AUC minus that of eight views",
        "p",
    )
    return markdown([TableBlock(title="", columns=columns, rows=rows)])


if __name__ == "__main__":
    main()
