"""A record's value and headers to one document: JSON or MessagePack, plain or as a CloudEvent in binary mode.

Of headers with one name, in any case, the last counts; one without a value is as good as absent. What says
`ce_specversion` is a CloudEvent (https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/kafka-protocol-binding.md):
its attributes may stand for fields of the body, and must agree with those that the body has.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pipeline.oracle.decode_msgpack import parse_messagepack
from pipeline.oracle.strict_json import MalformedError, parse

# Field to its attribute, and to what reads it from a mapping by name (raising whatever its module raises).
Carried = Mapping[str, tuple[str, Callable[[Mapping[str, Any], str], object]]]

_JSON: Final = ("application/json",)
_MESSAGEPACK: Final = ("application/msgpack", "application/x-msgpack", "application/vnd.msgpack")


class AttributeFault(Exception):
    """An attribute is not what the contract has, or contradicts the body."""


def document_of(value: bytes, names: tuple[str, ...], values: tuple[bytes | None, ...], carried: Carried) -> object:
    """The document that the record stands for, with the fields that its attributes carry.

    Raises MalformedError, AttributeFault, and what the readers of `carried` raise.
    """
    if any("\ud800" <= letter <= "\udfff" for name in names for letter in name):
        raise MalformedError("the name of a header is not UTF-8")
    headers = {}
    for name, header in zip(names, values, strict=False):
        headers[name.lower()] = header
    document = _parser(headers.get("content-type"))(value)
    version = headers.get("ce_specversion")
    if version is None or not isinstance(document, dict):
        return document
    if version != b"1.0":
        raise AttributeFault(f"ce_specversion {version!r}")
    for field, (attribute, read) in carried.items():
        written = headers.get("ce_" + attribute)
        if written is not None:
            _complete(document, field, {field: _text(written, attribute)}, read)
    return document


def _parser(content_type: bytes | None) -> Callable[[bytes], object]:
    if content_type is None:
        return parse
    media_type = content_type.decode("latin-1").split(";")[0].strip("\t\n\v\f\r ")
    # Letters of ASCII only: lower() makes one of the Kelvin sign, too, but latin-1 has none.
    if media_type.lower() in _JSON:
        return parse
    if media_type.lower() in _MESSAGEPACK:
        return parse_messagepack
    raise MalformedError(f"content-type {media_type}")


def _text(written: bytes, attribute: str) -> str:
    try:
        return written.decode("utf-8")
    except UnicodeDecodeError as error:
        raise AttributeFault(f"ce_{attribute} is not UTF-8") from error


def _complete(
    document: dict[str, Any],
    field: str,
    carried: Mapping[str, str],
    read: Callable[[Mapping[str, Any], str], object],
) -> None:
    """Put the field into the document, or find that it says the same there."""
    said = read(carried, field)
    if field not in document:
        document[field] = carried[field]
    elif read(document, field) != said:
        raise AttributeFault(f"{field} is {document[field]!r} in the body and {carried[field]!r} as an attribute")
