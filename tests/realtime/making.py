"""Updates, hubs and subscribers for tests: small bounds, a clock in the hand."""

from dataclasses import dataclass, field
from datetime import timedelta

from pipeline.realtime.cursor import Cursor
from pipeline.realtime.hub import Hub, HubBounds
from pipeline.realtime.messages import Entry, Filters, Key, Refusal
from pipeline.realtime.metrics import RealtimeMetrics
from pipeline.realtime.subscription import Subscriber, SubscriberBounds, Subscription
from schemas.updates import BalanceUpdate, encode_update
from tests.support.clocks import HandClock
from tests.support.events import NOON, TODAY

EPOCH = "7000000000000000001-1"
NEXT_EPOCH = "7000000000000000001-2"
OTHER_SYSTEM = "7000000000000000002-1"
TOPIC = "realtime-updates"


def key(property_: int = 1, day: int = 0) -> Key:
    return property_, TODAY + timedelta(days=day)


def update(
    version: int, *, org: int = 1, property_: int = 1, day: int = 0, epoch: str = EPOCH, opening: int = 0
) -> BalanceUpdate:
    return BalanceUpdate(
        org_id=org,
        property_id=property_,
        balance_date=TODAY + timedelta(days=day),
        epoch=epoch,
        version=version,
        opening_balance_cents=opening,
        cash_received_cents=0,
        bank_received_cents=0,
        cash_expenses_cents=0,
        bank_expenses_cents=0,
        calculated_closing_balance_cents=opening,
        declared_closing_cents=None,
        closing_balance_cents=opening,
        balance_discrepancy_cents=0,
        changed_at=NOON,
        cause="event",
        event_id=None,
    )


def entry(offset: int, change: BalanceUpdate, partition: int = 0) -> Entry:
    return Entry(partition, offset, encode_update(change).line, change)


@dataclass
class World:
    """A hub of one partition that has read up to `next`, and its clock."""

    pending_max: int = 100
    known_max: int = 1_000
    ring_entries_max: int = 100
    user_max: int = 10
    org_max: int = 1_000
    process_max: int = 10_000
    partitions: int = 1
    clock: HandClock = field(default_factory=HandClock)
    metrics: RealtimeMetrics = field(default_factory=RealtimeMetrics)

    def __post_init__(self) -> None:
        bounds = HubBounds(self.user_max, self.org_max, self.process_max, self.ring_entries_max, 1 << 30)
        subscriber = SubscriberBounds(self.pending_max, self.known_max, slow_seconds=30)
        self.hub = Hub(TOPIC, bounds, subscriber, self.metrics, self.clock)

    def begin(self, position: int = 0) -> "World":
        self.hub.begin(dict.fromkeys(range(self.partitions), position), None)
        self.hub.caught_up()
        return self

    def tell(self, change: BalanceUpdate, partition: int = 0) -> None:
        self.hub.receive(entry(self.hub.positions()[partition], change, partition))

    def join(
        self, cursor: Cursor | None = None, *, org: int = 1, user: str = "asha", filters: Filters | None = None
    ) -> Subscription:
        joined = self.hub.subscribe(Subscriber(org, user), filters or Filters(), cursor)
        assert not isinstance(joined, Refusal), joined
        return joined

    def join_with_snapshot(self, org: int = 1, filters: Filters | None = None) -> Subscription:
        """One that has had its snapshot, in which nothing was."""
        joined = self.join(org=org, filters=filters)
        assert joined.note(EPOCH, {})
        return joined

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"folio_realtime_{name}", labels) or 0.0
