"""PostgreSQL, for clients on its Unix socket first: that is the faster way, and only our user can reach it.

The socket folder is closed to others and trusts who gets in; on loopback a generated password is asked.
"""

import os
import secrets
import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pipeline.errors import StackFailed
from pipeline.stack import probes
from pipeline.stack.config import PartName
from pipeline.stack.folder import SOCKET_FOLDER_BYTES_MAX
from pipeline.stack.packages import postgres_program
from pipeline.stack.part import made_once
from pipeline.stack.ports import HOST
from pipeline.stack.privileges import Privileges, reachable_by
from pipeline.stack.process import run
from pipeline.stack.record import write_whole

USER = "folio"
DATABASE = "folio"
MAJOR = "18"
INITDB_SECONDS_MAX = 120.0
# fsync stays on: what is measured and killed here is meant to hold elsewhere. WAL and checkpoints are spaced
# for bulk loads; JIT never pays for statements that are planned often and run for milliseconds. For a replica that is
# dead WAL is kept up to half of what there may be anyway: without a bound its slot would fill the disk.
CONFIGURATION = """\
listen_addresses = '{host}'
port = {port}
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
max_connections = 100
shared_buffers = '{shared_buffers_mib}MB'
max_wal_size = '4GB'
max_slot_wal_keep_size = '2GB'
checkpoint_timeout = '15min'
fsync = on
synchronous_commit = on
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
datestyle = 'iso, ymd'
lc_messages = 'C.UTF-8'
default_text_search_config = 'pg_catalog.english'
password_encryption = 'scram-sha-256'
dynamic_shared_memory_type = posix
log_min_messages = warning
log_checkpoints = off
log_line_prefix = '%m [%p] '
"""
SHARED_BUFFERS_MIB_MIN = 128
SHARED_BUFFERS_MIB_MAX = 2048
ACCESS = f"""\
local all         all                 trust
local replication all                 trust
host  all         all {HOST}/32    scram-sha-256
host  replication all {HOST}/32    scram-sha-256
"""


