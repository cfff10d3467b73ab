"""What a subscriber is handed, and why it may be told to begin anew, be ended, or be refused: values alone."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from hashlib import sha256

from schemas.updates import BalanceUpdate

# Property and day, of one organisation: what a version counts.
Key = tuple[int, date]


class ResyncReason(StrEnum):
    """Why what a subscriber holds may lack something: it reads a snapshot from the primary, and goes on."""

    EPOCH_CHANGED = "epoch_changed"  # another primary: what the former one told last may be lost
    CURSOR_TOO_OLD = "cursor_too_old"  # older than what this process remembers
    CURSOR_AHEAD = "cursor_ahead"  # of what this process has read: it lags, or the topic was made anew
    CURSOR_FOREIGN = (
        "cursor_foreign"  # of another partition, topic or choice of days, or given before a snapshot was told
    )
    TOPIC_LOST = "topic_lost"  # records left the topic before they were read, or it was made anew
    TOPIC_GROWN = "topic_grown"  # organisations have moved to other partitions


class CloseReason(StrEnum):
    """Why a subscription has ended. The subscriber may come back with its cursor."""

    SLOW_CONSUMER = "slow_consumer"
    DRAINING = "draining"
    LEFT = "left"  # the subscriber's own wish
    TOKEN_EXPIRED = "token_expired"  # noqa: S105  # its holder was not believed any more
    FORBIDDEN = "forbidden"  # its newest token does not name the organisation
    TOO_LARGE = "too_large"  # the days that it asked for are more than a snapshot may have


class Refusal(StrEnum):
    """Why somebody may not subscribe now."""

    NOT_READY = "not_ready"  # the feed has not begun: ask again
    DRAINING = "draining"  # this process ends: ask another
    USER_FULL = "user_full"
    ORG_FULL = "org_full"
    PROCESS_FULL = "process_full"


@dataclass(frozen=True, slots=True)
class Entry:
    """A record of the topic: where it was, its bytes, and what they say."""

    partition: int
    offset: int
    line: bytes
    update: BalanceUpdate

    @property
    def key(self) -> Key:
        return self.update.property_id, self.update.balance_date


@dataclass(frozen=True, slots=True)
class Delivery:
    """The newest state of a day. `previous_version`: the one of this day that this subscriber was told before.

    None: it was told none since it began, or since its last resync.
    """

    entry: Entry
    previous_version: int | None


@dataclass(frozen=True, slots=True)
class Resync:
    """What was told before may not be all: read a snapshot from the primary now, and go on taking."""

    reason: ResyncReason


Message = Delivery | Resync


@dataclass(frozen=True, slots=True)
class Filters:
    """Which days of an organisation are wanted; what is empty or None does not restrict."""

    properties: frozenset[int] = frozenset()
    first: date | None = None
    last: date | None = None

    def include(self, key: Key) -> bool:
        property_id, day = key
        return (
            (not self.properties or property_id in self.properties)
            and (self.first is None or day >= self.first)
            and (self.last is None or day <= self.last)
        )

    @property
    def view(self) -> str:
        """Equal for equal filters: a cursor says nothing of days that its subscriber did not want."""
        said = f"{sorted(self.properties)} {self.first} {self.last}"
        return sha256(said.encode()).hexdigest()[:16]
