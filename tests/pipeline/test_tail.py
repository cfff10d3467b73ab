"""Following updates: what is picked, where it begins, when it ends, and what it says of a broker that is away."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from aiokafka.errors import OffsetOutOfRangeError, TopicAuthorizationFailedError

from pipeline.cli.tail import as_document, as_line
from pipeline.errors import BrokerUnavailable, OffsetExpired, SettingsRefused
from pipeline.tail import Bounds, Follower, Wanted, parse_since
from schemas.routing import home_lane
from schemas.updates import BalanceUpdate, EncodedUpdate, encode_update
from tests.support.consumer import HandConsumer, record

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
TODAY = NOW.date()


class Clock:
    """Each look at it takes a second."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        self.seconds += 1
        return self.seconds


def _update(version: int = 1, *, org: int = 1, property_: int = 1, day: date = TODAY) -> EncodedUpdate:
    figures = (0, 123_456, 0, 0, 0, 123_456, 123_426, 123_426, -30)
    return encode_update(BalanceUpdate(org, property_, day, "e", version, *figures, NOW, "event", None))


def _consumer(*values: bytes) -> HandConsumer:
    consumer = HandConsumer()
    consumer.give_records(0, [record(0, offset, value) for offset, value in enumerate(values)])
    return consumer


async def _all(updates: AsyncIterator[Sequence[EncodedUpdate]]) -> list[int]:
    return [each.update.version async for batch in updates for each in batch]


@pytest.mark.parametrize(
    ("wanted", "included"),
    [
        (Wanted(), True),
        (Wanted(orgs=frozenset({1, 9})), True),
        (Wanted(orgs=frozenset({9})), False),
        (Wanted(property_id=2), True),
        (Wanted(property_id=3), False),
        (Wanted(balance_date=TODAY), True),
        (Wanted(balance_date=TODAY + timedelta(days=1)), False),
        (Wanted(frozenset({1}), 2, TODAY), True),
        (Wanted(frozenset({1}), 3, TODAY), False),
    ],
)
def test_an_update_is_wanted_when_every_filter_agrees(wanted: Wanted, included: bool) -> None:
    assert wanted.includes(_update(org=1, property_=2).update) is included


def test_of_organisations_only_their_home_partitions_are_read() -> None:
    assert Wanted().partitions(4) == [0, 1, 2, 3]
    assert Wanted(orgs=frozenset({5})).partitions(64) == [home_lane(5, 64)]
    assert Wanted(orgs=frozenset(range(1, 4))).partitions(64) == sorted({home_lane(org, 64) for org in range(1, 4)})


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("10m", NOW - timedelta(minutes=10)),
        ("1d12h", NOW - timedelta(hours=36)),
        ("2026-03-10T09:00:00Z", NOW - timedelta(hours=3)),
        ("2026-03-10T17:00:00+05:30", NOW - timedelta(minutes=30)),
    ],
)
def test_since_takes_a_duration_or_an_instant(text: str, instant: datetime) -> None:
    assert parse_since(text, NOW) == instant


@pytest.mark.parametrize("text", ["", "10", "10 m", "5m1h", "-5m", "999999d", "2026-03-10T09:00:00", "yesterday"])
def test_since_refuses_anything_else(text: str) -> None:
    with pytest.raises(SettingsRefused, match="10m"):
        parse_since(text, NOW)


async def test_the_limit_ends_it_within_a_batch() -> None:
    consumer = _consumer(*(_update(version).line for version in range(1, 6)))
    follower = Follower(consumer, Wanted(), Bounds(updates_max=3), pytest.fail)
    assert await _all(follower.updates()) == [1, 2, 3]


async def test_what_is_no_update_is_passed_over_and_said() -> None:
    said: list[str] = []
    consumer = _consumer(_update(1).line, b"{", b"\xff", b"{}", _update(2).line)
    assert await _all(Follower(consumer, Wanted(), Bounds(updates_max=2), said.append).updates()) == [1, 2]
    assert [line.split(": ")[0] for line in said] == [f"passed over partition 0, offset {at}" for at in (1, 2, 3)]


async def test_silence_of_what_is_wanted_ends_it() -> None:
    consumer = _consumer(_update(1).line, _update(2, org=2).line)
    wanted = Wanted(orgs=frozenset({1}))
    follower = Follower(consumer, wanted, Bounds(idle_seconds=5), pytest.fail, Clock())
    assert await _all(follower.updates()) == [1]


class _Outage(HandConsumer):
    """Away for some calls after its first records, then back with one more."""

    calls = 0

    async def getmany(self, *partitions: Any, **bounds: Any) -> dict[Any, list[Any]]:
        self.calls += 1
        self.away = 2 <= self.calls <= 5
        if self.calls == 6:
            self.give_records(0, [record(0, 1, _update(2).line)])
        return await super().getmany(*partitions, **bounds)


async def test_a_broker_that_is_away_is_said_once_and_waited_for() -> None:
    said: list[str] = []
    consumer = _Outage()
    consumer.give_records(0, [record(0, 0, _update(1).line)])
    assert await _all(Follower(consumer, Wanted(), Bounds(updates_max=2), said.append).updates()) == [1, 2]
    assert said == ["the broker does not answer: KafkaConnectionError; waiting for it", "the broker is back"]


class _Mute(HandConsumer):
    """As the client itself when the broker is away: it says nothing, until it is asked."""

    async def getmany(self, *_: Any, **_bounds: Any) -> dict[Any, list[Any]]:
        return {}


async def test_silence_while_the_broker_is_away_is_none() -> None:
    said: list[str] = []
    follower = Follower(_Mute(away=True), Wanted(), Bounds(idle_seconds=20), said.append, Clock())
    with pytest.raises(BrokerUnavailable, match="does not answer"):
        await _all(follower.updates())
    assert len(said) == 1


@pytest.mark.parametrize(
    ("raised", "ours"),
    [(OffsetOutOfRangeError({}), OffsetExpired), (TopicAuthorizationFailedError("t"), BrokerUnavailable)],
)
async def test_what_waiting_cannot_change_ends_it(raised: Exception, ours: type[Exception]) -> None:
    class Refusing(HandConsumer):
        async def getmany(self, *_: Any, **_bounds: Any) -> dict[Any, list[Any]]:
            raise raised

    with pytest.raises(ours):
        await _all(Follower(Refusing(), Wanted(), Bounds(), pytest.fail).updates())


def test_an_update_is_shown_as_a_line_and_as_its_own_bytes() -> None:
    update = _update(7, org=3, property_=4)
    assert as_line(update).decode() == (
        "2026-03-10 12:00:00.000Z  org 3  property 4  2026-03-10  v7  closing 123,426 cents, discrepancy -30  event"
    )
    assert as_document(update) == update.line
    assert msgspec.json.decode(as_document(update), type=BalanceUpdate) == update.update
