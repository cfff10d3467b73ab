"""Replicas of the stack: as many as are asked for, and each of them of the primary that is there."""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import sql
from pipeline.cli import replicas as replicas_command
from pipeline.cli import stack as commands
from pipeline.endpoints import stack_config
from pipeline.errors import StackFailed
from pipeline.settings import load
from pipeline.stack import StackConfig, endpoints
from pipeline.stack.config import VARIABLES
from pipeline.stack.folder import remove
from pipeline.stack.probes import ask
from pipeline.stack.process import strays
from pipeline.stack.replicas import behind_bytes
from pipeline.stack.stack import down, status, up
from tests.stack.test_commands import call, judge


def pids(config: StackConfig) -> dict[str, int | None]:
    return {part.part: part.pid for part in status(config)}


def states(config: StackConfig) -> dict[str, str]:
    return {part.part: part.state for part in status(config) if part.part.startswith("replica")}


def slots(url: str) -> int:
    found = ask(url, "SELECT count(*) FROM pg_replication_slots")
    assert found is not None
    return int(found[0])


def epoch(url: str) -> str:
    found = ask(url, sql.query("server_position"))
    assert found is not None
    return str(found["epoch"])


def test_there_are_as_many_as_were_asked_for_last(database: StackConfig) -> None:
    where = up(replace(database, replicas=1))
    assert len(where.replica_urls) == 1
    first = pids(database)
    assert up(replace(database, replicas=2)).replica_urls[:1] == where.replica_urls
    assert states(database) == {"replica1": "running", "replica2": "running"}
    _until(lambda: all(part.behind_bytes == 0 for part in status(database)[3:]))
    assert all(part.detail.endswith(" bytes behind") for part in status(database)[3:])
    assert slots(where.database_url) == 2

    second = pids(database)["replica2"]
    assert up(replace(database, replicas=1)) == where, "without a number there are as many as there were"
    assert (pids(database), up(database)) == (first, where)
    assert not (database.directory / "replica2").exists()
    assert not Path(f"/proc/{second}").exists()
    assert slots(where.database_url) == 1

    assert up(replace(database, replicas=0)).replica_urls == ()
    assert (states(database), slots(where.database_url)) == ({}, 0)


def test_what_is_written_while_one_is_away_reaches_it(database: StackConfig) -> None:
    where = up(replace(database, replicas=1))
    pid = pids(database)["replica1"]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    ask(where.database_url, "CREATE TABLE written_meanwhile AS SELECT 1")
    _until_stopped(database)
    down(database)
    assert endpoints(database.directory) is None
    assert up(database) == where
    _until(lambda: behind_bytes(where.database_url, where.replica_urls[0]) == 0)
    assert ask(where.replica_urls[0], "SELECT * FROM written_meanwhile") is not None


@pytest.mark.parametrize("trouble", ["another primary", "nothing kept for it"])
def test_one_that_cannot_go_on_is_made_anew(database: StackConfig, trouble: str) -> None:
    where = up(replace(database, replicas=1))
    mark = database.directory / "replica1" / "data" / "mark"
    mark.touch()
    down(database)
    if trouble == "another primary":
        remove(database.directory / "postgres" / "data")
    else:
        remove(database.directory / "postgres" / "data" / "pg_replslot" / "folio_replica1")
    assert up(database) == where
    assert not mark.exists()
    assert epoch(where.replica_urls[0]) == epoch(where.database_url)
    assert states(database) == {"replica1": "running"}


def test_a_stack_takes_so_many_and_only_of_its_own_database(small: StackConfig) -> None:
    with pytest.raises(StackFailed, match="5 replicas: the stack runs 0 to 4"):
        replace(small, replicas=5)
    with pytest.raises(StackFailed, match=r"FOLIO_DATABASE_URL names another.*FOLIO_REPLICA_URLS"):
        replace(small, replicas=1)


def test_a_setting_says_how_many() -> None:
    assert stack_config(load({"FOLIO_STACK_REPLICAS": "2"})).replicas == 2
    assert stack_config(load({})).replicas is None


def test_operators_see_their_lag_and_where_they_are(
    database: StackConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FOLIO_STACK_DIR", str(database.directory))
    others = {VARIABLES[part]: address for part, address in database.external.items()}
    for name, address in others.items():
        monkeypatch.setenv(name, address)
    assert call(commands.app, "up", "--replicas", "1") == 0
    address = capsys.readouterr().out.partition("FOLIO_REPLICA_URLS=")[2].strip()
    found = endpoints(database.directory)
    assert found is not None
    assert found.replica_urls == (address,)

    assert call(commands.app, "status", "--output", "json") == 0
    replica = json.loads(capsys.readouterr().out)["parts"][3]
    assert (replica["part"], replica["state"]) == ("replica1", "running")
    assert isinstance(replica["behind_bytes"], int)

    assert call(replicas_command.app, "status", "--output", "json") == 0
    primary, follower = json.loads(capsys.readouterr().out)["servers"]
    assert [primary["name"], follower["name"]] == ["primary", "replica1"]
    assert (follower["condition"], follower["usable"]) == ("well", True)
    assert follower["epoch"] == primary["epoch"]
    well = judge({"FOLIO_STACK_DIR": str(database.directory), **others})["replicas"]
    assert (well.level, well.detail) == ("ok", "1 of 1 answer reads")

    pid = pids(database)["replica1"]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _until_stopped(database)
    ill = judge({"FOLIO_STACK_DIR": str(database.directory), **others})["replicas"]
    assert (ill.level, "replica1 is silent" in ill.detail) == ("warn", True)
    assert call(replicas_command.app, "status") == 1
    shown = capsys.readouterr().out
    assert "silent" in shown
    monkeypatch.setenv("FOLIO_REPLICA_URLS", "")
    monkeypatch.setenv("FOLIO_DATABASE_URL", found.database_url)
    assert call(replicas_command.app, "status") == 0
    assert "every read goes to the primary" in capsys.readouterr().out


def _until_stopped(config: StackConfig) -> None:
    _until(lambda: not strays(config.directory / "replica1"))


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)
