"""One round of one peer: the pre-loaded topic, from its first fetch to the commit of its last row; and with kills."""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from bench.accounting import HARNESS, OTHER, Accountant, Reading, Watch
from bench.peers.books import SCHEMA, Books, Differences, Whole, make_tables, reachable_url, whole_of
from bench.peers.catalogue import Peer
from bench.peers.processes import Processes, running
from bench.target import Ground, Stream, Target

KILLS: Final = 3
_EXPECTED_SECONDS_MAX: Final = 1_800.0
_LOOK_SECONDS: Final = 0.02
_START_SECONDS_MAX: Final = 90.0
_BROKER_SECONDS: Final = 30.0
_GROUP_SECONDS_MAX: Final = 20.0  # members are given up after SESSION_TIMEOUT_SECONDS
_GROUP_LOOK_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class PeerRound:
    """What was measured. CPU is by part, from the first fetch to the end."""

    events: int
    seconds: float
    cpu: dict[str, float]
    peak_mib: float
    differences: Differences

    @property
    def events_per_second(self) -> float:
        return self.events / self.seconds

    def cpu_us(self, part: str) -> float:
        """Microseconds of CPU an event."""
        return self.cpu.get(part, 0.0) * 1e6 / self.events

    @property
    def cpu_us_total(self) -> float:
        """Of all that the work needs: without the benchmark itself and without others on the machine."""
        return sum(self.cpu_us(part) for part in self.cpu if part not in (HARNESS, OTHER))


class NeverFetchedError(Exception):
    """A peer was started and told of no first record."""


async def expect(target: Target, stream: Stream) -> str:
    """Fold the stream by the oracle into a template for the rounds; the template's name."""
    ground = await target.reset(stream)
    command = (sys.executable, "-m", "bench.peers.expected")
    await asyncio.to_thread(
        subprocess.run, command, env=ground.environment(), check=True, timeout=_EXPECTED_SECONDS_MAX
    )
    template = f"expected_{stream.workload.id}"
    await target.keep(template)
    return template


async def measured(target: Target, stream: Stream, template: str, peer: Peer, python: Path) -> PeerRound:
    """Drain once. Raises StandstillError, PeerEndedError, NeverFetchedError."""
    async with _prepared(target, stream, template, peer, python) as (books, processes):
        accountant = target.accountant()
        with running(processes):
            accountant.roots["workers"] = processes.pids
            with Watch(accountant):
                before = await _first_fetch(processes, accountant)
                ended = await books.until_whole(processes.require_alive)
                cpu = accountant.read().since(before)
            began = processes.first_fetch()
        assert began is not None, "it was waited for"
        return PeerRound(
            stream.loaded.events,
            ended - began,
            cpu,
            accountant.peaks_mib.get("workers", 0.0),
            await books.differences(),
        )


async def killed(target: Target, stream: Stream, template: str, peer: Peer, python: Path) -> Differences:
    """Drain, killed some times on the way and started again each time. Raises as `measured` does."""
    async with _prepared(target, stream, template, peer, python) as (books, processes):
        with running(processes):
            for number in range(1, KILLS + 1):
                await books.until_rows(kill_at(number, books.whole.rows), processes.require_alive)
                processes.kill()
                processes.start()
            await books.until_whole(processes.require_alive)
            await books.until_settled()
        return await books.differences()


def kill_at(number: int, rows: int) -> int:
    """After how many rows to kill: spread over the middle, and never a multiple of a batch, where all is in order."""
    return rows * (2 * number + 1) // (2 * KILLS + 3) + 7


@asynccontextmanager
async def _prepared(
    target: Target, stream: Stream, template: str, peer: Peer, python: Path
) -> AsyncIterator[tuple[Books, Processes]]:
    ground = await target.reset(stream, template)
    group = f"{ground.group}-{peer.name}"
    connection = await asyncpg.connect(ground.endpoints.database_url)
    try:
        whole: Whole = await whole_of(connection, ground.endpoints.kafka_bootstrap, stream.topic)
        await make_tables(connection, peer)
        url = await reachable_url(connection, ground.endpoints.database_url, peer, local=target.local)
        with tempfile.TemporaryDirectory(prefix="folio-peer-") as folder:
            yield (
                Books(connection, peer, whole),
                Processes(peer, _command(ground, peer, group, python), url, Path(folder)),
            )
    finally:
        await connection.close()
        await asyncio.to_thread(_remove_traces, ground.endpoints.kafka_bootstrap, group)


def _command(ground: Ground, peer: Peer, group: str, python: Path) -> tuple[str, ...]:
    where = ("--bootstrap", ground.endpoints.kafka_bootstrap, "--topic", ground.stream.topic)
    return (
        str(python),
        "-m",
        f"bench.peers.{peer.program}",
        *where,
        "--schema",
        SCHEMA,
        "--group",
        group,
        *peer.options,
    )


async def _first_fetch(processes: Processes, accountant: Accountant) -> Reading:
    """The accounts at the first fetch. Raises NeverFetchedError."""
    deadline = time.monotonic() + _START_SECONDS_MAX
    while processes.first_fetch() is None:
        processes.require_alive()
        if time.monotonic() > deadline:
            raise NeverFetchedError(f"it fetched nothing within {_START_SECONDS_MAX:.0f} s")
        await asyncio.sleep(_LOOK_SECONDS)
    return accountant.read()


def _remove_traces(bootstrap: str, group: str) -> None:
    """The group, and the topics that a tool made for itself under its name, such as changelogs."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    names = [name for name in admin.list_topics(timeout=_BROKER_SECONDS).topics if group in name]
    if names:
        for future in admin.delete_topics(names).values():
            future.result(_BROKER_SECONDS)
    deadline = time.monotonic() + _GROUP_SECONDS_MAX
    while not _group_removed(admin, group) and time.monotonic() < deadline:
        time.sleep(_GROUP_LOOK_SECONDS)


def _group_removed(admin: AdminClient, group: str) -> bool:
    """Whether the group is gone; not while the broker believes in a member that ended without a word."""
    try:
        admin.delete_consumer_groups([group])[group].result(_BROKER_SECONDS)
    except KafkaException as error:
        return bool(error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND)
    return True
