"""What the console says is what SQL and the broker say, while it changes too; and never more than is known."""

import json
import signal
from collections.abc import Sequence
from datetime import date
from typing import Any

import httpx

from schemas.topics import Feed
from tests.console.page import Page
from tests.console.server import Server
from tests.support.events import correction, encoded, event
from tests.support.stream import Message, Stream

OUTCOMES = ("applied", "duplicate", "stale", "conflict", "quarantined")
COLUMNS = (
    "opening_balance_cents",
    "cash_received_cents",
    "bank_received_cents",
    "cash_expenses_cents",
    "bank_expenses_cents",
    "calculated_closing_balance_cents",
    "declared_closing_cents",
    "closing_balance_cents",
    "balance_discrepancy_cents",
)


def revenues(org: int, numbers: Sequence[int], version: int = 1, amount: int = 1_234_567) -> list[Message]:
    return [(b"%d" % org, encoded(event(n, version, org=org, property_=n % 3 + 1, amount=amount + n))) for n in numbers]


async def test_every_figure_is_what_sql_says(stream: Stream, server: Server, page: Page) -> None:
    first = revenues(1, range(1, 1_201))
    other = [(b"1", encoded(event(5, 1, org=1, property_=3, amount=999)))]  # the same version, another content
    late = [(b"1", encoded(event(5_000, version, org=1))) for version in (3, 1)]
    with stream.worker():
        await stream.send([*first, *first[:7], *other, *late, (b"1", b"nothing"), (b"2", b"{}"), (b"2", b"{}")])
        await stream.send([(b"1", encoded(correction(org=1, declared_closing_cents=5)))], feed=Feed.CORRECTIONS)
        await stream.wait_until_consumed(1_214)
        page.open(server.console, server.operator)
        page.until_figure("verdict", "✓ All agree")
        async with httpx.AsyncClient(base_url=server.address, headers=server.headers) as client:
            for _ in range(4):
                answer = await client.get("/v1/orgs/1/properties/1/balances/2026-03-10")
                assert answer.status_code == httpx.codes.OK
            page.until(lambda: (page.figure("cache-l1") or "0") != "0")
            samples = (await client.get("/v1/system/metrics/aggregated")).json()
    async with stream.database() as connection:
        lanes = await connection.fetch("SELECT * FROM ops.lanes")
        reasons = await connection.fetch("SELECT reason, count(*) FROM ops.dead_letters GROUP BY reason")
        newest = await connection.fetchval(
            "SELECT topic || '/' || lane || '/' || record_offset FROM ops.dead_letters "
            "ORDER BY recorded_at DESC, topic DESC, lane DESC, record_offset DESC LIMIT 1"
        )
    counts = {name: sum(lane[name] for lane in lanes) for name in OUTCOMES}
    assert page.figures(*OUTCOMES) == {name: f"{count:,}" for name, count in counts.items()}
    assert min(counts.values()) > 0
    consumed = f"{sum(counts.values()):,}"
    stands = f"{sum(lane['finance_position'] + (lane['corrections_position'] or 0) for lane in lanes):,}"
    assert page.figures("consumed", "produced", "stored", "counted") == {
        "consumed": consumed,
        "produced": consumed,
        "stored": stands,
        "counted": consumed,
    }
    assert page.figure("published") == page.figure("delivered") != "0"
    assert page.figures("stored-apart", "counted-apart", "delivered-apart", "lag-records", "lag-seconds") == {
        "stored-apart": "agree",
        "counted-apart": "agree",
        "delivered-apart": "agree",
        "lag-records": "0",
        "lag-seconds": "0 s",
    }
    assert page.figure("last-batch-rows") == f"{max(lane['last_batch_rows'] for lane in lanes):,}"
    assert {row["reason"]: page.figure(f"letters-{row['reason']}") for row in reasons} == {
        row["reason"]: f"{row['count']:,}" for row in reasons
    }
    assert newest in page.one("#dead-letters").text.replace("\n", "")
    assert page.figure("server-primary") == "✓ well"
    tiers = {each["labels"]["tier"]: each["value"] for each in samples if each["name"] == "folio_cache_answers_total"}
    assert {tier: page.figure(f"cache-{tier}") for tier in tiers} == {tier: f"{n:,.0f}" for tier, n in tiers.items()}
    rate = 1 - tiers["database"] / sum(tiers.values())
    assert page.figure("hit-rate") == f"{rate * 100:.1f}%"
    status = json.loads(stream.folio("partitions", "status", "--output", "json").stdout)
    for table in status["tables"]:
        # The page keeps it for a minute, in which a tenth of a day may have passed by.
        days = (table["runway_days"], table["runway_days"] + 1 / 1_440)
        assert page.figure(f"runway-{table['table']}") in {f"{each:.1f} days" for each in days}


