"""Keep reports of `squeezect compare` as pages of the documentation.

    squeezect compare lidc-nodules-3d --models all --epochs 3 --out runs/nodules
    python scripts/comparison.py nodules=runs/nodules

NAME=FOLDER writes docs/comparison/NAME.md, figures beside it; all numbers are the command's.
"""

import json
import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs" / "comparison"
FIGURES = {
    "auc": "ROC AUC of every model with its 95 % interval",
    "roc": "ROC curves of all models; grey: baselines",
}
TITLES = {
    "nodules": "Malignant or not, on LIDC nodule crops",
    "patches": "Nodule or not, on LUNA16 candidate patches",
    "synthetic": "Nodule in the scan or not, on synthetic chests",
}


def keep(name: str, folder: Path) -> Path:
    """Write the page of one report; returns it."""
    DOCS.mkdir(parents=True, exist_ok=True)
    pictures = []
    for figure, words in FIGURES.items():
        place = DOCS / f"{name}-{figure}.svg"
        # Dates and random names would change at every run; nothing shows them.
        text = re.sub(r"<dc:date>.*?</dc:date>", "", (folder / f"{figure}.svg").read_text("utf-8"))
        place.write_text(text, "utf-8")
        pictures.append(f"![{words}]({place.name})")
    facts = json.loads((folder / "compare.json").read_text("utf-8"))["facts"]
    told = "; ".join(f"{key}: {value}" for key, value in facts.items())
    verdict, _, rest = (folder / "compare.md").read_text("utf-8").partition("\n\n")
    parts = [f"# {TITLES.get(name, name)}", f"**{verdict}**", told + ".", *pictures, rest]
    page = DOCS / f"{name}.md"
    page.write_text("\n\n".join(parts).rstrip() + "\n", "utf-8")
    return page


def main() -> None:
    for argument in sys.argv[1:]:
        name, _, folder = argument.partition("=")
        print(keep(name, Path(folder)))


if __name__ == "__main__":
    main()
