"""Lines of a file of properties: what is a property, and what is refused with which words."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import UNSET

from schemas.properties import BEGINNING, LINE_BYTES_MAX, LineRefused, read_cells, read_line

KOLKATA = {"zone": "Asia/Kolkata"}


def line(**fields: Any) -> bytes:
    body = {"org_id": 7, "property_id": 1, "currency": "INR", "time_zones": [KOLKATA]} | fields
    return json.dumps({name: value for name, value in body.items() if value is not ...}).encode()


def test_what_is_left_out_is_told_from_what_is_empty() -> None:
    read = read_line(line())
    assert read.key == (7, 1)
    assert read.name is UNSET
    assert read.opening_cash_cents is UNSET
    assert read_line(line(name=None)).name is None
    assert read_line(line(opening_cash_cents=0)).opening_cash_cents == 0


def test_the_calendar_is_in_utc_and_begins_with_the_beginning() -> None:
    zones = [{"from": None, **KOLKATA}, {"from": "2026-03-01T05:30:00+05:30", "zone": "Europe/Lisbon"}]
    read = read_line(line(time_zones=zones))
    assert read.calendar == (
        (BEGINNING, "Asia/Kolkata"),
        (datetime(2026, 3, 1, tzinfo=UTC), "Europe/Lisbon"),
    )
    assert read.calendar[1][0].tzinfo is UTC


LISBON_NAIVE = {"from": "2026-03-01T00:00:00", "zone": "Europe/Lisbon"}
LISBON = {"from": "2026-03-01T00:00:00Z", "zone": "Europe/Lisbon"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"org_id": ...}, "missing required field `org_id`"),
        ({"org_id": 0}, r"`int` >= 1 - at `\$.org_id`"),
        ({"org_id": 2**63}, r"at `\$.org_id`"),
        ({"org_id": "7"}, "Expected `int`, got `str`"),
        ({"property_id": 1.5}, r"at `\$.property_id`"),
        ({"property_id": True}, r"at `\$.property_id`"),
        ({"currency": "inr"}, r"at `\$.currency`"),
        ({"currency": "INR\n"}, r"at `\$.currency`"),
        ({"currency": "INQ"}, "'INQ' is no currency of ISO 4217.*did you mean"),
        ({"currency": "XAU"}, "'XAU' is no currency of ISO 4217 with a minor unit"),
        ({"opening_cash_cent": 5}, "unknown field `opening_cash_cent`"),
        ({"opening_cash_cents": None}, r"at `\$.opening_cash_cents`"),
        ({"opening_cash_cents": 10**15 + 1}, r"at `\$.opening_cash_cents`"),
        ({"name": ""}, r"at `\$.name`"),
        ({"name": "x" * 201}, r"at `\$.name`"),
        ({"name": "a\x00b"}, "NUL in the name"),
        ({"time_zones": []}, r"at `\$.time_zones`"),
        ({"time_zones": [{"zone": "Asia/Kolkatta"}]}, r"did you mean Asia/Kolkata\? - at `\$.time_zones\[0\]`"),
        ({"time_zones": [{"zone": "../etc/passwd"}]}, "is no IANA time zone"),
        ({"time_zones": [{"zone": "localtime"}]}, "is no IANA time zone"),
        ({"time_zones": [{"zone": "IST-5:30"}]}, "is no IANA time zone"),
        ({"time_zones": [LISBON]}, "the first zone, and only the first, has no `from`"),
        ({"time_zones": [KOLKATA, KOLKATA]}, r"only the first, has no `from`.*\[1\]"),
        ({"time_zones": [KOLKATA, LISBON_NAIVE]}, r"timezone component - at `\$.time_zones\[1\].from`"),
        ({"time_zones": [KOLKATA, LISBON, LISBON]}, r"must be later than that of the zone before it.*\[2\]"),
        ({"time_zones": [KOLKATA, LISBON | {"from": "0001-01-01T00:00:00+14:00"}]}, "the years 1900 to 2199"),
        ({"time_zones": [KOLKATA, LISBON | {"from": "9999-12-31T23:00:00-14:00"}]}, "the years 1900 to 2199"),
        ({"time_zones": [KOLKATA | {"until": None}]}, "unknown field `until`"),
    ],
)
def test_a_wrong_line_is_refused_by_what_is_wrong_with_it(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(LineRefused, match=said):
        read_line(line(**fields))


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"{", b'{"org_id": 7} {}', b"\xff", b'{"name": "\xff"}'])
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(LineRefused):
        read_line(raw)


def test_a_line_has_a_bound() -> None:
    with pytest.raises(LineRefused, match="at most 65536 are accepted"):
        read_line(line() + b" " * LINE_BYTES_MAX)


def test_a_row_of_cells_is_a_property() -> None:
    cells = {"org_id": "7", "property_id": "1", "name": "", "currency": "JPY", "opening_cash_cents": "-5"}
    read = read_cells(cells | {"time_zone": "Asia/Tokyo"})
    assert read == read_line(
        line(currency="JPY", opening_cash_cents=-5, time_zones=[{"zone": "Asia/Tokyo"}]),
    )


@pytest.mark.parametrize("cell", ["7.5", "seven", "", " 7 x"])
def test_a_cell_that_is_no_number_is_refused(cell: str) -> None:
    with pytest.raises(LineRefused, match="org_id"):
        read_cells({"org_id": cell, "property_id": "1", "currency": "JPY", "time_zone": "Asia/Tokyo"})
