"""folio topics: the topics of the stream."""

import asyncio
from collections.abc import Mapping
from typing import Annotated

import asyncpg
from cyclopts import App, Parameter

import sql
from pipeline import settings as settings_module
from pipeline.cli.output import Output, print_document
from pipeline.crash import crash_point
from pipeline.endpoints import resolve
from pipeline.exits import EXIT_DIFFERENT, EXIT_OK
from pipeline.growth import (
    Growth,
    grow_database,
    grow_topics,
    in_growing_order,
    note_resumption,
    plan_growth,
    require_drained,
    require_nobody,
)
from pipeline.logs import configure
from pipeline.positions import group_members
from pipeline.settings import Settings
from pipeline.stack import Endpoints
from pipeline.status import StreamStatus, open_status
from pipeline.storage.audit import operator
from pipeline.storage.connect import briefly, connect_holder
from pipeline.storage.migrate import require_schema
from pipeline.topics import check_topics, create_topics, partition_counts, require_growable

app = App(name="topics", help="Create, check and grow the topics.")


@app.command
def create(*, output: Output = "text") -> int:
    """Create the topics that do not exist, with as many partitions as FOLIO_KAFKA_LANES, and check all of them.

    Parameters
    ----------
    output
        text for people, json for programs.
    """
    settings = settings_module.load()
    kafka = settings.kafka
    bootstrap = resolve(settings).kafka_bootstrap
    created = asyncio.run(create_topics(bootstrap, kafka.lanes, kafka.replication_factor, kafka.topic_prefix))
    if output == "text":
        print(f"created: {', '.join(created)}" if created else "nothing to create")
    return _check(settings, output, {"created": created})


@app.command
def check(*, output: Output = "text") -> int:
    """Check that the topics exist and are what the lanes need.

    Parameters
    ----------
    output
        text for people, json for programs.
    """
    return _check(settings_module.load(), output, {})


def _check(settings: Settings, output: Output, document: Mapping[str, object]) -> int:
    problems = asyncio.run(check_topics(resolve(settings).kafka_bootstrap, settings.kafka.topic_prefix))
    if output == "json":
        print_document({**document, "problems": problems})
    else:
        print("\n".join(problems) or "topics are as they must be")
    return EXIT_DIFFERENT if problems else EXIT_OK


@app.command
def repartition(
    *, lanes: int, execute: Annotated[bool, Parameter(negative="")] = False, output: Output = "text"
) -> int:
    """Grow a stream that is drained to more lanes: the database, then every topic. Without --execute only say how.

    Stop the producers, let the workers come to the end, and stop them. A run that was interrupted leaves a stream
    that no worker starts on: run the command again. See docs/growing.md.

    Parameters
    ----------
    lanes
        How many lanes there are to be: more than there are, at most 1024.
    execute
        Do it.
    output
        text for people, json for programs.
    """
    settings = settings_module.load()
    configure(settings.log.level)  # on standard error: a coordinator that is not there yet is waited for, and told
    growth = asyncio.run(_repartition(settings, resolve(settings), lanes, execute=execute))
    if output == "json":
        document = {"executed": execute, "from": growth.known, "to": growth.target, "topics": growth.topics}
        print_document(document)
        return EXIT_OK
    if growth.begins:
        print(f"the database: from {growth.known} to {growth.target} lanes")
    for name in growth.topics:
        print(f"topic {name}: to {growth.target} partitions")
    print("done: start the workers, then the producers" if execute else "nothing was changed: say --execute to do it")
    return EXIT_OK


async def _repartition(settings: Settings, endpoints: Endpoints, target: int, *, execute: bool) -> Growth:
    bootstrap, kafka = endpoints.kafka_bootstrap, settings.kafka
    connecting = connect_holder(endpoints.database_url, settings.database, "folio topics")
    async with briefly(connecting, "growing the lanes") as connection:
        await require_schema(connection)
        known: int = await connection.fetchval(sql.query("count_lanes"))
        growth = plan_growth(known, await partition_counts(bootstrap, in_growing_order(kafka.topic_prefix)), target)
        require_nobody([member.name for member in await group_members(bootstrap, kafka.group)])
        drained = await _drained(settings, endpoints) if growth.begins else None
        await require_growable(bootstrap, growth.topics, target)
        if execute:
            await _grow(connection, bootstrap, growth, drained, settings)
    return growth


async def _drained(settings: Settings, endpoints: Endpoints) -> StreamStatus:
    async with open_status(endpoints, settings.database, settings.kafka.topic_prefix) as reader:
        status = await reader.read()
    require_drained(status)
    return status


async def _grow(
    connection: asyncpg.Connection, bootstrap: str, growth: Growth, drained: StreamStatus | None, settings: Settings
) -> None:
    reach = crash_point(settings.worker.crash_at)
    if drained is not None:
        await grow_database(connection, growth, drained, operator(), reach)
    else:
        await note_resumption(connection, growth, operator())
    await grow_topics(bootstrap, growth, reach)
