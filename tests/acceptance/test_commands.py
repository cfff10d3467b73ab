"""The commands as an operator types them: what they print, and with which exit code they end."""

import asyncio
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import date
from pathlib import Path

import asyncpg
import httpx
import pytest

from pipeline.api.console_address import console_address
from pipeline.demo import a_hotel
from pipeline.demo_server import running_server
from pipeline.settings import Settings, StackSettings
from pipeline.stack import endpoints
from pipeline.stack.folder import SERVER_LOG
from pipeline.stack.ports import taken
from pipeline.stack.temporary import temporary_stack
from tests.acceptance.test_membership import creations
from tests.support.events import encoded, event
from tests.support.starting import REPOSITORY, Start, spawned
from tests.support.stream import Stream


@pytest.fixture
def start() -> Start:
    """As a shell starts them: each with an interpreter, a hash seed and an end of its own."""
    return spawned


async def test_a_file_of_events_goes_through_and_verify_proves_it(stream: Stream, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    lines = [encoded(event(number, org=number)) for number in range(1, 21)] + [b"not json"]
    file.write_bytes(b"\n".join(lines) + b"\n")
    produced = stream.folio("produce", "--file", str(file), "--output", "json")
    assert produced.returncode == 0, produced.stderr
    assert json.loads(produced.stdout)["acknowledged"] == 21
    with stream.worker() as worker:
        await stream.wait_until_consumed(21)
        assert await worker.stop() == 0
    verified = stream.folio("verify")
    assert verified.returncode == 0, verified.stdout
    assert verified.stdout.splitlines()[-1] == "reconciliation: 21 events, 20 balances, 0 differences"
    status = json.loads(stream.folio("status", "--seconds", "0.1", "--output", "json").stdout)
    assert status["lag_records"] == 0
    assert status["outcomes"] == {"applied": 20, "duplicate": 0, "stale": 0, "conflict": 0, "quarantined": 1}


async def test_verify_finds_a_single_cent(stream: Stream) -> None:
    await stream.send(creations(1, 10))
    with stream.worker() as worker:
        await stream.wait_until_consumed(10)
        assert await worker.stop() == 0
    async with stream.database() as connection:
        await connection.execute(
            "UPDATE finance.daily_cash_balances_partitioned SET cash_received_cents = cash_received_cents + 1, "
            "calculated_closing_balance_cents = calculated_closing_balance_cents + 1, "
            "closing_balance_cents = closing_balance_cents + 1 WHERE org_id = 3"
        )
    verified = stream.folio("verify")
    assert verified.returncode == 1
    assert "org_id 3" in verified.stdout


def test_verify_cannot_prove_what_was_never_consumed(stream: Stream) -> None:
    assert stream.folio("verify").returncode == 2


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("BATCH_ROWS_MAX", "many", "FOLIO_BATCH_ROWS_MAX='many'"),
        ("BATCH_ROWS_MAX", "0", "FOLIO_BATCH_ROWS_MAX='0'"),
        ("BATCH_ROW_MAX", "1", "did you mean FOLIO_BATCH_ROWS_MAX?"),
        ("RULES_DEFAULT_TIME_ZONE", "Mars/Olympus", "Mars/Olympus"),
        ("WORKER_CRASH_AT", "nowhere", "FOLIO_WORKER_CRASH_AT='nowhere'"),
    ],
)
def test_a_wrong_setting_is_refused_at_start_by_name(stream: Stream, setting: str, value: str, says: str) -> None:
    refused = stream.folio("run", **{setting: value})
    assert refused.returncode == 3
    assert says in refused.stderr.replace("\n", " ")


def test_a_database_without_the_schema_is_refused(stream: Stream) -> None:
    bare = stream.endpoints.database_url.replace(stream.prefix.rstrip("."), "postgres")
    refused = stream.folio("run", DATABASE_URL=bare, DATABASE_ROLE="folio")
    assert refused.returncode == 3
    assert "folio migrate" in refused.stderr


def test_a_missing_topic_is_refused(stream: Stream) -> None:
    refused = stream.folio("run", KAFKA_TOPIC_PREFIX="nobody-made-these.")
    assert refused.returncode == 3
    assert "folio topics create" in refused.stderr


def test_a_server_that_does_not_answer_is_said_so(stream: Stream) -> None:
    lost = stream.folio("status", DATABASE_URL="postgresql://folio@127.0.0.1:1/folio")
    assert lost.returncode == 4
    assert "connecting" in lost.stderr


async def test_health_pages_of_a_worker(stream: Stream) -> None:
    await stream.send(creations(1, 10))
    with stream.worker() as worker:
        await stream.wait_until_consumed(10)
        match = re.search(r'"port": (\d+)', worker.log)
        assert match is not None
        base = f"http://127.0.0.1:{match[1]}"
        metrics = _get(f"{base}/metrics")
        assert 'folio_records_total{outcome="applied"} 10.0' in metrics
        assert "folio_lanes_owned 2.0" in metrics
        assert json.loads(_get(f"{base}/readyz")) == {"ready": True}
        assert json.loads(_get(f"{base}/livez"))["alive"] is True
        with pytest.raises(urllib.error.HTTPError, match="404"):
            _get(f"{base}/nothing")
        assert await worker.stop() == 0


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        body: bytes = answer.read()
        return body.decode()


