"""Peers are started, watched and ended, whatever they do; and what they say of their beginning is read right."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.peers.arguments import FIRST_FETCH, Arguments
from bench.peers.catalogue import Peer
from bench.peers.debezium import configuration
from bench.peers.processes import PeerEndedError, Processes, running, told_at
from tests.bench.test_peers_books import columns

PEER = Peer("a", "a peer", "nothing", "", "", processes=2)
GIVEN = Arguments(
    bootstrap="broker:9092",
    topic="events",
    database_url="postgresql://me:a%2Fb@db:5433/books?x=1",
    schema="peer",
    group="group",
    state_dir=Path("state"),
    tasks=1,
    process=0,
    processes=1,
    way="copy",
)


def of(folder: Path, program: str) -> Processes:
    return Processes(PEER, (sys.executable, "-c", program), "postgresql://", folder)


def test_the_first_fetch_is_the_first_that_was_told() -> None:
    assert told_at(f"a warning\n{FIRST_FETCH} 1700000000123\n{FIRST_FETCH} 1700000000999\n") == 1_700_000_000.123
    assert told_at("a warning\n") is None
    assert told_at(f"{FIRST_FETCH} 17000") is None, "a line that is still being written"


def test_a_peer_that_ends_by_itself_is_noticed_with_its_last_words(tmp_path: Path) -> None:
    with running(of(tmp_path, "raise SystemExit('no such topic')")) as processes:
        for process in processes.running:
            process.wait(20)
        with pytest.raises(PeerEndedError, match="no such topic"):
            processes.require_alive()


def test_killed_ones_can_be_started_again_and_none_is_left(tmp_path: Path) -> None:
    program = f"import time, sys; print('{FIRST_FETCH} 5000', sys.argv, flush=True); time.sleep(60)"
    with running(of(tmp_path, program)) as processes:
        first = processes.pids
        processes.kill()
        processes.start()
        second = processes.pids
        left = list(processes.running)
        assert not set(first) & set(second)
        assert len(second) == PEER.processes
        processes.require_alive()
    assert all(process.poll() is not None for process in left)


def test_a_peer_ends_with_a_harness_that_is_killed(tmp_path: Path) -> None:
    peer = "from bench.peers.arguments import die_with_parent; import os, time; die_with_parent(); "
    # By exec, as the sink's program becomes Java.
    peer += "print('ready', flush=True); os.execvp('sleep', ['sleep', '60'])"
    harness = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', sys.argv[1]], process_group=0); "
    harness += "print(p.pid, flush=True); p.wait()"
    with subprocess.Popen((sys.executable, "-c", harness, peer), stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        told = sorted(started.stdout.readline().strip() for _ in range(2))
        started.kill()
    pid, ready = told
    assert ready == "ready"
    deadline = time.monotonic() + 10
    while alive(int(pid)):
        assert time.monotonic() < deadline, "it lives on"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_sink_is_told_of_every_column_that_its_table_has() -> None:
    fields: set[str] = set()
    for field in configuration.SCHEMA["fields"]:
        inner = field.get("fields")
        fields |= {f"{field['field']}_{each['field']}" for each in inner} if inner else {field["field"]}
    made = columns((Path(configuration.__file__).with_name("tables.sql")).read_text(), "rows")
    assert fields == set(made) - {"balance_date"}


def test_the_sink_is_given_address_and_login_apart() -> None:
    told = configuration.connector(GIVEN)
    assert told["connection.url"] == "jdbc:postgresql://db:5433/books"
    assert (told["connection.username"], told["connection.password"]) == ("me", "a/b")


def test_properties_keep_their_backslashes() -> None:
    assert configuration.escaped('{"a": "\\d"}\n') == '{"a": "\\\\d"}\\n'
