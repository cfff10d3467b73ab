"""What is asked for, and what the server's own counters say of it."""

import asyncio
from collections import Counter
from datetime import date, timedelta
from itertools import islice

import pytest

from bench.scenarios.users import followers
from bench.serve.asking import request_of
from bench.serve.exchanging import NO_ANSWER, Answers, Pool
from bench.serve.mixing import Mix, every_place
from bench.serve.reading import WrongAnswersError, require_good, shares
from bench.serve.server import Samples, total
from bench.workload import mixed

TODAY = date(2026, 11, 29)
HOST = "127.0.0.1"


def test_the_mix_looks_at_large_organisations_more_often_and_at_today_most() -> None:
    places = list(islice(Mix(100, 4, 0.8, TODAY, 0.9, 7).places(), 20_000))
    orgs = Counter(place.org_id for place in places)
    assert orgs[1] > 2 * orgs[10] > 4 * orgs[100] > 0
    assert sum(place.day == TODAY for place in places) / len(places) == pytest.approx(0.9, abs=0.02)
    assert {(TODAY - place.day).days for place in places} == set(range(8))
    assert places == list(islice(Mix(100, 4, 0.8, TODAY, 0.9, 7).places(), 20_000))


def test_every_place_comes_once() -> None:
    workload = mixed(0, today=TODAY, orgs=3)
    places = list(every_place(workload, back=1))
    assert len(set(places)) == len(places) == 12
    assert {place.day for place in places} == {TODAY - timedelta(days=1)}


def samples(**tiers: float) -> Samples:
    name = "folio_cache_answers_total"
    return {(name, frozenset({("tier", tier)})): value for tier, value in tiers.items()}


def test_the_hit_rate_is_of_what_was_answered_meanwhile() -> None:
    before, after = samples(l1=10, redis=10, database=1_000), samples(l1=90, redis=20, database=1_010)
    assert shares(before, after) == (0.9, 0.8)
    assert shares(before, before) == (None, 0.0)
    assert total(after, "folio_cache_answers_total") == 1_120
    assert total(after, "folio_cache_answers_total", tier="l1") == 90


def test_refusals_are_no_figures() -> None:
    answers = Answers()
    for status in (200, 503, NO_ANSWER):
        answers.add(0, status)
    assert require_good(answers).failures == 2
    answers.add(0, 403)
    with pytest.raises(WrongAnswersError, match="403"):
        require_good(answers)
    assert require_good(answers, 403) is answers


def test_an_organisation_has_as_many_followers_as_users() -> None:
    assert list(followers(iter([1] * 9 + [2, 1, 3]))) == [1] * 5 + [2, 3]


async def server(delay: float, *, closing: bool = False) -> tuple[asyncio.Server, int]:
    """Answers every request after a while."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            await asyncio.sleep(delay)
            if not closing:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            else:
                writer.close()
                return

    made = await asyncio.start_server(serve, HOST, 0)
    port: int = made.sockets[0].getsockname()[1]
    return made, port


async def test_a_late_server_makes_all_late_that_were_due_meanwhile() -> None:
    """One connection, an answer each 20 ms, a request each 10: the last one has waited for all before it."""
    made, port = await server(0.02)
    async with made:
        pool = Pool(HOST, port, 1)
        await pool.open()
        answers = await pool.open_loop([request_of("/", "token")] * 20, 100)
        pool.close()
    assert set(answers.statuses) == {200}
    assert len(answers) == 20
    assert max(answers.duration_ns) >= 0.2 * 1e9
    assert answers.due_ns[19] - answers.due_ns[0] == pytest.approx(0.19 * 1e9, rel=1e-6)


async def test_connections_that_break_are_failures_and_are_opened_again() -> None:
    made, port = await server(0.001, closing=True)
    async with made:
        pool = Pool(HOST, port, 2)
        await pool.open()
        answers = await pool.open_loop([request_of("/", "token")] * 10, 100)
        pool.close()
    assert (len(answers), answers.failures) == (10, 10)


async def test_where_nobody_listens_nobody_is_answered() -> None:
    made, port = await server(0)
    pool = Pool(HOST, port, 2)
    await pool.open()
    pool.close()
    made.close()
    await made.wait_closed()
    answers = await pool.open_loop([request_of("/", "token")] * 5, 100)
    assert list(answers.statuses) == [NO_ANSWER] * 5


async def test_a_closed_loop_asks_again_as_soon_as_it_was_answered() -> None:
    made, port = await server(0.01)
    async with made:
        pool = Pool(HOST, port, 4)
        await pool.open()
        answers = await pool.closed_loop([request_of("/", "token")], 0.3)
        pool.close()
    assert 4 <= len(answers) <= 4 * 31
    assert answers.failures == 0
