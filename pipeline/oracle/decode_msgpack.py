"""MessagePack as the contract has it: what JSON could say, and nothing else. Read in plain Python from its definition.

https://github.com/msgpack/msgpack/blob/master/spec.md. Refused: binary and extension types (timestamps among them),
names that are no texts, texts that are not UTF-8, numbers that are not finite, deep nesting, anything behind the value.
"""

from math import isfinite
from struct import unpack
from typing import Any, Final

from pipeline.oracle.strict_json import NESTING_MAX, MalformedError, Repeated

_CONSTANTS: Final = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS: Final = dict(zip(range(0xCA, 0xD4), ("f", "d", "B", "H", "I", "Q", "b", "h", "i", "q"), strict=True))
_BYTES_OF: Final = {"f": 4, "d": 8, "b": 1, "h": 2, "i": 4, "q": 8}
# First byte to how many bytes hold the length.
_LONG_TEXTS: Final = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_LONG_ARRAYS: Final = {0xDC: 2, 0xDD: 4}
_LONG_MAPS: Final = {0xDE: 2, 0xDF: 4}


def parse_messagepack(value: bytes) -> object:
    """The one value in these bytes; a map with a repeated name comes as Repeated.

    Raises MalformedError.
    """
    reader = _Reader(value)
    try:
        found = reader.value(0)
    except UnicodeDecodeError as error:
        raise MalformedError(str(error)) from error
    if reader.at != len(value):
        raise MalformedError("more than one value")
    return found


class _Reader:
    def __init__(self, value: bytes) -> None:
        self._bytes = value
        self.at = 0

    def value(self, depth: int) -> object:
        """The value that begins here, inside of so many arrays and maps."""
        first = self._number(1)
        if first < 0x80:
            return first
        if first >= 0xE0:
            return first - 0x100
        if first in _CONSTANTS:
            return _CONSTANTS[first]
        if first in _NUMBERS:
            return self._wide_number(_NUMBERS[first])
        return self._sized(first, depth)

    def _sized(self, first: int, depth: int) -> object:
        if 0xA0 <= first < 0xC0:
            return self._text(first - 0xA0)
        if first in _LONG_TEXTS:
            return self._text(self._number(_LONG_TEXTS[first]))
        if depth == NESTING_MAX:
            raise MalformedError(f"nested deeper than {NESTING_MAX} levels, or no value at all")
        if first < 0x90:
            return self._map(first - 0x80, depth + 1)
        if first in _LONG_MAPS:
            return self._map(self._number(_LONG_MAPS[first]), depth + 1)
        if first < 0xA0:
            return self._array(first - 0x90, depth + 1)
        if first in _LONG_ARRAYS:
            return self._array(self._number(_LONG_ARRAYS[first]), depth + 1)
        raise MalformedError(f"type {first:#x}")

    def _taken(self, count: int) -> bytes:
        self.at += count
        if self.at > len(self._bytes):
            raise MalformedError("the value is cut off")
        return self._bytes[self.at - count : self.at]

    def _number(self, count: int) -> int:
        return int.from_bytes(self._taken(count), "big")

    def _wide_number(self, form: str) -> float:
        found: float = unpack(">" + form, self._taken(_BYTES_OF[form.lower()]))[0]
        if form in "fd" and not isfinite(found):
            raise MalformedError("not a finite number")
        return found

    def _text(self, count: int) -> str:
        return self._taken(count).decode("utf-8")

    def _array(self, count: int, depth: int) -> list[object]:
        found = []
        for _ in range(count):
            found.append(self.value(depth))  # noqa: PERF401 - a comprehension takes a frame of the stack at each level
        return found

    def _map(self, count: int, depth: int) -> dict[str, Any]:
        pairs: list[tuple[str, Any]] = []
        for _ in range(count):
            name = self.value(depth)
            if not isinstance(name, str):
                raise MalformedError("a name that is no text")
            pairs.append((name, self.value(depth)))
        found = dict(pairs)
        if len(found) == count:
            return found
        repeated = Repeated(found)
        repeated.pairs = pairs
        return repeated
