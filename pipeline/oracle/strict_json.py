"""JSON as the contract has it, read with the standard library, which alone would be too lenient.

Refused beyond what `json` refuses: NaN and Infinity, invalid UTF-8 and half surrogate pairs anywhere (in
names and unknown fields too), deep nesting. Accepted beyond it: integers of any length, as in unknown fields.
"""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, Final

# Real events nest twice. Without a bound of our own, the verdict would hang on how deep our own stack is.
NESTING_MAX: Final = 100


class MalformedError(Exception):
    """The bytes are not one well-formed JSON document in UTF-8."""


class Repeated(dict[str, Any]):
    """An object in which a name is given more than once: the last one counts, but each must be valid."""

    pairs: list[tuple[str, Any]]


def parse(value: bytes) -> object:
    """The one JSON document in these bytes; an object with a repeated name comes as Repeated.

    Raises MalformedError.
    """
    try:
        text = value.decode("utf-8")
        if text.count("[") + text.count("{") > NESTING_MAX:
            _require_shallow(text)
        if b"\\u" in value:
            _require_whole_surrogates(text)
        return _parse(text)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise MalformedError(str(error)) from error


def variants(value: object, names: Collection[str]) -> Iterator[object]:
    """The value cut down to these names, and once more for each occurrence of a name, put in its place."""
    if not isinstance(value, dict):
        yield value
        return
    kept = {name: value[name] for name in names if name in value}
    yield kept
    for name, occurrence in value.pairs if isinstance(value, Repeated) else kept.items():
        if name in kept:
            for variant in variants(occurrence, names):
                yield {**kept, name: variant}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeated = Repeated(found)
    repeated.pairs = pairs
    return repeated


def _no_constant(name: str) -> object:
    raise json.JSONDecodeError("not a number of JSON", name, 0)


def _integer(digits: str) -> int:
    # Python refuses to convert thousands of digits, and what exceeds 64 bits is out of every range anyhow.
    return int(digits) if len(digits) < 64 else 2**64


_decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant).decode
# Slower by a call for each integer, so only for documents on which the first one gave up.
_decode_any_integer = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_no_constant, parse_int=_integer
).decode


def _parse(text: str) -> object:
    try:
        return _decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return _decode_any_integer(text)


_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def _require_shallow(text: str) -> None:
    depth = 0
    for character in _STRING.sub("", text):
        if character in "[{":
            depth += 1
            if depth > NESTING_MAX:
                raise MalformedError(f"nested deeper than {NESTING_MAX} levels")
        elif character in "]}":
            depth -= 1


# Tried in this order at each backslash: a whole pair, half of one (the group), any other escape.
_ESCAPE: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)


def _require_whole_surrogates(text: str) -> None:
    if any(_ESCAPE.findall(text)):
        raise MalformedError("half of a surrogate pair")
