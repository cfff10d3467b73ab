"""Dead letters as an operator handles them: seen, counted, and sent back once the rule that they broke is mended."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.routing import home_lane
from schemas.topics import Feed
from tests.support.events import correction, encoded, event
from tests.support.raw_batches import RawMessage, record_batch, send_batch
from tests.support.stream import Message, Stream

NARROW = {"RULES_OCCURRED_PAST_MAX_DAYS": "30"}
WIDE = {"RULES_OCCURRED_PAST_MAX_DAYS": "3000"}
NOW = datetime.now(UTC).replace(microsecond=0)
LONG_AGO = NOW - timedelta(days=100)
# A producer's escape sequence that would clear the operator's screen.
HOSTILE = b"not json \x1b[2J"


def at(when: datetime, number: int, **data: Any) -> bytes:
    return encoded(event(number, at=when, **data))


async def quarantine(stream: Stream) -> dict[str, int]:
    """Records of many kinds through a worker with a narrow rule; returns the letters by reason."""
    await send_with_headers(stream, at(LONG_AGO, 1), [(b"trace", b"abc"), (b"empty", None)])
    poison: list[Message] = [
        (b"1", at(LONG_AGO, 2)),
        (b"1", HOSTILE),
        (b"1", None),
        (b"1", at(LONG_AGO - timedelta(days=9_000), 3)),
        (b"1", at(NOW, 4)),
        (b"1", at(NOW, 4, amount=777)),
        (b"2", at(LONG_AGO, 5, org=2)),
    ]
    await stream.send(poison)
    await stream.send([(b"1", encoded(correction(day=LONG_AGO.date(), declared=5)))], feed=Feed.CORRECTIONS)
    await work(stream, len(poison) + 2, NARROW)
    return {
        "time_out_of_bounds": 5,
        "malformed": 1,
        "empty": 1,
        "version_conflict": 1,
    }


async def send_with_headers(stream: Stream, value: bytes, headers: list[tuple[bytes, bytes | None]]) -> None:
    message: RawMessage = (b"1", value, headers)
    batch = record_batch([message], codec="lz4", first_ms=int(time.time() * 1000))
    await send_batch(stream.endpoints.kafka_bootstrap, stream.topic, home_lane(1, stream.lanes), batch)


async def work(stream: Stream, records: int, rules: dict[str, str]) -> None:
    with stream.worker(**rules) as worker:
        await worker.wait_for_log("lanes claimed")
        await stream.wait_until_consumed(records)
        assert await worker.stop() == 0


def dlq(stream: Stream, *arguments: str, **overrides: str) -> dict[str, Any]:
    done = stream.folio("dlq", *arguments, "--output", "json", **overrides)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


async def ends(stream: Stream) -> dict[TopicPartition, int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=stream.endpoints.kafka_bootstrap)
    await consumer.start()
    try:
        partitions = [TopicPartition(stream.prefix + feed, lane) for feed in Feed for lane in range(stream.lanes)]
        found: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        return found
    finally:
        await consumer.stop()


async def rows(stream: Stream, query: str) -> list[tuple[Any, ...]]:
    async with stream.database() as connection:
        return [tuple(row) for row in await connection.fetch(query)]


REDRIVES = "SELECT topic, lane, record_offset, new_lane, new_offset, who FROM ops.dead_letter_redrives"
AUDIT = "SELECT who, command, detail FROM ops.operator_audit ORDER BY audit_id"


async def test_what_a_relaxed_rule_accepts_is_sent_back_once_and_applied(stream: Stream) -> None:
    letters = await quarantine(stream)
    assert {row["reason"]: row["letters"] for row in summed(dlq(stream, "histogram"))} == letters

    before = await ends(stream)
    planned = dlq(stream, "redrive", **WIDE)
    assert planned["goes"] == [
        {"reason": "time_out_of_bounds", "letters": 4, "example": f"{stream.prefix}{Feed.CORRECTIONS}/{home(stream)}/0"}
    ]
    assert {(row["reason"], row["why"]) for row in planned["stays"]} == {
        ("time_out_of_bounds", "still_broken"),
        ("malformed", "still_broken"),
        ("empty", "still_broken"),
        ("version_conflict", "needs_books"),
    }
    assert await ends(stream) == before
    assert await rows(stream, REDRIVES) == []
    assert await rows(stream, AUDIT) == []

    await work(stream, 9, WIDE)  # restarted with the mended rule, which they record with their lanes
    done = dlq(stream, "redrive", "--execute", "--as", "asha", **WIDE)
    assert (done["letters_sent"], done["letters_left"]) == (4, 4)
    assert sum((await ends(stream)).values()) == sum(before.values()) + 4
    redriven = await rows(stream, REDRIVES)
    assert len(redriven) == 4
    assert {row[-1] for row in redriven} == {"asha"}
    ((who, command, detail),) = await rows(stream, AUDIT)
    assert (who, command) == ("asha", "dlq redrive")
    assert json.loads(detail)["letters_sent"] == 4
    assert json.loads(detail)["outcome"] == "done"

    again = dlq(stream, "redrive", "--execute", **WIDE)
    assert (again["letters_sent"], again["letters_left"]) == (0, 4)
    assert sum((await ends(stream)).values()) == sum(before.values()) + 4

    await work(stream, 13, WIDE)
    outcomes = await stream.outcomes()
    assert outcomes == {"applied": 5, "duplicate": 0, "stale": 0, "conflict": 1, "quarantined": 7}
    stored = await rows(stream, "SELECT aggregate_id FROM event_store.events ORDER BY 1")
    assert stored == [(1,), (2,), (4,), (5,)]
    assert len(await rows(stream, "SELECT FROM ops.balance_corrections")) == 1
    report = await stream.prove()
    assert report.exit_code == 0, report


def home(stream: Stream) -> int:
    return home_lane(1, stream.lanes)


def summed(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The counts over all topics."""
    by_reason: dict[str, int] = {}
    for row in document["counts"]:
        by_reason[row["reason"]] = by_reason.get(row["reason"], 0) + row["letters"]
    return [{"reason": reason, "letters": letters} for reason, letters in by_reason.items()]


