"""A schedule says by itself, turn by turn, where subscribers must see an event."""

from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from bench.generating import Generator
from bench.live.schedule import SILENT, Schedule, Scheduler, event_id, lane_turns, local_day, turn_of
from bench.workload import mixed
from schemas.routing import home_lane

DAY = datetime(2026, 5, 4, 6, tzinfo=UTC)
ORDINAL = date(2026, 5, 4).toordinal()


def message(
    verb: str,
    *,
    version: int = 1,
    status: str = "approved",
    amount: int = 100,
    occurred_at: datetime = DAY,
    property_id: int = 3,
    aggregate_id: int = 7,
) -> tuple[bytes, bytes]:
    value = {
        "event_id": "0190f1c2-0000-7000-8000-00000000ffff",
        "type": f"revenue.{verb}",
        "org_id": 1,
        "property_id": property_id,
        "aggregate_id": aggregate_id,
        "version": version,
        "occurred_at": occurred_at.isoformat(),
        "recorded_by": {"user_id": 1},
        "data": {"amount_cents": amount, "payment_mode": "cash", "status": status},
    }
    return b"1", msgspec.json.encode(value)


def days(*messages: tuple[bytes, bytes]) -> list[tuple[int, int, int]]:
    _, schedule = Scheduler(messages, 8).take(len(messages))
    return list(zip(schedule.orgs, schedule.properties, schedule.days, strict=True))


def test_the_turn_survives_the_event_id() -> None:
    for turn in (0, 1, 12_345, 2**40):
        id_ = UUID(event_id(turn).decode())
        assert turn_of(id_) == turn
        assert id_.version == 7


def test_an_approved_creation_is_seen_on_its_own_day() -> None:
    assert days(message("created")) == [(1, 3, ORDINAL)]


def test_the_day_is_that_of_the_property() -> None:
    assert local_day(datetime(2026, 5, 3, 18, 29, 59, tzinfo=UTC)) == date(2026, 5, 3).toordinal()
    assert local_day(datetime(2026, 5, 3, 18, 30, tzinfo=UTC)) == date(2026, 5, 4).toordinal()


@pytest.mark.parametrize(
    "later",
    [
        message("created"),  # a repetition
        message("created", amount=250),  # a version that is taken already
        message("updated", version=2),  # that changes no figure
    ],
)
def test_nobody_is_told_of_what_changes_nothing(later: tuple[bytes, bytes]) -> None:
    assert days(message("created"), later)[1][0] == SILENT


def test_a_pending_creation_is_seen_when_it_is_approved() -> None:
    found = days(message("created", status="pending"), message("approved", version=2))
    assert [day[0] for day in found] == [SILENT, 1]


def test_a_deletion_is_seen_on_the_day_that_it_empties_and_a_second_one_nowhere() -> None:
    found = days(
        message("created"),
        message("deleted", version=2, status="deleted", occurred_at=datetime(2026, 5, 9, 6, tzinfo=UTC)),
        message("deleted", version=3, status="deleted"),
    )
    assert found[1] == (1, 3, ORDINAL)
    assert found[2][0] == SILENT


def test_a_move_is_seen_on_its_new_day_and_property() -> None:
    moved = datetime(2026, 5, 3, 6, tzinfo=UTC)
    found = days(message("created"), message("updated", version=2, occurred_at=moved, property_id=4))
    assert found[1] == (1, 4, ORDINAL - 1)


def test_messages_keep_all_but_their_id_and_go_to_their_home_lane() -> None:
    workload = mixed(300, orgs=50)
    sent = list(Generator(workload).events())
    taken, schedule = Scheduler(Generator(workload).events(), 8).take(300)
    for turn, ((_, before), (key, after)) in enumerate(zip(sent, taken, strict=True)):
        was, is_ = msgspec.json.decode(before), msgspec.json.decode(after)
        assert UUID(is_.pop("event_id")).int & (2**62 - 1) == turn
        was.pop("event_id")
        assert was == is_
        assert schedule.lanes[turn] == home_lane(int(key), 8)


def test_a_workload_that_is_used_up_is_refused() -> None:
    with pytest.raises(ValueError, match="1 messages left, 2 are needed"):
        Scheduler([message("created")], 8).take(2)


def test_a_schedule_comes_back_from_its_file(tmp_path: Path) -> None:
    _, schedule = Scheduler(Generator(mixed(100, orgs=10)).events(), 4).take(100)
    schedule.save(tmp_path / "schedule")
    assert Schedule.load(tmp_path / "schedule") == schedule


def test_the_turns_of_a_lane_are_in_order() -> None:
    schedule = Schedule()
    for lane in (2, 0, 2, 2):
        schedule.add(lane, None)
    assert {lane: list(turns) for lane, turns in lane_turns(schedule).items()} == {2: [0, 2, 3], 0: [1]}
