"""Run every benchmark, or the named ones, and write their tables.

    python -m benchmarks [reading] [preparation] [network] [--out docs/benchmarks]
    python -m benchmarks compare OLD NEW

`compare` reads two folders of tables and exits 1 if a ratio got worse by more than a fifth.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PARTS = ("reading", "preparation", "network")
WORSE = 0.8


def ratios(data: object, path: str = "") -> Iterator[tuple[str, float]]:
    """Every ratio in a table: how many times a peer takes what we take."""
    if isinstance(data, dict):
        name = data.get("method")
        if isinstance(data.get("ratio"), int | float) and name:
            yield f"{path}/{name}", float(data["ratio"])
        if isinstance(data.get("times_faster"), int | float):
            yield f"{path}/times_faster", float(data["times_faster"])
        for key, value in data.items():
            yield from ratios(value, f"{path}/{key}")
    elif isinstance(data, list):
        for value in data:
            yield from ratios(value, path)


def compare(old: Path, new: Path) -> int:
    """Print ratios side by side; the number that got worse."""
    worse = 0
    for table in sorted(old.glob("*.json")):
        other = new / table.name
        if not other.exists():
            print(f"{table.name}: not measured anew")
            continue
        before = dict(ratios(json.loads(table.read_text())))
        after = dict(ratios(json.loads(other.read_text())))
        for name in sorted(before.keys() & after.keys()):
            # Our own row is 1 by definition; a peer's falls when we get slower.
            slower = before[name] > 1 and after[name] < WORSE * before[name]
            worse += slower
            print(
                f"{'WORSE ' if slower else '      '}{table.stem}{name}: "
                f"{before[name]:.2f} -> {after[name]:.2f}"
            )
    return worse


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=list(PARTS))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args()
    if options.parts[:1] == ["compare"]:
        sys.exit(1 if compare(Path(options.parts[1]), Path(options.parts[2])) else 0)
    for part in options.parts:
        if part not in PARTS:
            parser.error(
                f"no benchmark {part!r}; there are {', '.join(PARTS)}, and compare OLD NEW"
            )
    for part in options.parts:
        # A process each, so that one part's libraries do not slow another.
        subprocess.run([sys.executable, "-m", f"benchmarks.{part}", str(options.out)], check=True)


if __name__ == "__main__":
    main()
