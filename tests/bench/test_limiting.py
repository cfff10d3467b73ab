"""The limit is the least of what was measured alone; CPU is charged to the stage that spent it, and to no other."""

import os
import time
from collections.abc import Iterable
from typing import cast
from uuid import UUID
from xml.etree import ElementTree as ET

import asyncpg
import pytest

import batchers.books
from bench.draining import Round
from bench.limiting import metering
from bench.limiting.clocks import ELSEWHERE, StageClock, cpu_seconds
from bench.limiting.crew import CrewError, Done, crew
from bench.limiting.jobs import Groups, Wait
from bench.limiting.judging import Stage, family, figures, limits, part_us, stacks, stage_us, tables
from bench.limiting.measuring import Alone, LimitRound, Shape, chunks, product_shares, shares_of
from bench.limiting.metering import BOOKS, FETCHING, MeteredConnection, metered, statement_name
from bench.report.charts import stacked
from bench.results import Compared, Table
from bench.summary import as_text
from pipeline import settings as settings_module
from schemas.lanes import Batch
from tests.bench.made import results, scenario

EVENTS = 1_000_000  # so that a second of CPU is a microsecond an event


def ticking(*moments: float) -> StageClock:
    """A clock of which each look takes the next moment."""
    left = iter(moments)
    return StageClock(now=lambda: next(left))


def test_a_stage_within_a_stage_is_its_own() -> None:
    clock = ticking(0, 1, 3, 7, 15, 31)
    clock.start()  # at 0
    with clock.stage("commit"), clock.stage("decide"):  # at 1, and at 3
        pass  # both are left, at 7 and at 15
    clock.charge()  # at 31
    assert clock.spent == {ELSEWHERE: 1 + 16, "commit": 2 + 8, "decide": 4}


def test_a_stage_that_fails_is_left() -> None:
    clock = ticking(0, 1, 2, 4)
    clock.start()
    with pytest.raises(ValueError, match="no"), clock.stage("decide"):
        raise ValueError("no")
    clock.charge()
    assert clock.spent == {ELSEWHERE: 3, "decide": 1}


def test_the_clock_of_another_process_is_told_in_less_than_ticks() -> None:
    before = cpu_seconds(os.getpid())
    until = time.process_time() + 0.003
    while time.process_time() < until:
        pass
    assert 0.003 <= cpu_seconds(os.getpid()) - before < 0.5


def test_every_stage_names_functions_that_the_product_has() -> None:
    """One that was renamed would be charged to its caller, and its stage be missing without a word."""
    for functions in (*FETCHING.values(), *BOOKS.values()):
        for module, name in functions:
            _, function = metering.find(module, name)
            assert callable(function), f"{module}.{name}"


async def test_the_product_runs_as_it_is_while_it_is_metered_and_afterwards() -> None:
    clock, inside = StageClock(), vars(batchers.books)
    clock.start()
    original = inside["lanes_to_lock"]
    with metered(clock, {"fence": (("batchers.books", "lanes_to_lock"),), "lock": (("batchers.books", "lock_lanes"),)}):
        assert inside["lanes_to_lock"](Batch(UUID(int=1), ()), 8) == set()
        with pytest.raises(AttributeError):  # without a connection there is nothing to lock by
            await inside["lock_lanes"](None, [1])
    assert {"fence", "lock"} <= clock.spent.keys()
    assert inside["lanes_to_lock"] is original


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("-- append_events: every version\nINSERT", "append_events"),
        ("COMMIT", "COMMIT"),
        ("BEGIN ISOLATION LEVEL READ COMMITTED", "BEGIN"),
        ("COPY staging_events", "COPY staging_events"),
    ],
)
def test_statements_are_known_by_name(query: str, name: str) -> None:
    assert statement_name(query) == name


async def test_each_statement_is_charged_to_its_backend() -> None:
    class Fake:
        def get_server_pid(self) -> int:
            return os.getpid()

        async def fetch(self, _query: str, seconds: float) -> list[int]:
            until = time.process_time() + seconds
            while time.process_time() < until:
                pass
            return [1]

        def is_closed(self) -> bool:
            return False

    spent: dict[str, float] = {}
    connection = MeteredConnection(cast("asyncpg.Connection", Fake()), StageClock(), spent)
    assert await connection.fetch("-- read_this: x\nSELECT", 0.002) == [1]
    await connection.fetch("-- read_this: x\nSELECT", 0.002)
    assert spent.keys() == {"read_this"}
    assert spent["read_this"] >= 0.004
    assert connection.is_closed() is False


def test_lanes_are_spread_without_loss() -> None:
    assert chunks(range(5), 2) == [[0, 1, 2], [3, 4]]
    assert chunks(range(2), 4) == [[0], [1]]
    assert shares_of(8, Shape(2, 4)) == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    assert shares_of(3, Shape(1, 2)) == [[[0, 1], [2]]]
    settings = settings_module.load({"FOLIO_BATCH_LANES_PER_WRITER": "4"})
    assert product_shares(8, 1, settings) == [[[0, 1, 2, 3], [4, 5, 6, 7]]]
    assert product_shares(8, 2, settings) == [[[0, 1, 2, 3]], [[4, 5, 6, 7]]]


def alone(seconds: float, cpu: float, **servers: float) -> Alone:
    return Alone([Done(events=EVENTS, began=100.0, ended=100.0 + seconds, cpu=cpu)], servers)


