"""`folio verify-chain` on a real stream: it holds, and whatever is changed in the store names its batch."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from pipeline.settings import DatabaseSettings
from pipeline.tamper.judging import Verdict
from pipeline.tamper.verifying import verify_chain
from schemas.chain import EVENT_COLUMNS, LinkId, head_after
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


DONE_TO_IT: Final = {
    "a row removed": f"DELETE FROM event_store.events WHERE {ONE}",
    "a row added": f"INSERT INTO event_store.events SELECT * FROM event_store.events WHERE {ONE}",
    "a row moved between batches": "UPDATE event_store.events SET recorded_at = (SELECT max(last_recorded_at) "
    "FROM event_store.chain_links WHERE lane = events.lane AND seq = 2) + interval '1 microsecond' WHERE " + ONE,
    "a link altered": "UPDATE event_store.chain_links SET owner_epoch = owner_epoch + 1 WHERE seq = 1",
    "another timeline": "UPDATE event_store.chain_links SET cluster_epoch = '1-1' WHERE seq = 1",
    "the tail cut off": "DELETE FROM event_store.chain_links WHERE seq > 1; DELETE FROM event_store.events e WHERE "
    "recorded_at > (SELECT max(last_recorded_at) FROM event_store.chain_links l WHERE l.lane = e.lane); "
    "UPDATE ops.lanes o SET (chain_seq, chain_head) = (SELECT seq, head FROM event_store.chain_links l "
    "WHERE l.lane = o.lane)",
}


@pytest.mark.parametrize("done", DONE_TO_IT)
async def test_rows_links_and_tails(stream: Stream, done: str) -> None:
    await filled(stream)
    async with stream.database() as connection:
        await connection.execute(AS_OWNER_WHO_BYPASSES)
        await connection.execute(DONE_TO_IT[done])
    command = stream.folio("verify-chain", "--output", "json")
    assert command.returncode == 1, command.stdout + command.stderr
    document = json.loads(command.stdout)
    assert {finding["lane"] for finding in document["findings"]} <= {0, 1}
    assert document["findings_count"] > 0


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
