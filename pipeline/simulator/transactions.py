"""The life of a transaction: recorded, approved or rejected, edited, moved, deleted, sometimes revived."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from pipeline.simulator.hotels import Hotel, Org
from pipeline.simulator.names import APPROVERS, ROLES, recorded_by
from pipeline.simulator.trade import Category
from pipeline.simulator.wire import DAY_MS, EVENT_ID_BITS, SECOND_MS, event_id, written_local, written_utc
from schemas.events import AMOUNT_CENTS_MAX, PaymentMode, Status

Verb = Literal["created", "updated", "approved", "rejected", "deleted"]

# Fields that our contract does not know: other readers of the topic use them, and the event store keeps them.
_EXTRAS: Final = (
    ',"trace_id":"0af7651916cd43dd8448eb211c80319c"',
    ',"tags":["वीआईपी","corporate"]',
    ',"schema":{"name":"finance","version":1}',
    ',"shift":null',
)
_DATA_EXTRAS: Final = (',"gst_rate":0.18', ',"covers":4', ',"folio":{"number":"F-1093","split":true}')
_EXTRA_OF: Final = 32  # one event in so many carries one


@dataclass(slots=True)
class Transaction:
    """A transaction as its hotel sees it now. `description` is JSON text already."""

    org: Org
    hotel: Hotel
    category: Category
    aggregate_id: int
    occurred_ms: int
    amount_cents: int
    mode: PaymentMode
    reference: str
    description: str
    status: Status
    utc: bool
    version: int = 1

    def occur(self, instant_ms: int) -> None:
        """Happened then after all, as exactly as this system writes instants."""
        self.occurred_ms = instant_ms if self.utc else instant_ms // SECOND_MS * SECOND_MS

    def pay(self, mode: PaymentMode, bits: int) -> None:
        """Paid this way; what goes through a bank has a reference there."""
        self.mode = mode
        prefix = self.category.references[bits % len(self.category.references)]
        self.reference = f',"bank_reference":"{prefix}{bits % 10**12:012d}"' if mode == "bank" else ""


def encoded(transaction: Transaction, verb: Verb, sent_ms: int, dice: Random) -> bytes:
    """The event that announces the transaction's state, as the hotel's system writes it."""
    t = transaction
    bits = dice.getrandbits(EVENT_ID_BITS + 16)
    id_ = event_id(sent_ms, bits >> 16)
    occurred_at = written_utc(t.occurred_ms) if t.utc else written_local(t.occurred_ms)
    # Approvals and rejections are for the few; anybody records.
    role = (bits & 0xFF) % (len(ROLES) if verb in {"created", "updated"} else APPROVERS)
    extra, data_extra = _extras((bits >> 8) & 0xFF)
    currency = ',"currency":"INR"' if t.aggregate_id & 3 else ""
    return (
        f'{{"event_id":"{id_}","type":"{t.category.kind}.{verb}","org_id":{t.org.org_id},'
        f'"property_id":{t.hotel.property_id},"aggregate_id":{t.aggregate_id},"version":{t.version},'
        f'"occurred_at":"{occurred_at}","recorded_by":{recorded_by(t.org.org_id, role)},'
        f'"data":{{"amount_cents":{t.amount_cents},"payment_mode":"{t.mode}","status":"{t.status}"{currency},'
        f'"category":"{t.category.name}","description":{t.description}{t.reference},'
        f'"source":"{t.category.source}"{data_extra}}}{extra}}}'
    ).encode()


def _extras(bits: int) -> tuple[str, str]:
    if bits % _EXTRA_OF:
        return "", ""
    choice = bits // _EXTRA_OF
    if choice < len(_EXTRAS):
        return _EXTRAS[choice], ""
    return "", _DATA_EXTRAS[choice % len(_DATA_EXTRAS)]


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens to a transaction. `pools`: the states it is looked for in, the likelier first."""

    kind: str
    verb: Verb
    per_mille: int
    pools: tuple[Status, ...]
    take: Callable[[Transaction, Random, int], None]


def _approve(transaction: Transaction, _dice: Random, _now_ms: int) -> None:
    transaction.status = "approved"


def _reject(transaction: Transaction, _dice: Random, _now_ms: int) -> None:
    transaction.status = "rejected"


def _delete(transaction: Transaction, _dice: Random, _now_ms: int) -> None:
    transaction.status = "deleted"


def _correct_amount(transaction: Transaction, dice: Random, _now_ms: int) -> None:
    cents = transaction.amount_cents
    corrected = max(100, cents * (80 + dice.getrandbits(6)) // 100)
    transaction.amount_cents = min(corrected if corrected != cents else cents + 100, AMOUNT_CENTS_MAX)


def _correct_mode(transaction: Transaction, dice: Random, _now_ms: int) -> None:
    transaction.pay("bank" if transaction.mode == "cash" else "cash", dice.getrandbits(48))


def _move_day(transaction: Transaction, dice: Random, now_ms: int) -> None:
    days = 1 + (dice.getrandbits(8) % 5)
    moved = transaction.occurred_ms + days * DAY_MS
    # What cannot have happened yet was entered a day late instead.
    transaction.occur(moved if moved <= now_ms else transaction.occurred_ms - days * DAY_MS)


def _move_month(transaction: Transaction, dice: Random, _now_ms: int) -> None:
    # At least 31 days: another month, whichever it is.
    transaction.occur(transaction.occurred_ms - (31 + dice.getrandbits(3)) * DAY_MS)


def _move_property(transaction: Transaction, dice: Random, now_ms: int) -> None:
    others = [hotel for hotel in transaction.org.hotels if hotel is not transaction.hotel]
    if others:
        transaction.hotel = others[dice.getrandbits(8) % len(others)]
    else:
        _correct_amount(transaction, dice, now_ms)


STEPS: Final = (
    Step("approved", "approved", 700, ("pending",), _approve),
    Step("rejected", "rejected", 50, ("pending",), _reject),
    Step("edited", "updated", 90, ("approved", "pending"), _correct_amount),
    Step("edited", "updated", 35, ("approved", "pending"), _correct_mode),
    Step("moved", "updated", 40, ("approved", "pending"), _move_day),
    Step("moved", "updated", 15, ("approved", "pending"), _move_month),
    Step("moved", "updated", 8, ("approved", "pending"), _move_property),
    Step("deleted", "deleted", 52, ("approved", "pending"), _delete),
    Step("revived", "updated", 10, ("deleted",), _approve),
)
# A step for each thousandth, so that one draw finds it.
STEP_TABLE: Final = tuple(step for step in STEPS for _ in range(step.per_mille))
assert len(STEP_TABLE) == 1_000
CORRECTION: Final = STEPS[2]
REVIVAL: Final = STEPS[-1]
