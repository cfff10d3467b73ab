"""Whether a server can serve, and which of the servers behind it answer: all of them frozen in turn, and let go on."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from pipeline.api.parts import ANSWER_SECONDS, ask_parts
from pipeline.errors import CacheUnavailable
from pipeline.stack.temporary import temporary_stack
from pipeline.storage.migrate import migrate
from tests.api.conftest import Served, servers_of
from tests.api.issuing import Issuer
from tests.support.starting import spawned
from tests.support.stream import Stream, new_topics
from tests.support.waiting import until

HEALTH = "/v1/system/health"


async def test_every_part_of_a_server_that_is_well_was_asked(served: Served, issuer: Issuer) -> None:
    async with served() as client:
        health = (await client.get(HEALTH, headers=issuer.bearer(roles=["operator"]))).json()
        ready = await client.get("/readyz")
    assert [(each["name"], each["reachable"], each["detail"]) for each in health["parts"]] == [
        ("database", True, ""),
        ("redis", True, ""),
        ("kafka", True, ""),
    ]
    assert all(0 < each["seconds"] < ANSWER_SECONDS for each in health["parts"])
    assert health["healthy"]
    assert (ready.status_code, ready.json()) == (httpx.codes.OK, {"ready": True})


async def test_one_that_fails_and_one_that_is_silent_hold_up_nobody_else() -> None:
    async def fails() -> None:
        raise CacheUnavailable("asking redis://user:hunter2@host: refused")

    async def answers() -> None:
        await asyncio.sleep(0.01)

    began = time.monotonic()
    failed, silent, well = await ask_parts({"a": fails, "b": asyncio.Event().wait, "c": answers})
    assert time.monotonic() - began < ANSWER_SECONDS + 0.5
    assert (failed.reachable, silent.reachable, well.reachable) == (False, False, True)
    assert (failed.detail, silent.detail) == ("asking redis://user:***@host: refused", "no answer within 1 s")
    assert (silent.seconds >= ANSWER_SECONDS, 0.01 <= well.seconds < ANSWER_SECONDS) == (True, True)


@pytest.mark.timeout(120)
async def test_it_can_serve_as_long_as_its_database_answers(tmp_path: Path, issuer: Issuer) -> None:
    directory = tmp_path / "stack"
    operator = issuer.bearer(roles=["operator"])
    with temporary_stack(directory) as endpoints:
        connection = await asyncpg.connect(endpoints.database_url)
        await migrate(connection)
        await connection.close()
        stream = Stream(endpoints, "health.", 1, tmp_path, {"REPLICA_HEALTH_CHECK_INTERVAL_SECONDS": "0.3"}, spawned)
        await new_topics(endpoints, stream.prefix, stream.lanes)
        async with servers_of(stream, issuer)() as server:
            client = server.client

            async def reachable() -> tuple[bool, dict[str, bool]]:
                began = time.monotonic()
                answer: dict[str, Any] = (await client.get(HEALTH, headers=operator)).json()
                assert time.monotonic() - began < ANSWER_SECONDS + 1
                return answer["healthy"], {each["name"]: each["reachable"] for each in answer["parts"]}

            async def until_ready(status: int) -> None:
                deadline = time.monotonic() + 15
                while (await client.get("/readyz")).status_code != status:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.1)

            async def all_answer() -> bool:
                return await reachable() == (True, {"database": True, "redis": True, "kafka": True})

            await until(all_answer)
            with _frozen(directory, "valkey"):
                assert await reachable() == (True, {"database": True, "redis": False, "kafka": True})
            with _frozen(directory, "kafka"):
                assert await reachable() == (True, {"database": True, "redis": True, "kafka": False})
                assert (await client.get("/readyz")).status_code == httpx.codes.OK
                nothing = await client.get("/v1/orgs/1/properties/1/balances/2026-01-01", headers=operator)
                assert nothing.status_code == httpx.codes.NOT_FOUND, "reads go on"
            with _frozen(directory, "postgres"):
                await until_ready(httpx.codes.SERVICE_UNAVAILABLE)
                assert await reachable() == (False, {"database": False, "redis": True, "kafka": True})
                refused = await client.get("/readyz")
                assert refused.json() == {"ready": False}
            await until_ready(httpx.codes.OK)

            await until(all_answer)


@contextlib.contextmanager
def _frozen(directory: Path, part: str) -> Iterator[None]:
    """A server that neither answers nor refuses, PostgreSQL's backends among its processes."""
    processes: list[int] = [json.loads((directory / "stack.json").read_text())["parts"][part]["process"]["pid"]]
    for pid in processes:  # grows while it is read: children of children
        with contextlib.suppress(FileNotFoundError):
            processes += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
