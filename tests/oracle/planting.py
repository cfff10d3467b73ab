"""Damage on purpose: a copy of a stream's database, changed, and the proof against it."""

import itertools
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from pipeline.oracle import Report, reconcile
from tests.support.databases import drop
from tests.support.stream import Stream

_numbers = itertools.count(1)


async def planted(stream: Stream, statement: str) -> Report:
    """The report on a copy of the database in which something was changed."""
    original = urlsplit(stream.endpoints.database_url)
    name = f"{original.path[1:]}_planted_{next(_numbers)}"
    admin = await asyncpg.connect(urlunsplit(original._replace(path="/postgres")))
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {original.path[1:]} STRATEGY WAL_LOG")
    try:
        url = urlunsplit(original._replace(path=f"/{name}"))
        connection = await asyncpg.connect(url)
        assert await connection.execute(statement) not in {"UPDATE 0", "DELETE 0", "INSERT 0 0"}, statement
        await connection.close()
        return await reconcile(url, stream.endpoints.kafka_bootstrap, topic_prefix=stream.prefix, retention_months=24)
    finally:
        await drop(admin, name)
        await admin.close()
