"""Whatever happens between the books and a subscriber, it ends with what the books say, and never goes back.

The books commit, fail over and lose what was committed last; their outbox publishes late, twice and in brief
disorder; a hub reads behind, restarts, and forgets; a slow subscriber reads snapshots at random instants, leaves and
comes back.
"""

from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pipeline.realtime.cursor import Cursor
from pipeline.realtime.messages import CloseReason, Delivery, Key, Resync
from pipeline.realtime.subscription import Subscription
from schemas.updates import BalanceUpdate
from tests.realtime.making import EPOCH, World, entry, key, update
from tests.support.events import TODAY

KEYS = [(property_, day) for property_ in (1, 2) for day in (0, 1)]
# Version, and a number that no other state has: after a failover a version may come again and mean something else.
State = tuple[int, int]
Books = dict[Key, State]


@dataclass
class Primary:
    """The books of organisation 1, and the changes that wait for publishing."""

    timeline: int = 1
    books: Books = field(default_factory=dict)
    history: list[Books] = field(default_factory=list)
    outbox: list[BalanceUpdate] = field(default_factory=list)
    states: int = 0

    @property
    def epoch(self) -> str:
        return f"{EPOCH[:-2]}-{self.timeline}"

    def commit(self, property_: int, day: int) -> None:
        self.history = [*self.history[-5:], dict(self.books)]
        self.states += 1
        version = self.books.get(key(property_, day), (0, 0))[0] + 1
        self.books[key(property_, day)] = (version, self.states)
        self.outbox.append(update(version, property_=property_, day=day, epoch=self.epoch, opening=self.states))

    def fail_over(self, lost: int) -> None:
        """Another primary, which lacks the last changes: also those that were published, and they are not unsaid."""
        lost = min(lost, len(self.history))
        if lost:
            self.books = self.history[-lost]
            kept = {state for _, state in self.books.values()}
            newest = max(kept, default=0)
            self.outbox = [each for each in self.outbox if each.opening_balance_cents <= newest]
        self.history = []
        self.timeline += 1

    def others_change(self) -> None:
        """Something of another organisation, by which everybody hears of the epoch."""
        self.outbox.append(update(1, org=2, epoch=self.epoch))


@dataclass
class Client:
    """A subscriber that keeps to the protocol of docs/realtime.md."""

    state: Books = field(default_factory=dict)
    cursor: Cursor | None = None
    joined: Subscription | None = None
    must_read: bool = False  # a snapshot, before it takes again
    held: tuple[str, Books] | None = None  # read, and not told yet
    told: set[Key] = field(default_factory=set)  # in this subscription, since its snapshot

    def take(self) -> bool:
        assert self.joined is not None
        message = self.joined.take()
        if isinstance(message, Resync):
            self.must_read, self.held = True, None
        elif isinstance(message, Delivery):
            self._apply(message)
        return message is not None

    def _apply(self, message: Delivery) -> None:
        assert self.joined is not None
        change, where = message.entry.update, message.entry.key
        version = self.state.get(where, (0, 0))[0]
        if message.previous_version is not None:
            assert message.previous_version == version, "a gap, where nothing was left out"
            assert change.version > version
        else:
            assert where not in self.told
        self.told.add(where)
        if change.version > version:
            self.state[where] = (change.version, change.opening_balance_cents)
        self.cursor = self.joined.cursor()

    def tell_snapshot(self) -> None:
        assert self.joined is not None
        assert self.held is not None
        epoch, books = self.held
        self.held = None
        if self.joined.note(epoch, {where: version for where, (version, _) in books.items()}):
            self.state, self.must_read, self.told = dict(books), False, set()
            self.cursor = self.joined.cursor()
        else:
            assert self.take()
            assert self.must_read


class Realtime(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.primary = Primary()
        self.topic: list[BalanceUpdate] = []
        self.world = self._world(0)
        self.client = Client()

    def _world(self, position: int) -> World:
        return World(pending_max=3, ring_entries_max=12).begin(position)

    # The books, the topic and the hub

    @rule(wheres=st.lists(st.sampled_from(KEYS), min_size=1, max_size=4), told=st.booleans())
    def change(self, wheres: list[tuple[int, int]], told: bool) -> None:
        for where in wheres:
            self.primary.commit(*where)
        if told:
            self.publish(len(self.primary.outbox))
            self.read(len(self.topic))

    @rule(count=st.integers(1, 9))
    def publish(self, count: int) -> None:
        self.topic += self.primary.outbox[:count]
        del self.primary.outbox[:count]

    @rule(count=st.integers(1, 9))
    def read(self, count: int) -> None:
        position = self.world.hub.positions()[0]
        for offset, change in enumerate(self.topic[position : position + count], start=position):
            self.world.hub.receive(entry(offset, change))

    @rule(
        kind=st.sampled_from(["fail over", "fail over", "publish again", "others change", "restart"]),
        count=st.integers(0, 4),
    )
    def trouble(self, kind: str, count: int) -> None:
        if kind == "fail over":
            self.primary.fail_over(lost=count)
        elif kind == "publish again":  # a worker died between the effect and its mark
            self.topic += self.topic[-count - 1 :]
        elif kind == "others change":
            self.primary.others_change()
        else:  # another process, which reads from the end
            self.leave()
            self.world = self._world(len(self.topic))

    # The subscriber

    @rule(fresh=st.sampled_from([False, False, False, True]), at_once=st.booleans())
    def come_anew(self, fresh: bool, at_once: bool) -> None:
        self.leave()
        client = self.client
        cursor = None if fresh else client.cursor
        client.joined = self.world.join(cursor)
        client.must_read, client.held, client.told = cursor is None, None, set()
        if at_once and client.must_read:
            self.read_snapshot()
            self.tell_snapshot()

    def leave(self) -> None:
        if self.client.joined is not None:
            self.client.joined.close(CloseReason.LEFT)
            self.client.joined = None

    @precondition(lambda self: self.client.joined is not None and self.client.must_read)
    @rule()
    def read_snapshot(self) -> None:
        self.client.held = (self.primary.epoch, dict(self.primary.books))

    @precondition(lambda self: self.client.joined is not None and self.client.held is not None)
    @rule()
    def tell_snapshot(self) -> None:
        self.client.tell_snapshot()

    @precondition(lambda self: self.client.joined is not None and not self.client.must_read)
    @rule(count=st.integers(1, 4))
    def take(self, count: int) -> None:
        for _ in range(count):
            if self.client.must_read or not self.client.take():
                return

    @precondition(lambda self: self.client.joined is not None)
    @rule()
    def beat(self) -> None:
        """A heartbeat carries the cursor to who is told nothing."""
        assert self.client.joined is not None
        self.client.cursor = self.client.joined.cursor()

    @invariant()
    def who_is_closed_leaves(self) -> None:
        if self.client.joined is not None and self.client.joined.closed is not None:
            self.client.joined = None

    def teardown(self) -> None:
        """Everything comes to rest: then the subscriber has what the books say."""
        self.primary.others_change()
        self.publish(len(self.primary.outbox))
        self.read(len(self.topic))
        self.who_is_closed_leaves()
        if self.client.joined is None:
            self.come_anew(fresh=False, at_once=False)
        for _ in range(100):
            if self.client.must_read:
                self.read_snapshot()
                self.tell_snapshot()
            elif not self.client.take():
                break
        assert self.client.state == self.primary.books


TestRealtime = Realtime.TestCase
TestRealtime.settings = settings(
    max_examples=300, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_the_days_of_the_model_are_days_of_the_updates() -> None:
    assert key(1, 1) == (1, TODAY + timedelta(days=1))
