"""The corrections of a trading day: drawers that are counted at its close, and figures that accountants restate.

counted, withdrawn, recounted    declared_closing: what the drawer holds, null, and what it holds after all
restated                         figures: a receipt was never entered, or entered twice
recomputed                       recompute: somebody does not trust a day
"""

import json
from typing import Final

from pipeline.simulator.names import ROLES, recorded_by
from pipeline.simulator.plan import Message, Plan
from pipeline.simulator.poison_corrections import CATALOGUE, CONFLICT
from pipeline.simulator.recent import Recent, written_otherwise
from pipeline.simulator.tills import BANK_EXPENSES, BANK_RECEIVED, CASH_EXPENSES, CASH_RECEIVED, Till, Tills
from pipeline.simulator.wire import EVENT_ID_BITS, MINUTE_MS, event_id, local_day, written_day, written_local
from schemas.topics import Feed

# Most corrections are counts, and those come when the day closes: then four of five messages are corrections.
_CLOSE_SHARE: Final = 0.9
_CLOSE_CHANCE: Final = 0.8
# People type them: what breaks a rule, or is sent twice, is more common here than among events.
_TYPED: Final = 4

# At the close, of a thousand; during the day nobody counts.
_DOUBTED: Final = 60
_RESTATED_AT_CLOSE: Final = 20
_RESTATED_BY_DAY: Final = 700

_COUNT_AGREES: Final = 0.6
_SMALL_CHANGE: Final = 0.95
_SMALL_CHANGE_CENTS: Final = 300
_LOST_NOTE_CENTS: Final = (5_000, 10_000, 20_000, 50_000)
_RECOUNT_MS: Final = 10 * MINUTE_MS

_FRONT_DESK: Final = ROLES.index("front_desk")
_MANAGER: Final = ROLES.index("manager")
_ACCOUNTANT: Final = ROLES.index("accountant")

_MOVEMENTS: Final = (CASH_RECEIVED, BANK_RECEIVED, CASH_EXPENSES, BANK_EXPENSES)
_NAMES: Final = ("cash_received_cents", "bank_received_cents", "cash_expenses_cents", "bank_expenses_cents")

_COUNTED: Final = ("Counted at the end of the day", "दिन के अंत में गिनती", "நாள் முடிவில் எண்ணியது", "Night count")
_MISSING: Final = ("A receipt was never entered", "Voucher found at the audit")
_TOO_MUCH: Final = ("रसीद दो बार दर्ज", "Voucher of another hotel")
_RECOMPUTED: Final = "Doubted at the night audit"


