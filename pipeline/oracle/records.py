"""A record as it stands in a topic, and the way from its bytes to a verdict that both contracts share.

The verdict does not depend on the order of fields. The whole record is well-formed, or it is `malformed`;
then each known field has its type and range, or it is `schema`; then come the rules across fields, in order.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, Generic, NamedTuple, TypeVar

from pipeline.oracle.decode_headers import AttributeFault, Carried, document_of
from pipeline.oracle.fields import SCHEMA, RuleError, mapping
from pipeline.oracle.strict_json import MalformedError, Repeated, variants

RECORD_BYTES_MAX: Final = 256 * 1024

T = TypeVar("T")


class Record(NamedTuple):
    """A record as it stands in the topic."""

    lane: int
    offset: int
    appended_at: datetime  # UTC
    value: bytes | None
    header_names: tuple[str, ...] = ()  # what is not UTF-8 in them stands as lone surrogates
    header_values: tuple[bytes | None, ...] = ()  # in the same order


class Rules(NamedTuple):
    """What a lane's records from `position` on were judged by."""

    position: int
    past_max: timedelta
    future_max: timedelta
    default_currency: str
    default_time_zone: str
    unknown_property: str  # what becomes of a record that names one: register, or quarantine
    lane_count: int  # by which the home of an organisation was told


class Rejected(NamedTuple):
    """A record that breaks a rule."""

    lane: int
    offset: int
    digest: bytes | None  # None where the record has no value
    reason: str
    detail: str


class Contract(NamedTuple, Generic[T]):
    """What the records of a topic must be. `typed` and `require` raise RuleError."""

    carried: Carried  # what a CloudEvent may say in attributes
    names: tuple[str, ...]  # of every known field
    nested: tuple[str, ...]  # the fields that hold such fields in their turn
    typed: Callable[[Record, bytes, object], T]  # from record, digest and document: each field in its type and range
    require: Callable[[T, Mapping[str, Any], Rules], None]  # the rules across fields
    texts: Callable[[T, Mapping[str, Any]], tuple[str | None, ...]]  # which may hold no NUL

    def judge(self, record: Record, rules: Rules) -> T | Rejected:
        """Decode a record and check every rule that needs no books. Never raises for what a producer sent."""
        lane, offset, value = record.lane, record.offset, record.value
        if value is None:
            return Rejected(lane, offset, None, "empty", "no value")
        digest = sha256(value).digest()
        try:
            return self._read(record, value, digest, rules)
        except RuleError as broken:
            return Rejected(lane, offset, digest, broken.reason, broken.detail)

    def _read(self, record: Record, value: bytes, digest: bytes, rules: Rules) -> T:
        if len(value) > RECORD_BYTES_MAX:
            raise RuleError("too_large", f"{len(value)} bytes")
        document = self._document(record, value)
        if self._has_repeated_names(document):
            for variant in variants(document, self.names):
                self.typed(record, digest, variant)
        found = self.typed(record, digest, document)
        whole = mapping(document, "$")
        self.require(found, whole, rules)
        may_hold_nul = b"\\u0000" in value or b"\0" in value  # as JSON writes NUL, and as MessagePack does
        if may_hold_nul and any("\0" in text for text in self.texts(found, whole) if text is not None):
            raise RuleError("text", "NUL in a text")
        return found

    def _document(self, record: Record, value: bytes) -> object:
        try:
            return document_of(value, record.header_names, record.header_values, self.carried)
        except MalformedError as error:
            raise RuleError("malformed", str(error)) from error
        except AttributeFault as error:
            raise RuleError(SCHEMA, str(error)) from error

    def _has_repeated_names(self, document: object) -> bool:
        if isinstance(document, Repeated):
            return True
        return isinstance(document, dict) and any(isinstance(document.get(name), Repeated) for name in self.nested)