def shared_buffers_mib(memory_bytes: int) -> int:
    """A sixteenth of the machine's memory, in MiB: a developer's machine has other things to do.

    Pages that do not fit are written and read back by the writers themselves, with a checksum each time. Memory that is
    not used is not taken.
    """
    return min(max((memory_bytes >> 20) // 16, SHARED_BUFFERS_MIB_MIN), SHARED_BUFFERS_MIB_MAX)


def memory_bytes(limit: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """The machine's memory, or what its container may use of it."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    allowed = limit.read_text().strip() if limit.is_file() else "max"
    return min(machine, int(allowed)) if allowed.isdigit() else machine


@dataclass(frozen=True, slots=True)
class Postgres:
    """The database of one stack, in a folder of its own; its sockets stand in `sockets`."""

    folder: Path
    sockets: Path
    privileges: Privileges
    name: PartName = "postgres"
    port_names: Sequence[str] = ("postgres",)
    # Recovery of 4 GB of WAL after a crash takes its time.
    ready_seconds_max: float = 180.0

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def check(self) -> None:
        program = Path(postgres_program("postgres"))
        if self.privileges.owner:
            # The other user must pass through the stack's folder; what lies in it stays closed.
            self.folder.parent.chmod(0o711)
        for path in (program, self.folder.parent):
            if self.privileges.owner and not reachable_by(self.privileges, path):
                raise StackFailed(
                    f"user {self.privileges.owner[0]}, as whom PostgreSQL runs here, cannot reach {path}; "
                    "open it, run folio as another user than root, or set FOLIO_STACK_DIR elsewhere"
                )

    def prepare(self, ports: Mapping[str, int]) -> None:
        self.privileges.own(self.folder)
        made_once(self.data, self._make)
        version = (self.data / "PG_VERSION").read_text().strip()
        if version != MAJOR:
            raise StackFailed(
                f"{self.data} was made by PostgreSQL {version}, and {MAJOR} is installed; "
                "save what you need, then: folio stack down --purge"
            )
        write_whole(self.data / "postgresql.conf", self._configuration(ports).encode())
        write_whole(self.data / "pg_hba.conf", ACCESS.encode())
        for path in (self.data, self.data / "postgresql.conf", self.data / "pg_hba.conf", self.sockets):
            self.privileges.own(path)
        self._remove_stale_locks()

    def command(self) -> Sequence[str]:
        return (*self.privileges.prefix, postgres_program("postgres"), "-D", str(self.data))

    def environ(self) -> Mapping[str, str] | None:
        # PGHOST, PGPORT, PGDATA … of the shell mean the user's own server, not ours.
        return {name: value for name, value in os.environ.items() if not name.startswith("PG")}

    def address(self, ports: Mapping[str, int]) -> str:
        socket = quote(str(self.sockets), safe="/")
        return f"postgresql://{USER}@/{DATABASE}?host={socket}&port={self._port(ports)}"

    def ready(self, ports: Mapping[str, int]) -> None:
        probes.postgres(self.address(ports))

    def _port(self, ports: Mapping[str, int]) -> int:
        return ports[self.port_names[0]]

    def _configuration(self, ports: Mapping[str, int]) -> str:
        return CONFIGURATION.format(
            host=HOST,
            port=self._port(ports),
            sockets=str(self.sockets).replace("'", "''"),
            shared_buffers_mib=shared_buffers_mib(memory_bytes()),
        )

    def _remove_stale_locks(self) -> None:
        """Remove the files with a process id that a crash leaves.

        PostgreSQL refuses to start when that id is by now anyone's. Removing them is safe only as the starter
        has first ended whatever still works in this folder: a backend that outlives its postmaster still
        writes, and a second postmaster beside it would ruin the data.
        """
        for stale in (self.data / "postmaster.pid", *self.sockets.glob(".s.PGSQL.*")):
            stale.unlink(missing_ok=True)

    def _make(self, unfinished: Path) -> None:
        password = self.folder / "password"
        write_whole(password, f"{secrets.token_urlsafe(24)}\n".encode())
        for path in (unfinished, password):
            self.privileges.own(path)
        options = (
            "--username",
            USER,
            "--pwfile",
            str(password),
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
        )
        locale = (
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C.UTF-8",
        )
        initdb = (
            *self.privileges.prefix,
            postgres_program("initdb"),
            "-D",
            str(unfinished),
            "--no-instructions",
        )
        run((*initdb, *options, *locale), self.folder, self.folder / "log", "initdb", INITDB_SECONDS_MAX)
        # The database is made here too, by a server without a network: nobody ever sees the data without it.
        statement = self.folder / "create.sql"
        write_whole(statement, f"CREATE DATABASE {DATABASE};\n".encode())
        single = (
            *self.privileges.prefix,
            postgres_program("postgres"),
            "--single",
            "-D",
            str(unfinished),
            "postgres",
        )
        run(single, self.folder, self.folder / "log", "CREATE DATABASE", INITDB_SECONDS_MAX, statement)


def socket_folder(folder: Path, remembered: str, privileges: Privileges) -> Path:
    """Where the sockets stand: in the stack's folder, or, when its path is too long for a socket, in /tmp.

    A remembered folder in /tmp is taken again only when it is still ours and closed: /tmp is everyone's.
    """
    inside = folder / "socket"
    if len(os.fsencode(inside)) <= SOCKET_FOLDER_BYTES_MAX:
        inside.mkdir(mode=0o700, exist_ok=True)
        return inside
    if remembered and _ours(Path(remembered), privileges):
        return Path(remembered)
    short = Path(tempfile.mkdtemp(prefix="folio-"))
    if len(os.fsencode(short)) > SOCKET_FOLDER_BYTES_MAX:
        short.rmdir()
        raise StackFailed(f"the paths {folder} and {short.parent} are too long for a Unix socket; shorten TMPDIR")
    return short


def _ours(folder: Path, privileges: Privileges) -> bool:
    try:
        info = folder.lstat()
    except FileNotFoundError:
        return False
    ours = info.st_uid == (privileges.owner[0] if privileges.owner else os.geteuid())
    return stat.S_ISDIR(info.st_mode) and ours and not info.st_mode & 0o077
