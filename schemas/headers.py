"""The headers of a record as the tables keep them: packed, with whatever bytes came as names."""

import msgspec

from schemas.records import Headers


def packed_headers(headers: Headers) -> bytes | None:
    """Headers as a MessagePack array of pairs; None where the record had none."""
    return msgspec.msgpack.encode([(_storable(name), value) for name, value in headers]) if headers else None


def unpacked_headers(packed: bytes | None) -> Headers:
    """What `packed_headers` packed, with names as the records of a topic have them."""
    if packed is None:
        return ()
    pairs: list[tuple[str | bytes, bytes | None]] = msgspec.msgpack.decode(packed)
    return tuple((_name(name), value) for name, value in pairs)


def _storable(name: str) -> str | bytes:
    """A header's name as text, or as the bytes that came where they are no text."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape")
    return name


def _name(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")
