"""Whatever happens between the books and a subscriber, it ends with what the books say, and never goes back.

The books commit, fail over and lose what was committed last; their outbox publishes late, twice and in brief
disorder; a hub reads behind, restarts, and forgets; a slow subscriber reads snapshots at random instants, leaves and
comes back.
"""

from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.realtime.cursor import Cursor
from pipeline.realtime.messages import CloseReason, Delivery, Key, Resync
from pipeline.realtime.subscription import Subscription
from schemas.updates import BalanceUpdate
from tests.realtime.making import EPOCH, World, entry, key, update

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
    came_back: bool = False  # with a cursor, and has had no snapshot since

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
            assert message.previous_version <= version, "a gap, where nothing was left out"
            # What was published twice is told again to who came back; to everybody else only what is newer.
            assert self.came_back or message.previous_version == version < change.version
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
            self.state, self.must_read, self.told, self.came_back = dict(books), False, set(), False
            self.cursor = self.joined.cursor()
        else:
            assert self.take()
            assert self.must_read


class Realtime:
    """All of it, moved at random; some things happen more often than others."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.primary = Primary()
        self.topic: list[BalanceUpdate] = []
        self.world = self._world(0)
        self.client = Client()

    def _world(self, position: int) -> World:
        return World(pending_max=3, ring_entries_max=12).begin(position)

    def move(self) -> None:
        often = [self.change, self.publish, self.read, self.tell_all, self.take, self.take, self.go_on_with_snapshot]
        seldom = [self.fail_over, self.publish_again, self.others_change, self.restart, self.beat]
        self.random.choice([*often, *often, *seldom, self.come_anew, self.come_anew])()
        if self.client.joined is not None and self.client.joined.closed is not None:
            self.client.joined = None

    # The books, the topic and the hub

    def change(self) -> None:
        for where in self.random.choices(KEYS, k=self.random.randint(1, 4)):
            self.primary.commit(*where)

    def fail_over(self) -> None:
        self.primary.fail_over(lost=self.random.randint(0, 4))

    def others_change(self) -> None:
        self.primary.others_change()

    def publish(self) -> None:
        self._publish(self.random.randint(1, 4))

    def _publish(self, count: int) -> None:
        self.topic += self.primary.outbox[:count]
        del self.primary.outbox[:count]

    def publish_again(self) -> None:
        """A worker died between the effect and its mark."""
        self.topic += self.topic[-self.random.randint(1, 5) :]

    def read(self) -> None:
        self._read(self.random.randint(1, 4))

    def _read(self, count: int) -> None:
        position = self.world.hub.positions()[0]
        for offset, change in enumerate(self.topic[position : position + count], start=position):
            self.world.hub.receive(entry(offset, change))

    def tell_all(self) -> None:
        self._publish(len(self.primary.outbox))
        self._read(len(self.topic))

    def restart(self) -> None:
        """Another process, which reads from the end."""
        self.leave()
        self.world = self._world(len(self.topic))

    # The subscriber

    def come_anew(self) -> None:
        self.leave()
        client = self.client
        cursor = None if self.random.random() < 0.2 else client.cursor
        client.joined = self.world.join(cursor)
        client.must_read, client.held, client.told, client.came_back = cursor is None, None, set(), cursor is not None

    def leave(self) -> None:
        if self.client.joined is not None:
            self.client.joined.close(CloseReason.LEFT)
            self.client.joined = None

    def go_on_with_snapshot(self) -> None:
        """Read one, or tell the one that was read before."""
        if self.client.joined is None or not self.client.must_read:
            return
        if self.client.held is None:
            self.client.held = (self.primary.epoch, dict(self.primary.books))
        else:
            self.client.tell_snapshot()

    def take(self) -> None:
        for _ in range(self.random.randint(1, 3)):
            if self.client.joined is not None and not self.client.must_read:
                self.client.take()

    def beat(self) -> None:
        """A heartbeat carries the cursor to who is told nothing."""
        if self.client.joined is not None:
            self.client.cursor = self.client.joined.cursor()

    def come_to_rest(self) -> None:
        """Then the subscriber has what the books say: it was told, or told to read them again."""
        self.primary.others_change()
        self.tell_all()
        if self.client.joined is None or self.client.joined.closed is not None:
            self.come_anew()
        for _ in range(100):
            if self.client.must_read:
                self.go_on_with_snapshot()
            elif not self.client.take():
                break
        assert self.client.state == self.primary.books


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=200, deadline=None)
def test_a_subscriber_ends_with_what_the_books_say(seed: int) -> None:
    random = Random(seed)
    for _ in range(20):  # histories an example: it is noticed too seldom in one
        realtime = Realtime(random)
        for _ in range(random.randint(1, 40)):
            realtime.move()
        realtime.come_to_rest()
