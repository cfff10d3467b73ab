"""The messages of a workload, in the order in which they are sent, cheaply.

Every change is one that the pipeline applies: a pending transaction is approved or rejected, an approved one edited,
moved to another day, property or drawer, or deleted, each as the version after the last. It carries the key of its
creation, so that it stays behind it in the partition.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from random import Random
from typing import Final

from bench.workload import LATE_DAYS_MIN, Census, Workload
from pipeline.simulator.wire import DAY_MS, EVENT_ID_BITS, SECOND_MS, event_id, local_day, midnight_ms, written_local

Message = tuple[bytes, bytes]  # key, value

_CHUNK: Final = 8_192  # draws at a time
_REPEATABLE: Final = 1_024  # a producer repeats what it sent a moment ago
_AMOUNT_CENTS_MAX: Final = 2_000_000
_APPROVED_OF_PENDING: Final = 0.93  # the rest is rejected
_EDITED: Final = 0.65  # of the changes of approved transactions; then moved, then deleted
_MOVED: Final = 0.25
# About 345 bytes.
_EVENT: Final = (
    '{"event_id":"%s","type":"%s.%s","org_id":%d,"property_id":%d,"aggregate_id":%d,"version":%d,'
    '"occurred_at":"%s","recorded_by":{"user_id":%d},"data":{"amount_cents":%d,"payment_mode":"%s","status":"%s",'
    '"category":"%s"%s}}'
)
_CATEGORIES: Final = {"revenue": ("room", "restaurant", "laundry", "banquet"), "expense": ("supplies", "wages")}


class Transaction:
    """The newest state of one transaction that may still change."""

    __slots__ = (
        "aggregate",
        "aggregate_id",
        "amount",
        "mode",
        "occurred_ms",
        "org_id",
        "property_id",
        "status",
        "version",
    )

    def __init__(self, org_id: int, property_id: int, aggregate_id: int, occurred_ms: int) -> None:
        self.org_id = org_id
        self.property_id = property_id
        self.aggregate_id = aggregate_id
        self.occurred_ms = occurred_ms
        self.aggregate = "revenue"
        self.mode = "cash"
        self.status = "approved"
        self.amount = 1
        self.version = 1


class Generator:
    """Makes the messages of one workload, once: history, then events."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._random = Random(workload.seed)  # noqa: S311 - reproducible, not secret
        self._midnight_ms = midnight_ms(workload.today)
        self._next_id = self._first_id = workload.first_transaction_id
        self._open: list[Transaction] = []
        self._kinds: Counter[str] = Counter()
        self._moves = 0
        self._per_org: Counter[int] = Counter()
        self._days: set[int] = set()
        self._value_bytes = 0

    def history(self) -> Iterator[Message]:
        """One approved creation in each property-day that the description books beforehand, the oldest days first."""
        workload, random = self._workload, self._random.random
        for back in range(workload.history_days, 0, -1):
            for org_id in range(1, workload.orgs + 1):
                for number in range(1, workload.properties_per_org + 1):
                    if random() < workload.history_density:
                        yield self._created(org_id, number, self._moment(back), pending_share=0.0)

    def events_after_history(self) -> Iterator[Message]:
        """The measured events behind a history that was sent by another generator of the same workload."""
        for _message in self.history():
            pass
        self._kinds.clear()
        self._per_org.clear()
        self._days.clear()
        self._value_bytes, self._first_id = 0, self._next_id
        return self.events()

    def events(self) -> Iterator[Message]:
        """The measured events."""
        workload, random = self._workload, self._random.random
        orgs = self._orgs()
        recent: list[Message] = []
        for number in range(workload.events):
            if recent and random() < workload.duplicate_share:
                message = recent[int(random() * len(recent))]
                self._count("duplicate", int(message[0]), len(message[1]))
            elif self._open and random() >= workload.creations_share:
                message = self._changed()
            else:
                org_id = next(orgs)
                property_number = 1 + int(random() * workload.properties_per_org)
                message = self._created(
                    org_id, property_number, self._moment(self._days_back()), workload.pending_share
                )
            if len(recent) < _REPEATABLE:
                recent.append(message)
            else:
                recent[number % _REPEATABLE] = message
            yield message

    def census(self) -> Census:
        """What was made so far."""
        messages = self._kinds.total()
        return Census(
            messages=messages,
            value_bytes=self._value_bytes,
            organisations=len(self._per_org),
            properties=len({day >> 32 for day in self._days}),
            property_days=len(self._days),
            transactions=self._next_id - self._first_id,
            hottest_org_share=max(self._per_org.values(), default=0) / max(messages, 1),
            kinds=dict(self._kinds),
            moves=self._moves,
        )

    def _orgs(self) -> Iterator[int]:
        """Organisations, drawn by their weights."""
        workload = self._workload
        numbers = range(1, workload.orgs + 1)
        weights = list(accumulate(number**-workload.zipf_exponent for number in numbers))
        while True:
            yield from self._random.choices(numbers, cum_weights=weights, k=_CHUNK)

    def _days_back(self) -> int:
        workload = self._workload
        drawn = self._random.random()
        if drawn < workload.today_share:
            return 0
        if drawn < workload.today_share + workload.last_week_share:
            return 1 + int(self._random.random() * 7)
        return LATE_DAYS_MIN + int(self._random.random() * (workload.late_days_max - LATE_DAYS_MIN + 1))

    def _moment(self, days_back: int) -> int:
        second = int(self._random.random() * (DAY_MS // SECOND_MS))
        return self._midnight_ms - days_back * DAY_MS + second * SECOND_MS

    def _created(self, org_id: int, property_number: int, occurred_ms: int, pending_share: float) -> Message:
        random = self._random.random
        property_id = org_id * 100 + property_number
        transaction = Transaction(org_id, property_id, self._next_id, occurred_ms)
        self._next_id += 1
        if random() < 0.3:
            transaction.aggregate = "expense"
        if random() < 0.4:
            transaction.mode = "bank"
        if random() < pending_share:
            transaction.status = "pending"
        transaction.amount = 1 + int(random() * _AMOUNT_CENTS_MAX)
        if self._workload.creations_share < 1:
            self._remember(transaction)
        return self._message(transaction, "created")

    def _remember(self, transaction: Transaction) -> None:
        """Keep it among those that may change; where all places are taken, in the place of the oldest."""
        most = self._workload.open_transactions_max
        if len(self._open) < most:
            self._open.append(transaction)
        else:
            self._open[transaction.aggregate_id % most] = transaction

    def _changed(self) -> Message:
        random = self._random.random
        transaction = self._open[int(random() * len(self._open))]
        transaction.version += 1
        drawn = random()
        if transaction.status == "pending":
            transaction.status = "approved" if drawn < _APPROVED_OF_PENDING else "rejected"
            return self._message(transaction, transaction.status)
        if drawn < _EDITED:
            transaction.amount = 1 + int(random() * _AMOUNT_CENTS_MAX)
        elif drawn < _EDITED + _MOVED:
            return self._moved(transaction)
        elif transaction.status != "deleted":
            transaction.status = "deleted"
            return self._message(transaction, "deleted")
        # A deleted transaction may be revived by any later version.
        transaction.status = "approved"
        return self._message(transaction, "updated")

    def _moved(self, transaction: Transaction) -> Message:
        """To the day before or after (never past today), to another of the organisation's properties, or drawers."""
        drawn = self._random.random()
        if drawn < 0.4:
            late = transaction.occurred_ms >= self._midnight_ms
            transaction.occurred_ms += -DAY_MS if late or drawn < 0.3 else DAY_MS
        elif drawn < 0.7:
            number = 1 + int(self._random.random() * self._workload.properties_per_org)
            transaction.property_id = transaction.org_id * 100 + number
        else:
            transaction.mode = "cash" if transaction.mode == "bank" else "bank"
        transaction.status = "approved"
        self._moves += 1
        return self._message(transaction, "updated")

    def _message(self, transaction: Transaction, verb: str) -> Message:
        org_id, aggregate, occurred_ms = transaction.org_id, transaction.aggregate, transaction.occurred_ms
        self._days.add(transaction.property_id << 32 | local_day(occurred_ms))
        categories = _CATEGORIES[aggregate]
        reference = ',"bank_reference":"UTR%012d"' % transaction.aggregate_id if transaction.mode == "bank" else ""  # noqa: UP031
        value = (
            _EVENT
            % (
                event_id(occurred_ms, self._random.getrandbits(EVENT_ID_BITS)),
                aggregate,
                verb,
                org_id,
                transaction.property_id,
                transaction.aggregate_id,
                transaction.version,
                written_local(occurred_ms),
                org_id % 1_000 + 1,
                transaction.amount,
                transaction.mode,
                transaction.status,
                categories[transaction.aggregate_id % len(categories)],
                reference,
            )
        ).encode()
        self._count(verb, org_id, len(value))
        return b"%d" % org_id, value

    def _count(self, kind: str, org_id: int, value_bytes: int) -> None:
        self._kinds[kind] += 1
        self._per_org[org_id] += 1
        self._value_bytes += value_bytes
