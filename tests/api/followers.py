"""Subscribers by the contract of docs/realtime.md: what they hold after each thing told, and what must never happen."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.typing import Subprotocol

from tests.support.stream import Stream

SUBPROTOCOL = Subprotocol("folio.realtime.v1")
Key = tuple[int, str]
Held = dict[Key, tuple[int, int]]  # version and closing


@dataclass
class Holder:
    """What a subscriber of one organisation holds, and the cursor to come back with."""

    org_id: int
    held: Held = field(default_factory=dict)
    cursor: str | None = None
    told: list[str] = field(default_factory=list)
    resyncs: list[str] = field(default_factory=list)
    closed: str | None = None
    stale: int = 0

    def hear(self, name: str, cursor: str | None, data: dict[str, Any]) -> None:
        """Raises AssertionError for a gap, for another organisation's, and for updates before there is a state."""
        if name == "snapshot" and self.told[-1] != "snapshot":
            self.held = {}
        self.told.append(name)
        match name:
            case "subscribed":
                assert data["org_id"] == self.org_id
            case "snapshot":
                self.held |= {_key(each): _value(each) for each in data["balances"]}
                assert data["last"] == (cursor is not None)
            case "update":
                self._take(data)
            case "resync":
                self.resyncs.append(data["reason"])
            case "closed":
                self.closed = data["reason"]
        self.cursor = cursor or self.cursor

    def _take(self, data: dict[str, Any]) -> None:
        balance = data["balance"]
        assert balance["org_id"] == self.org_id, "another organisation's"
        version, _ = self.held.get(_key(balance), (0, 0))
        assert (data["previous_version"] or 0) <= version, "a gap"
        if balance["version"] > version:
            self.held[_key(balance)] = _value(balance)
        else:
            self.stale += 1


def _key(balance: dict[str, Any]) -> Key:
    return balance["property_id"], balance["balance_date"]


def _value(balance: dict[str, Any]) -> tuple[int, int]:
    return balance["version"], balance["closing_balance_cents"]


async def books_of(stream: Stream, org_id: int) -> Held:
    """What SQL says."""
    async with stream.database() as connection:
        rows = await connection.fetch(
            "SELECT property_id, balance_date, version, closing_balance_cents "
            "FROM finance.daily_cash_balances_partitioned WHERE org_id = $1",
            org_id,
        )
    return {(row[0], row[1].isoformat()): (row[2], row[3]) for row in rows}


async def events_of(response: httpx.Response) -> AsyncIterator[tuple[str, str | None, dict[str, Any]]]:
    """Name, id and data of each event."""
    name, cursor, data = "message", None, ""
    async for line in response.aiter_lines():
        part, _, value = line.partition(": ")
        match part:
            case "event":
                name = value
            case "id":
                cursor = value
            case "data":
                data = value
            case "":
                yield name, cursor, json.loads(data)
                name, cursor, data = "message", None, ""


@asynccontextmanager
async def streaming(
    client: httpx.AsyncClient, holder: Holder, headers: dict[str, str], **query: Any
) -> AsyncIterator[asyncio.Task[None]]:
    """Follow by server-sent events within the block; the task ends with the stream."""
    resumed = {"Last-Event-ID": holder.cursor} if holder.cursor is not None else {}
    # Nothing may come for the time of a heartbeat, which is as long as any other answer may take.
    silence = httpx.Timeout(20, read=60)

    async def follow() -> None:
        asked = {"org_id": holder.org_id, **query}
        sent = headers | resumed
        async with client.stream("GET", "/v2/realtime/stream", params=asked, headers=sent, timeout=silence) as response:
            assert response.status_code == httpx.codes.OK, await response.aread()
            async for event in events_of(response):
                holder.hear(*event)

    task = asyncio.create_task(follow())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


@asynccontextmanager
async def socket(url: str, headers: dict[str, str] | None = None) -> AsyncIterator[ClientConnection]:
    async with websockets.connect(url, subprotocols=[SUBPROTOCOL], additional_headers=headers or {}) as opened:
        yield opened


async def say(opened: ClientConnection, **message: Any) -> None:
    await opened.send(json.dumps(message))


async def heard(opened: ClientConnection, seconds: float = 10) -> dict[str, Any]:
    async with asyncio.timeout(seconds):
        told: dict[str, Any] = json.loads(await opened.recv())
    return told


async def follow_socket(opened: ClientConnection, holders: dict[str, Holder]) -> None:
    """Until the server closes: each message to the holder of its id."""
    async for line in opened:
        told = json.loads(line)
        if told["type"] not in ("pong", "token_accepted"):
            assert told["type"] != "refused", told
            holders[told["id"]].hear(told["type"], told.get("cursor"), told)
