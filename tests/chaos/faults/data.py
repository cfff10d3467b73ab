"""Faults of what producers send: again, in another order, far too late, contradicting, elsewhere, or poison."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from tests.chaos.arena import Arena
from tests.chaos.faults.fault import Fault
from tests.chaos.load import Burst
from tests.chaos.looking import letters, total, value
from tests.chaos.promises import DidNotFire

Seen = Callable[[Arena], Awaitable[int]]
LATE_DAYS: Final = 400
_LARGE_BYTES: Final = 300_000  # more than a record may have, less than a broker takes


@dataclass
class Sent(Fault):
    """A burst between the other records. What the books say of it tells that it came."""

    burst: Burst
    seen: Seen  # how many of its kind the books have
    least: int  # so many more than before
    what: str
    _before: int = field(init=False, default=0)

    async def prepare(self) -> None:
        self._before = await self.seen(self.arena)

    async def strike(self) -> None:
        self.arena.load.inject(self.burst)

    async def proof(self) -> str:
        found = await self.seen(self.arena) - self._before
        if found < self.least:
            raise DidNotFire(f"{found} {self.what}, where {self.least} at least were sent")
        return f"{found:,} {self.what}"


def duplicates(number: int, hold_seconds: float) -> Sent:
    # Of what was sent a moment ago, most was applied; some was a duplicate itself.
    return Sent(
        hold_seconds, lambda records: records.duplicates(number), _summed("duplicate"), number // 2, "duplicates"
    )


def contradictions(number: int, hold_seconds: float) -> Sent:
    return Sent(hold_seconds, lambda records: records.contradictions(number), _summed("conflict"), number, "conflicts")


def reordered(number: int, hold_seconds: float) -> Sent:
    # Of three versions in any order, some come after a higher one in five of six cases.
    return Sent(hold_seconds, lambda records: records.reordered(number), _summed("stale"), number // 2, "stale")


def long_late(number: int, hold_seconds: float) -> Sent:
    async def seen(arena: Arena) -> int:
        query = "SELECT count(*) FROM event_store.events WHERE occurred_at < now() - make_interval(days => $1)"
        return int(await value(arena, query, LATE_DAYS - 1))

    return Sent(hold_seconds, lambda records: records.long_late(number, LATE_DAYS), seen, number, "events of long ago")


def misrouted(number: int, hold_seconds: float) -> Sent:
    # A lane drawn by chance is now and then the right one.
    return Sent(hold_seconds, lambda records: records.misrouted(number), _summed("misrouted"), number // 2, "misrouted")


def poison(kind: str, number: int, hold_seconds: float) -> Sent:
    """New transactions, each spoiled in one way of `POISON`."""
    reason, spoil = POISON[kind]

    async def seen(arena: Arena) -> int:
        return await letters(arena, reason)

    return Sent(hold_seconds, lambda records: records.spoiled(number, spoil), seen, number, f"dead letters: {reason}")


# By kind: the reason that it must be quarantined for, and what is done to a sound event.
POISON: Final[dict[str, tuple[str, Callable[[bytes], bytes]]]] = {
    "bad_utf8": ("malformed", lambda value: value.replace(b'"cash"', b'"ca\xffsh"')),
    "nul": ("text", lambda value: value.replace(b'"data": {', b'"data": {"description": "a\\u0000b", ')),
    "nan": ("malformed", lambda value: value.replace(b'"amount_cents": ', b'"amount_cents": NaN, "was": ')),
    "overflow": ("schema", lambda value: value.replace(b'"amount_cents": ', b'"amount_cents": 9' + b"9" * 30)),
    "large": (
        "too_large",
        lambda value: value.replace(b'"data": {', b'"data": {"description": "' + b"x" * _LARGE_BYTES + b'", '),
    ),
}


def _summed(column: str) -> Seen:
    async def seen(arena: Arena) -> int:
        return await total(arena, column)

    return seen
