"""Which nodule is still seen in a whole scan, at which resolution, and by which teaching?

    squeezect nodule-bank lidc-nodules-3d --out bank.safetensors
    python scripts/whole_scans bank.safetensors SCANS --out runs/whole-scans

SCANS holds ``lidc-idri-0001`` and ``lidc-idri-0132``, folders or zips. The stages are physics,
train, score and report; each goes on where it was when the command is given again.
"""

import argparse
from pathlib import Path

import torch
from arms import ARMS, learn
from physics import measure
from remembering import remember
from report import report
from scoring import score, trained

STAGES = ("physics", "train", "score", "report")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bank", type=Path, help="bank of nodules, from squeezect nodule-bank")
    parser.add_argument("scans", type=Path, help="folder of the two real scans")
    parser.add_argument("--out", type=Path, default=Path("runs/whole-scans"))
    parser.add_argument("--only", nargs="*", default=[], help="names of arms to train")
    parser.add_argument("--stages", nargs="*", default=STAGES, choices=STAGES)
    parser.add_argument("--docs", type=Path, help="folder for table and figure; --out by default")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    if "physics" in options.stages:
        measure(options.out, scans=options.scans, bank=options.bank)
    if "train" in options.stages:
        for arm in ARMS:
            if not options.only or arm.name in options.only:
                learn(arm, options.out, scans=options.scans, bank=options.bank)
    if "score" in options.stages:
        score(options.out, scans=options.scans, bank=options.bank)
        remember(trained(options.out), options.out, scans=options.scans, bank=options.bank)
    if "report" in options.stages:
        report(options.out, options.docs or options.out)


if __name__ == "__main__":
    main()
