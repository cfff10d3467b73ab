"""What is sent at a rate: each event's turn, its lane, and the day of a property on which subscribers must see it.

The turn is written into the event's id, so that an update, which names the newest event that caused it, tells by itself
how far its day has come. Events without a day of their own (a creation that awaits approval, a repetition, an edit that
changes no figure) must be committed in time, but nobody is told of them.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from schemas.routing import home_lane

Message = tuple[bytes, bytes]  # key, value
DayKey = tuple[int, int, int]  # organisation, property, day as its ordinal

SILENT: Final = 0  # in the place of an organisation, which is never 0
_ZONE_SECONDS: Final = 19_800  # Asia/Kolkata, the zone of every property that registers itself; it has no summer time
_DAY_SECONDS: Final = 86_400
_EPOCH_ORDINAL: Final = datetime(1970, 1, 1).toordinal()  # noqa: DTZ001 - a calendar day
# Of these the last versions are remembered: more than the workload's changes look back.
_REMEMBERED_MAX: Final = 400_000
_TURN_BITS: Final = 62  # of a UUID of version 7: its last random field


class _Data(msgspec.Struct, frozen=True, gc=False):
    amount_cents: int
    payment_mode: str
    status: str


class _Event(msgspec.Struct, frozen=True, gc=False):
    event_id: str
    type: str
    org_id: int
    property_id: int
    aggregate_id: int
    version: int
    occurred_at: datetime
    data: _Data


_decode: Final = msgspec.json.Decoder(_Event).decode


class _State(NamedTuple):
    """What a transaction weighs, and where."""

    version: int
    property_id: int
    day: int
    payment_mode: str
    contribution_cents: int


@dataclass(slots=True)
class Schedule:
    """By turn: the lane, and organisation, property and day of the balance that changes (organisation SILENT: none)."""

    lanes: "array[int]" = field(default_factory=lambda: array("H"))
    orgs: "array[int]" = field(default_factory=lambda: array("q"))
    properties: "array[int]" = field(default_factory=lambda: array("q"))
    days: "array[int]" = field(default_factory=lambda: array("l"))

    def __len__(self) -> int:
        return len(self.lanes)

    def add(self, lane: int, day: DayKey | None) -> None:
        org_id, property_id, ordinal = day or (SILENT, 0, 0)
        self.lanes.append(lane)
        self.orgs.append(org_id)
        self.properties.append(property_id)
        self.days.append(ordinal)

    def save(self, path: Path) -> None:
        path.write_bytes(
            msgspec.msgpack.encode([column.tobytes() for column in (self.lanes, self.orgs, self.properties, self.days)])
        )

    @classmethod
    def load(cls, path: Path) -> "Schedule":
        schedule = cls()
        columns = (schedule.lanes, schedule.orgs, schedule.properties, schedule.days)
        for column, content in zip(columns, msgspec.msgpack.decode(path.read_bytes(), type=list[bytes]), strict=True):
            column.frombytes(content)
        return schedule


class Scheduler:
    """Takes messages in their order and gives each its turn. One for all steps: what was sent before is remembered."""

    def __init__(self, messages: Iterable[Message], lanes: int) -> None:
        self._messages: Iterator[Message] = iter(messages)
        self._lanes = lanes
        self._states: dict[tuple[int, bool, int], _State] = {}

    def take(self, count: int) -> tuple[list[Message], Schedule]:
        """The next `count` messages with their turns, from 0 on. Raises ValueError when the workload has no more."""
        taken: list[Message] = []
        schedule = Schedule()
        for turn, (key, value) in enumerate(islice(self._messages, count)):
            event = _decode(value)
            taken.append((key, value.replace(event.event_id.encode(), event_id(turn), 1)))
            schedule.add(home_lane(int(key), self._lanes), self._day_changed(event))
        if len(taken) < count:
            raise ValueError(f"the workload has {len(taken)} messages left, {count} are needed; give it more events")
        return taken, schedule

    def _day_changed(self, event: _Event) -> DayKey | None:
        """Where subscribers see the event; None: nowhere. Of the two days of a move it is the new one."""
        identity = (event.org_id, event.type.startswith("revenue"), event.aggregate_id)
        before = self._states.get(identity)
        if before is not None and before.version >= event.version:
            return None
        contribution = event.data.amount_cents if event.data.status == "approved" else 0
        after = _State(
            event.version, event.property_id, local_day(event.occurred_at), event.data.payment_mode, contribution
        )
        self._states[identity] = after
        if len(self._states) > _REMEMBERED_MAX:
            del self._states[next(iter(self._states))]
        if contribution:
            same = before is not None and before[1:] == after[1:]
            return None if same else (event.org_id, after.property_id, after.day)
        if before is not None and before.contribution_cents:
            return event.org_id, before.property_id, before.day
        return None


def local_day(instant: datetime) -> int:
    """The business date at the property, as its ordinal."""
    return int(instant.timestamp() + _ZONE_SECONDS) // _DAY_SECONDS + _EPOCH_ORDINAL


def event_id(turn: int) -> bytes:
    """A UUID of version 7 whose last random field is the turn. Its time says nothing: nothing reads it."""
    digits = f"{turn | 0x8000_0000_0000_0000:016x}"
    return f"01900000-0000-7000-{digits[:4]}-{digits[4:]}".encode()


def turn_of(id_: UUID) -> int:
    """The turn in an id that `event_id` made."""
    return id_.int & ((1 << _TURN_BITS) - 1)


def lane_turns(schedule: Schedule) -> dict[int, Sequence[int]]:
    """Lane to the turns that go there, in order: the n-th of them is the n-th record behind the lane's end."""
    turns: dict[int, array[int]] = {}
    for turn, lane in enumerate(schedule.lanes):
        turns.setdefault(lane, array("L")).append(turn)
    return dict(turns)
