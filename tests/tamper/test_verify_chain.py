"""`folio verify-chain` on a real stream: it holds, and whatever is changed in the store names its batch."""

import json
import logging
import signal
from collections.abc import Iterator
from datetime import UTC, date, datetime
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from pogo_core.util import migrate as pogo
from uuid_utils.compat import uuid7

import sql
from pipeline.broker import broker_options
from pipeline.settings import DatabaseSettings
from pipeline.storage.migrate import known_migrations
from pipeline.tamper import store
from pipeline.tamper.judging import Verdict
from pipeline.tamper.told import told_heads
from pipeline.tamper.verifying import verify_chain
from schemas.chain import EVENT_COLUMNS, LinkId, head_after
from schemas.instants import Instant
from schemas.topics import CHAIN_HEADS, Feed
from tests.support.events import encoded, event
from tests.support.stream import Message, Stream

EVENTS: Final = 30
ONE: Final = (
    "(lane, record_offset) = (SELECT lane, record_offset FROM event_store.events ORDER BY lane, recorded_at LIMIT 1)"
)
AS_OWNER_WHO_BYPASSES: Final = "SET session_replication_role = replica"

# One change for each column that is not itself an order: another value of its type.
CHANGED: Final = {
    "org_id": "org_id + 1",
    "aggregate_type": "'expense' || aggregate_type",
    "aggregate_id": "aggregate_id + 1",
    "version": "version + 1",
    "event_type": "event_type || 'x'",
    "event_id": "gen_random_uuid()",
    "property_id": "property_id + 1",
    "balance_date": "balance_date + 1",
    "occurred_at": "occurred_at + interval '1 microsecond'",
    "appended_at": "appended_at + interval '1 millisecond'",
    "outcome": "CASE outcome WHEN 'applied' THEN 'stale' ELSE 'applied' END",
    "hash_version": "hash_version + 1",
    "record_offset": "record_offset + 1000",
    "content_hash": "set_byte(content_hash, 0, get_byte(content_hash, 0) # 1)",
    "event_data": "set_byte(event_data, 5, get_byte(event_data, 5) # 1)",
    "headers": r"'\x90'",
}


def messages() -> Iterator[Message]:
    for number in range(EVENTS):
        org = number % 4 + 1
        yield str(org).encode(), encoded(event(number + 1, org=org, at=datetime.now(UTC)))


async def filled(stream: Stream) -> None:
    """Several links a lane: each worker commits what has come."""
    sent = list(messages())
    with stream.worker() as worker:
        for first in range(0, EVENTS, 10):
            await stream.send(sent[first : first + 10])
            await stream.wait_until_consumed(first + 10)
        await worker.stop()


async def verdict_of(stream: Stream, **bounds: Any) -> Verdict:
    return await verify_chain(
        stream.endpoints.database_url,
        DatabaseSettings(),
        stream.endpoints.kafka_bootstrap,
        stream.prefix + CHAIN_HEADS,
        **({"lane": None, "since_seq": 1, "progress": lambda _: None} | bounds),
    )


async def test_the_chain_holds_and_names_the_batch_of_whatever_was_changed(stream: Stream) -> None:
    await filled(stream)
    true = await verdict_of(stream)
    assert (true.findings, true.events, true.heads_agreed) == ([], EVENTS, true.links)
    assert true.links > 2
    unnoticed = []
    async with stream.database() as connection:
        await connection.execute(AS_OWNER_WHO_BYPASSES)
        for column, value in CHANGED.items():
            row = await connection.fetchrow(
                f"SELECT lane, recorded_at, {column} AS was FROM event_store.events WHERE {ONE}"
            )
            assert row is not None
            where = "lane = $1 AND recorded_at = $2"
            await connection.execute(
                f"UPDATE event_store.events SET {column} = {value} WHERE {where}", row["lane"], row["recorded_at"]
            )
            found = await verdict_of(stream, lane=row["lane"])
            batch_id = await connection.fetchval(
                "SELECT batch_id FROM event_store.chain_links WHERE lane = $1 AND $2 BETWEEN first_recorded_at "
                "AND last_recorded_at",
                row["lane"],
                row["recorded_at"],
            )
            if [finding.batch_id for finding in found.findings] != [batch_id]:
                unnoticed.append((column, found.findings))
            await connection.execute(
                f"UPDATE event_store.events SET {column} = $3 WHERE {where}",
                row["lane"],
                row["recorded_at"],
                row["was"],
            )
    assert unnoticed == []
    assert (await verdict_of(stream)).findings == []


