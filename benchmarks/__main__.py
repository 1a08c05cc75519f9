"""Run every benchmark, or the named ones, and write their tables.

    python -m benchmarks [PART ...] [--out docs/benchmarks/run-1] [--runs 7]
    python -m benchmarks compare OLD NEW
    python -m benchmarks readme RUN [RUN ...]

`compare` reads two folders of tables and exits 1 if a figure got worse by more than a fifth, or a
target is missed that was met. `readme` writes docs/benchmarks/summary.md and README's section.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.rows import markdown
from benchmarks.summary import PARTS, compare, gather, tally, write_readme

DOCS = Path("docs/benchmarks")


def run(parts: list[str], out: Path, runs: int) -> None:
    """Measure parts into a folder, each in a process of its own, and gather the table."""
    for part in parts:
        started = time.perf_counter()
        # A process each, so that one part's libraries and threads do not slow another.
        command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{part}", str(out)]
        subprocess.run([*command, "--runs", str(runs)], check=True)
        print(f"[{part}: {time.perf_counter() - started:.0f} s]\n", flush=True)
    rows = gather(out)
    print("\n".join([*markdown(rows), "", tally(rows)]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--out", type=Path, default=DOCS / "latest")
    parser.add_argument("--runs", type=int, default=7, help="turns that count")
    options = parser.parse_args()
    verb, *rest = options.parts or [""]
    if verb == "compare" and len(rest) == 2:
        sys.exit(1 if compare(Path(rest[0]), Path(rest[1])) else 0)
    if verb == "readme" and rest:
        write_readme([Path(folder) for folder in rest], Path("README.md"), DOCS / "summary.md")
        return
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"no benchmark {part!r}; there are {', '.join(PARTS)}")
    run(options.parts or list(PARTS), options.out, options.runs)


if __name__ == "__main__":
    main()
