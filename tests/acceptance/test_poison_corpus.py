"""The hand-written poison through a real broker and a real worker, and back again once a rule is widened."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from schemas.reasons import Reason
from schemas.routing import home_lane
from schemas.topics import Feed
from tests.support.poison import BOOKED_BEFORE, WIDER, Poison, corpus, good_record
from tests.support.raw_batches import RawMessage, record_batch, send_batch
from tests.support.stream import Stream

ORG: Final = 42
FIRST_NEIGHBOUR: Final = 2000
CONFLICTS: Final = frozenset({Reason.VERSION_CONFLICT, Reason.CORRECTION_CONFLICT})
WIDER_SETTINGS: Final = {
    "RULES_OCCURRED_PAST_MAX_DAYS": str(WIDER.past_max.days),
    "RULES_OCCURRED_FUTURE_MAX_HOURS": str(WIDER.future_max // timedelta(hours=1)),
}
Place = tuple[str, int]  # topic, offset


async def send_corpus(stream: Stream) -> dict[Place, Poison]:
    """Every entry between good neighbours, on one lane; returns where each stands."""
    places: dict[Place, Poison] = {}
    now = datetime.now(UTC)
    for feed in Feed:
        key = str(ORG).encode()
        messages: list[RawMessage] = [(key, good_record(feed, BOOKED_BEFORE, now), [])]
        for number, poison in enumerate((each for each in corpus() if each.feed is feed), FIRST_NEIGHBOUR):
            places[stream.prefix + feed, len(messages)] = poison
            messages.append((poison.key(), poison.value(now), poison.headers(now)))
            messages.append((key, good_record(feed, number, now), []))
        # By hand: no client of ours sends names of headers that are not UTF-8.
        batch = record_batch(messages, codec="lz4", first_ms=int(time.time() * 1000))
        lane = home_lane(ORG, stream.lanes)
        await send_batch(stream.endpoints.kafka_bootstrap, stream.prefix + feed, lane, batch)
    return places


async def work(stream: Stream, records: int, **rules: str) -> None:
    with stream.worker(**rules) as worker:
        await worker.wait_for_log("lanes claimed")
        await stream.wait_until_consumed(records)
        assert await worker.stop() == 0


async def letters(stream: Stream) -> dict[Place, str]:
    async with stream.database() as connection:
        rows = await connection.fetch("SELECT topic, record_offset, reason FROM ops.dead_letters")
    return {(row["topic"], row["record_offset"]): row["reason"] for row in rows}


async def redriven(stream: Stream) -> set[Place]:
    async with stream.database() as connection:
        rows = await connection.fetch("SELECT topic, record_offset FROM ops.dead_letter_redrives")
    return {(row["topic"], row["record_offset"]) for row in rows}


async def applied(stream: Stream) -> tuple[set[int], int]:
    """The transactions in the event store, and how many corrections were applied."""
    async with stream.database() as connection:
        rows = await connection.fetch("SELECT aggregate_id FROM event_store.events WHERE outcome = 'applied'")
        corrections = await connection.fetchval("SELECT count(*) FROM ops.balance_corrections")
    return {row["aggregate_id"] for row in rows}, corrections


def redrive(stream: Stream) -> dict[str, Any]:
    done = stream.folio("dlq", "redrive", "--execute", "--output", "json", **WIDER_SETTINGS)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def outcomes_of(places: dict[Place, Poison]) -> dict[str, int]:
    conflicts = sum(poison.reason in CONFLICTS for poison in places.values())
    neighbours = len(places) + len(Feed)
    return {
        "applied": neighbours,
        "duplicate": 0,
        "stale": 0,
        "conflict": conflicts,
        "quarantined": len(places) - conflicts,
    }


async def test_each_is_quarantined_for_its_reason_and_then_the_repairable_ones_are_redriven(stream: Stream) -> None:
    places = await send_corpus(stream)
    expected = outcomes_of(places)
    sent = sum(expected.values())
    await work(stream, sent)

    assert await letters(stream) == {place: str(poison.reason) for place, poison in places.items()}
    assert await stream.outcomes() == expected
    events = [poison for poison in places.values() if poison.feed is Feed.EVENTS]
    neighbours = {BOOKED_BEFORE, *range(FIRST_NEIGHBOUR, FIRST_NEIGHBOUR + len(events))}
    corrections = 1 + len(places) - len(events)
    assert await applied(stream) == (neighbours, corrections)
    report = await stream.prove()
    assert report.exit_code == 0, report

    # The operator widens the rule, restarts the workers, and sends back what it had refused.
    await work(stream, sent, **WIDER_SETTINGS)
    repairable = {place: poison for place, poison in places.items() if poison.repairable}
    done = redrive(stream)
    assert (done["letters_sent"], done["letters_left"]) == (len(repairable), len(places) - len(repairable))
    assert await redriven(stream) == repairable.keys()
    await work(stream, sent + len(repairable), **WIDER_SETTINGS)

    mended = {poison.number for poison in repairable.values() if poison.feed is Feed.EVENTS}
    assert await applied(stream) == (neighbours | mended, corrections + len(repairable) - len(mended))
    assert await letters(stream) == {place: str(poison.reason) for place, poison in places.items()}
    assert await stream.outcomes() == expected | {"applied": expected["applied"] + len(repairable)}
    assert redrive(stream)["letters_sent"] == 0
    report = await stream.prove()
    assert report.exit_code == 0, report