@pytest.mark.long
@pytest.mark.timeout(180)
def test_the_demo_brings_a_new_day_each_time(tmp_path: Path) -> None:
    directory = tmp_path / "stack"
    with temporary_stack(directory):
        days = [_demo(directory) for _ in range(2)]
        counts = asyncio.run(_counts(directory, days[1]))
        asyncio.run(_what_it_serves(directory, date.fromisoformat(days[1])))
    assert not directory.exists(), "its keys and logs go with the stack"
    assert days[0] != days[1], "each run trades another day"
    # The second day stands on what the first one left: a drawer that forgot its opening would be off by all of it.
    near = [cents for cents in counts if abs(cents) <= 300]
    assert len(near) > len(counts) * 0.6 > 10


async def test_the_demo_takes_its_folder_and_its_servers_from_a_settings_file(stream: Stream, tmp_path: Path) -> None:
    where, servers = tmp_path / "demo", stream.endpoints
    file = tmp_path / "folio.toml"
    file.write_text(
        f'[stack]\ndir = "{where}"\n[database]\nurl = "{servers.database_url}"\n[redis]\nurl = "{servers.redis_url}"\n'
        f'[kafka]\nbootstrap = "{servers.kafka_bootstrap}"\ntopic_prefix = "{stream.prefix}"\n'
        f'lanes = {stream.lanes}\ngroup = "{stream.prefix}demo"\n'
    )
    run = await asyncio.to_thread(_demo_run, {"FOLIO_SETTINGS_FILE": str(file)}, "300")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "warm start: the stack is up after" in run.stdout
    assert str(where) in run.stdout
    assert endpoints(where) == servers
    assert not (where / "kafka").exists()
    assert sum((await stream.outcomes()).values()) == 300


async def _what_it_serves(directory: Path, day: date) -> None:
    """The addresses and the commands that it prints, used while a server runs as it starts one."""
    settings = Settings(stack=StackSettings(dir=directory))
    servers = endpoints(directory)
    assert servers is not None
    hotel = await a_hotel(servers, day)
    assert hotel is not None
    with running_server(settings, directory / SERVER_LOG) as server:
        await server.wait_until_ready()
        page, token = console_address(settings, server.address).split("#token=")
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client:
            assert "Folio Stream console" in (await client.get(page)).text
            status = (await client.get(f"{server.address}/v1/system/status")).json()
        assert status["strip"]["stored_apart"] == 0
        balance = json.loads(_pasted(server.curl_of(*hotel, day.isoformat()), directory))
        assert (balance["property_id"], balance["balance_date"]) == (hotel[1], day.isoformat())
        assert "event: snapshot" in _pasted(f"{server.curl_of_stream(hotel[0])} --max-time 2", directory)


def _pasted(command: str, directory: Path) -> str:
    run = subprocess.run(
        ["/bin/bash", "-c", command],
        env={"PATH": "/usr/bin:/bin", "FOLIO_STACK_DIR": str(directory)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return run.stdout


async def _counts(directory: Path, day: str) -> list[int]:
    """How far each drawer that was counted on the day is from its books."""
    found = endpoints(directory)
    assert found is not None
    connection = await asyncpg.connect(found.database_url)
    try:
        rows = await connection.fetch(
            "SELECT balance_discrepancy_cents FROM finance.daily_cash_balances_partitioned "
            "WHERE balance_date = $1 AND declared_closing_cents IS NOT NULL",
            date.fromisoformat(day),
        )
    finally:
        await connection.close()
    return [row["balance_discrepancy_cents"] for row in rows]


def _demo_run(settings: dict[str, str], events: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "demo", "--events", events, "--orgs", "100"],
        env=settings | {"PATH": "/usr/bin:/bin", "HOME": str(Path.home())},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _demo(directory: Path) -> str:
    run = _demo_run({"FOLIO_STACK_DIR": str(directory)}, "3000")
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"reconciliation: [\d,]+ events, [\d,]+ corrections, [\d,]+ balances, 0 differences", run.stdout)
    proved = re.search(r"proved with them: ([\d,]+) corrections and the ([\d,]+) adjustments they made", run.stdout)
    assert proved is not None, run.stdout
    assert all(int(count.replace(",", "")) > 0 for count in proved.groups())
    applied = re.search(r"last update published: ([\d,]+) applied", run.stdout)
    assert applied is not None, run.stdout
    assert int(applied[1].replace(",", "")) >= 0.95 * 3000
    console = re.search(r"console: http://127\.0\.0\.1:(\d+)/console#token=\S+", run.stdout)
    assert console is not None, run.stdout
    assert not taken(int(console[1])), "the server ends with the demo"
    assert "curl -N -H" in run.stdout
    day = re.search(r"trading day (\S+):", run.stdout)
    assert day is not None
    return day[1]
