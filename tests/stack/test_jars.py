"""The jar lock and the cache: what is fetched is what the lock says, or it is refused."""

import hashlib
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import StackFailed
from pipeline.stack import jars as subject
from pipeline.stack.jars import Jar, absent, cache_folder, ensure_jars, jar_folder, locked_jars
from pipeline.stack.packages import java_program

CONTENT = {"one": b"first jar", "two": b"second jar"}
LOCKED = tuple(
    Jar("org.example", name, "1.0", hashlib.sha256(content).hexdigest()) for name, content in CONTENT.items()
)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were fetched, from a repository that holds CONTENT."""
    names: list[str] = []

    def fetch(jar: Jar, repository: Path, _maven_url: str | None) -> Path:
        names.append(jar.artifact)
        time.sleep(0.05)  # long enough for a second fetcher to come in between
        path = repository / jar.name
        path.write_bytes(CONTENT[jar.artifact])
        return path

    monkeypatch.setattr(subject, "fetch", fetch)
    return names


def test_the_lock_names_one_kafka_and_one_log4j() -> None:
    jars = locked_jars()
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in jars)
    assert len({jar.name for jar in jars}) == len(jars)
    for group in ("org.apache.kafka", "org.apache.logging.log4j"):
        assert len({jar.version for jar in jars if jar.group == group}) == 1
    assert {"kafka_2.13", "kafka-clients", "kafka-tools", "log4j-slf4j-impl"} <= {jar.artifact for jar in jars}


@pytest.mark.parametrize("command", ["ConsoleProducer", "TopicCommand", "consumer.group.ConsumerGroupCommand"])
def test_the_admin_commands_start_from_the_locked_jars(command: str) -> None:
    path = ":".join(str(jar) for jar in ensure_jars(locked_jars(), cache_folder()))
    java = (
        java_program(),
        "-XX:TieredStopAtLevel=1",
        "-cp",
        path,
        f"org.apache.kafka.tools.{command}",
        "--help",
    )
    answer = subprocess.run(java, capture_output=True, text=True, timeout=30, check=False)
    assert "This tool helps" in answer.stderr, answer.stderr


def test_jars_are_fetched_once(tmp_path: Path, fetched: list[str]) -> None:
    assert [path.read_bytes() for path in ensure_jars(LOCKED, tmp_path)] == list(CONTENT.values())
    assert absent(LOCKED, tmp_path) == []
    ensure_jars(LOCKED, tmp_path)
    assert sorted(fetched) == ["one", "two"]


def test_two_stacks_at_once_fetch_once(tmp_path: Path, fetched: list[str]) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: ensure_jars(LOCKED, tmp_path), range(2))
    assert first == second
    assert sorted(fetched) == ["one", "two"]


def test_a_wrong_checksum_is_refused_and_not_kept(tmp_path: Path, fetched: list[str]) -> None:
    wrong = (LOCKED[0], replace(LOCKED[1], sha256="0" * 64))
    with pytest.raises(StackFailed, match=r"org\.example:two:1\.0 is refused: its SHA-256 is \w+, and the lock says 0"):
        ensure_jars(wrong, tmp_path)
    assert not (jar_folder(wrong, tmp_path) / "two-1.0.jar").exists()
    assert list(tmp_path.glob("fetch-*")) == []


def test_a_jar_that_was_damaged_in_the_cache_is_fetched_again(tmp_path: Path, fetched: list[str]) -> None:
    path = ensure_jars(LOCKED, tmp_path)[1]
    path.write_bytes(b"second")
    assert ensure_jars(LOCKED, tmp_path)[1].read_bytes() == CONTENT["two"]
    assert sorted(fetched) == ["one", "two", "two"]


def test_leftovers_of_a_killed_fetch_are_cleared(tmp_path: Path, fetched: list[str]) -> None:
    (tmp_path / "fetch-killed").mkdir()
    ensure_jars(LOCKED, tmp_path)
    assert not (tmp_path / "fetch-killed").exists()


def test_without_a_network_the_message_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(StackFailed, match=r"could not be fetched .* needs the network") as caught:
        ensure_jars(LOCKED, tmp_path, f"http://127.0.0.1:{free_port()}")
    assert "\n" not in str(caught.value)


def test_a_mirror_is_asked_first_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real client against a repository on this machine, checksum and all."""
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    site = tmp_path / "site"
    for jar in LOCKED:
        folder = site / "org" / "example" / jar.artifact / jar.version
        folder.mkdir(parents=True)
        (folder / jar.name).write_bytes(CONTENT[jar.artifact])

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(site))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        try:
            paths = ensure_jars(LOCKED, tmp_path / "cache", f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())


def test_an_unwritable_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackFailed, match="is a file"):
        ensure_jars(LOCKED, tmp_path / "file" / "cache")
