"""The stack on real servers: up, status, down, and what must not happen."""

import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.errors import StackFailed
from pipeline.stack import StackConfig, endpoints
from pipeline.stack.config import PartName
from pipeline.stack.process import Process, strays
from pipeline.stack.record import FILE, Ledger, PartRecord, read
from pipeline.stack.stack import down, status, up

Lend = Callable[..., dict[PartName, str]]


def pids(config: StackConfig) -> dict[str, int | None]:
    return {part.part: part.pid for part in status(config)}


@contextmanager
def listener(port: int = 0) -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        yield taken.getsockname()[1]


@contextmanager
def bystander(folder: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process of someone else's."""
    with subprocess.Popen(("sleep", "300"), cwd=folder) as process:
        try:
            yield process
        finally:
            process.kill()


def started(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def wait_until_ended(pid: int | None, seconds: float = 5.0) -> None:
    """A signal is sent before its process is gone; a zombie, which its parent has not looked after yet, is gone.

    One whose first thread alone has ended looks like one: it is gone when the others are.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        except FileNotFoundError:
            return
        if state == "Z" and threads == 1:
            return
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.01)


class TestRunning:
    def test_every_part_answers_with_its_version(self, stack: StackConfig) -> None:
        postgres, kafka, valkey = status(stack)
        assert (postgres.state, kafka.state, valkey.state) == ("running",) * 3
        assert postgres.version.startswith("18.")
        assert kafka.version == "1 broker"
        assert valkey.version.startswith("Valkey 9.")

    def test_the_broker_keeps_no_file_of_counters(self, stack: StackConfig) -> None:
        """To make it, a JVM leaves its folder: whoever looks for ours in that moment would not find it."""
        _, kafka, _ = status(stack)
        assert "hsperfdata" not in Path(f"/proc/{kafka.pid}/maps").read_text()

    async def test_the_database_is_as_promised(self, stack: StackConfig) -> None:
        found = endpoints(stack.directory)
        assert found is not None
        connection = await asyncpg.connect(found.database_url)
        settings = {
            name: await connection.fetchval("SELECT current_setting($1)", name)
            for name in ("fsync", "synchronous_commit", "max_wal_size", "jit", "timezone", "server_encoding")
        }
        collation = await connection.fetchval(
            "SELECT datlocprovider::text || datlocale FROM pg_database WHERE datname = 'folio'"
        )
        await connection.close()
        assert settings == {
            "fsync": "on",
            "synchronous_commit": "on",
            "max_wal_size": "4GB",
            "jit": "off",
            "timezone": "UTC",
            "server_encoding": "UTF8",
        }
        assert collation == "bC.UTF-8"

    async def test_loopback_asks_for_the_password_and_the_socket_is_closed_to_others(self, stack: StackConfig) -> None:
        record = read(stack.directory)
        assert record is not None
        password = (stack.directory / "postgres" / "password").read_text().strip()
        url = f"postgresql://folio@127.0.0.1:{record.ports['postgres']}/folio"
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(url, password="guess")
        await (await asyncpg.connect(url, password=password)).close()
        for closed in (Path(record.socket_folder), stack.directory / "postgres"):
            assert not closed.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)

    async def test_the_broker_creates_topics_as_soon_as_up_returns(self, stack: StackConfig) -> None:
        found = endpoints(stack.directory)
        assert found is not None
        admin = AIOKafkaAdminClient(bootstrap_servers=found.kafka_bootstrap)
        await admin.start()
        try:
            answer = await admin.create_topics([NewTopic("made", 2, 1)])
            assert [error for _, error, _ in answer.topic_errors] == [0]
        finally:
            await admin.close()

    def test_up_twice_is_up_once(self, stack: StackConfig) -> None:
        before = pids(stack), endpoints(stack.directory)
        assert up(stack) == before[1]
        assert (pids(stack), endpoints(stack.directory)) == before

    def test_up_restarts_only_the_missing_part_at_its_old_address(self, stack: StackConfig) -> None:
        before, where = pids(stack), endpoints(stack.directory)
        assert before["valkey"] is not None
        os.kill(before["valkey"], signal.SIGKILL)
        wait_until_ended(before["valkey"])
        assert [part.state for part in status(stack)] == ["running", "running", "stopped"]
        assert endpoints(stack.directory) == where, "a crashed part keeps its address"
        assert up(stack) == where
        after = pids(stack)
        assert after["valkey"] != before["valkey"]
        assert (after["postgres"], after["kafka"]) == (before["postgres"], before["kafka"])

    def test_a_running_part_does_not_change_its_port(self, stack: StackConfig) -> None:
        with pytest.raises(StackFailed, match=r"kafka already runs on port \d+, not 9: folio stack down"):
            up(replace(stack, ports={"kafka": 9}))


class TestDownAndUp:
    def test_down_leaves_nothing_running_and_up_returns_to_the_same_ports(self, small: StackConfig) -> None:
        where = up(small)
        pid = pids(small)["valkey"]
        down(small)
        wait_until_ended(pid)
        assert endpoints(small.directory) is None
        assert {part.state for part in status(small)} == {"external", "stopped"}
        down(small)
        assert up(small) == where

    def test_data_outlives_down_and_not_a_purge(self, database: StackConfig) -> None:
        up(database)
        _sql(database, "CREATE TABLE kept (n int)")
        down(database)
        up(database)
        _sql(database, "SELECT n FROM kept")
        down(database, purge_data=True)
        assert not database.directory.exists()

    def test_a_purge_removes_only_what_the_stack_wrote(self, small: StackConfig) -> None:
        up(small)
        note = small.directory / "note.txt"
        note.write_text("mine")
        down(small, purge_data=True)
        assert list(small.directory.iterdir()) == [note]

    def test_a_purge_refuses_a_folder_that_is_no_stack(self, tmp_path: Path) -> None:
        (tmp_path / "postgres").mkdir()
        (tmp_path / "postgres" / "precious").touch()
        with pytest.raises(StackFailed, match="is not a stack folder"):
            down(StackConfig(tmp_path), purge_data=True)
        assert (tmp_path / "postgres" / "precious").exists()

    def test_up_refuses_a_folder_with_other_files(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").touch()
        with pytest.raises(StackFailed, match="holds other files and is no stack"):
            up(StackConfig(tmp_path))
        assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]

    def test_two_commands_at_once_make_one_stack(self, small: StackConfig) -> None:
        with ThreadPoolExecutor(3) as pool:
            found = list(pool.map(up, [small] * 3))
        assert len(set(found)) == 1
        assert len(strays(small.directory / "valkey")) == 1

    def test_sockets_of_a_deep_folder_stand_elsewhere(self, database: StackConfig) -> None:
        deep = replace(database, directory=database.directory / ("d" * 60) / ("e" * 60), replicas=1)
        up(deep)
        record = read(deep.directory)
        assert record is not None
        sockets = Path(record.socket_folder)
        try:
            assert not sockets.is_relative_to(deep.directory)
            assert not sockets.stat().st_mode & 0o077
        finally:
            down(deep, purge_data=True)
        assert not sockets.exists()


class TestPorts:
    def test_a_taken_port_gives_way_to_a_free_one_which_is_kept(self, small: StackConfig) -> None:
        with listener() as port:
            wishing = replace(small, preferred_ports={"valkey": port})
            where = up(wishing)
            assert f":{port}/" not in where.redis_url
            down(wishing)
        assert up(wishing) == where

    def test_a_demanded_port_that_is_taken_is_an_error(self, small: StackConfig) -> None:
        with listener() as port, pytest.raises(StackFailed, match=f"port {port} for valkey is taken"):
            up(replace(small, ports={"valkey": port}))

    def test_a_demanded_free_port_is_used(self, small: StackConfig) -> None:
        with listener() as port:
            pass
        assert up(replace(small, ports={"valkey": port})).redis_url == f"redis://127.0.0.1:{port}/0"


class TestExternal:
    def test_an_external_part_is_neither_started_nor_stopped(self, small: StackConfig, stack: StackConfig) -> None:
        before = pids(stack)
        up(small)
        assert [part.state for part in status(small)] == ["external", "external", "running"]
        assert not (small.directory / "postgres").exists()
        down(small, purge_data=True)
        assert pids(stack) == before

    def test_an_external_part_must_answer(self, small: StackConfig) -> None:
        with listener() as port:
            pass
        gone = replace(small, external={**small.external, "kafka": f"127.0.0.1:{port}"})
        with pytest.raises(StackFailed, match="FOLIO_KAFKA_BOOTSTRAP names a server that does not answer"):
            up(gone)


class TestStaleRecords:
    def test_a_process_that_is_not_ours_is_neither_believed_nor_killed(self, database: StackConfig) -> None:
        """After a crash both pid files may name a process of someone else's."""
        up(database)
        pid = pids(database)["postgres"]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with bystander() as foreign:
            _forge_record(database, "postgres", foreign.pid)
            pid_file = database.directory / "postgres" / "data" / "postmaster.pid"
            lines = pid_file.read_text().splitlines()
            pid_file.write_text("\n".join([str(foreign.pid), *lines[1:], ""]))
            assert endpoints(database.directory) is None
            up(database)
            assert pids(database)["postgres"] not in {pid, foreign.pid}
            _forge_record(database, "postgres", foreign.pid)
            down(database)
            assert foreign.poll() is None
        assert strays(database.directory / "postgres") == [], "the real one was found without its record"

    def test_a_server_that_nobody_noted_is_replaced(self, small: StackConfig) -> None:
        """`up` may be killed between the start of a server and its note."""
        up(small)
        first = pids(small)["valkey"]
        Ledger(small.directory).stopped("valkey")
        up(small)
        second = pids(small)["valkey"]
        assert second != first
        assert [stray.pid for stray in strays(small.directory / "valkey")] == [second]

    def test_a_shell_that_stands_in_the_folder_survives(self, small: StackConfig) -> None:
        up(small)
        with bystander(small.directory / "valkey") as shell:
            down(small, purge_data=True)
            assert shell.poll() is None

    def test_a_damaged_record_is_named(self, small: StackConfig) -> None:
        small.directory.mkdir()
        (small.directory / FILE).write_text("{")
        with pytest.raises(StackFailed, match=r"stack\.json is not a stack's record"):
            up(small)
        (small.directory / FILE).unlink()


class TestKilled:
    def test_up_that_is_killed_anywhere_is_simply_done_again(self, tmp_path: Path, lend: Lend) -> None:
        """Killed in initdb, in formatting, and while the servers start; then one `up` must do."""
        config = StackConfig(tmp_path / "s", lend("valkey"), preferred_ports={}, replicas=1)
        moments = (
            "postgres/data.new-*/base",
            "kafka/data.new-*",
            "kafka/data",
            "kafka/data/__cluster_metadata-0",
            "replica1/data.new-*/base",
            "replica1/data",
        )
        try:
            for moment in moments:
                _kill_up_at(config, moment)
            up(config)
            assert [part.state for part in status(config)] == ["running", "running", "external", "running"]
            assert list(config.directory.glob("*/data.new-*")) == []
            assert len(strays(config.directory / "kafka")) == 1
            _sql(config, "CREATE TABLE works (n int)")
        finally:
            down(config, purge_data=True)
        assert not config.directory.exists()

    def test_a_temporary_stack_dies_with_its_owner(self, tmp_path: Path) -> None:
        directory = tmp_path / "s"
        owner = _python(
            f"""
            import pathlib, time
            from pipeline.stack.temporary import temporary_stack
            with temporary_stack(pathlib.Path({str(directory)!r})):
                time.sleep(300)
            """
        )
        try:
            _until(lambda: any(strays(directory / "kafka")) and any(strays(directory / "postgres")))
        finally:
            owner.kill()
            owner.wait()
        _until(lambda: not directory.exists())
        assert [part for part in ("postgres", "kafka", "valkey") if strays(directory / part)] == []


def _forge_record(config: StackConfig, part: PartName, pid: int) -> None:
    note = Ledger(config.directory).record.parts[part]
    Ledger(config.directory).started(part, PartRecord(note.address, Process(pid, started(pid))))


def _kill_up_at(config: StackConfig, moment: str) -> None:
    """Run `up` and kill it, with what it prepares still running, as soon as something matches the pattern."""
    command = _python(
        f"""
        import pathlib
        from pipeline.stack import StackConfig
        from pipeline.stack.stack import up
        folder, external = pathlib.Path({str(config.directory)!r}), {dict(config.external)!r}
        up(StackConfig(folder, external, preferred_ports={{}}, replicas={config.replicas!r}))
        """
    )
    try:
        _until(lambda: any(config.directory.glob(moment)) or command.poll() is not None)
        assert command.poll() is None, f"up ended before {moment} was there"
    finally:
        command.kill()
        command.wait()


def _python(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen((sys.executable, "-c", textwrap.dedent(code)))


def _sql(config: StackConfig, statement: str) -> None:
    from pipeline.stack.packages import postgres_program

    record = read(config.directory)
    assert record is not None
    url = record.parts["postgres"].address
    subprocess.run((postgres_program("psql"), "-Xqc", statement, url), check=True, timeout=30)


def _until(condition: Callable[[], bool], seconds: float = 45.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)
