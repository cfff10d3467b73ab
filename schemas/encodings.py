"""JSON and MessagePack, read strictly: msgspec looks into known fields only, and this module into all others.

A record is well-formed as a whole or not at all: the verdict hangs neither on which fields are known, nor on their
order, nor on how deep the caller's stack is.
"""

import re
from collections.abc import Callable
from math import isfinite
from struct import unpack_from
from typing import Final, TypeVar

import msgspec

# Real events nest twice. Without a bound of our own, deep nesting raises RecursionError at a depth that hangs on the
# caller's stack: the same record would be judged differently by two workers.
NESTING_MAX: Final = 100
# Without arrays, each level takes the four bytes of `{"":` at least. Most records are shorter, and need no count.
_NESTING_BYTES_MIN: Final = 4 * NESTING_MAX
_BRACKET: Final = ord("[")  # a number: looking for bytes in bytes, Python raises and catches a TypeError first

T = TypeVar("T")


# --- JSON ---

# An unterminated string runs to the end: else each of its quotes would be tried as a beginning, in square time.
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_skip = msgspec.json.Decoder(msgspec.Raw).decode


def read_json(value: bytes, decode: Callable[[bytes], T]) -> T:
    """What `decode`, a decoder of msgspec, makes of one JSON document.

    Raises msgspec.ValidationError for what is no T; other DecodeErrors, and UnicodeDecodeError, for what is no JSON.
    """
    if not value.isascii():
        value.decode("utf-8")
    if (len(value) >= _NESTING_BYTES_MIN or _BRACKET in value) and _nesting(value) > NESTING_MAX:
        raise msgspec.DecodeError(f"nested deeper than {NESTING_MAX} levels")
    try:
        return decode(value)
    except msgspec.ValidationError:
        # The decoder stops at the first fault that it meets; the verdict must not hang on the order of the fields.
        _skip(value)
        raise


def _nesting(value: bytes) -> int:
    """How deep the value nests; 0 where it has too few brackets to matter."""
    if value.count(b"[") + value.count(b"{") <= NESTING_MAX:
        return 0
    depth = deepest = 0
    for byte in _STRING.sub(b"", value).translate(None, _NO_BRACKETS):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


# --- MessagePack ---

# Every real event has this shape, so it is cleared in C. No float: NaN would pass.
_Scalar = str | int | bool | None
_has_usual_shape = msgspec.msgpack.Decoder(dict[str, _Scalar | dict[str, _Scalar]]).decode


def read_messagepack(value: bytes, decode: Callable[[bytes], T]) -> T:
    """What `decode`, a decoder of msgspec, makes of one MessagePack value that says what JSON could say.

    Nil, booleans, integers, finite floats, texts in UTF-8, arrays, and maps with texts as names; binary and extension
    types, timestamps among them, are refused. Raises as `read_json` does.
    """
    try:
        _has_usual_shape(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        _walk(value)
    return decode(value)


def _walk(value: bytes) -> None:
    """Raise msgspec.DecodeError or UnicodeDecodeError unless the bytes are one value as `read_messagepack` has it."""
    at = 0
    around: list[tuple[int, bool]] = []  # of the containers around this one, like the two below
    left, is_map = 1, False  # values that are to come, in a map names among them
    while left or around:
        if not left:
            left, is_map = around.pop()
            continue
        name_is_due = is_map and left % 2 == 0
        left -= 1
        kind, size, at = _head(value, at)
        if name_is_due and kind != _TEXT:
            raise msgspec.DecodeError(f"a name is no text, before byte {at}")
        if kind <= _FLOAT:  # what has content of its own
            _require_content(value, at, kind, size)
            at += size
        else:
            around.append((left, is_map))
            if len(around) > NESTING_MAX:
                raise msgspec.DecodeError(f"nested deeper than {NESTING_MAX} levels")
            left, is_map = (2 * size, True) if kind == _MAP else (size, False)
    if at != len(value):
        raise msgspec.DecodeError(f"something follows behind byte {at}")


# In this order: the first three have bytes, the others have values.
_SCALAR, _TEXT, _FLOAT, _ARRAY, _MAP = range(5)
# First byte to kind, size, and how many bytes hold the size instead.
# https://github.com/msgpack/msgpack/blob/master/spec.md#formats
_HEADS: Final[dict[int, tuple[int, int, int]]] = (
    dict.fromkeys((*range(0x80), *range(0xE0, 0x100), 0xC0, 0xC2, 0xC3), (_SCALAR, 0, 0))
    | {0x80 + size: (_MAP, size, 0) for size in range(16)}
    | {0x90 + size: (_ARRAY, size, 0) for size in range(16)}
    | {0xA0 + size: (_TEXT, size, 0) for size in range(32)}
    | {first + power: (_SCALAR, 1 << power, 0) for first in (0xCC, 0xD0) for power in range(4)}
    | {0xCA: (_FLOAT, 4, 0), 0xCB: (_FLOAT, 8, 0)}
    | {0xD9: (_TEXT, 0, 1), 0xDA: (_TEXT, 0, 2), 0xDB: (_TEXT, 0, 4)}
    | {0xDC: (_ARRAY, 0, 2), 0xDD: (_ARRAY, 0, 4), 0xDE: (_MAP, 0, 2), 0xDF: (_MAP, 0, 4)}
)


def _head(value: bytes, at: int) -> tuple[int, int, int]:
    """The kind and size of the value that begins here, and where its content begins."""
    if at >= len(value):
        raise msgspec.DecodeError(f"ends after {at} bytes, before the value does")
    try:
        kind, size, size_bytes = _HEADS[value[at]]
    except KeyError:
        raise msgspec.DecodeError(f"binary, extension or unknown type {value[at]:#04x} at byte {at}") from None
    at += 1
    if size_bytes:
        size = int.from_bytes(value[at : at + size_bytes], "big")
        at += size_bytes
        if at > len(value):
            raise msgspec.DecodeError(f"ends after {len(value)} bytes, before the value does")
    return kind, size, at


def _require_content(value: bytes, at: int, kind: int, size: int) -> None:
    content = value[at : at + size]
    if len(content) < size:
        raise msgspec.DecodeError(f"ends after {len(value)} bytes, before the value does")
    if kind == _TEXT:
        content.decode("utf-8")
    elif kind == _FLOAT and not isfinite(unpack_from(">d" if size == 8 else ">f", content)[0]):
        raise msgspec.DecodeError(f"not a finite number at byte {at - 1}")
