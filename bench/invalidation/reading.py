"""A reader beside the invalidation, in a process of its own: how long does the cache keep everybody else waiting?"""

import asyncio
import multiprocessing
import random
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

from bench.histogram import Histogram
from bench.invalidation.load import EPOCH, parts

_READS_PER_SECOND: Final = 500


@dataclass(frozen=True, slots=True)
class Reads:
    """Milliseconds of a read, from when it was due (open loop)."""

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def read_beside(url: str, seconds: float, pipe: "Connection") -> None:
    """The reader's process."""
    pipe.send(None)
    pipe.recv()
    pipe.send(asyncio.run(_read(url, seconds)))


async def _read(url: str, seconds: float) -> Reads:
    own = parts(url, 1)
    dice = random.Random(1)  # noqa: S311 - which key is read is no secret
    latencies = Histogram()
    await own.redis.ping()
    started = time.monotonic()
    number = 0
    while (due := number / _READS_PER_SECOND) < seconds:
        ahead = started + due - time.monotonic()
        if ahead > 0:
            await asyncio.sleep(ahead)
        await own.redis.get(f"folio:{{{dice.randrange(1, 10_000)}:1}}:{EPOCH}:2026-01-31:value")
        latencies.record_ns(int((time.monotonic() - started - due) * 1e9))
        number += 1
    await own.close()
    return Reads(number, latencies.percentile_ms(50), latencies.percentile_ms(99), latencies.max_ms)


class Reader:
    """The process, as the scenario holds it: it is ready when this is made, and reads from `begin` on."""

    def __init__(self, url: str, seconds: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=read_beside, args=(url, seconds, theirs), daemon=True)
        self._process.start()
        self._pipe.recv()

    def begin(self) -> None:
        self._pipe.send(None)

    async def ended(self) -> Reads:
        """What it found."""
        reads = await asyncio.to_thread(self._pipe.recv)
        await asyncio.to_thread(self._process.join)
        assert isinstance(reads, Reads)
        return reads