async def test_the_new_record_has_its_own_key_value_and_headers_and_tells_where_it_comes_from(stream: Stream) -> None:
    await quarantine(stream)
    await work(stream, 9, WIDE)
    place = f"{stream.topic}/{home(stream)}/0"
    dlq(stream, "redrive", "--execute", "--topic", "finance-events", "--max", "3", **WIDE)
    redriven = {f"{row[0]}/{row[1]}/{row[2]}": row for row in await rows(stream, REDRIVES)}
    assert len(redriven) == 3
    topic, _, offset, new_lane, new_offset, _ = redriven[place]
    assert new_lane == home(stream)
    partition = TopicPartition(topic, new_lane)
    consumer = AIOKafkaConsumer(bootstrap_servers=stream.endpoints.kafka_bootstrap)
    await consumer.start()
    try:
        consumer.assign([partition])
        consumer.seek(partition, offset)
        old = await consumer.getone(partition)
        consumer.seek(partition, new_offset)
        new = await consumer.getone(partition)
    finally:
        await consumer.stop()
    assert (new.key, new.value) == (old.key, old.value)
    ours = (("folio-redriven-from", place.encode()), ("folio-redrive-count", b"1"))
    assert new.headers == (*old.headers, *ours)
    assert old.headers == (("trace", b"abc"), ("empty", None))


async def test_a_letter_that_keeps_coming_back_is_left_after_some_attempts(stream: Stream) -> None:
    """Redriven though the books have not changed: each attempt is another letter."""
    by_name = ("redrive", "--execute", "--attempts-max", "2", "--reason", "version_conflict")
    await stream.send([(b"1", at(NOW, 1)), (b"1", at(NOW, 1, amount=777))])
    await work(stream, 2, NARROW)
    for attempt in (1, 2):
        assert dlq(stream, *by_name, **NARROW)["letters_sent"] == 1
        await work(stream, 2 + attempt, NARROW)
    left = dlq(stream, *by_name, **NARROW)
    assert left["letters_sent"] == 0
    assert [(row["why"], row["letters"]) for row in left["stays"]] == [("attempts_spent", 1)]
    assert await stream.outcomes() == {"applied": 1, "duplicate": 0, "stale": 0, "conflict": 3, "quarantined": 0}