def measured(fetch: float = 5.0, memory: Iterable[float] = (30.0, 25.0), drain: float = 40.0) -> LimitRound:
    fetched, staged = alone(fetch, 9.0, broker=2.0), alone(60, 9.0, broker=3.0, cache=1.0, database=10.0)
    fetched.done[0].stages = {"fetch": 4.0, "decode": 5.0}
    staged.done[0].stages = {"decide": 6.0, "publish": 2.0, ELSEWHERE: 1.0}
    staged.done[0].statements = {"append_events": 7.0, "COMMIT": 1.0}
    staged.done[0].backends = [8.5]
    fed = {Shape(1, n): alone(seconds, seconds) for n, seconds in enumerate(memory, 1)}
    drained = Round(EVENTS, claimed=0.0, ended=drain, cpu={"workers": 20.0, "broker": 5.0, "database": 12.0})
    return LimitRound(fetched, staged, drained, fed)


def test_every_second_of_cpu_is_some_stages() -> None:
    us = stage_us(measured())
    assert us[Stage("workers", "decode")] == pytest.approx(5)
    assert us[Stage("database", "background processes")] == pytest.approx(1.5)
    assert us[Stage("database", "between statements")] == pytest.approx(0.5)
    parts = part_us(measured())
    # What processes and servers used, whoever used it: fetching 9 and 2, the stages 9, 3, 1 and 10.
    assert parts == pytest.approx({"workers": 18, "broker": 5, "database": 10, "cache": 1})


def test_the_limit_is_the_least_of_the_three() -> None:
    found = limits(measured(), cores=2)
    assert found == pytest.approx(
        {
            "fetch and decode alone": EVENTS / 5,
            "the same statements from memory": EVENTS / 25,
            "cores / CPU of all stages": 2e6 / 34,
        }
    )
    by_name = {each.name: each for each in figures([measured(), measured(fetch=50.0)], cores=2)}
    assert by_name["events_per_second"].rounds == pytest.approx([EVENTS / 25, EVENTS / 50])
    assert by_name["drain_share_of_limit"].rounds == pytest.approx([25 / 40, 50 / 40])
    assert by_name["drain_share_of_limit_by_cpu"].rounds == pytest.approx([34 / 37, 34 / 37])
    assert by_name["rest_us_workers"].median == pytest.approx(2)
    assert by_name["from_memory_1_connections_events_per_second"].median == pytest.approx(EVENTS / 30)


def test_the_tables_say_which_limit_it_is_and_what_is_left() -> None:
    machine, by_stage, rest = tables([measured()], cores=2, generator_us=15.0)
    assert [row[0] for row in machine.rows if row[-1]] == ["the same statements from memory"]
    *stages, total, generator = by_stage.rows
    assert sum(float(row[2] or 0) for row in stages) == pytest.approx(34)
    assert total[2] == pytest.approx(34)
    assert generator == ["generator", "not counted: it ended before", 15.0, None]
    assert rest.rows[-1] == ["all", pytest.approx(34), pytest.approx(37), pytest.approx(3)]


def test_what_holds_back_is_named() -> None:
    assert alone(10, 19, database=0.5).limited_by(2) == "all cores"
    assert alone(10, 9.5, database=2).limited_by(2) == "one Python process"
    assert (
        Alone(alone(10, 9.5).done, {"database": 2.0}, machine_busy=19.5).limited_by(2).startswith("all cores, others")
    )
    assert alone(10, 4, database=2).limited_by(2).startswith("waiting")
    backend = alone(10, 4)
    backend.done[0].backends = [9.2]
    assert backend.limited_by(2) == "one database backend"
    backend.done[0].backends = [5.2]
    assert backend.limited_by(2) == "process and backends, by turns"


def test_a_bar_is_as_long_as_its_pieces() -> None:
    [stack] = stacks([measured()])
    workers = next(bar for bar in stack.bars if bar.label == "workers")
    assert sum(workers.pieces.values()) == pytest.approx(18)
    figure = ET.fromstring(stacked("CPU", "µs", [("one", {"a & b": 10.0, "c": 5.0}), ("two", {"d": 30.0})]))
    assert [told.text for told in figure.iter("p")] == ["one: a & b 10, c 5"]
    widths = [float(rect.get("width", "0")) for rect in figure.iter("rect")]
    assert widths[0] + widths[1] == pytest.approx(widths[2] / 2, rel=0.01)
    lefts = [float(rect.get("x", "0")) for rect in figure.iter("rect")]
    assert lefts[1] == pytest.approx(lefts[0] + widths[0], abs=0.2)


def test_every_stage_has_its_piece_of_the_bar() -> None:
    """Those that share the piece of `others` are few, and cost little."""
    unnamed = {"write events", "lanes", "chain", "register properties"}
    for name in (*FETCHING, *BOOKS):
        assert (family(name) == "others") == (name in unnamed), name
    assert family("append_events") == "store"
    assert family("append_revenues") == "transactions"
    assert family("advance_lane") == "others"


def test_short_tables_are_in_the_text() -> None:
    found = scenario("limit")
    found.tables.append(Table("the limit", ["what", "ev/s"], [["fetch", 123_456.0], ["books", None]], in_text=True))
    found.tables.append(Table("rows", ["what"], [["long"]]))
    lines = [line.strip() for line in as_text(results(found), Compared()).splitlines()]
    assert "the limit" in lines
    assert "fetch  123,456" in lines
    assert "rows" not in lines


def breaking(_environment: dict[str, str], _groups: Groups, _wait: Wait) -> Done:
    raise OSError("no disk left")


def counting(_environment: dict[str, str], groups: Groups, wait: Wait) -> Done:
    wait()
    return Done(events=sum(map(len, groups)))


def test_a_crew_begins_together_and_tells_what_went_wrong() -> None:
    with crew(counting, {}, [[[1, 2], [3]], [[4]]]) as members:
        members.wait_ready()
        assert [done.events for done in members.work()] == [3, 1]
    with crew(breaking, {}, [[[1]]]) as members, pytest.raises(CrewError, match="no disk left"):
        members.wait_ready()
