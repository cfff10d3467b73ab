"""Fields of a JSON document, each with its type and range, or the rule that it breaks.

The types are JSON's own: 1.0 is no integer, and neither is true.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

SCHEMA: Final = "schema"

_MICROSECOND: Final = timedelta(microseconds=1)
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])"
    r"(?:\.([0-9]+))?"
    r"([Zz]|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])"
)


class RuleError(Exception):
    """A rule that a record breaks: the reason's code, and what was wrong."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail


def mapping(value: object, name: str) -> Mapping[str, Any]:
    """An object. This and all below raise RuleError."""
    if not isinstance(value, dict):
        raise RuleError(SCHEMA, f"{name} is not an object")
    return value


def field(fields: Mapping[str, Any], name: str) -> Any:
    """A field that must be there."""
    try:
        return fields[name]
    except KeyError:
        raise RuleError(SCHEMA, f"{name} is missing") from None


def integer(fields: Mapping[str, Any], name: str, minimum: int, maximum: int) -> int:
    value = fields.get(name)
    if type(value) is int and minimum <= value <= maximum:  # not isinstance: True would pass as 1
        return value
    raise RuleError(SCHEMA, f"{name} is not an integer from {minimum} to {maximum}")


def words(known: Iterable[str]) -> Mapping[str, str]:
    """What `choice` looks words up in: it gives our own copy of each, so that a million events share a handful."""
    return {word: word for word in known}


def choice(fields: Mapping[str, Any], name: str, choices: Mapping[str, str]) -> str:
    value = fields.get(name)
    if type(value) is str and value in choices:
        return choices[value]
    raise RuleError(SCHEMA, f"{name} is none of {', '.join(choices)}")


def text(fields: Mapping[str, Any], name: str, length_min: int, length_max: int) -> str:
    value = fields.get(name)
    if type(value) is str and length_min <= len(value) <= length_max:
        return value
    raise RuleError(SCHEMA, f"{name} is not a text of {length_min} to {length_max} characters")


def optional_text(fields: Mapping[str, Any], name: str, length_max: int) -> str | None:
    return None if fields.get(name) is None else text(fields, name, 0, length_max)


def uuid(fields: Mapping[str, Any], name: str) -> bytes:
    """The 16 bytes of a UUID, written with all of its hyphens or with none."""
    value = fields.get(name)
    if type(value) is str and _UUID.fullmatch(value):
        return bytes.fromhex(value.replace("-", ""))
    raise RuleError(SCHEMA, f"{name} is not a UUID")


def day(fields: Mapping[str, Any], name: str) -> date:
    """A full date of RFC 3339."""
    value = fields.get(name)
    if type(value) is str and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError as error:
            raise RuleError(SCHEMA, f"{name}: {error}") from error
    raise RuleError(SCHEMA, f"{name} is not a date")


def instant(fields: Mapping[str, Any], name: str) -> datetime:
    """An instant of RFC 3339 with an offset, in UTC; digits beyond microseconds round to the nearest."""
    value = fields.get(name)
    match = _INSTANT.fullmatch(value) if type(value) is str else None
    if match is None:
        raise RuleError(SCHEMA, f"{name} is not an instant of RFC 3339 with an offset")
    seconds, fraction, offset = match.groups()
    fraction = fraction or "0"
    zone = "+00:00" if offset in "Zz" else offset
    try:
        found = datetime.fromisoformat(f"{seconds}.{fraction[:6]:0<6}{zone}")
        if fraction[6:7] >= "5":
            found += _MICROSECOND
    except (ValueError, OverflowError) as error:
        raise RuleError(SCHEMA, f"{name}: {error}") from error
    try:
        return found.astimezone(UTC)
    except OverflowError:  # within a day of year 1 or 9999: an instant all the same
        return found
