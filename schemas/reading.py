"""One kind of record in every form that producers may give it: JSON or MessagePack, plain or as a CloudEvent."""

from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import FieldInfo, fields

from schemas.encodings import read_json, read_messagepack
from schemas.envelope import Encoding, envelope_of
from schemas.records import Headers

_SPECVERSION: Final = b"1.0"
T = TypeVar("T", bound=Struct)


class Reader(Generic[T]):
    """Reads records of one Struct. `carried` maps fields to the attributes that may stand for them in a CloudEvent."""

    def __init__(self, kind: type[T], carried: Mapping[str, str]) -> None:
        self._kind = kind
        self._carried = {
            field.name: (carried[field.name], field.type) for field in fields(kind) if field.name in carried
        }
        # In a CloudEvent the fields that attributes carry may be absent; all else is as strict as in the plain form.
        loose = msgspec.defstruct(
            f"{kind.__name__}InCloudEvent",
            [_loosened(field) if field.name in carried else _as_it_is(field) for field in fields(kind)],
            kw_only=True,
            frozen=True,
            gc=False,
        )
        self._json = msgspec.json.Decoder(kind).decode
        self._messagepack = msgspec.msgpack.Decoder(kind).decode
        self._loose_json = msgspec.json.Decoder(loose).decode
        self._loose_messagepack = msgspec.msgpack.Decoder(loose).decode

    def read(self, value: bytes, headers: Headers) -> T:
        """The record's content.

        Raises msgspec.ValidationError for what is well-formed and breaks the schema; other msgspec.DecodeErrors, and
        UnicodeDecodeError, for what is not well-formed, and for headers that announce what is not accepted.
        """
        if not headers:
            return read_json(value, self._json)
        encoding, attributes = envelope_of(headers)
        if encoding is Encoding.JSON:
            if not attributes:
                return read_json(value, self._json)
            return self._completed(read_json(value, self._loose_json), attributes)
        if not attributes:
            return read_messagepack(value, self._messagepack)
        return self._completed(read_messagepack(value, self._loose_messagepack), attributes)

    def _completed(self, loose: Struct, attributes: Mapping[str, bytes]) -> T:
        if attributes["specversion"] != _SPECVERSION:
            raise msgspec.ValidationError("CloudEvents 1.0 are accepted - at header `ce_specversion`")
        found = msgspec.structs.asdict(loose)
        for field, (attribute, type_) in self._carried.items():
            found[field] = _agreed(field, found[field], attribute, type_, attributes.get(attribute))
        try:
            return self._kind(**found)
        except ValueError as error:  # a rule of the Struct across its fields, which a decoder would have translated
            raise msgspec.ValidationError(str(error)) from error


def _loosened(field: FieldInfo) -> tuple[str, Any, Any]:
    return field.name, field.type | UnsetType, UNSET


def _as_it_is(field: FieldInfo) -> tuple[str, Any] | tuple[str, Any, Any]:
    return (field.name, field.type) if field.required else (field.name, field.type, field.default)


def _agreed(field: str, in_body: object, attribute: str, type_: Any, written: bytes | None) -> object:
    """The field's value from the body, or from the attribute, or from both where they agree."""
    if written is None:
        if in_body is UNSET:
            raise msgspec.ValidationError(f"neither `$.{field}` nor header `ce_{attribute}` is there")
        return in_body
    try:
        carried = msgspec.convert(written.decode("utf-8"), type_)
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        raise msgspec.ValidationError(f"{error} - at header `ce_{attribute}`") from error
    if in_body is not UNSET and in_body != carried:
        raise msgspec.ValidationError(f"header `ce_{attribute}` and `$.{field}` are there and do not agree")
    return carried
