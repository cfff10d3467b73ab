"""An environment for each peer, made from its lock when it is needed: its packages never meet ours."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench.peers.catalogue import Peer
from bench.peers.debezium import jars
from pipeline.errors import StackFailed
from pipeline.stack.jars import kafka_version

ROOT: Final = Path(__file__).parents[2]  # the checkout: programs run there
CACHE: Final = ROOT / ".bench" / "peers"
_INSTALL_SECONDS_MAX: Final = 900.0
_TOLD: Final = ("quixstreams", "faststream", "asyncpg", "aiokafka", "confluent-kafka", "msgspec")


class MissingPeerError(Exception):
    """A peer cannot be run here; the message says why."""


def python_of(peer: Peer, maven_url: str | None = None) -> Path:
    """The interpreter of its environment, which is made at the first call. Raises MissingPeerError."""
    if not peer.requirements.exists():  # jars, and our own interpreter to start Java
        try:
            jars.folder("worker", maven_url), jars.folder("sink", maven_url)
        except StackFailed as error:
            raise MissingPeerError(str(error)) from error
        return Path(sys.executable)
    folder = folder_of(peer)
    python = folder / "bin" / "python"
    stamp = folder / "installed"
    if not stamp.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _run((sys.executable, "-m", "venv", str(folder)))
        pip = (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        _run((*pip, "--require-hashes", "--only-binary=:all:", "-r", str(peer.requirements)))
        stamp.touch()
    return python


def folder_of(peer: Peer) -> Path:
    """Named after program, lock and Python: another lock is another environment."""
    key = hashlib.sha256(peer.requirements.read_bytes() + sys.version.encode()).hexdigest()
    return CACHE / f"{peer.program}-{key[:12]}"


def versions(peer: Peer) -> str:
    """What it is made of, as its lock says."""
    if not peer.requirements.exists():
        return f"Debezium {jars.SINK_VERSION}, Kafka Connect {kafka_version()}"
    locked = (
        line.split(" ", 1)[0].partition("==") for line in peer.requirements.read_text().splitlines() if "==" in line
    )
    return ", ".join(f"{name} {version}" for name, _, version in locked if name in _TOLD)


def _run(command: tuple[str, ...]) -> None:
    done = subprocess.run(command, capture_output=True, timeout=_INSTALL_SECONDS_MAX, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()[-1:]
        raise MissingPeerError(f"its environment could not be made: {' '.join(last)[:200]}")
