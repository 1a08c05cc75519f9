"""Delimited text, read strictly: known encoding, known columns, numbered rows."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from squeezect.cohorts.problems import EMPTY_TABLE, MISSING_COLUMN, UNREADABLE_TABLE
from squeezect.errors import CohortError

DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Sheet:
    """A table of text: a header and rows of as many values.

    Args:
        name: the file's name, for messages.
        columns: header names, stripped.
        lines: values of each row, stripped; rows without any value are left out.
    """

    name: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]

    @classmethod
    def read(
        cls, path: Path, *, needs: Sequence[str] = (), header: bool = True, lower: bool = False
    ) -> "Sheet":
        """Read a table separated by commas, semicolons or tabs, in UTF-8 with or without a mark.

        Args:
            path: the file.
            needs: columns that must be there.
            header: False if the first line is data already; then `needs` names all columns.
            lower: take header names in lower case, where a table's publishers vary them.

        Raises:
            CohortError: `unreadable-table`, `empty-table` or `missing-column`.
        """
        text = read_text(path)
        first = next((line for line in text.splitlines() if line.strip()), "")
        if not first:
            raise CohortError(EMPTY_TABLE, f"{path.name} is empty")
        records = _records(text, max(DELIMITERS, key=first.count), path.name)
        columns = tuple(next(records)) if header else tuple(needs)
        columns = tuple(name.lower() for name in columns) if lower else columns
        _check_header(columns, needs, path.name)
        lines = tuple(tuple(values) for values in records)
        if not lines:
            raise CohortError(EMPTY_TABLE, f"{path.name} has a header but no rows")
        for row, values in enumerate(lines, start=1):
            if len(values) != len(columns):
                raise CohortError(
                    UNREADABLE_TABLE,
                    f"row {row} of {path.name} has {len(values)} values, "
                    f"not {len(columns)} as {'the header' if header else 'expected'}",
                )
        return cls(path.name, columns, lines)

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Row numbers, 1 for the first data row, with values by column."""
        for row, values in enumerate(self.lines, start=1):
            yield row, dict(zip(self.columns, values, strict=True))

    def at(self, row: int) -> str:
        """Where a row is, in words."""
        return f"row {row} of {self.name}"


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Raises:
        CohortError: `unreadable-table`.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CohortError(
            UNREADABLE_TABLE, f"{path.name} is not UTF-8 text (byte {error.start})"
        ) from error
    except OSError as error:
        raise CohortError(
            UNREADABLE_TABLE,
            f"{path} cannot be read: {error.strerror}",
            remedy="name an existing table (CSV)",
        ) from error
    if "\0" in text:
        raise CohortError(UNREADABLE_TABLE, f"{path.name} is not text (it holds zero bytes)")
    return text


def header_of(path: Path) -> tuple[str, ...]:
    """Header names of a table, whatever its rows are like; () if it is no table."""
    try:
        text = read_text(path)
        first = next((line for line in text.splitlines() if line.strip()), "")
        return tuple(next(_records(first, max(DELIMITERS, key=first.count), path.name), ()))
    except CohortError:
        return ()


def _records(text: str, delimiter: str, name: str) -> Iterator[list[str]]:
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for record in reader:
            values = [value.strip() for value in record]
            if any(values):
                yield values
    except csv.Error as error:
        raise CohortError(UNREADABLE_TABLE, f"line {reader.line_num} of {name}: {error}") from error


def _check_header(columns: Sequence[str], needs: Sequence[str], name: str) -> None:
    twice = sorted({c for c in columns if columns.count(c) > 1})
    if twice:
        raise CohortError(UNREADABLE_TABLE, f"{name} has the column {twice[0]!r} twice")
    missing = [c for c in needs if c not in columns]
    if not missing:
        return
    near = get_close_matches(missing[0], [c.lower() for c in columns], n=1)
    found = ", ".join(map(repr, columns[:12]))
    hint = f" (is {near[0]!r} meant?)" if near else ""
    raise CohortError(
        MISSING_COLUMN,
        f"{name} lacks the column {', '.join(map(repr, missing))}; it has {found}{hint}",
        remedy=f"name the columns {', '.join(needs)} exactly",
    )
