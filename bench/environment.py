"""On what a run was made: without it no figure means anything."""

import asyncio
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
from redis.asyncio import Redis

from bench.target import Target
from pipeline.masking import masked
from pipeline.settings import Settings, definitions, shown

_REPOSITORY: Final = Path(__file__).resolve().parents[1]
_LOOPS: Final = 1_000_000
_PACKAGES: Final = ("aiokafka", "asyncpg", "confluent-kafka", "cramjam", "hdrhistogram", "msgspec", "redis", "uvloop")
# Those that decide what a commit costs, and what a rate is worth.
_DATABASE_SETTINGS: Final = (
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "wal_compression",
    "wal_buffers",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "autovacuum",
)


class Environment(msgspec.Struct, frozen=True):
    """Machine, versions, settings and revision of one run."""

    revision: str  # of the checkout; with +changes where files differ from it
    cores: int
    cpu_model: str
    memory_mib: int
    system: str
    filesystem: str  # under the local stack's data
    python: str
    servers: dict[str, str]
    server_settings: dict[str, str]
    packages: dict[str, str]
    settings: dict[str, str]  # every setting of the pipeline that is not at its default
    local_stack: bool
    load_average: float  # of the minute before: what else the machine was doing
    # What one core did in a fixed piece of Python: machines of one name differ by two and a half. None: not measured.
    million_loops_per_second: float | None = None


async def environment(target: Target) -> Environment:
    """The environment of a run against the target."""
    load_average = os.getloadavg()[0]
    servers, server_settings = await _database(target.endpoints.database_url)
    servers |= {"cache": await _cache(target.endpoints.redis_url), "broker": _broker(local=target.local)}
    return Environment(
        revision=_revision(),
        cores=len(os.sched_getaffinity(0)),
        cpu_model=_field(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        memory_mib=int((_field(Path("/proc/meminfo"), "MemTotal") or "0").split()[0]) // 1024,
        system=f"{platform.system()} {platform.release()}",
        filesystem=_filesystem(target.directory) if target.directory else "external",
        python=sys.version.split()[0],
        servers=servers,
        server_settings=server_settings,
        packages={name: found for name in _PACKAGES if (found := _version(name))},
        settings=_changed(target.settings),
        local_stack=target.local,
        load_average=load_average,
        million_loops_per_second=await asyncio.to_thread(core_speed),
    )


def core_speed() -> float:
    """Millions of turns a second of a loop that adds integers, in this interpreter; the best of five.

    It says little about databases, and tells a slow hour, or a slow machine, from a slow revision.
    """
    return max(_LOOPS / _seconds_of_loop() for _ in range(5)) / 1e6


def _seconds_of_loop() -> float:
    began, total = time.perf_counter(), 0
    for number in range(_LOOPS):
        total += number
    return time.perf_counter() - began


async def _database(url: str) -> tuple[dict[str, str], dict[str, str]]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT name, current_setting(name) AS value FROM pg_settings WHERE name = ANY($1)", _DATABASE_SETTINGS
        )
        server: str = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    return {"database": f"PostgreSQL {server}"}, {row["name"]: row["value"] for row in rows}


async def _cache(url: str) -> str:
    client = Redis.from_url(url)
    try:
        info: Mapping[str, str] = await client.info("server")
    finally:
        await client.aclose()
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info['redis_version']}"


def _broker(*, local: bool) -> str:
    """The local stack's is told by its locked jars; an external one does not tell its version to clients."""
    if not local:
        return "external"
    locked = (_REPOSITORY / "pipeline" / "stack" / "kafka_jars.txt").read_text().split()
    jar = next((word for word in locked if "kafka_2.13" in word), "")
    return f"Apache Kafka {jar.rpartition('kafka_2.13')[2].strip('-:').removesuffix('.jar')}"


def _revision() -> str:
    program = shutil.which("git")
    if program is None:
        return "unknown"

    def git(*arguments: str) -> str:
        return subprocess.run(
            (program, "-C", str(_REPOSITORY), *arguments), capture_output=True, text=True, check=False
        ).stdout.strip()

    revision = git("rev-parse", "--short=12", "HEAD") or "unknown"
    return f"{revision}+changes" if git("status", "--porcelain", "--untracked-files=no") else revision


def _changed(settings: Settings) -> dict[str, str]:
    changed = {}
    for (section, name), definition in definitions().items():
        value = getattr(getattr(settings, section), name)
        # Where the servers are is this machine's business.
        if value != definition.default and name not in ("dir", "url", "bootstrap"):
            changed[f"FOLIO_{section}_{name}".upper()] = masked(shown(definition, value))
    return changed


def _filesystem(directory: Path) -> str:
    """The type of the file system that holds the folder."""
    best, kind = "", "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _device, point, found, *_rest = line.split()
        if directory.is_relative_to(point) and len(point) > len(best):
            best, kind = point, found
    return kind


def _field(path: Path, name: str) -> str | None:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
