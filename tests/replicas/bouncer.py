"""PgBouncer in transaction mode before one server: Debian's, as a process."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.stack.ports import HOST, choose
from pipeline.stack.postgres import DATABASE, USER
from pipeline.stack.privileges import unprivileged

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
_START_SECONDS_MAX = 10.0
# Fewer server connections than the readers have: they do share them.
_CONFIGURATION = """\
[databases]
{database} = host={sockets} port={port} dbname={database} user={user}
[pgbouncer]
listen_addr = {host}
listen_port = {listen}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 2
max_client_conn = 200
server_login_retry = 1
"""


class Bouncer:
    """Started, killed and started again on the same port."""

    def __init__(self, folder: Path, server: Path) -> None:
        """`server` is the socket of the PostgreSQL behind it."""
        self._folder = folder
        self._port = choose("pgbouncer", None, (), ())
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        (folder / "users").write_text(f'"{USER}" ""\n')
        text = _CONFIGURATION.format(
            database=DATABASE,
            sockets=server.parent,
            port=server.name.rpartition(".")[2],
            user=USER,
            host=HOST,
            listen=self._port,
            folder=folder,
        )
        (folder / "pgbouncer.ini").write_text(text)

    @property
    def url(self) -> str:
        return f"postgresql://{USER}@{HOST}:{self._port}/{DATABASE}"

    def start(self) -> None:
        assert PROGRAM is not None
        privileges = unprivileged()  # it refuses root, as PostgreSQL does
        privileges.own(self._folder)
        command = (*privileges.prefix, PROGRAM, "-q", str(self._folder / "pgbouncer.ini"))
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS_MAX
        while not _listens(self._port):
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "PgBouncer does not listen"
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def bouncer(folder: Path, server: Path) -> Iterator[Bouncer]:
    made = Bouncer(folder, server)
    made.start()
    try:
        yield made
    finally:
        made.kill()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
