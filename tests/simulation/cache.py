"""Redis in memory: GET and MGET, and the three scripts of pipeline.cache.balances, said again in Python."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from pipeline.cache import balances
from tests.simulation.process import Outages, Process

_PARTS: Final = 3  # of an entry that holds a balance: floor, lease, balance


class Cache(Outages):
    """The server: entries with their ends, by the loop's clock."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.loop = loop
        self.stalled_until = 0.0
        self._entries: dict[str, tuple[bytes, float]] = {}

    def get(self, key: str) -> bytes | None:
        entry, ends = self._entries.get(key, (b"", 0.0))
        return entry if ends > self.loop.time() else None

    def flush(self) -> int:
        """Returns how many entries are gone."""
        count = len(self._entries)
        self._entries.clear()
        return count

    def raise_floors(self, keys: Iterable[str], versions: Iterable[int]) -> None:
        """_RAISE: of entries that are there the floor rises, and what is older is dropped."""
        for key, version in zip(keys, versions, strict=True):
            entry = self.get(key)
            if entry is None:
                continue
            floor, lease, *_ = entry.split(b"|", 2)
            if int(floor) < version:
                self._entries[key] = b"%d|%s" % (version, lease), self._entries[key][1]

    def lease(self, key: str, nonce: str, seconds: int) -> bytes:
        """_LEASE: the entry where it holds a balance, else one that may be filled."""
        entry = self.get(key)
        parts = entry.split(b"|", 2) if entry is not None else [b"0", nonce.encode()]
        if len(parts) < _PARTS:
            self._put(key, b"|".join(parts[:2]), seconds)
        return b"|".join(parts)

    def fill(self, key: str, version: int, payload: bytes, seconds: int, lease: bytes) -> int:
        """_FILL: unless the entry was lost meanwhile, or its floor is above."""
        floor, held, *_ = (self.get(key) or b"0|").split(b"|", 2)
        if held != lease or int(floor) > version:
            return 0
        self._put(key, b"%d|%s|%s" % (version, lease, payload), seconds)
        return 1

    def _put(self, key: str, entry: bytes, seconds: int) -> None:
        self._entries[key] = entry, self.loop.time() + seconds

    def lost(self) -> Exception:
        return RedisTimeoutError("timeout reading from the server")

    def refuses(self, _name: str) -> Exception | None:
        return RedisConnectionError("connection refused") if self.suffers("down") else None


class SimulatedRedis:
    """The client, as far as `BalanceCache` uses it."""

    def __init__(self, cache: Cache, process: Process) -> None:
        self._cache = cache
        self._process = process

    async def get(self, key: str) -> bytes | None:
        entry: bytes | None = await self._ask("get", lambda: self._cache.get(key))
        return entry

    async def mget(self, keys: Iterable[str]) -> list[bytes | None]:
        wanted = list(keys)
        entries: list[bytes | None] = await self._ask("mget", lambda: [self._cache.get(key) for key in wanted])
        return entries

    async def eval(self, script: str, count: int, *arguments: Any) -> Any:
        keys, values = arguments[:count], arguments[count:]
        by_script: dict[str, Callable[[], Any]] = {
            balances._RAISE: lambda: self._cache.raise_floors(keys, values),
            balances._LEASE: lambda: self._cache.lease(keys[0], *values),
            balances._FILL: lambda: self._cache.fill(keys[0], *values),
        }
        return await self._ask("eval", by_script[script])

    async def aclose(self) -> None:
        """Nothing is kept open."""

    async def _ask(self, name: str, act: Callable[[], Any]) -> Any:
        async def served() -> Any:
            return act()

        answer: Awaitable[Any] = self._process.call(self._cache, name, served)
        return await answer
