"""A dead letter as it goes to `finance-dead-letters`: the record as it came, and in headers why it is there."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from msgspec import Struct

from schemas.headers import unpacked_headers
from schemas.records import Headers, Origin, Rejected

REASON_HEADER: Final = "folio-reason"
DETAIL_HEADER: Final = "folio-detail"
TOPIC_HEADER: Final = "folio-topic"
LANE_HEADER: Final = "folio-partition"
OFFSET_HEADER: Final = "folio-offset"
APPENDED_AT_HEADER: Final = "folio-appended-at"
OMITTED_HEADER: Final = "folio-value-omitted-bytes"
# Each header, with what it says.
HEADER_MEANING: Final[Mapping[str, str]] = {
    REASON_HEADER: "the reason, one of those above",
    DETAIL_HEADER: "what was wrong, and where",
    TOPIC_HEADER: "the topic of the record",
    LANE_HEADER: "its partition",
    OFFSET_HEADER: "its offset",
    APPENDED_AT_HEADER: "when the broker appended it, RFC 3339",
    OMITTED_HEADER: "bytes of the value, where it was left out",
}


class Row(Protocol):
    """A row as the driver gives it."""

    def __getitem__(self, column: str, /) -> Any: ...


class DeadLetter(Struct, frozen=True, gc=False):
    """A quarantined record. (topic, partition, offset) is its identity: one that is exported twice has the same."""

    origin: Origin
    reason: str
    detail: str

    @property
    def size(self) -> int:
        """Bytes of key, value and headers."""
        origin = self.origin
        headers = sum(len(name) + len(value or b"") for name, value in origin.headers)
        return len(origin.key or b"") + len(origin.value or b"") + headers


def dead_letter(rejected: Rejected) -> DeadLetter:
    # PostgreSQL stores no NUL in a text; the letter is the same whether it comes from the table or from memory.
    return DeadLetter(rejected.origin, rejected.reason.value, rejected.detail.replace("\x00", "\\0"))


def stored_origin(row: Row) -> Origin:
    """The record of a row of ops.dead_letters, as it came."""
    return Origin(
        row["topic"],
        row["lane"],
        row["record_offset"],
        row["appended_at"],
        row["record_key"],
        row["record_value"],
        unpacked_headers(row["headers"]),
    )


def exported_headers(letter: DeadLetter) -> Headers:
    """The record's own headers, then ours. A name that is no text has its odd bytes escaped, as backslash-x-ff."""
    origin = letter.origin
    own = tuple((_sendable(name), value) for name, value in origin.headers if name not in HEADER_MEANING)
    return (
        *own,
        (REASON_HEADER, letter.reason.encode()),
        (DETAIL_HEADER, letter.detail.encode("utf-8", "backslashreplace")),
        (TOPIC_HEADER, origin.topic.encode()),
        (LANE_HEADER, b"%d" % origin.lane),
        (OFFSET_HEADER, b"%d" % origin.offset),
        (APPENDED_AT_HEADER, origin.appended_at.isoformat(timespec="milliseconds").encode()),
    )


def omitting_headers(letter: DeadLetter) -> Headers:
    """Our headers alone, of a letter whose record has no room in the topic: its bytes are in the table."""
    ours = tuple((name, value) for name, value in exported_headers(letter) if name in HEADER_MEANING)
    return (*ours, (OMITTED_HEADER, b"%d" % len(letter.origin.value or b"")))


def _sendable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
