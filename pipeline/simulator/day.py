"""A trading day as a stream of messages, in the order in which the hotels' systems send them."""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from pipeline.simulator.back_office import BackOffice
from pipeline.simulator.hotels import Population
from pipeline.simulator.plan import Message, Plan
from pipeline.simulator.poison import CATALOGUE, CONFLICT
from pipeline.simulator.recent import Recent, written_otherwise
from pipeline.simulator.tills import Tills
from pipeline.simulator.trade import hourly_weights, season_percent, tables
from pipeline.simulator.transactions import CORRECTION, REVIVAL, STEP_TABLE, Step, Transaction, encoded
from pipeline.simulator.wire import (
    DAY_MS,
    EVENT_ID_BITS,
    HOUR_MS,
    SECOND_MS,
    event_id,
    local_day,
    local_hour,
    midnight_ms,
)
from schemas.events import Status
from schemas.topics import Feed

_CREATION_SHARE: Final = 0.7
_AUTO_APPROVED_SHARE: Final = 0.4
_GAP_SHARE: Final = 0.001  # of the steps: a version that was lost at its source
_OVERTAKING_SHARE: Final = 0.002  # of the steps: version n + 1 is sent before version n
_LATE_DAYS: Final = (2, 80)

# A bound of memory. An older open transaction stays as it is, as many do.
_OPEN_MAX: Final = 4_096
# An overtaken message, or a second count, follows after so many others.
_OVERTAKEN_BY: Final = 40
_ENDLESS: Final = 1 << 62


def trading_day(plan: Plan) -> Iterator[Message]:
    """Exactly `plan.events` messages, a function of the plan alone. Memory is bounded whatever their number."""
    return messages(plan, timeline(plan), plan.events)


def timeline(plan: Plan) -> Iterator[int]:
    """`plan.events` ascending instants of the day (ms since 1970), dense where hotels are busy."""
    weights = hourly_weights(plan.day)
    total = sum(weights)
    dice = plan.dice("timeline")
    start = midnight_ms(plan.day)
    reached = done = 0
    for hour, weight in enumerate(weights):
        reached += weight
        count = plan.events * reached // total - done
        done += count
        for index in range(count):
            # One instant in each equal slice of the hour: random, and in order without sorting.
            yield start + hour * HOUR_MS + int((index + dice.random()) / count * HOUR_MS)


def messages(plan: Plan, instants: Iterable[int], count: int | None = None) -> Iterator[Message]:
    """One message at each instant. `count` says how many there will be, where they end, so that none stays held."""
    desk = Desk(plan, count)
    dice = desk.dice
    duplicated = plan.poison_share + plan.duplicate_share
    for index, now_ms in enumerate(instants):
        left = _ENDLESS if count is None else count - index
        held = desk.release(index, left)
        if held is not None:
            yield held
            continue
        if desk.back_office.acts(left):
            yield desk.correction(index, left, now_ms)
            continue
        u = dice.random()
        if u < plan.poison_share:
            yield desk.poison(now_ms)
        elif u < duplicated and desk.sent:
            yield desk.duplicate(now_ms)
        elif dice.random() < _CREATION_SHARE:
            yield desk.creation(now_ms)
        else:
            yield desk.step(index, left, now_ms)


