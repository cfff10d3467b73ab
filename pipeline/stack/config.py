"""What a local stack is asked to be, and where its parts answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from pipeline.errors import StackFailed

ServerName = Literal["postgres", "kafka", "valkey"]
# Four: a base backup takes two of the primary's ten WAL senders, and all may be made at once.
ReplicaName = Literal["replica1", "replica2", "replica3", "replica4"]
PartName = ServerName | ReplicaName
PARTS: tuple[PartName, ...] = get_args(ServerName)
REPLICAS: tuple[PartName, ...] = get_args(ReplicaName)

# A part whose setting is given is someone else's server: we check that it answers and never start or stop it.
VARIABLES: Mapping[PartName, str] = {
    "postgres": "FOLIO_DATABASE_URL",
    "kafka": "FOLIO_KAFKA_BOOTSTRAP",
    "valkey": "FOLIO_REDIS_URL",
}
DEFAULT_PORTS: Mapping[str, int] = {"postgres": 5432, "kafka": 9092, "controller": 9093, "valkey": 6379}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the three servers answer, and the database's replicas, in the form that the settings take."""

    database_url: str
    kafka_bootstrap: str
    redis_url: str
    replica_urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StackConfig:
    """One stack: its folder, the parts that external servers replace, and the ports that must be these.

    `external` maps a part to the address of the server that replaces it. A port in `ports` is demanded: when
    it is taken, `up` fails. Any other is the one used last, the preferred one, or else a free one. `maven_url` is
    a mirror for the first download of the broker's jars. `replicas` is how many standbys follow the database; None: as
    many as there were.
    """

    directory: Path
    external: Mapping[PartName, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    preferred_ports: Mapping[str, int] = field(default_factory=lambda: dict(DEFAULT_PORTS))
    maven_url: str | None = None
    replicas: int | None = None

    def __post_init__(self) -> None:
        # The kernel shows real paths of running processes; ours must compare equal to them.
        object.__setattr__(self, "directory", self.directory.expanduser().resolve())
        for name, port in self.ports.items():
            if not 0 < port < 65_536:
                raise StackFailed(f"port {port} for {name} is not a TCP port; name one between 1 and 65535")
        if self.replicas is not None and not 0 <= self.replicas <= len(REPLICAS):
            raise StackFailed(f"{self.replicas} replicas: the stack runs 0 to {len(REPLICAS)}")
        if self.replicas and "postgres" in self.external:
            raise StackFailed(
                f"replicas follow the stack's own PostgreSQL, and {VARIABLES['postgres']} names another; "
                "leave that out, or name that server's own replicas in FOLIO_REPLICA_URLS"
            )
