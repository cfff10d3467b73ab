"""The real benchmark on real servers, as external ones: it measures, proves, and leaves nothing behind."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import asyncpg
from confluent_kafka.admin import AdminClient

from bench.results import read
from pipeline.exits import EXIT_CANNOT, EXIT_FATAL
from pipeline.stack import Endpoints

REPOSITORY = Path(__file__).resolve().parents[2]
EVENTS = 2_000


def bench(stack: Endpoints, results: Path, *arguments: str, cache: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments, "--external", "--results", str(results)],
        env=environment(stack, cache),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def environment(stack: Endpoints, cache: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FOLIO_")}
    return clean | {
        "FOLIO_DATABASE_URL": stack.database_url,
        "FOLIO_KAFKA_BOOTSTRAP": stack.kafka_bootstrap,
        # A database of its own within the cache: other tests have keys in the first.
        "FOLIO_REDIS_URL": f"{stack.redis_url.rstrip('/')}/{cache}",
    }


async def leftovers(stack: Endpoints, told: str) -> set[str]:
    """What is there of a run's databases, topics and groups; `told` is what it said on standard error."""
    said = re.search(r"have (bench\w+) in their names", told)
    assert said is not None, told
    connection = await asyncpg.connect(stack.database_url)
    try:
        databases = await connection.fetch("SELECT datname FROM pg_database")
    finally:
        await connection.close()
    admin = AdminClient({"bootstrap.servers": stack.kafka_bootstrap})
    groups = {group.group_id for group in admin.list_consumer_groups().result(20).valid}
    names = admin.list_topics(timeout=20).topics.keys() | groups | {row["datname"] for row in databases}
    return {name for name in names if said[1] in name}


async def test_a_drain_on_external_servers(stack: Endpoints, tmp_path: Path) -> None:
    small = ("--events", str(EVENTS), "--orgs", "50", "--rounds", "2", "--workers", "1")
    done = bench(stack, tmp_path / "run.json", "drain", *small, "--report", str(tmp_path / "run.html"), cache="7")
    assert done.returncode == 0, done.stderr
    results = read(tmp_path / "run.json")
    [drain] = results.scenarios
    assert drain.missing is None, done.stderr
    assert drain.proof is not None
    assert drain.proof.differences == 0
    assert sum(drain.proof.outcomes.values()) == EVENTS
    assert drain.proof.outcomes["applied"] >= 0.98 * EVENTS
    assert drain.workload is not None
    assert drain.workload.census.messages == EVENTS
    rate, rows = drain.figure("events_per_second"), drain.figure("rows_written_per_event")
    assert rate is not None
    assert len(rate.rounds) == 2
    assert rows is not None
    # Both rounds wrote to tables that had nothing: what they wrote is the same but for the lanes' own rows.
    assert rows.most - rows.least < 0.1
    assert rows.least > 2
    assert not results.environment.local_stack
    assert "proof" in (tmp_path / "run.html").read_text()
    assert await leftovers(stack, done.stderr) == set()


async def test_a_cache_with_somebodys_keys_is_left_alone(stack: Endpoints, tmp_path: Path) -> None:
    from redis.asyncio import Redis

    cache = Redis.from_url(f"{stack.redis_url.rstrip('/')}/8")
    await cache.set("theirs", "1")
    try:
        done = bench(stack, tmp_path / "run.json", "drain", cache="8")
        assert done.returncode == EXIT_FATAL
        assert "FOLIO_REDIS_URL" in done.stderr
        assert await cache.get("theirs") == b"1"
        assert not (tmp_path / "run.json").exists()
    finally:
        await cache.flushdb()
        await cache.aclose()


async def test_the_command_that_is_stopped_leaves_nothing_behind(stack: Endpoints, tmp_path: Path) -> None:
    running = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("folio"), "bench", "drain", "--external"),
        *("--results", tmp_path / "run.json"),
        env=environment(stack, "9"),
        cwd=REPOSITORY,
        stderr=asyncio.subprocess.PIPE,
    )
    assert running.stderr is not None, "it is a pipe"
    async with asyncio.timeout(100):
        told = (await running.stderr.readuntil(b"loading")).decode()
        assert await leftovers(stack, told) != set()
        running.terminate()
        told += (await running.stderr.read()).decode()
        assert await running.wait() == EXIT_CANNOT, told
    assert "nothing was written" in told
    assert await leftovers(stack, told) == set()
