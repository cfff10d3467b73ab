"""The document. What a server that is away would have told is null, and `missing` says why."""

from dataclasses import dataclass
from datetime import datetime

from pipeline.api.system import ServerHealth


@dataclass(frozen=True, slots=True)
class LaneFigures:
    """A lane: whose it is, and what keeps it from going on."""

    lane: int
    owner: str | None
    last_batch_rows: int
    stopped_reason: str | None
    paused_by: str | None
    pause_reason: str | None


@dataclass(frozen=True, slots=True)
class Counted:
    """What the books say: records by what became of them, since ever, and what waits to be told of it.

    `read_at_seconds` is this process's monotonic clock: rates are differences of two documents of one `process`.
    """

    read_at_seconds: float
    consumed: int
    applied: int
    duplicate: int
    stale: int
    conflict: int
    quarantined: int
    batches: int
    unpublished_batches: int
    uninvalidated_batches: int
    paused_orgs: int
    lanes: list[LaneFigures]


@dataclass(frozen=True, slots=True)
class LaneLag:
    """How far a lane is behind its topics. `oldest_seconds`: the age of its oldest uncommitted record, or 0."""

    lane: int
    records: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Lag:
    """All lanes together: how many records wait, and for how long the oldest of them has."""

    records: int
    oldest_seconds: float
    lanes: list[LaneLag]


@dataclass(frozen=True, slots=True)
class Strip:
    """Produced, stored, delivered: the ends of the topics, what the lanes have committed, what this process has read.

    Every pair is `*_apart`: the sum of the differences, lane by lane, so that two of them never make up for each other;
    null where one side is not known. `counted` is where the lanes would stand by the outcomes of their records alone.
    """

    produced: int | None
    stored: int | None
    counted: int | None
    published: int | None
    delivered: int | None
    stored_apart: int | None
    counted_apart: int | None
    delivered_apart: int | None


@dataclass(frozen=True, slots=True)
class CacheFigures:
    """Cached balances of this process: answers by the tier that gave them."""

    hit_rate: float
    l1: int
    redis: int
    database: int


@dataclass(frozen=True, slots=True)
class GatewayFigures:
    """Realtime subscribers of this process, and updates handed to them: how long after the change; null before any."""

    subscriptions: int
    deliveries: int
    delivery_seconds_p95: float | None


@dataclass(frozen=True, slots=True)
class Runway:
    """A table of months: days until rows of now would find no month of their own, and what must be mended."""

    table: str
    days: float
    problems: list[str]


@dataclass(frozen=True, slots=True)
class LettersOfReason:
    """Dead letters of a reason, and when the newest of them was recorded."""

    reason: str
    letters: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class NewestLetter:
    """A dead letter: which record, and why. Its bytes and details, which may be anybody's, stay where they are."""

    place: str
    reason: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Those of the last `days` days by reason, and the newest ones."""

    days: int
    reasons: list[LettersOfReason]
    newest: list[NewestLetter]


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """How the stream stands, as this process sees it."""

    at: datetime
    process: str
    counted: Counted | None
    lag: Lag | None
    strip: Strip
    cache: CacheFigures | None
    gateway: GatewayFigures | None
    servers: list[ServerHealth]
    partitions: list[Runway] | None
    dead_letters: DeadLetters | None
    missing: dict[str, str]