async def test_a_command_that_judges_otherwise_than_the_workers_is_refused(stream: Stream) -> None:
    """Its letters would come back; and the workers that will meet them may be on their way to other rules."""
    await stream.send([(b"1", at(LONG_AGO, 1))])
    await work(stream, 1, NARROW)
    planned = stream.folio("dlq", "redrive", **WIDE)
    assert planned.returncode == 0, planned.stderr
    assert "--execute would be refused" in planned.stderr
    refused = stream.folio("dlq", "redrive", "--execute", **WIDE, RULES_DEFAULT_CURRENCY="EUR")
    assert refused.returncode == 3
    assert "past_max is 3000 days, 0:00:00 here, 30 days, 0:00:00 for lanes 0, 1" in refused.stderr
    assert "default_currency is EUR here, INR for lanes 0, 1" in refused.stderr
    assert "time_zone" not in refused.stderr
    assert await rows(stream, REDRIVES) == []
    await work(stream, 1, WIDE)
    assert dlq(stream, "redrive", "--execute", **WIDE)["letters_sent"] == 1


async def test_a_run_killed_between_sending_and_remembering_doubles_nothing(stream: Stream) -> None:
    await stream.send([(b"1", at(LONG_AGO, 1))])
    await work(stream, 1, NARROW)
    await work(stream, 1, WIDE)
    assert dlq(stream, "redrive", "--execute", **WIDE)["letters_sent"] == 1
    async with stream.database() as connection:
        await connection.execute("DELETE FROM ops.dead_letter_redrives")
    assert dlq(stream, "redrive", "--execute", **WIDE)["letters_sent"] == 1
    await work(stream, 3, WIDE)
    assert await stream.outcomes() == {"applied": 1, "duplicate": 1, "stale": 0, "conflict": 0, "quarantined": 1}
    report = await stream.prove()
    assert report.exit_code == 0, report


async def test_letters_are_listed_page_by_page_and_shown_whole(stream: Stream) -> None:
    await quarantine(stream)
    everything = dlq(stream, "list")["letters"]
    assert len(everything) == 8
    pages, after = [], None
    while True:
        page = dlq(stream, "list", "--limit", "3", *(("--after", after) if after else ()))
        pages += page["letters"]
        if (after := page["next_after"]) is None:
            break
    assert pages == everything
    instants = [letter["recorded_at"] for letter in everything]
    assert instants == sorted(instants, reverse=True)

    (malformed,) = dlq(stream, "list", "--reason", "malformed", "--topic", "finance-events", "--since", "1h")["letters"]
    assert dlq(stream, "list", "--since", "2999-01-01")["letters"] == []
    assert dlq(stream, "list", "--lane", str(1 - malformed["lane"]), "--reason", "malformed")["letters"] == []
    place = ("finance-events", str(malformed["lane"]), str(malformed["offset"]))
    shown = stream.folio("dlq", "show", *place)
    assert shown.returncode == 0, shown.stderr
    assert "meaning: The bytes are not well-formed" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert "not json \\x1b[2J" in shown.stdout
    assert stream.folio("dlq", "show", *place, "--raw").stdout.encode() == HOSTILE
    assert dlq(stream, "show", *place)["value"] == {"text": HOSTILE.decode()}

    for arguments in (("list",), ("histogram", "--by", "hour"), ("redrive",)):
        done = stream.folio("dlq", *arguments)
        assert done.returncode == 0, done.stderr
        assert "malformed" in done.stdout
        assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("show", "finance-events", "0", "99"), "no letter"), (("list", "--after", "t/0/1"), "no such letter")],
)
def test_a_letter_that_is_not_there_is_said_in_words(stream: Stream, arguments: tuple[str, ...], said: str) -> None:
    refused = stream.folio("dlq", *arguments)
    assert refused.returncode == 2
    assert said in refused.stderr


async def test_two_redrives_at_once_are_refused(stream: Stream) -> None:
    async with stream.database() as connection:
        await connection.execute("SELECT pg_advisory_lock(x'5245445249'::bigint)")
        refused = stream.folio("dlq", "redrive", "--execute")
    assert refused.returncode == 2
    assert "another redrive runs" in refused.stderr