async def test_balances_tick_with_what_the_books_say(stream: Stream, server: Server, page: Page) -> None:
    with stream.worker():
        await stream.send([*revenues(1, range(1, 21)), *revenues(2, range(21, 31))])
        await stream.wait_until_consumed(30)
        page.open(server.console, server.operator)
        page.until(lambda: bool(page.all("#org")))
        page.follow(1)
        await shows(stream, page, 1)
        loaded = page.ask("return performance.timeOrigin")
        await stream.send(revenues(1, range(1, 21), version=2, amount=77))
        await stream.wait_until_consumed(50)
        await shows(stream, page, 1)
        assert page.all("tr.ticked"), "who looks sees what has changed"
        assert page.ask("return performance.timeOrigin") == loaded, "nobody loaded the page anew"
        page.follow(2)
        await shows(stream, page, 2)
    assert page.complaints() == []


async def test_it_goes_on_by_itself_when_the_server_is_back(stream: Stream, server: Server, page: Page) -> None:
    with stream.worker() as worker:
        await stream.send(revenues(1, range(1, 11)))
        await stream.wait_until_consumed(10)
        page.open(server.console, server.operator)
        page.until_figure("verdict", "✓ All agree")
        page.follow(1)
        await shows(stream, page, 1)
        worker.signal(signal.SIGTERM)
        await worker.wait()
    await stream.send(revenues(1, range(11, 16)))
    page.until_figure("lag-records", "5")
    assert page.figure("stored-apart") == "5 records apart"
    assert page.figure("verdict") == "▲ Apart: what is under way, or went wrong"
    server.kill()
    page.until(lambda: "is away since" in (page.figure("connection") or ""))
    assert page.figure("verdict") == "? Not known whether they agree", "figures of before agree with nothing"
    assert page.figures("stored-apart", "counted-apart", "delivered-apart") == dict.fromkeys(
        ("stored-apart", "counted-apart", "delivered-apart"), "unknown"
    )
    assert "does not answer since" in (page.figure("announced") or "")
    with stream.worker():
        await stream.wait_until_consumed(15)
        await server.start()
        page.until(lambda: (page.figure("connection") or "").startswith("✓ Live"))
        page.until_figure("verdict", "✓ All agree")
        assert page.figure("announced") == "The server answers again."
        await shows(stream, page, 1)
        await stream.send(revenues(1, [16]))
        await stream.wait_until_consumed(16)
        await shows(stream, page, 1)


async def shows(stream: Stream, page: Page, org: int) -> None:
    """The table is what SQL has of the organisation, within a moment."""
    async with stream.database() as connection:
        rows = await connection.fetch("SELECT * FROM finance.daily_cash_balances_partitioned WHERE org_id = $1", org)
    assert rows
    expected = {f"{row['property_id']}/{row['balance_date']}": _told(row) for row in rows}
    page.until(lambda: page.balances() == expected, told=lambda: f"{page.balances()}, not {expected}")


def _told(row: Any) -> dict[str, str]:
    assert isinstance(row["balance_date"], date)
    amounts = {name: "\u2013" if row[name] is None else f"{row[name] / 100:,.2f}" for name in COLUMNS}
    return {**amounts, "version": f"{row['version']:,}"}
