"""A streaming standby of the stack's PostgreSQL: made by a base backup, kept by a replication slot.

It follows over the primary's Unix socket. Whether what it has is still of the primary's history is judged before each
start; where it is not, it is made anew.
"""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.errors import StackFailed
from pipeline.stack import probes
from pipeline.stack.packages import postgres_program
from pipeline.stack.postgres import USER, Postgres, socket_folder
from pipeline.stack.privileges import Privileges
from pipeline.stack.process import run

BACKUP_SECONDS_MAX: Final = 300.0
CONTROL_SECONDS_MAX: Final = 10.0
# A reader's statement may hold up replay, but not for so long that its replica would lag enough to be out of use. No
# feedback to the primary: a replica that hangs would keep every dead row there alive.
_FOLLOWING: Final = """\
primary_conninfo = '{conninfo} application_name={name}'
primary_slot_name = '{slot}'
max_standby_streaming_delay = '5s'
hot_standby_feedback = off
wal_receiver_timeout = '10s'
wal_retrieve_retry_interval = '1s'
"""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a primary is reached by programs of PostgreSQL: its folder of sockets, or its host; and its port."""

    host: str
    port: int

    @property
    def conninfo(self) -> str:
        """Inside quotes of a configuration file."""
        host = self.host.replace("\\", "\\\\").replace("'", "\\'").replace("'", "''")
        return f"host=''{host}'' port={self.port} user={USER} connect_timeout=5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standby(Postgres):
    """One replica of one stack, in a folder of its own."""

    source: Source
    # Streaming begins within a second; before that it may have to replay what the slot kept for it, 2 GB at most.
    ready_seconds_max: float = 120.0

    @property
    def slot(self) -> str:
        return f"folio_{self.name}"

    def ready(self, ports: Mapping[str, int]) -> None:
        probes.standby(self.address(ports))

    def epoch(self) -> str | None:
        """Of the data that are there, whether a server runs on them or not; None where they are no standby's."""
        # The server itself removes this mark when it is promoted.
        if not (self.data / "standby.signal").exists():
            return None
        return epoch(self.data)

    def _make(self, unfinished: Path) -> None:
        back_up(self.source, unfinished, self.folder, self.privileges, "--create-slot", f"--slot={self.slot}")

    def _configuration(self, ports: Mapping[str, int]) -> str:
        following = _FOLLOWING.format(conninfo=self.source.conninfo, name=self.name, slot=self.slot)
        return super(Standby, self)._configuration(ports) + following


def replica_sockets(folder: Path, primary_sockets: Path, privileges: Privileges) -> Path:
    """Where a replica's sockets stand: beside its data, or with the primary's where its path is too long for that."""
    if primary_sockets.is_relative_to(folder.parent):
        return socket_folder(folder, "", privileges)
    sockets = primary_sockets / folder.name
    sockets.mkdir(mode=0o700, exist_ok=True)
    return sockets


def back_up(source: Source, unfinished: Path, folder: Path, privileges: Privileges, *options: str) -> None:
    """Fill a folder with a base backup of a primary that runs, and mark it as a standby's. Raises StackFailed."""
    privileges.own(unfinished)
    program = (*privileges.prefix, postgres_program("pg_basebackup"), *options)
    where = ("--host", source.host, "--port", str(source.port), "--username", USER, "--no-password")
    how = ("--pgdata", str(unfinished), "--checkpoint=fast", "--wal-method=stream")
    run((*program, *where, *how), folder, folder / "log", "pg_basebackup", BACKUP_SECONDS_MAX)
    mark = unfinished / "standby.signal"
    mark.touch(mode=0o600)
    privileges.own(mark)


def epoch(data: Path) -> str:
    """As a server would tell it (`cluster_epoch`), by the control file of its data folder. Raises StackFailed."""
    command = (postgres_program("pg_controldata"), str(data))
    try:
        told = subprocess.run(command, capture_output=True, check=True, timeout=CONTROL_SECONDS_MAX, text=True)
    except (subprocess.SubprocessError, OSError) as error:
        raise StackFailed(f"{data} is no folder of PostgreSQL's data that can be read ({error})") from error
    fields = dict(line.split(":", 1) for line in told.stdout.splitlines() if ":" in line)
    timelines = ("Latest checkpoint's TimeLineID", "Min recovery ending loc's timeline")
    return f"{fields['Database system identifier'].strip()}-{max(int(fields[name]) for name in timelines)}"
