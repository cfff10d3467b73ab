"""What both kinds of poison are made of: a fault, the reason for which it is quarantined, and common ways to spoil."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from schemas.codec import RECORD_BYTES_MAX
from schemas.reasons import Reason

# A message as plain JSON values. Any, since spoiling means to put there what does not belong.
Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Poison:
    """One fault. `spoil` turns a valid message into the record's value."""

    name: str
    reason: Reason
    spoil: Callable[[bytes], bytes | None]

    @property
    def kind(self) -> str:
        return f"poison.{self.reason}"


def written(tree: Tree) -> bytes:
    """The tree as most programs write it."""
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()


def with_fields(**fields: object) -> Callable[[bytes], bytes]:
    """These fields, whatever was in them."""

    def spoil(value: bytes) -> bytes:
        return written(json.loads(value) | fields)

    return spoil


def without_field(name: str) -> Callable[[bytes], bytes]:
    """All fields but one."""

    def spoil(value: bytes) -> bytes:
        tree: Tree = json.loads(value)
        del tree[name]
        return written(tree)

    return spoil


def truncated(value: bytes) -> bytes:
    """Cut off on its way."""
    return value[: len(value) * 2 // 3]


def no_json(_value: bytes) -> bytes:
    """From a system that speaks another language."""
    return b"<transaction><amount>1200.00</amount></transaction>"


def no_bytes(_value: bytes) -> bytes:
    """A value of no bytes, which is not the same as no value."""
    return b""


def tombstone(_value: bytes) -> None:
    """No value: in a compacted topic it would delete its key."""


def too_large(value: bytes) -> bytes:
    """A byte more than a record may have."""
    # Spaces: the fault must be the size, not the length of a text.
    return value + b" " * (RECORD_BYTES_MAX + 1 - len(value))
