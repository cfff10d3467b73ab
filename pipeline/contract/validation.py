"""What would become of a file's lines if each were a record: judged as the workers judge, before anything is sent.

What hangs on the books is not found here: another body under a version or a correction_id that is booked already, a
currency that is not the property's, a property that had to be loaded, and an organisation that is
paused.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Final

from schemas.codec import RECORD_BYTES_MAX, Rules, judge, judge_correction
from schemas.reasons import Reason
from schemas.records import Judged, Origin, Rejected
from schemas.topics import Feed

# A line may end with CR LF besides; what is longer is too large whatever follows, and is not held.
_READ_BYTES: Final = RECORD_BYTES_MAX + 2
_NO_KEY: Final = None  # a file has values only, and no rule looks at the key

_JUDGES: Final[dict[Feed, Callable[[Origin, Rules], Judged]]] = {
    Feed.EVENTS: judge,
    Feed.CORRECTIONS: judge_correction,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a line would be quarantined."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line by its number, from 1; no refusal where it would be accepted."""

    number: int
    refusal: Refusal | None


def judged_lines(file: BinaryIO, feed: Feed, rules: Rules, appended_at: datetime) -> Iterator[Line]:
    """Judge line by line, as if each had been appended to the feed's topic at `appended_at`.

    Blank lines count as lines and are no records. Holds one line at a time, of at most the accepted size.
    """
    number = 0
    while start := file.readline(_READ_BYTES):
        number += 1
        value = start.removesuffix(b"\n").removesuffix(b"\r")
        size = len(value) + (0 if start.endswith(b"\n") else _skip_rest(file))
        if size > RECORD_BYTES_MAX:
            yield Line(number, Refusal(Reason.TOO_LARGE, f"{size} bytes; at most {RECORD_BYTES_MAX} are accepted"))
        elif value.strip():
            yield Line(number, _refusal(_JUDGES[feed](_as_record(value, feed, number, appended_at), rules)))


def _skip_rest(file: BinaryIO) -> int:
    """Read the rest of a line and let it go; returns how many bytes it had."""
    skipped = 0
    while chunk := file.readline(_READ_BYTES):
        skipped += len(chunk.removesuffix(b"\n"))
        if chunk.endswith(b"\n"):
            break
    return skipped


def _as_record(value: bytes, feed: Feed, number: int, appended_at: datetime) -> Origin:
    return Origin(feed, 0, number, appended_at, _NO_KEY, value, ())


def _refusal(record: Judged) -> Refusal | None:
    return Refusal(record.reason, record.detail) if isinstance(record, Rejected) else None
