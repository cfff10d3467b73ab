"""The secured servers, once a session, with one stream on them: what each login may do is granted before."""

import itertools
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from confluent_kafka.admin import AdminClient

from pipeline.stack import Endpoints
from pipeline.stack.ports import HOST
from pipeline.storage.migrate import migrate
from tests.conftest import database_url
from tests.security.logins import ADMIN, PASSWORDS, grant
from tests.security.servers import Secured, secured_servers
from tests.support.starting import spawned
from tests.support.stream import Stream

PREFIX = "secured."
GROUP = "secured.group"
LANES = 2
_ROLES = {"worker": "folio_writer", "operator": "folio_operator", "reader": "folio_reader"}


@dataclass(frozen=True, slots=True)
class SecuredStream:
    """The servers and a stream on them, which itself goes by the administrators' ways."""

    servers: Secured
    stream: Stream
    secrets: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def settings(self, who: str, **addresses: str) -> dict[str, str]:
        """The settings of a command that logs in as `who`; `addresses` replace some of the three.

        Each address stands in a file, as secrets are handed to a container.
        """
        own = {
            "DATABASE_URL": self.servers.database(who if who in _ROLES else "worker", self.stream.prefix.rstrip(".")),
            "KAFKA_BOOTSTRAP": self.servers.broker(who),
            "REDIS_URL": self.servers.cache("worker"),
        } | addresses
        files: dict[str, str] = {}
        for name, address in own.items():
            file = self.secrets / f"{who}-{next(self._numbers)}"
            file.write_text(f"{address}\n")
            files |= {name: "", f"{name}_FILE": str(file)}
        return files


@pytest_asyncio.fixture(scope="session")
async def secured(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecuredStream]:
    if shutil.which("redis-server") is None:
        pytest.skip("a cache with TLS is needed, and the wheel's has none: apt-get install redis-server")
    folder = tmp_path_factory.mktemp("secured")
    commands, secrets = folder / "commands", folder / "secrets"
    for made in (commands, secrets):
        made.mkdir(mode=0o700)
    with secured_servers(folder) as servers:
        database = await _make_database(servers)
        grant(AdminClient(_as_admin(servers)), PREFIX, GROUP)
        endpoints = Endpoints(database, servers.broker(ADMIN), servers.cache(ADMIN))
        stream = Stream(endpoints, PREFIX, LANES, commands, {"KAFKA_GROUP": GROUP}, start=spawned)
        yield SecuredStream(servers, stream, secrets)


async def _make_database(servers: Secured) -> str:
    name = PREFIX.rstrip(".")
    admin = await asyncpg.connect(servers.socket_url)
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    url = database_url(servers.socket_url, name)
    owner = await asyncpg.connect(url)
    await migrate(owner)
    for who, role in _ROLES.items():
        await owner.execute(f"CREATE ROLE {who} LOGIN PASSWORD '{PASSWORDS[who]}' IN ROLE {role}")
    await owner.close()
    return url


def _as_admin(servers: Secured) -> dict[str, str | int | float | bool]:
    return {
        "bootstrap.servers": f"{HOST}:{servers.ports['kafka']}",
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "SCRAM-SHA-512",
        "sasl.username": ADMIN,
        "sasl.password": PASSWORDS[ADMIN],
        "ssl.ca.location": str(servers.authority.ca),
    }
