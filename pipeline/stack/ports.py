"""Choosing TCP ports that stay the same for as long as they can."""

import random
import socket
from collections.abc import Collection, Iterable
from contextlib import ExitStack
from pathlib import Path

from pipeline.errors import StackFailed

HOST = "127.0.0.1"
# Below the kernel's ephemeral range (32768…): no passing connection sits on our port while we are down.
FREE_PORTS = range(20_000, 30_000)
ATTEMPTS_MAX = 200
LISTEN = "0A"  # the kernel's number of that state in /proc/net/tcp


def taken(port: int) -> bool:
    """Whether something listens on this loopback port (one merely in TIME_WAIT is free)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def listens(pid: int, port: int) -> bool:
    """Whether this very process listens on a port: another server that took it would answer just as well."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        path = Path(f"/proc/{pid}/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    return any(_link(file) in inodes for file in _open_files(pid))


def choose(name: str, demanded: int | None, preferred: Collection[int], avoid: Collection[int]) -> int:
    """The demanded port, or else the first preferred one that is free, or else any free one."""
    if demanded is not None:
        if taken(demanded) or demanded in avoid:
            raise StackFailed(f"port {demanded} for {name} is taken; stop its owner (ss -ltnp), or name another port")
        return demanded
    for port in preferred:
        if port not in avoid and not taken(port):
            return port
    for _ in range(ATTEMPTS_MAX):
        port = random.choice(FREE_PORTS)  # noqa: S311 - random only so that two stacks seldom meet
        if port not in avoid and not taken(port):
            return port
    raise StackFailed(f"no free port for {name} between {FREE_PORTS.start} and {FREE_PORTS.stop}; see ss -ltn")


def _open_files(pid: int) -> Iterable[Path]:
    try:
        return list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return ()


def _link(file: Path) -> str:
    try:
        return str(file.readlink())
    except OSError:
        return ""


def free_neighbours(count: int) -> int:
    """The first of `count` neighbouring ports that nobody listens on."""
    while True:
        with ExitStack() as sockets:
            try:
                first = _bound(sockets, 0)
                for port in range(first + 1, first + count):
                    _bound(sockets, port)
            except (OSError, OverflowError):  # taken, or past the last port there is
                continue
            return first


def _bound(sockets: ExitStack, port: int) -> int:
    probe = sockets.enter_context(socket.socket())
    probe.bind((HOST, port))
    return int(probe.getsockname()[1])
