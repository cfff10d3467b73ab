"""One reading of everything for all who watch: at most one a second, bounded in time, as whole as servers answer."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

import structlog
from prometheus_client import CollectorRegistry

from pipeline.api.overview.books import BooksLook, LanesRead
from pipeline.api.overview.document import SystemStatus
from pipeline.api.overview.figures import process_figures
from pipeline.api.overview.strip import strip
from pipeline.api.overview.topics import TopicsLook, TopicsRead
from pipeline.api.system import server_healths
from pipeline.cache.flights import Flights
from pipeline.clock import Clock
from pipeline.errors import PipelineError
from pipeline.masking import masked
from pipeline.storage.replicas.router import ReplicaReaders

log = structlog.get_logger()

# Whoever asks each second should not be told twice the same by a clock that is a little fast.
_FRESH_SECONDS: Final = 0.9
_NO_ANSWER: Final = "no answer within the time that there is"

T = TypeVar("T")
_Stream = tuple[LanesRead | None, TopicsRead | None, Mapping[int, int] | None]
Heard = Callable[[], Mapping[int, int]]


class Overview:
    """Looks at everything, for one watcher as for a hundred."""

    def __init__(
        self,
        books: BooksLook,
        topics: TopicsLook,
        readers: ReplicaReaders,
        registry: CollectorRegistry,
        clock: Clock,
        heard: Heard | None = None,
    ) -> None:
        """`heard`: the offsets that the feed of updates reads next, empty until it has begun; None without a feed."""
        self._books = books
        self._topics = topics
        self._readers = readers
        self._registry = registry
        self._clock = clock
        self._heard = heard
        # Rates are differences of one process's figures: another one has another clock, and other caches.
        self._process = secrets.token_hex(8)
        self._flights: Flights[str, SystemStatus] = Flights(lambda: None)
        self._last: SystemStatus | None = None
        self._last_at = float("-inf")

    async def status(self) -> SystemStatus:
        """How everything stands, as of a second ago at most."""
        if self._last is not None and self._clock.monotonic() - self._last_at < _FRESH_SECONDS:
            return self._last
        return await self._flights.fetch("status", self._look)

    async def aclose(self) -> None:
        await self._flights.aclose()
        await self._books.close()
        await self._topics.close()

    async def _look(self) -> SystemStatus:
        began = self._clock.monotonic()
        missing: dict[str, str] = {}
        months, letters, (lanes, topics, heard) = await asyncio.gather(
            _told("partitions", self._books.months, missing),
            _told("dead_letters", self._books.letters, missing),
            self._stream(missing),
        )
        cache, gateway = process_figures(self._registry)
        absent = {"cache": cache is None, "gateway": gateway is None}
        missing |= {name: "this process has none" for name, away in absent.items() if away}
        lag = topics.lag if topics is not None else None
        if lag is None:
            missing["lag"] = missing.get("topics") or missing["counted"]
        self._last = SystemStatus(
            at=self._clock.now(),
            process=self._process,
            counted=lanes.counted if lanes is not None else None,
            lag=lag,
            strip=strip(lanes, topics, heard),
            cache=cache,
            gateway=gateway,
            servers=server_healths(self._readers),
            partitions=months,
            dead_letters=letters,
            missing=missing,
        )
        self._last_at = began
        return self._last

    async def _stream(self, missing: dict[str, str]) -> _Stream:
        """One after the other, from the end of the stream to its beginning.

        So each figure is at least as old as the one that it is held against: what moves meanwhile shows as on its way,
        never as further than what it comes from.
        """
        heard = self._heard() if self._heard is not None else None
        if not heard:
            missing["delivered"] = "the feed of updates has not begun" if self._heard else "this process has no feed"
        lanes = await _told("counted", self._books.lanes, missing)
        topics = await _told("topics", lambda: self._topics.read(lanes), missing)
        return lanes, topics, heard or None


async def _told(name: str, ask: Callable[[], Awaitable[T]], missing: dict[str, str]) -> T | None:
    """What a server says; None where it says nothing, and `missing` then says why."""
    try:
        return await ask()
    except TimeoutError:
        missing[name] = _NO_ANSWER
    except PipelineError as error:
        missing[name] = masked(str(error))
    except Exception as error:  # one part that fails is no reason to show nothing of the others
        log.error("a part of the status failed", part=name, exc_info=error)
        missing[name] = "this part failed; the log of the server says how"
    return None