class BackOffice:
    """Who counts and restates, hotel by hotel. `count`: how many messages the day has, None when it has no end."""

    def __init__(self, plan: Plan, tills: Tills, count: int | None) -> None:
        self._dice = plan.dice("back office")
        self._tills = tills
        self._recent = Recent()
        share = plan.correction_share
        self._poison_below = min(plan.poison_share * _TYPED, 1)
        self._duplicate_below = self._poison_below + plan.duplicate_share * _TYPED
        if count is None:
            # A stream without an end never closes: counts come as evenly as all else.
            self._chance_by_day, self._chance_at_close, self._closing = 0.0, share, None
        else:
            self._closing = int(share * count * _CLOSE_SHARE / _CLOSE_CHANCE)
            self._chance_by_day, self._chance_at_close = share * (1 - _CLOSE_SHARE), _CLOSE_CHANCE

    def acts(self, left: int) -> bool:
        """Whether the next message is a correction; `left` messages will come, this one included."""
        chance = self._chance_at_close if self._closes(left) else self._chance_by_day
        return self._dice.random() < chance

    def correction(self, left: int, now_ms: int) -> list[Message]:
        """A correction, and perhaps another one that is to follow later; none before any hotel has traded."""
        self._tills.open(local_day(now_ms))
        u = self._dice.random()
        if u < self._poison_below:
            return self._poison(now_ms)
        if u < self._duplicate_below and self._recent:
            return [self._duplicate()]
        messages = self._act(left, now_ms)
        for message in messages[:1]:
            self.sent(message)
        return messages

    def sent(self, message: Message) -> Message:
        """Remember a correction, now that it is sent."""
        return self._recent.add(message)

    def _act(self, left: int, now_ms: int) -> list[Message]:
        mille = int(self._dice.random() * 1_000)
        if not self._closes(left):
            return self._restated(now_ms) if mille < _RESTATED_BY_DAY else self._recomputed(now_ms)
        if mille < _RESTATED_AT_CLOSE:
            return self._restated(now_ms)
        return self._counted_again(now_ms) if mille < _RESTATED_AT_CLOSE + _DOUBTED else self._counted(now_ms)

    def _closes(self, left: int) -> bool:
        return self._closing is None or left <= self._closing

    def _counted(self, now_ms: int) -> list[Message]:
        till = self._tills.uncounted(self._dice)
        if till is None:
            return self._recomputed(now_ms)
        till.counted_cents = self._found(till.calculated_cents)
        return [self._count(till, till.counted_cents, "counted", now_ms)]

    def _counted_again(self, now_ms: int) -> list[Message]:
        """A count is taken back, and the drawer counted again, this time without haste."""
        till = self._tills.any(self._dice)
        if till is None or till.counted_cents is None or till.calculated_cents < 0:
            return self._counted(now_ms)
        till.counted_cents = till.calculated_cents
        return [
            self._count(till, None, "withdrawn", now_ms),
            self._count(till, till.counted_cents, "recounted", now_ms + _RECOUNT_MS),
        ]

    def _found(self, cents: int) -> int:
        """What a person counts in a drawer that should hold so much."""
        u, bits = self._dice.random(), self._dice.getrandbits(16)
        if u < _COUNT_AGREES:
            return cents
        if u < _SMALL_CHANGE:
            return max(cents - _SMALL_CHANGE_CENTS + bits % (2 * _SMALL_CHANGE_CENTS + 1), 0)
        return max(cents - _LOST_NOTE_CENTS[bits % len(_LOST_NOTE_CENTS)], 0)

    def _restated(self, now_ms: int) -> list[Message]:
        """One of the four movements is another one. The drawer that was counted stands: then only the bank's side."""
        till = self._tills.any(self._dice)
        if till is None:
            return []
        bits = self._dice.getrandbits(16)
        which = (BANK_RECEIVED, BANK_EXPENSES) if till.counted_cents is not None else _MOVEMENTS
        movement, cents = which[bits % len(which)], (1 + (bits >> 2 & 0x3FF)) * 1_000
        reason = _MISSING[bits >> 13 & 1]
        if bits >> 12 & 1:
            cents = -min(cents, max(till.figures[movement], 0))
            reason = _TOO_MUCH[bits >> 13 & 1]
        till.figures[movement] += cents
        # What was restated to nothing and then rejected is below nothing, and cannot be stated.
        stated = [max(figure, 0) for figure in till.figures]
        till.figures[:] = stated
        figures = ",".join(f'"{name}":{figure}' for name, figure in zip(_NAMES, stated, strict=True))
        return [self._message(till, "restated", "figures", f',"figures":{{{figures}}}', reason, _ACCOUNTANT, now_ms)]

    def _recomputed(self, now_ms: int) -> list[Message]:
        till = self._tills.any(self._dice)
        if till is None:
            return []
        return [self._message(till, "recomputed", "recompute", "", _RECOMPUTED, _ACCOUNTANT, now_ms)]

    def _poison(self, now_ms: int) -> list[Message]:
        """A correction that must be quarantined; it changes nothing in a drawer."""
        poison = CATALOGUE[int(self._dice.random() * len(CATALOGUE))]
        if poison is CONFLICT and self._recent:
            message = self._recent.pick(self._dice)
        else:
            till = self._tills.any(self._dice)
            if till is None or poison is CONFLICT:
                return []
            message = self._count(till, till.calculated_cents, "counted", now_ms)
        assert message.value is not None
        return [message._replace(value=poison.spoil(message.value), kind=poison.kind)]

    def _duplicate(self) -> Message:
        """A redelivery: the same bytes, or the same correction as another program would have written it."""
        message = self._recent.pick(self._dice)
        way = self._dice.getrandbits(3)
        assert message.value is not None
        value = written_otherwise(json.loads(message.value), way) if way & 4 else message.value
        return message._replace(value=value, kind="duplicate")

    def _count(self, till: Till, cents: int | None, kind: str, now_ms: int) -> Message:
        bits = self._dice.getrandbits(4)
        declared = f',"declared_closing_cents":{"null" if cents is None else cents}'
        role = _FRONT_DESK if kind == "counted" else _MANAGER
        return self._message(till, kind, "declared_closing", declared, _COUNTED[bits & 3], role, now_ms)

    def _message(
        self, till: Till, kind: str, correction: str, stated: str, reason: str, role: int, now_ms: int
    ) -> Message:
        id_ = event_id(now_ms, self._dice.getrandbits(EVENT_ID_BITS))
        org = till.org
        value = (
            f'{{"correction_id":"{id_}","org_id":{org.org_id},"property_id":{till.hotel.property_id},'
            f'"balance_date":"{written_day(self._tills.day)}","kind":"{correction}"{stated},"reason":"{reason}",'
            f'"recorded_by":{recorded_by(org.org_id, role)},"issued_at":"{written_local(now_ms)}"}}'
        )
        return Message(org.key, value.encode(), kind, Feed.CORRECTIONS)
