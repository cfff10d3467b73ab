"""Probes are answered by a thread: a worker whose loop is blocked must say so itself."""

import asyncio
import http.client
import json
import threading
import time

import pytest
from prometheus_client import Counter

from pipeline import health
from pipeline.clock import SystemClock
from pipeline.errors import SettingsRefused
from pipeline.health import Health
from pipeline.metrics import Metrics

HOST = "127.0.0.1"


def ask(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def a_health(ready: list[bool] | None = None) -> Health:
    metrics = Metrics()
    Counter("folio_things", "Things.", registry=metrics.registry).inc(3)
    states = ready if ready is not None else [True]
    return Health(metrics, lambda: states[-1], SystemClock())


async def test_metrics_are_served_in_prometheus_own_format() -> None:
    async with a_health().serve(HOST, 0) as port:
        status, body = await asyncio.to_thread(ask, port, "/metrics")
    assert status == 200
    assert "# HELP folio_things_total Things." in body
    assert "folio_things_total 3.0" in body


async def test_tasks_that_do_not_end_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_BEAT_SECONDS", 0.01)

    def tasks(page: str) -> float:
        return next(float(line.split()[1]) for line in page.splitlines() if line.startswith("folio_tasks "))

    async with a_health().serve(HOST, 0) as port:
        await asyncio.sleep(0.1)
        _, before = await asyncio.to_thread(ask, port, "/metrics")
        forgotten = [asyncio.create_task(asyncio.sleep(60)) for _ in range(7)]
        await asyncio.sleep(0.1)
        _, after = await asyncio.to_thread(ask, port, "/metrics")
        for task in forgotten:
            task.cancel()
    assert tasks(after) == tasks(before) + 7


async def test_a_worker_is_ready_while_it_owns_lanes() -> None:
    ready = [False]
    async with a_health(ready).serve(HOST, 0) as port:
        assert await asyncio.to_thread(ask, port, "/readyz") == (503, '{"ready": false}\n')
        ready.append(True)
        assert await asyncio.to_thread(ask, port, "/readyz") == (200, '{"ready": true}\n')


async def test_a_worker_whose_loop_turns_is_alive() -> None:
    async with a_health().serve(HOST, 0) as port:
        status, body = await asyncio.to_thread(ask, port, "/livez")
    assert (status, json.loads(body)["alive"]) == (200, True)


async def test_a_worker_whose_loop_is_blocked_says_that_it_is_not_alive_and_recovers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "_BEAT_SECONDS", 0.02)
    monkeypatch.setattr(health, "_BLOCKED_SECONDS", 0.3)
    answers: list[tuple[int, str]] = []
    async with a_health().serve(HOST, 0) as port:

        def ask_while_blocked() -> None:
            time.sleep(0.4)
            answers.append(ask(port, "/livez"))

        asking = threading.Thread(target=ask_while_blocked)
        asking.start()
        time.sleep(0.6)  # noqa: ASYNC251  # the loop must stand still: that is what is asked about
        asking.join()
        await asyncio.sleep(0.1)
        recovered = await asyncio.to_thread(ask, port, "/livez")
    ((status, body),) = answers
    assert status == 503
    assert json.loads(body)["alive"] is False
    assert json.loads(body)["loop_silent_seconds"] >= 0.3
    assert recovered[0] == 200


async def test_an_unknown_path_says_which_there_are() -> None:
    async with a_health().serve(HOST, 0) as port:
        assert await asyncio.to_thread(ask, port, "/") == (404, "try /metrics, /livez or /readyz\n")


async def test_a_taken_port_is_a_setting_to_change() -> None:
    async with a_health().serve(HOST, 0) as port:
        with pytest.raises(SettingsRefused, match=f"FOLIO_WORKER_METRICS_HOST and _PORT.*{port}"):
            async with a_health().serve(HOST, port):
                raise AssertionError


async def test_afterwards_the_port_is_free_again() -> None:
    async with a_health().serve(HOST, 0) as port:
        pass
    async with a_health().serve(HOST, port) as again:
        assert again == port