class Desk:
    """What the hotels' systems know while they send: open transactions, what was sent lately, what is held back."""

    def __init__(self, plan: Plan, count: int | None) -> None:
        self.dice = plan.dice("desk")
        self.sent = Recent()
        self._tills = Tills(plan)
        self.back_office = BackOffice(plan, self._tills, count)
        self._population = Population(plan)
        self._tables = tables(plan.day)
        self._season = season_percent(plan.day)
        self._late_below = plan.late_share
        self._recent_below = plan.late_share + plan.recent_share
        self._last_id = plan.id_base
        self._open: dict[Status, list[Transaction]] = {"pending": [], "approved": [], "deleted": []}
        self._held: deque[tuple[int, Message]] = deque()

    def creation(self, now_ms: int) -> Message:
        """A new transaction, most of them waiting for approval."""
        transaction = self._new(now_ms)
        self._tills.book(transaction)
        self._keep(transaction)
        return self._send(Message(transaction.org.key, encoded(transaction, "created", now_ms, self.dice), "created"))

    def step(self, index: int, left: int, now_ms: int) -> Message:
        """The next version of an open transaction; `left` messages will come, this one included."""
        step = STEP_TABLE[int(self.dice.random() * 1_000)]
        transaction = self._take(step)
        if transaction is None:
            return self.creation(now_ms)
        u = self.dice.random()
        if u < _GAP_SHARE:
            transaction.version += 1
            message = self._advance(transaction, step, "gap", now_ms)
        elif u < _GAP_SHARE + _OVERTAKING_SHARE and left > len(self._held) + 1:
            overtaken = self._advance(transaction, step, "stale", now_ms)
            self._held.append((index + _OVERTAKEN_BY, overtaken))
            follower = _follower(step)
            message = self._advance(transaction, follower, follower.kind, now_ms)
        else:
            message = self._advance(transaction, step, step.kind, now_ms)
        self._keep(transaction)
        return self._send(message)

    def correction(self, index: int, left: int, now_ms: int) -> Message:
        """What the back office sends; what it means to send after that follows later, or not at all."""
        messages = self.back_office.correction(left, now_ms)
        if not messages:
            return self.creation(now_ms)
        first, *later = messages
        if left > len(self._held) + len(later):
            self._held.extend((index + _OVERTAKEN_BY, message) for message in later)
        return first

    def release(self, index: int, left: int) -> Message | None:
        """A message that was held back, when its time has come or no more follow than are held."""
        if not self._held:
            return None
        if self._held[0][0] > index and left > len(self._held):
            return None
        return self._send(self._held.popleft()[1])

    def duplicate(self, now_ms: int) -> Message:
        """A redelivery: the same bytes, or the same event as another program would have written it."""
        message = self.sent.pick(self.dice)
        if self.dice.getrandbits(1):
            return message._replace(kind="duplicate")
        return Message(message.key, self._rewritten(message, now_ms), "duplicate")

    def poison(self, now_ms: int) -> Message:
        """A message that must be quarantined; no later message depends on it."""
        poison = CATALOGUE[int(self.dice.random() * len(CATALOGUE))]
        if poison is CONFLICT:
            if not self.sent:
                return self.creation(now_ms)
            message = self.sent.pick(self.dice)
            assert message.value is not None
            return Message(message.key, poison.spoil(message.value), poison.kind)
        transaction = self._new(now_ms)
        value = encoded(transaction, "created", now_ms, self.dice)
        return Message(transaction.org.key, poison.spoil(value), poison.kind)

    def _new(self, now_ms: int) -> Transaction:
        dice = self.dice
        org = self._population.pick(dice.random())
        bits = dice.getrandbits(128)
        category = self._tables[local_hour(now_ms)][bits & 0xFF]
        hotel = org.slots[(bits >> 8) & 0xF]
        self._last_id += 1
        texts = category.descriptions
        transaction = Transaction(
            org=org,
            hotel=hotel,
            category=category,
            aggregate_id=self._last_id,
            occurred_ms=0,
            amount_cents=category.amount_cents((bits >> 12) & 0xFFFF, hotel.rate_percent * self._season // 100),
            mode="cash",
            reference="",
            description=texts[(bits >> 28 & 0xFF) % len(texts)] % (1 + (bits >> 36 & 0xFF)),
            status="approved" if dice.random() < _AUTO_APPROVED_SHARE else "pending",
            utc=not bits >> 44 & 3,
        )
        if (bits >> 46 & 0xFF) >= category.cash:
            transaction.pay("bank", bits >> 54)
        transaction.occur(self._occurred_ms(now_ms))
        return transaction

    def _occurred_ms(self, now_ms: int) -> int:
        u = self.dice.random()
        # Recorded within a quarter of an hour, mostly soon; the square keeps it soon without a logarithm.
        lag = self.dice.random()
        happened = now_ms - int(lag * lag * 900) * SECOND_MS
        if u < self._late_below:
            least, most = _LATE_DAYS
            return happened - (least + int(self.dice.random() * (most - least + 1))) * DAY_MS
        if u < self._recent_below:
            # Three of four from yesterday, the others from the week before.
            return happened - (1 if self.dice.getrandbits(2) else 2 + int(self.dice.random() * 6)) * DAY_MS
        # Today's stay today's: the first minutes of a day do not reach back over midnight.
        return happened if local_day(happened) == local_day(now_ms) else now_ms

    def _advance(self, transaction: Transaction, step: Step, kind: str, now_ms: int) -> Message:
        transaction.version += 1
        self._tills.unbook(transaction)
        step.take(transaction, self.dice, now_ms)
        self._tills.book(transaction)
        return Message(transaction.org.key, encoded(transaction, step.verb, now_ms, self.dice), kind)

    def _take(self, step: Step) -> Transaction | None:
        for status in step.pools:
            pool = self._open[status]
            if pool:
                index = int(self.dice.random() * len(pool))
                pool[index], pool[-1] = pool[-1], pool[index]
                return pool.pop()
        return None

    def _keep(self, transaction: Transaction) -> None:
        pool = self._open.get(transaction.status)
        if pool is None:
            return
        if len(pool) < _OPEN_MAX:
            pool.append(transaction)
        else:
            pool[int(self.dice.random() * _OPEN_MAX)] = transaction

    def _send(self, message: Message) -> Message:
        return self.sent.add(message) if message.feed is Feed.EVENTS else self.back_office.sent(message)

    def _rewritten(self, message: Message, now_ms: int) -> bytes:
        assert message.value is not None
        event = json.loads(message.value)
        event["event_id"] = event_id(now_ms, self.dice.getrandbits(EVENT_ID_BITS))
        event["data"] = dict(reversed(event["data"].items()))
        return written_otherwise(event, self.dice.getrandbits(2))


def _follower(step: Step) -> Step:
    # A correction may follow anything that left money to correct.
    return REVIVAL if step.verb == "deleted" else CORRECTION
