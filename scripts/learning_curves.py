"""Draw what runs were losing from epoch to epoch: all folds of one run, or runs of several seeds.

python scripts/learning_curves.py docs/images/learning-malignancy.png runs/malignancy
python scripts/learning_curves.py docs/images/learning-nodule.png runs/nodule{,-1,-2}
"""

import argparse
import sys
from pathlib import Path

from squeezect.evaluation.history import read_histories
from squeezect.evaluation.plots import image, training_figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figure", type=Path)
    parser.add_argument("runs", type=Path, nargs="+", help="run folders, drawn into one picture")
    options = parser.parse_args()
    histories = {}
    for run in options.runs:
        found = read_histories(run)
        if not found:
            sys.exit(f"{run} has no training curves")
        histories |= {f"{run} {fold}": columns for fold, columns in found.items()}
    options.figure.write_bytes(image(training_figure(histories, quantity="loss"), "png"))


if __name__ == "__main__":
    main()
