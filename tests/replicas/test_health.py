"""Checks: what is remembered of servers, when they are asked again, and how long an answer is believed."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from pipeline.errors import DatabaseUnavailable
from pipeline.storage.replicas import health
from pipeline.storage.replicas.choice import Condition, LagBounds, Position
from pipeline.storage.replicas.health import HealthChecks, Server
from pipeline.storage.replicas.metrics import ReadMetrics
from tests.support.clocks import HandClock


@dataclass
class Answers:
    """What a server will say, by turns; the last one again and again. An error is raised."""

    said: list[Position | DatabaseUnavailable]
    asked: int = 0
    made_ready: int = 0
    given_up: int = 0
    refuses: list[DatabaseUnavailable] = field(default_factory=list)

    async def ask(self) -> Position:
        self.asked += 1
        answer = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        if isinstance(answer, DatabaseUnavailable):
            raise answer
        return answer

    async def ready(self) -> None:
        if self.refuses:
            raise self.refuses[0]
        self.made_ready += 1

    def give_up(self) -> None:
        self.given_up += 1

    def server(self, name: str) -> Server:
        ask: Callable[[], Awaitable[Position]] = self.ask
        return Server(name, ask, self.ready, self.give_up)


GONE = DatabaseUnavailable("gone")


# What the primary's clock said when it was asked first; the hand's own monotonic clock says 1,000.
THEN = 77_000.0


def primary(lsn: int, epoch: str = "9-1", clock: float = THEN) -> Position:
    return Position(epoch, in_recovery=False, lsn=lsn, clock=clock)


def standby(lsn: int, ago: float = 0, epoch: str = "9-1", clock: float = THEN) -> Position:
    """It has replayed what the primary committed `ago` seconds before it was asked first."""
    return Position(epoch, in_recovery=True, lsn=lsn, clock=clock, replayed_at=THEN - ago)


def checks(first: Answers, *others: Answers, clock: HandClock | None = None) -> HealthChecks:
    servers = [each.server(f"replica{number}") for number, each in enumerate(others, 1)]
    bounds = LagBounds(5, 10)
    return HealthChecks(first.server("primary"), servers, bounds, 30, clock or HandClock(), ReadMetrics())


async def test_a_replica_is_made_ready_before_it_is_used() -> None:
    replica = Answers([standby(500)])
    found = checks(Answers([primary(500)]), replica)
    assert [each.usable for each in found.replicas] == [False], "nobody has asked it yet"
    await found.check()
    assert [each.usable for each in found.replicas] == [True]
    assert replica.made_ready == 1


async def test_one_that_gives_no_connection_is_silent() -> None:
    found = checks(Answers([primary(500)]), Answers([standby(500)], refuses=[GONE]))
    await found.check()
    assert found.replicas[0].condition is Condition.SILENT


async def test_a_moment_behind_is_no_lag() -> None:
    """Under load every replica is a little behind when asked; it is asked once more."""
    replica = Answers([standby(400, 3_600), standby(500, 0)])
    found = checks(Answers([primary(500)]), replica)
    await found.check()
    health = found.replicas[0]
    assert (health.condition, health.lag_bytes, health.lag_seconds) == (Condition.WELL, 100, 0)


async def test_one_that_does_not_come_nearer_is_late_and_then_out() -> None:
    clock = HandClock()
    found = checks(Answers([primary(400), primary(500)]), Answers([standby(400, 3_600)]), clock=clock)
    await found.check()
    for seconds, condition in ((0, Condition.WELL), (6, Condition.LATE), (6, Condition.TOO_LATE)):
        clock.pass_seconds(seconds)
        await found.check()
        assert found.replicas[0].condition is condition


@pytest.mark.parametrize("slow_by", [-60, 0, 60])
async def test_a_replicas_own_clock_hides_nothing_of_its_lag(slow_by: float) -> None:
    replica = Answers([standby(400, 12, clock=THEN - slow_by)])
    found = checks(Answers([primary(500)]), replica)
    await found.check()
    assert (found.replicas[0].condition, found.replicas[0].lag_seconds) == (Condition.TOO_LATE, 12)


async def test_one_that_stands_still_is_out_whatever_the_primarys_clock_was_set_to() -> None:
    """Set back by an hour between two looks: each look says how much time has passed, and none by that clock."""
    clock = HandClock()
    looks = [primary(400), primary(450), primary(500, clock=THEN - 3_600)]
    found = checks(Answers([*looks]), Answers([standby(400, 0)]), clock=clock)
    for _ in looks:
        await found.check()
        clock.pass_seconds(11)
    assert found.replicas[0].condition is Condition.TOO_LATE


async def test_a_silent_one_is_given_up_and_used_again_when_it_answers() -> None:
    replica = Answers([standby(500), GONE, standby(500)])
    found = checks(Answers([primary(500)]), replica)
    conditions = []
    for _ in range(3):
        await found.check()
        conditions.append(found.replicas[0].condition)
    assert conditions == [Condition.WELL, Condition.SILENT, Condition.WELL]
    assert replica.given_up == 1


async def test_a_read_without_an_answer_takes_it_out_at_once() -> None:
    replica = Answers([standby(500)])
    found = checks(Answers([primary(500)]), replica)
    await found.check()
    found.silent(0, "no answer")
    assert found.replicas[0].condition is Condition.SILENT
    assert replica.given_up == 1


async def test_while_the_primary_is_away_replicas_are_judged_by_what_it_said_last() -> None:
    found = checks(Answers([primary(500), GONE]), Answers([standby(500)]))
    for _ in range(2):
        await found.check()
    assert found.primary.condition is Condition.SILENT
    assert found.replicas[0].usable


async def test_another_primary_makes_strangers_of_those_that_do_not_follow_it() -> None:
    found = checks(Answers([primary(500), primary(450, "9-2")]), Answers([standby(500)]))
    await found.check()
    assert found.replicas[0].usable
    await found.check()
    assert found.replicas[0].condition is Condition.STRANGE


async def test_a_read_that_met_another_primary_ends_the_belief_in_every_replica_until_the_next_look() -> None:
    found = checks(Answers([primary(500), primary(450, "9-2")]), Answers([standby(500), standby(450, epoch="9-2")]))
    await found.check()
    found.met_primary("9-1")
    assert (found.history, found.replicas[0].usable) == ("9-1", True)
    found.met_primary("9-2")
    assert (found.history, found.replicas[0].usable) == (None, False)
    await found.check()
    assert (found.history, found.replicas[0].usable) == ("9-2", True)


async def test_a_look_that_was_asked_before_such_a_read_does_not_bring_the_belief_back() -> None:
    clock = HandClock()

    class Slow(Answers):
        async def ask(self) -> Position:
            position = await super().ask()
            if self.asked == 2:
                clock.pass_seconds(0.1)
                found.met_primary("9-2")
            return position

    found = checks(Slow([primary(500)]), Answers([standby(500)]), clock=clock)
    for _ in range(2):
        await found.check()
    assert (found.history, found.replicas[0].usable) == (None, False)


async def test_an_address_of_the_primary_that_leads_to_a_standby_is_told() -> None:
    found = checks(Answers([standby(500)]), Answers([standby(500)]))
    await found.check()
    assert found.primary.condition is Condition.STRANGE
    assert not found.replicas[0].usable


async def test_a_standby_at_that_address_is_vouched_for_as_a_replica_there_would_be() -> None:
    def standing(lsn: int, epoch: str = "9-1") -> Position:
        return Position(epoch, in_recovery=True, lsn=lsn)

    clock = HandClock()
    found = checks(Answers([primary(400), primary(500), standby(500)]), clock=clock)
    assert not found.vouches_for(standing(500)), "no primary was met yet"
    await found.check()
    clock.pass_seconds(12)
    await found.check()
    assert found.vouches_for(standing(500))
    assert not found.vouches_for(standing(450)), "too late: it lacks what was written at the last look but one"
    assert not found.vouches_for(standing(500, epoch="9-2"))
    await found.check()  # it meets a standby, and tells nothing of the primary
    clock.pass_seconds(90)
    assert found.vouches_for(standing(500))
    clock.pass_seconds(1)
    assert not found.vouches_for(standing(500)), "nobody has met the primary for three intervals"


async def test_what_was_found_is_not_believed_for_ever() -> None:
    """The checks may have ended, or their loop stands: then the primary is asked."""
    clock = HandClock()
    found = checks(Answers([primary(500)]), Answers([standby(500)]), clock=clock)
    await found.check()
    clock.pass_seconds(90)
    assert found.replicas[0].usable
    clock.pass_seconds(1)
    assert not found.replicas[0].usable


async def test_a_look_that_fails_for_a_reason_of_its_own_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_PAUSE_SECONDS", 0.0)
    looked = checks(Answers([primary(1)]), Answers([standby(1)]))
    looks = 0

    async def look() -> None:
        nonlocal looks
        looks += 1
        looked.at_once()
        await asyncio.sleep(0)
        raise LookupError("of its own")

    monkeypatch.setattr(looked, "check", look)
    looked.at_once()
    running = asyncio.create_task(looked.run())
    async with asyncio.timeout(10):
        while looks < 3 and not running.done():
            await asyncio.sleep(0)
    running.cancel()
    assert looks == 3
