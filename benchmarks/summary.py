"""All parts of one run as one table; two runs compared; and README's section made from them."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import Row, machine_line, markdown, row_from

PARTS = (
    "forward",
    "precision",
    "preparation",
    "whole",
    "training",
    "cohort",
    "reading",
    "scaling",
)
"""In the order of the table; `scaling` comes after `cohort`, whose figures it draws."""
TABLE = "bench"
WORSE = 0.8
BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"


def parts_in(folder: Path) -> list[dict]:
    """Tables of the parts that were measured into a folder, in order."""
    places = [folder / f"{part}.json" for part in PARTS]
    return [json.loads(place.read_text("utf-8")) for place in places if place.is_file()]


def rows_in(folder: Path) -> list[Row]:
    """All rows of a folder."""
    return [row_from(row) for part in parts_in(folder) for row in part["rows"]]


def gather(folder: Path) -> list[Row]:
    """Write ``bench.json`` and ``bench.md``: one table of all rows, and how many are met."""
    parts = parts_in(folder)
    rows = rows_in(folder)
    data = {"machine": parts[0]["machine"], "rows": [row.as_dict() for row in rows]}
    (folder / f"{TABLE}.json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    lines = [
        "# Speed",
        "",
        "Made by `make bench`. " + machine_line(data["machine"]),
        "",
        "Methods alternate; figures are medians of the turns after a warm-up, with 95 % bootstrap "
        "intervals over the turns. `x` is the time of the peer over ours. Seconds and turns are "
        "in the pages of the parts: "
        + ", ".join(f"[{part['part']}]({part['part']}.md)" for part in parts)
        + ".",
        "",
        tally(rows),
        "",
        *markdown(rows),
        "",
        *(f"![{path.stem}]({path.name})" for path in sorted(folder.glob("scaling-*.svg"))),
    ]
    (folder / f"{TABLE}.md").write_text("\n".join(lines).rstrip() + "\n", "utf-8")
    return rows


def tally(rows: Sequence[Row]) -> str:
    """How many targets are met, missed, and out of this machine's reach to measure."""
    wanted = [row for row in rows if row.target is not None]
    met = sum(row.met is True for row in wanted)
    missed = sum(row.met is False for row in wanted)
    unknown = len(wanted) - met - missed
    return (
        f"Of {len(wanted)} targets {met} are met, {missed} are not, {unknown} cannot be measured "
        "on this processor."
    )


def better(row: Row) -> bool:
    """Whether more is better, whether or not there is a target."""
    return row.unit == "x" or row.at_least


def worse(before: Row, after: Row) -> bool:
    """Whether a figure got worse by more than a fifth, or a target is missed that was met."""
    if before.value is None or after.value is None:
        return False
    if before.met and after.met is False:
        return True
    if better(before):
        return after.value < WORSE * before.value
    # Differences near zero are all alike; only what has a target to miss can get worse.
    return before.unit != "" and after.value * WORSE > before.value


def compare(old: Path, new: Path) -> int:
    """Print two runs side by side; the number of rows that got worse."""
    before = {(row.what, row.against.split(" (")[0]): row for row in rows_in(old)}
    after = {(row.what, row.against.split(" (")[0]): row for row in rows_in(new)}
    count = 0
    for key, row in before.items():
        if key not in after:
            print(f"      {' | '.join(key)}: not measured anew")
            continue
        bad = worse(row, after[key])
        count += bad
        mark = "WORSE" if bad else "     "
        print(f"{mark} {' | '.join(key)}: {row.found or 'none'} -> {after[key].found or 'none'}")
    return count


def summarise(folders: Sequence[Path]) -> str:
    """The rows with a target of one or several runs side by side; met if in all of them."""
    runs = [
        {(row.what, row.against.split(" (")[0]): row for row in rows_in(folder)}
        for folder in folders
    ]
    about = parts_in(folders[0])[0]["machine"]
    heads = " | ".join(f"run {number}" for number in range(1, len(runs) + 1))
    lines = [f"| what | against | {heads} | target | |", "|---|---|" + "---|" * (len(runs) + 2)]
    verdicts = []
    for key, row in runs[0].items():
        found = [run[key] for run in runs if key in run]
        if row.target is None or len(found) < len(runs):
            continue
        states = {one.met for one in found}
        state = "met" if states == {True} else "**not met**" if False in states else row.note
        verdicts.append(state)
        values = " | ".join(one.found or "not measurable" for one in found)
        lines.append(f"| {key[0]} | {key[1]} | {values} | {row.goal} | {state} |")
    met, missed = verdicts.count("met"), verdicts.count("**not met**")
    other = len(verdicts) - met - missed
    intro = (
        f"{about['processor']}, {about['cores']} cores ({', '.join(about['units'])}); "
        f"{len(runs)} run{'s' if len(runs) > 1 else ''} of `make bench`. Of {len(verdicts)} "
        f"targets {met} are met, {missed} are not, {other} cannot be measured on this processor. "
        "`x` is the time of the peer over ours; in brackets 95 % intervals over the turns."
    )
    return "\n".join([intro, "", *lines, ""])


def write_readme(folders: Sequence[Path], readme: Path, summary: Path) -> None:
    """Write the summary page, and put its text between README's markers."""
    text = summarise(folders)
    pages = [path.relative_to(summary.parent) / f"{TABLE}.md" for path in folders]
    links = ", ".join(f"[run {n}]({page})" for n, page in enumerate(pages, 1))
    rest = f"All rows, versions and figures: {links}. What bounds the rest: [bounds](bounds.md)."
    page = f"# How fast\n\n{text}\n{rest}\n"
    summary.write_text(page, "utf-8")
    old = readme.read_text("utf-8")
    if BEGIN not in old or END not in old:
        raise SystemExit(f"{readme} has no markers {BEGIN} and {END}")
    docs = summary.parent.as_posix()
    more = f"[All tables and figures]({docs}/summary.md); [what bounds the rest]({docs}/bounds.md)."
    block = f"{BEGIN}\n{text}\n{more}\n{END}"
    new = re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: block, old, flags=re.DOTALL)
    readme.write_text(new, "utf-8")
