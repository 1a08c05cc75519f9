"""Draw what runs were losing and getting right from epoch to epoch, all folds of each.

python scripts/learning_curves.py docs/images/learning-malignancy.png runs/malignancy
"""

import argparse
import sys
from pathlib import Path

from squeezect.evaluation.history import read_histories
from squeezect.evaluation.plots import image, training_figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figure", type=Path)
    parser.add_argument("run", type=Path)
    options = parser.parse_args()
    histories = read_histories(options.run)
    if not histories:
        sys.exit(f"{options.run} has no training curves")
    options.figure.write_bytes(image(training_figure(histories, quantity="loss"), "png"))


if __name__ == "__main__":
    main()
