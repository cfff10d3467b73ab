"""Which servers may answer: lag, history, turns. Values in, values out."""

import math
from collections import Counter

import pytest

from pipeline.storage.intent import Read, ReadYourWrites, Write
from pipeline.storage.replicas.choice import (
    REPLICAS_ASKED_MAX,
    Condition,
    Health,
    LagBounds,
    Position,
    Primary,
    Written,
    choose,
    has,
    judge,
    lag_seconds,
)

BOUNDS = LagBounds(5, 10)
WELL = Health(Condition.WELL, "9-1", 0, 0.0)
LATE = Health(Condition.LATE, "9-1", 100, 6.0)
TOO_LATE = Health(Condition.TOO_LATE, "9-1", 100, 11.0)


def standby(lsn: int, replayed_at: float | None = None, epoch: str = "9-1") -> Position:
    return Position(epoch, in_recovery=True, lsn=lsn, replayed_at=replayed_at)


def look(at: float, lsn: int, clock: float | None = None) -> Written:
    """At `at` of our clock the primary had written `lsn`; its own clock said `clock`, or what ours did."""
    return Written(at, lsn, at if clock is None else clock)


class TestLag:
    def test_an_idle_primary_makes_no_lag(self) -> None:
        """Its newest transaction may be a day old: nothing is missing."""
        assert lag_seconds(standby(500, -86_400), [look(100, 400), look(130, 500)], now=131) == 0

    def test_what_was_replayed_last_bounds_it(self) -> None:
        assert lag_seconds(standby(450, 124), [look(100, 400), look(130, 500)], now=131) == 7

    def test_the_newest_look_that_it_has_passed_bounds_it_after_a_pause(self) -> None:
        """After an idle hour the first write must not make an hour of lag."""
        assert lag_seconds(standby(450, -3_600), [look(100, 400), look(130, 500)], now=131) == 31

    def test_of_two_bounds_the_nearer_one_counts(self) -> None:
        looks = [look(100, 400), look(125, 450), look(130, 500)]
        assert lag_seconds(standby(460, 111), looks, now=131) == 6

    def test_one_that_has_nothing_of_what_was_seen_is_infinitely_late(self) -> None:
        assert lag_seconds(standby(300), [look(100, 400)], now=101) == math.inf

    def test_the_primarys_clock_may_say_anything_as_long_as_it_runs(self) -> None:
        """The instant of a commit and the instant of the look are both its own: what ours says does not matter."""
        looks = [look(100, 400, clock=7_100), look(130, 500, clock=7_130)]
        assert lag_seconds(standby(450, 7_124), looks, now=131) == 7

    def test_an_instant_that_the_primary_has_not_reached_says_nothing(self) -> None:
        """Its clock was set back since: that is not known, and no lag of 0."""
        assert lag_seconds(standby(300, 161), [look(100, 400)], now=101) == math.inf
        assert lag_seconds(standby(450, 161), [look(100, 400), look(130, 500)], now=131) == 31

    def test_what_it_lacks_is_at_least_as_old_as_the_first_look_that_it_has_not_passed(self) -> None:
        """The primary's clock was set back by 50 s after the second look, and the standby stands still."""
        looks = [look(100, 400), look(110, 450), look(170, 500, clock=120)]
        assert lag_seconds(standby(440, 109), looks, now=171) == 71

    def test_a_clock_that_was_set_forward_tells_no_more_than_the_looks_do(self) -> None:
        looks = [look(100, 400), look(130, 500, clock=3_730)]
        assert lag_seconds(standby(450, 120), looks, now=131) == 31

    def test_the_way_of_an_answer_is_no_step_of_a_clock(self) -> None:
        """Looks are as old as their question, the primary's clock is read a little later."""
        looks = [look(100, 400), look(128, 490, clock=128.0), look(130, 500, clock=129.98)]
        assert lag_seconds(standby(480, 128), looks, now=131) == pytest.approx(3)


class TestJudge:
    def test_it_is_well_while_it_keeps_up(self) -> None:
        assert judge(standby(500), Primary("9-1", [look(100, 500)]), BOUNDS, 101) == WELL

    @pytest.mark.parametrize(
        ("seconds", "condition"),
        [
            (4.9, Condition.WELL),
            (5, Condition.LATE),
            (9.9, Condition.LATE),
            (10, Condition.TOO_LATE),
        ],
    )
    def test_lag_is_warned_of_and_then_takes_it_out(self, seconds: float, condition: Condition) -> None:
        health = judge(standby(400, 101 - seconds), Primary("9-1", [look(90, 390), look(100, 500)]), BOUNDS, 101)
        assert (health.condition, health.lag_bytes) == (condition, 100)
        assert health.usable is (condition is not Condition.TOO_LATE)

    @pytest.mark.parametrize("epoch", ["9-2", "8-1"])
    def test_one_of_another_timeline_or_cluster_is_strange_however_far_it_is(self, epoch: str) -> None:
        health = judge(standby(900, epoch=epoch), Primary("9-1", [look(100, 500)]), BOUNDS, 101)
        assert health.condition is Condition.STRANGE
        assert not health.usable
        assert epoch in health.detail

    def test_one_that_is_no_standby_is_strange(self) -> None:
        position = Position("9-1", in_recovery=False, lsn=500)
        assert judge(position, Primary("9-1", [look(100, 500)]), BOUNDS, 101).condition is Condition.STRANGE

    def test_without_a_primary_nobody_can_be_judged(self) -> None:
        assert not judge(standby(500), None, BOUNDS, 101).usable


class TestChoose:
    def test_without_replicas_it_is_the_primary(self) -> None:
        assert choose([], Read(), 3) == ()

    def test_a_write_is_the_primarys(self) -> None:
        assert choose([WELL, WELL], Write(), 0) == ()

    def test_they_take_turns(self) -> None:
        firsts = Counter(choose([WELL, LATE, WELL], Read(), turn)[0] for turn in range(300))
        assert firsts == {0: 100, 1: 100, 2: 100}

    def test_turns_pass_over_who_is_not_usable(self) -> None:
        firsts = {choose([WELL, TOO_LATE, Health(), WELL], Read(), turn)[0] for turn in range(10)}
        assert firsts == {0, 3}

    def test_none_usable_is_the_primary(self) -> None:
        assert choose([TOO_LATE, Health(Condition.SILENT), Health(Condition.STRANGE, "9-2")], Read(), 1) == ()

    def test_only_so_many_are_asked_before_the_primary_is(self) -> None:
        assert choose([WELL] * 4, Read(), 3) == (3, 0)[:REPLICAS_ASKED_MAX]

    def test_who_is_not_of_the_history_that_was_written_is_not_asked(self) -> None:
        mark = ReadYourWrites(10, "9-2")
        assert choose([WELL, Health(Condition.WELL, "9-2", 0, 0.0)], mark, 0) == (1,)


class TestHas:
    def test_one_that_has_replayed_it_has_it(self) -> None:
        assert has(standby(500), ReadYourWrites(500, "9-1"))
        assert not has(standby(499), ReadYourWrites(500, "9-1"))

    def test_a_position_of_another_history_says_nothing(self) -> None:
        assert has(standby(500), ReadYourWrites(400, "9-1"))
        assert not has(standby(500), ReadYourWrites(400, "9-2"))

    def test_who_wrote_nothing_misses_nothing(self) -> None:
        assert has(standby(0), Read())
