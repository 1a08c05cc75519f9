"""One row of the table: what was measured, against what, its target, and whether it is met."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.alternate import Seconds, machine, median, ratio

DIGITS = {"x": 2, "%": 1, "s": 2, "MB": 2, "": 5}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        what: that was measured.
        against: peer or limit.
        value: None if it cannot be measured on this machine; `note` says why.
        unit: ``x`` (time of the peer over ours), ``%``, ``s``, ``MB`` or none.
        target: to be reached, or None.
        at_least: whether more is better.
        low: of a 95 % interval.
        high: of a 95 % interval.
        note: what a reader should know.
    """

    what: str
    against: str
    value: float | None
    unit: str
    target: float | None = None
    at_least: bool = True
    low: float | None = None
    high: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without target or value."""
        if self.target is None or self.value is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    @property
    def verdict(self) -> str:
        """``met``, ``not met``, ``not measurable here``, or nothing without a target."""
        if self.value is None:
            return "not measurable here"
        return {True: "met", False: "**not met**", None: ""}[self.met]

    @property
    def goal(self) -> str:
        """The target in words."""
        if self.target is None:
            return ""
        word = "at least" if self.at_least else "at most"
        return f"{word} {self.target:g}{_spaced(self.unit)}"

    @property
    def found(self) -> str:
        """The value with its interval."""
        if self.value is None:
            return ""
        digits = DIGITS[self.unit]
        if self.unit == "" and 0 < abs(self.value) < 1e-4:
            return f"{self.value:.1e}"
        text = f"{self.value:.{digits}f}{_spaced(self.unit)}"
        if self.low is None or self.high is None:
            return text
        return f"{text} ({self.low:.{digits}f} to {self.high:.{digits}f})"

    def as_dict(self) -> dict[str, object]:
        """Plain JSON."""
        return asdict(self) | {"met": self.met}


def _spaced(unit: str) -> str:
    return unit if unit in {"", "x"} else f" {unit}"


def row_from(data: Mapping[str, object]) -> Row:
    """The row that `as_dict` wrote."""
    return Row(**{key: value for key, value in data.items() if key != "met"})  # type: ignore[arg-type]


def against(
    seconds: Seconds, ours: str, what: str, targets: Mapping[str, float], note: str = ""
) -> list[Row]:
    """A row for every other method: how many times our time it takes."""
    rows = []
    for name, taken in seconds.items():
        if name == ours:
            continue
        value, low, high = ratio(taken, seconds[ours])
        rows.append(Row(what, name, value, "x", targets.get(name), low=low, high=high, note=note))
    return rows


def markdown(rows: Sequence[Row]) -> list[str]:
    """Rows as a Markdown table."""
    lines = ["| what | against | measured | target | |", "|---|---|---|---|---|"]
    for row in rows:
        note = f"{row.verdict}; {row.note}" if row.verdict and row.note else row.verdict or row.note
        lines.append(f"| {row.what} | {row.against} | {row.found} | {row.goal} | {note} |")
    return lines


def seconds_table(seconds: Mapping[str, Seconds]) -> list[str]:
    """Medians in seconds, for colour; ratios are what counts."""
    lines = ["| | method | median, s | turns |", "|---|---|---|---|"]
    for what, methods in seconds.items():
        for name, taken in methods.items():
            turns = sum(t == t for t in taken)  # noqa: PLR0124 - NaN is a turn sat out
            lines.append(f"| {what} | {name} | {median(taken):.4f} | {turns} |")
    return lines


def write(
    out: Path,
    part: str,
    rows: Sequence[Row],
    *,
    seconds: Mapping[str, Seconds] | None = None,
    details: Mapping[str, object] | None = None,
    text: Sequence[str] = (),
) -> None:
    """Write a part's JSON and Markdown, and print the latter."""
    out.mkdir(parents=True, exist_ok=True)
    about = machine()
    data = {
        "part": part,
        "machine": about,
        "rows": [row.as_dict() for row in rows],
        "seconds": {
            what: {
                name: [round(t, 5) if t == t else None for t in taken]  # noqa: PLR0124
                for name, taken in methods.items()
            }
            for what, methods in (seconds or {}).items()
        },
        **(details or {}),
    }
    (out / f"{part}.json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    lines = [f"# {part.capitalize()}", "", machine_line(about), "", *markdown(rows), ""]
    if seconds:
        lines += [*seconds_table(seconds), ""]
    lines += text
    body = "\n".join(lines).rstrip() + "\n"
    (out / f"{part}.md").write_text(body, "utf-8")
    print(body, flush=True)


def machine_line(about: Mapping[str, object]) -> str:
    """Processor, units and versions in one line."""
    versions, vector = about["versions"], about["units"]
    told = ", ".join(f"{k} {v}" for k, v in versions.items())  # type: ignore[attr-defined]
    return (
        f"{about['processor']} ({', '.join(vector) or 'no vector units told'}), "  # type: ignore[arg-type]
        f"{about['cores']} cores, Python {about['python']}; {told}."
    )
