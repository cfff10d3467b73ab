"""The file of a load: NDJSON, or CSV by its extension. Every line is checked before any is used."""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from pipeline.errors import SettingsRefused
from pipeline.standard_input import opened
from schemas.properties import LINE_BYTES_MAX, LineRefused, PropertyLine, read_cells, read_line
from schemas.records import PropertyKey

# About 1 KB each in memory: 100 MB. A larger chain loads one file after the other.
PROPERTIES_MAX: Final = 100_000
CSV_COLUMNS: Final = ("org_id", "property_id", "name", "currency", "opening_cash_cents", "time_zone")
_CSV_REQUIRED: Final = ("org_id", "property_id", "currency", "time_zone")


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no property, and why."""

    number: int
    problem: str


@dataclass
class PropertyFile:
    """What a file holds: its properties by key, each with the number of its line, and the lines that are none."""

    lines: dict[PropertyKey, PropertyLine] = field(default_factory=dict)
    numbers: dict[PropertyKey, int] = field(default_factory=dict)
    bad: list[BadLine] = field(default_factory=list)
    sha256: str = ""

    def add(self, number: int, line: PropertyLine) -> None:
        """Take a property in, unless an earlier line already says what it is to be."""
        earlier = self.numbers.setdefault(line.key, number)
        if earlier != number:
            self.refuse(number, f"org {line.org_id} property {line.property_id} is on line {earlier} already")
            return
        self.lines[line.key] = line

    def refuse(self, number: int, problem: str) -> None:
        self.bad.append(BadLine(number, problem))


def read_properties(path: Path) -> PropertyFile:
    """Read a file to its end; `-` is NDJSON from standard input.

    Raises SettingsRefused when it cannot be read, or holds more than may be loaded at once.
    """
    found = PropertyFile()
    try:
        with opened(path) as source:
            hashed = _Hashed(source)
            read = _csv if path.suffix.lower() == ".csv" else _ndjson
            for number, line in read(hashed):
                _take(found, number, line)
            found.sha256 = hashed.digest.hexdigest()
    except OSError as error:
        raise SettingsRefused(
            f"{path}: {error.strerror or error}; a readable file of properties is accepted"
        ) from error
    return found


def _take(found: PropertyFile, number: int, line: PropertyLine | str) -> None:
    if isinstance(line, str):
        found.refuse(number, line)
    else:
        found.add(number, line)
    if len(found.lines) > PROPERTIES_MAX or len(found.bad) > PROPERTIES_MAX:
        raise SettingsRefused(f"line {number}: more than {PROPERTIES_MAX:,} properties; split the file")


def _ndjson(source: "_Hashed") -> Iterator[tuple[int, PropertyLine | str]]:
    """Each line that is not blank, as a property or as what is wrong with it."""
    number = 0
    while line := source.readline(LINE_BYTES_MAX + 2):
        number += 1
        if not line.strip():
            continue
        try:
            yield number, read_line(line.rstrip(b"\r\n"))
        except LineRefused as error:
            yield number, str(error)
            if len(line) > LINE_BYTES_MAX:  # cut off in the middle: what follows is not the next line
                return


def _csv(source: "_Hashed") -> Iterator[tuple[int, PropertyLine | str]]:
    """Each row below the header, as a property or as what is wrong with it."""
    reader = csv.DictReader(_text(source), strict=True)
    try:
        if (problem := _header_problem(reader.fieldnames or ())) is not None:
            yield 1, problem
            return
        for row in reader:
            if None in row or None in row.values():
                yield reader.line_num, f"another number of cells than the header's {len(reader.fieldnames or ())}"
                continue
            try:
                yield reader.line_num, read_cells(row)
            except LineRefused as error:
                yield reader.line_num, str(error)
    except (csv.Error, UnicodeDecodeError) as error:
        yield reader.line_num + 1, f"{error}; CSV in UTF-8 with commas is accepted"


def _text(source: "_Hashed") -> Iterator[str]:
    """Lines of text; spreadsheets put a byte order mark before the first."""
    encoding = "utf-8-sig"
    while line := source.readline(LINE_BYTES_MAX):
        yield line.decode(encoding)
        encoding = "utf-8"


def _header_problem(named: Sequence[str]) -> str | None:
    unknown = [column for column in named if column not in CSV_COLUMNS]
    missing = [column for column in _CSV_REQUIRED if column not in named]
    if not unknown and not missing and len(set(named)) == len(named):
        return None
    return (
        f"the header names {', '.join(named) or 'nothing'}; accepted are {', '.join(CSV_COLUMNS)}, each once, of which "
        f"{', '.join(_CSV_REQUIRED)} are required"
    )


class _Hashed:
    """A source that is hashed as it is read: the audit says which bytes were loaded."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.digest = hashlib.sha256()

    def readline(self, bytes_max: int) -> bytes:
        line = self._source.readline(bytes_max)
        self.digest.update(line)
        return line
