"""The real command on a real stream: what was hurt is found, made right by the stream's own means, and proved."""

import json
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from random import Random
from typing import Any, Final

import pytest

from schemas.topics import Feed
from tests.consistency.hurting import TEXTS, TRANSACTIONS, found, hurt
from tests.support.events import NOON, correction, encoded, event
from tests.support.stream import Message, Stream

# Balances, transactions, snapshots. The long form takes half a minute.
HURT: Final = tuple(map(int, os.environ.get("FOLIO_TEST_DRIFTS", "120/30/20").split("/")))
ORGS: Final = max(40, HURT[0] // 8)


def trade(chance: Random, orgs: int = ORGS) -> Iterator[Message]:
    """Of each hotel a fortnight: some of it edited, some not approved, one day long past retention."""
    for org in range(1, orgs + 1):
        for number in range(24):
            days = 1000 if number == 23 else number % 14
            at, amount = NOON - timedelta(days=days), chance.randint(10, 90)
            status = "pending" if number % 11 == 10 else "approved"
            about: dict[str, Any] = {"org": org, "kind": ("revenue", "expense")[number % 3 == 2]}
            about |= {"mode": ("cash", "bank")[number % 2], "at": at, "status": status}
            yield b"%d" % org, encoded(event(number + 1, amount=amount, **about))
            if number % 5 == 0:
                yield b"%d" % org, encoded(event(number + 1, 2, amount=amount + 1, **about))


def counts(orgs: int) -> Iterator[Message]:
    for org in range(1, orgs + 1):
        day = (NOON - timedelta(days=org % 14)).date()
        yield b"%d" % org, encoded(correction(org=org, day=day, declared=org))
        yield b"%d" % org, encoded(correction(org=org, day=day - timedelta(days=1), figures=(org, 2, 3, 4)))


async def set_up(stream: Stream, orgs: int = ORGS) -> int:
    events, corrections = list(trade(Random(7), orgs)), list(counts(orgs))
    await stream.send(events)
    await stream.wait_until_consumed(len(events))
    await stream.send(corrections, feed=Feed.CORRECTIONS)
    await stream.wait_until_consumed(len(events) + len(corrections))
    return len(events) + len(corrections)


@pytest.mark.parametrize(("how", "ways"), [("--full", TRANSACTIONS), ("--every-byte", (*TRANSACTIONS, *TEXTS))])
async def test_every_drift_is_found_and_made_right_by_the_streams_own_means(
    stream: Stream, how: str, ways: Sequence[str]
) -> None:
    balances, transactions, snapshots = HURT
    with stream.worker():
        await set_up(stream)
        assert stream.folio("check").returncode == 0
        async with stream.database() as connection:
            numbers = {"balances": balances, "transactions": transactions, "snapshots": snapshots}
            hurt_rows = await hurt(connection, Random(11), **numbers, ways=ways)
            versions = "SELECT org_id, property_id, balance_date, version FROM finance.daily_cash_balances_partitioned"
            before = {tuple(row)[:3]: row["version"] for row in await connection.fetch(versions)}
            checked = stream.folio("check", how, "--output", "json")
            assert checked.returncode == 1, checked.stderr
            assert await found(connection) == hurt_rows
            mended = stream.folio("check", "--repair", "--output", "json")
            assert mended.returncode == 0, mended.stdout + mended.stderr
            after = {tuple(row)[:3]: row["version"] for row in await connection.fetch(versions)}
            settled = await connection.fetch("SELECT repaired_by, count(*)::int FROM ops.drifts GROUP BY 1")
            rows = await connection.fetch("SELECT org_id, subject FROM ops.drifts WHERE kind = 'balance'")
            recomputed = await connection.fetchval(
                "SELECT count(*) FROM ops.balance_corrections WHERE kind = 'recompute' AND recorded_by_user_id = 1"
            )
            audited = await connection.fetchval(
                "SELECT count(*) FROM ops.operator_audit WHERE command = 'check --repair'"
            )
        assert [tuple(row) for row in settled] == [("repair", len(hurt_rows))]
        for row in rows:  # no balance was changed but with its next version
            _, property_, day = row["subject"].split()
            key = next(key for key in after if (key[0], key[1], str(key[2])) == (row["org_id"], int(property_), day))
            assert after[key] > before.get(key, 0)
        document = json.loads(mended.stdout)
        assert document["repaired"]["recomputed"] == recomputed > 0
        assert audited == 1
        again = stream.folio("check", how, "--output", "json")
        assert (again.returncode, json.loads(again.stdout)["drifts"]) == (0, {})
        await stream.wait_until_consumed(0)
        report = await stream.prove()
    assert report.exit_code == 0, report


async def test_beside_live_writes_nothing_right_is_called_a_drift(stream: Stream) -> None:
    with stream.worker(BATCH_ROWS_MAX="50", BATCH_LINGER_MS="0"):
        messages = list(trade(Random(3), 20))
        half = len(messages) // 2
        await stream.send(messages[:half])
        checks = 0
        for start in range(half, len(messages), 60):
            await stream.send(messages[start : start + 60])
            done = stream.folio("check", "--full") if checks % 2 else stream.folio("check")
            assert done.returncode == 0, done.stdout
            checks += 1
        await stream.wait_until_consumed(len(messages))
    assert checks > 3


@pytest.mark.parametrize("point", ["check_looked", "check_recorded", "check_sent", "check_mended"])
async def test_a_repair_killed_at_any_point_is_taken_up_again(stream: Stream, point: str) -> None:
    with stream.worker():
        await set_up(stream, orgs=4)
        async with stream.database() as connection:
            await hurt(connection, Random(5), balances=10, transactions=5, snapshots=5)
        killed = stream.folio("check", "--full", "--repair", WORKER_CRASH_AT=point)
        assert f"crash point reached: {point}" in killed.stderr
        mended = stream.folio("check", "--full", "--repair")
        assert mended.returncode == 0, mended.stdout + mended.stderr
        await stream.wait_until_consumed(0)
        assert (await stream.prove()).exit_code == 0
