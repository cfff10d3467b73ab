"""What the headers of a record say: how its value is encoded, and which attributes it has as a CloudEvent.

Names are compared without regard to case; of headers with one name the last counts, as with Kafka's `lastHeader`; a
header without a value counts as absent. docs/decisions/0005 says why unknown content types are refused.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

import msgspec

from schemas.records import Headers


class Encoding(Enum):
    """How the value of a record is written."""

    JSON = "JSON"
    MESSAGEPACK = "MessagePack"


class Envelope(NamedTuple):
    """The encoding, and the attributes by their names without `ce_`: empty where the record is no CloudEvent.

    Attributes are texts in UTF-8; the binding for Kafka has no percent-encoding (that for HTTP has).
    """

    encoding: Encoding
    attributes: Mapping[str, bytes]


_ENCODINGS: Final = {
    b"application/json": Encoding.JSON,
    b"application/msgpack": Encoding.MESSAGEPACK,
    b"application/x-msgpack": Encoding.MESSAGEPACK,
    b"application/vnd.msgpack": Encoding.MESSAGEPACK,
}
_ACCEPTED: Final = ", ".join(name.decode() for name in _ENCODINGS)
_PREFIX: Final = "ce_"
_PLAIN: Final = {encoding: Envelope(encoding, {}) for encoding in Encoding}


def envelope_of(headers: Headers) -> Envelope:
    """Read the headers.

    Raises msgspec.DecodeError for a name that is not UTF-8, and for a content type that is not accepted.
    """
    last: dict[str, bytes | None] = {}
    for name, value in headers:
        if not name.isascii():
            _require_utf8(name)
        last[name.lower()] = value
    encoding = _encoding(content_type) if (content_type := last.get("content-type")) is not None else Encoding.JSON
    if last.get("ce_specversion") is None:
        return _PLAIN[encoding]
    attributes = {
        name.removeprefix(_PREFIX): value
        for name, value in last.items()
        if name.startswith(_PREFIX) and value is not None
    }
    return Envelope(encoding, attributes)


def _require_utf8(name: str) -> None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise msgspec.DecodeError(f"the name of a header is not UTF-8: {name!r}") from None


def _encoding(content_type: bytes) -> Encoding:
    # Parameters do not count: what a value says in another charset than UTF-8 is malformed, whatever is announced.
    media_type = content_type.partition(b";")[0].strip().lower()
    if media_type in _ENCODINGS:
        return _ENCODINGS[media_type]
    if media_type.startswith(b"application/cloudevents"):
        raise msgspec.DecodeError(
            f"content-type {_shown(content_type)}: CloudEvents are accepted in binary mode only, attributes as ce_ "
            f"headers and the data as {_ACCEPTED}"
        )
    raise msgspec.DecodeError(f"content-type {_shown(content_type)} is none of {_ACCEPTED}")


def _shown(content_type: bytes) -> str:
    return repr(content_type[:100])[1:]