async def test_windows_that_cut_every_link_prove_the_same(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(stream)
    whole = await verdict_of(stream)
    monkeypatch.setattr(store, "_ROWS_OF_WINDOW", 1)
    assert await verdict_of(stream) == whole
    async with stream.database() as connection:
        await connection.set_builtin_type_codec("timestamptz", schema="pg_catalog", codec_name="int8", format="binary")
        rows = await connection.fetch("SELECT recorded_at FROM event_store.events ORDER BY recorded_at")

    async def at_every_event(*_: object) -> list[Instant]:
        return [*(row[0] for row in rows), store.FOR_EVER]

    monkeypatch.setattr(store.Store, "windows", at_every_event)
    assert await verdict_of(stream) == whole
    assert whole.events == EVENTS


async def test_a_window_is_found_by_the_index_on_the_instant(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        async with connection.transaction():
            await connection.execute(store.SESSION)
            statement = store.statement("events").replace("$1", "NULL").replace("$2", "now()").replace("$3", "now()")
            plan = str(await connection.fetch(f"EXPLAIN {statement}"))
            await connection.execute("DROP INDEX event_store.events_recorded")
            without = str(await connection.fetch(f"EXPLAIN {statement}"))
    finally:
        await connection.close()
    assert "recorded_at_idx" in plan
    assert "Seq Scan" not in plan
    assert "Seq Scan" in without


Named = tuple[int, int, str | None]  # lane, number of the link, batch
# Where the first event is, and every link, before anything is done.
PLACE_OF_ONE: Final = (
    "SELECT lane, seq, batch_id::text FROM event_store.chain_links l JOIN event_store.events e USING (lane) "
    f"WHERE recorded_at BETWEEN first_recorded_at AND last_recorded_at AND {ONE}"
)
LINKS: Final = "SELECT lane, seq, batch_id::text FROM event_store.chain_links"
DONE_TO_IT: Final = {
    "a row removed": f"DELETE FROM event_store.events WHERE {ONE}",
    "a row added": f"INSERT INTO event_store.events SELECT * FROM event_store.events WHERE {ONE}",
    "a row moved between batches": "UPDATE event_store.events SET recorded_at = (SELECT max(last_recorded_at) "
    "FROM event_store.chain_links WHERE lane = events.lane AND seq = 2) + interval '1 microsecond' WHERE " + ONE,
    "a link altered": "UPDATE event_store.chain_links SET owner_epoch = owner_epoch + 1 WHERE seq = 1",
    "another timeline": "UPDATE event_store.chain_links SET cluster_epoch = '1-1' WHERE seq = 1",
    "two batches swapped": "UPDATE event_store.chain_links SET seq = seq + 1000 WHERE seq <= 2; "
    "UPDATE event_store.chain_links SET seq = 1003 - seq WHERE seq > 1000",
    "the tail cut off": "DELETE FROM event_store.chain_links WHERE seq > 1; DELETE FROM event_store.events e WHERE "
    "recorded_at > (SELECT max(last_recorded_at) FROM event_store.chain_links l WHERE l.lane = e.lane); "
    "UPDATE ops.lanes o SET (chain_seq, chain_head) = (SELECT seq, head FROM event_store.chain_links l "
    "WHERE l.lane = o.lane)",
}


def expected(done: str, one: Named, links: set[Named]) -> set[Named]:
    """What must be named: the batch of the row; every first link; both places; what only the topic remembers."""
    if done.startswith("a row"):
        return {one}
    if done == "two batches swapped":
        return {(lane, 3 - seq, batch) for lane, seq, batch in links if seq <= 2}
    if done == "the tail cut off":
        return {(lane, seq, None) for lane, seq, _ in links if seq > 1}
    return {(lane, seq, batch) for lane, seq, batch in links if seq == 1}


@pytest.mark.parametrize("done", DONE_TO_IT)
async def test_rows_links_and_tails(stream: Stream, done: str) -> None:
    await filled(stream)
    async with stream.database() as connection:
        (one,) = map(tuple, await connection.fetch(PLACE_OF_ONE))
        links = {tuple(row) for row in await connection.fetch(LINKS)}
        await connection.execute(AS_OWNER_WHO_BYPASSES)
        await connection.execute(DONE_TO_IT[done])
    command = stream.folio("verify-chain", "--output", "json")
    assert command.returncode == 1, command.stdout + command.stderr
    findings = json.loads(command.stdout)["findings"]
    named = {(finding["lane"], finding["seq"], finding["batch_id"]) for finding in findings}
    wanted = expected(done, one, links)
    assert named >= wanted, findings
    assert {lane for lane, *_ in named} == {lane for lane, *_ in wanted}
    if done == "the tail cut off":
        assert {finding["what"] for finding in findings} == {"the topic was told of a link that is not there"}


async def test_a_chain_that_is_wholly_rewritten_is_noticed_by_the_topic_alone(stream: Stream) -> None:
    await filled(stream)
    async with stream.database() as connection:
        await connection.execute(AS_OWNER_WHO_BYPASSES)
        await connection.execute(f"UPDATE event_store.events SET event_data = event_data || ' ' WHERE {ONE}")
        await rewrite_all(connection)
    verdict = await verdict_of(stream)
    assert verdict.findings
    assert {finding.what.split(" head ")[0] for finding in verdict.findings} == {"the topic was told"}
    assert verdict.heads_agreed < verdict.links


async def rewrite_all(connection: asyncpg.Connection) -> None:
    """What somebody does who knows the page: every link anew over what is stored now, and the lanes' heads."""
    await connection.set_builtin_type_codec("timestamptz", schema="pg_catalog", codec_name="int8", format="binary")
    heads: dict[int, bytes] = {}
    for link in await connection.fetch("SELECT * FROM event_store.chain_links ORDER BY lane, seq"):
        columns = ", ".join(EVENT_COLUMNS)
        rows = await connection.fetch(
            f"SELECT {columns} FROM event_store.events WHERE lane = $1 AND recorded_at BETWEEN $2 AND $3 "
            "ORDER BY recorded_at",
            *(link["lane"], link["first_recorded_at"], link["last_recorded_at"]),
        )
        before = heads.get(link["lane"], link["previous_head"])
        named = ("lane", "seq", "batch_id", "owner_epoch", "cluster_epoch", "events", "corrections")
        head = head_after(before, LinkId(*(link[name] for name in named)), [tuple(map(plain, row)) for row in rows])
        heads[link["lane"]] = head
        await connection.execute(
            "UPDATE event_store.chain_links SET previous_head = $3, head = $4 WHERE lane = $1 AND seq = $2",
            *(link["lane"], link["seq"], before, head),
        )
        await connection.execute("UPDATE ops.lanes SET chain_head = $2 WHERE lane = $1", link["lane"], head)


# The first link of a lane, moved so that the month ended after its first event; and that month, taken out.
MONTH_ENDS_WITHIN: Final = f"""
    UPDATE event_store.events SET recorded_at = date_trunc('month', recorded_at) - interval '1 microsecond' WHERE {ONE};
    UPDATE event_store.chain_links l
    SET first_recorded_at = (SELECT min(recorded_at) FROM event_store.events e WHERE e.lane = l.lane)
    WHERE seq = 1
"""
MONTH_TAKEN_OUT: Final = f"""
    INSERT INTO ops.expired_months (parent, month, to_archive)
    SELECT 'event_store.events', date_trunc('month', recorded_at), true FROM event_store.events WHERE {ONE};
    DELETE FROM event_store.events WHERE {ONE}
"""


async def test_a_batch_that_was_recorded_while_a_month_ended_is_not_missed_when_that_was_archived(
    stream: Stream,
) -> None:
    await filled(stream)
    async with stream.database() as connection:
        await connection.execute(AS_OWNER_WHO_BYPASSES)
        await connection.execute(MONTH_ENDS_WITHIN)
        await rewrite_all(connection)
        true = await verdict_of(stream)
        events = await connection.fetchval(
            f"SELECT events FROM event_store.chain_links JOIN ({PLACE_OF_ONE}) l USING (lane, seq)"
        )
        await connection.execute(MONTH_TAKEN_OUT)
    verdict = await verdict_of(stream)
    assert (true.events, true.archived_links) == (EVENTS, 0)
    assert events > 1
    assert (verdict.events, verdict.archived_links, verdict.archived_events) == (EVENTS - events, 1, events)
    # The heads are not those that the topic was told: only of that are there findings.
    assert verdict.findings == true.findings


def plain(value: Any) -> Any:
    """The driver's UUID is a subclass that the encoder does not take for one."""
    return str(value) if isinstance(value, UUID | date) else value


async def test_corrections_are_in_the_chain(stream: Stream) -> None:
    body = {
        "correction_id": str(uuid7()),
        "org_id": 1,
        "property_id": 1,
        "balance_date": "2026-03-01",
        "kind": "declared_closing",
        "declared_closing_cents": 5,
        "reason": "counted",
        "recorded_by": {"user_id": 1},
        "issued_at": "2026-03-02T09:00:00Z",
    }
    with stream.worker() as worker:
        await stream.send([(b"1", json.dumps(body).encode())], feed=Feed.CORRECTIONS)
        await stream.wait_until_consumed(1)
        await worker.stop()
    assert (await verdict_of(stream)).corrections == 1
    async with stream.database() as connection:
        await connection.execute("UPDATE ops.balance_corrections SET reason = 'counted twice'")
    assert [finding.what for finding in (await verdict_of(stream)).findings] == [
        "what is stored is not what the link covers"
    ]


async def test_without_a_link_nothing_is_verified(stream: Stream) -> None:
    assert stream.folio("verify-chain").returncode == 2


async def test_a_database_from_before_the_chain_goes_on_with_one(stream: Stream) -> None:
    sent = list(messages())
    with stream.worker() as worker:
        await stream.send(sent[:10])
        await stream.wait_until_consumed(10)
        await worker.stop()
    await forget_the_chain(stream)
    assert stream.folio("migrate").returncode == 0
    with stream.worker(KAFKA_GROUP=f"{stream.prefix}successor") as worker:
        await stream.send(sent[10:])
        await stream.wait_until_consumed(EVENTS)
        await worker.stop()
    verdict = await verdict_of(stream)
    assert (verdict.findings, verdict.before_the_chain, verdict.events) == ([], 10, EVENTS - 10)
    assert verdict.heads_agreed == verdict.links
    assert (await stream.prove()).exit_code == 0


async def forget_the_chain(stream: Stream) -> None:
    """As it was before the migration: no link, each lane's head over single content hashes, and nothing told."""
    quiet = logging.getLogger("tests.migrations")
    since = [name for name in known_migrations() if name >= "0020"]
    async with stream.database() as connection:
        await pogo.rollback(connection, sql.MIGRATIONS, schema_name="public", count=len(since), logger=quiet)
        heads: dict[int, bytes] = {}
        for lane, content_hash in await connection.fetch(
            "SELECT lane, content_hash FROM event_store.events ORDER BY lane, recorded_at"
        ):
            heads[lane] = blake2b(heads.get(lane, bytes(16)) + content_hash, digest_size=16).digest()
        await connection.executemany("UPDATE ops.lanes SET chain_head = $2 WHERE lane = $1", list(heads.items()))
    async with told_heads(stream.endpoints.kafka_bootstrap, stream.prefix + CHAIN_HEADS) as told:
        ends = {at: RecordsToDelete(before_offset=end) for at, (_, end) in told.spans.items()}
    admin = AIOKafkaAdminClient(**broker_options(stream.endpoints.kafka_bootstrap))
    await admin.start()
    await admin.delete_records(ends)
    await admin.close()


async def test_a_head_that_a_killed_worker_told_is_told_again_and_says_the_same(stream: Stream) -> None:
    await stream.send(list(messages()))
    with stream.worker(WORKER_CRASH_AT="announced:2", BATCH_ROWS_MAX="10") as killed:
        assert await killed.wait() == -signal.SIGKILL
    with stream.worker(KAFKA_GROUP=f"{stream.prefix}successor") as successor:
        await stream.wait_until_consumed(EVENTS)
        await successor.stop()
    verdict = await verdict_of(stream)
    assert (verdict.findings, verdict.events, verdict.heads_agreed) == ([], EVENTS, verdict.links)
    async with told_heads(stream.endpoints.kafka_bootstrap, stream.prefix + CHAIN_HEADS) as told:
        assert sum(end - start for start, end in told.spans.values()) > verdict.links
