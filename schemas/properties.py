"""Properties as operators write them in a file: one Struct, exact about types, ranges and names.

Unlike an event, a line with an unknown field is refused: a misspelt `opening_cash_cents` must not pass for a zero.
"""

import difflib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.currencies import EXPONENTS
from schemas.events import Currency, Identifier
from schemas.records import PropertyKey

# Real lines have about 200 bytes; the longest calendar of ZONES_MAX changes has about 8 KB.
LINE_BYTES_MAX: Final = 64 * 1024
ZONES_MAX: Final = 100  # no country has changed its zone so often
OPENING_CASH_CENTS_MAX: Final = 10**15  # a thousand times the largest single entry
# From which the first zone holds. Year 1 rather than -infinity, which the driver reads as an instant without zone.
BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)

Calendar = tuple[tuple[datetime, str], ...]  # from when on, IANA zone: ascending, the first from BEGINNING


class LineRefused(Exception):
    """A line is not a property; the message says what was wrong, and what is accepted."""


class ZoneFrom(Struct, frozen=True, gc=False, forbid_unknown_fields=True, rename={"valid_from": "from"}):
    """A zone, and the instant from which it holds; None: for ever before."""

    zone: str
    valid_from: Annotated[datetime, Meta(tz=True)] | None = None


class PropertyLine(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One property. A field that is left out stays as it is; for a new property it is empty, or zero."""

    org_id: Identifier
    property_id: Identifier
    currency: Currency
    time_zones: Annotated[tuple[ZoneFrom, ...], Meta(min_length=1, max_length=ZONES_MAX)]
    name: Annotated[str, Meta(min_length=1, max_length=200)] | UnsetType | None = UNSET
    opening_cash_cents: Annotated[int, Meta(ge=-OPENING_CASH_CENTS_MAX, le=OPENING_CASH_CENTS_MAX)] | UnsetType = UNSET

    @property
    def key(self) -> PropertyKey:
        return self.org_id, self.property_id

    @property
    def calendar(self) -> Calendar:
        """The zones with their instants, in UTC."""
        return tuple(
            (BEGINNING if zone.valid_from is None else zone.valid_from.astimezone(UTC), zone.zone)
            for zone in self.time_zones
        )


_decode: Final = msgspec.json.Decoder(PropertyLine).decode


def read_line(line: bytes) -> PropertyLine:
    """The property of a line of NDJSON. Raises LineRefused."""
    if len(line) > LINE_BYTES_MAX:
        raise LineRefused(f"{len(line)} bytes; at most {LINE_BYTES_MAX} are accepted")
    return _checked(lambda: _decode(line))


def read_cells(cells: Mapping[str, str]) -> PropertyLine:
    """The property of a row of CSV, by column: those of NDJSON, and `time_zone` for its only zone. Raises LineRefused.

    An empty cell is a field that was left out.
    """
    given: dict[str, object] = {column: cell for column, cell in cells.items() if cell != ""}
    if "time_zone" in given:
        given["time_zones"] = [{"zone": given.pop("time_zone")}]
    # Not strict: every cell is text, and those of the numbers must be read as such.
    return _checked(lambda: msgspec.convert(given, PropertyLine, strict=False))


def _checked(read: Callable[[], PropertyLine]) -> PropertyLine:
    try:
        line = read()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a ValidationError is a DecodeError
        raise LineRefused(str(error)) from error
    if line.currency not in EXPONENTS:
        raise LineRefused(f"{line.currency!r} is no currency of ISO 4217 with a minor unit{_near(line.currency)}")
    if isinstance(line.name, str) and "\x00" in line.name:
        raise LineRefused("NUL in the name, which PostgreSQL cannot store - at `$.name`")
    _check_zones(line)
    return line


def _check_zones(line: PropertyLine) -> None:
    before: datetime | None = None
    for place, zone in enumerate(line.time_zones):
        where = f"at `$.time_zones[{place}]`"
        if zone.zone not in known_zones():
            near = difflib.get_close_matches(zone.zone, sorted(known_zones()), n=1)
            hint = f"did you mean {near[0]}?" if near else "such as Asia/Kolkata is accepted"
            raise LineRefused(f"{zone.zone!r} is no IANA time zone; {hint} - {where}")
        if (zone.valid_from is None) != (place == 0):
            raise LineRefused(f"the first zone, and only the first, has no `from`: it holds for ever before - {where}")
        if zone.valid_from is not None:
            if not _EARLIEST <= zone.valid_from < _LATEST:
                raise LineRefused(f"`from` is {zone.valid_from}; the years 1900 to 2199 are accepted - {where}")
            if before is not None and zone.valid_from <= before:
                raise LineRefused(f"`from` must be later than that of the zone before it - {where}")
        before = zone.valid_from


@cache
def known_zones() -> frozenset[str]:
    """Every zone of the IANA database, whatever else this machine calls a zone."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


def _near(currency: str) -> str:
    near = difflib.get_close_matches(currency, EXPONENTS, n=1)
    return f"; did you mean {near[0]}?" if near else ", such as INR"
