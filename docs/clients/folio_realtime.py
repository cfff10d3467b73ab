"""Daily balances of an organisation, live, for Python 3.11 and httpx. Copy it: it imports nothing else.

    balances = Balances("https://folio.example", org_id=7, token=my_token)
    async for changed in balances.follow():
        for (property_id, day), balance in changed.items():
            print(property_id, day, balance["closing_balance_cents"])

What it keeps to (docs/realtime.md): of each day the newest state by (epoch, version); a snapshot replaces all; the
cursor is kept, and the stream goes on from it after whatever broke it; what is missing is asked for, never guessed.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import httpx

Key = tuple[int, str]  # property_id, balance_date
Balance = dict[str, Any]

_BACKOFF_SECONDS: Final = (0.5, 30.0)
# The server's heart beats every 15 s (FOLIO_REALTIME_HEARTBEAT_SECONDS): whoever misses two beats has lost it.
_TIMEOUT: Final = httpx.Timeout(15.0, read=40.0)
_FINAL: Final = frozenset({httpx.codes.BAD_REQUEST, httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND})


class Refused(Exception):
    """Trying again as one is cannot help; the message says why."""


class _Gap(Exception):
    """Something was lost on the way: a snapshot is needed."""


class Balances:
    """What is known of an organisation's days. `token(renew)` gives a token, another one where `renew` is true."""

    def __init__(
        self, server: str, org_id: int, token: Callable[[bool], Awaitable[str]], **filters: str | int | None
    ) -> None:
        """`filters` as in the query: properties="1,2", first="2026-11-01", last="2026-11-30"."""
        self.known: dict[Key, Balance] = {}
        self.cursor: str | None = None
        self._server = server
        self._query = {"org_id": org_id, **filters}
        self._token = token
        self._pages: dict[Key, Balance] | None = None
        self._failures = 0
        self._renew = False

    async def follow(self) -> AsyncIterator[dict[Key, Balance]]:
        """What has changed, again and again, for ever: all of it after a snapshot. Raises Refused."""
        async with httpx.AsyncClient(base_url=self._server, timeout=_TIMEOUT) as client:
            while True:
                try:
                    async for name, cursor, data in self._events(client):
                        changed = self._hear(name, cursor, data)
                        if changed is not None:
                            yield changed
                except (httpx.HTTPError, _Gap):
                    pass  # it broke: the pause is the same as after an orderly end
                await asyncio.sleep(self._pause())
                self._failures += 1

    async def _events(self, client: httpx.AsyncClient) -> AsyncIterator[tuple[str, str | None, dict[str, Any]]]:
        headers = {"Authorization": f"Bearer {await self._token(self._renew)}"}
        if self.cursor is not None:
            headers["Last-Event-ID"] = self.cursor
        async with client.stream("GET", "/v2/realtime/stream", params=self._query, headers=headers) as answer:
            if answer.status_code in _FINAL or (answer.status_code == httpx.codes.UNAUTHORIZED and self._renew):
                raise Refused((await answer.aread()).decode())
            self._renew = answer.status_code == httpx.codes.UNAUTHORIZED
            if answer.status_code != httpx.codes.OK:
                return
            name, cursor, data = "message", None, ""
            async for line in answer.aiter_lines():
                field, _, value = line.partition(": ")
                match field:
                    case "event":
                        name = value
                    case "id":
                        cursor = value
                    case "data":
                        data = value
                    case "":
                        yield name, cursor, json.loads(data)
                        name, cursor, data = "message", None, ""

    def _hear(self, name: str, cursor: str | None, data: dict[str, Any]) -> dict[Key, Balance] | None:
        """What has changed by an event; None where nothing has. Raises _Gap."""
        match name:
            case "subscribed":
                self._pages = None
            case "snapshot":
                return self._page(cursor, data)
            case "update":
                return self._update(cursor, data)
            case "heartbeat":
                self.cursor, self._failures = cursor or self.cursor, 0
            case "resync":  # the snapshot that follows replaces what is held
                self.cursor, self._pages = None, None
            case "closed":
                if data["reason"] == "forbidden":
                    raise Refused("the token gives no right to it any more")
                self._renew = data["reason"] == "token_expired"
        return None

    def _page(self, cursor: str | None, data: dict[str, Any]) -> dict[Key, Balance] | None:
        """Held back until the last one has come: half a snapshot is none."""
        self._pages = {} if self._pages is None else self._pages
        self._pages |= {key_of(each): {**each, "epoch": data["epoch"]} for each in data["balances"]}
        if not data["last"]:
            return None
        self.known, self._pages, self.cursor, self._failures = self._pages, None, cursor, 0
        return dict(self.known)

    def _update(self, cursor: str | None, data: dict[str, Any]) -> dict[Key, Balance] | None:
        balance, key = data["balance"], key_of(data["balance"])
        is_ = judge(self.known.get(key), balance, data["previous_version"])
        if is_ == "resync":
            self.cursor = None
            raise _Gap
        self.cursor, self._failures = cursor or self.cursor, 0
        if is_ == "drop":
            return None
        self.known[key] = balance
        return {key: balance}

    def _pause(self) -> float:
        least, most = _BACKOFF_SECONDS
        return min(most, least * 2 ** min(self._failures, 10)) * random.uniform(0.5, 1)


def key_of(balance: Balance) -> Key:
    return balance["property_id"], balance["balance_date"]


def judge(held: Balance | None, update: Balance, previous_version: int | None) -> str:
    """What is to be done with an update, given the state that is held of its day: "take", "drop" or "resync"."""
    if held is None:
        return "take" if previous_version is None else "resync"
    if held["epoch"] != update["epoch"]:
        (system, timeline), (told_system, told_timeline) = (each["epoch"].rsplit("-", 1) for each in (held, update))
        return "drop" if system == told_system and int(told_timeline) < int(timeline) else "resync"
    if previous_version is not None and previous_version > held["version"]:
        return "resync"
    return "take" if update["version"] > held["version"] else "drop"
