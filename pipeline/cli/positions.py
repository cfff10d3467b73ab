"""folio positions: where each lane stands, and moving one by hand."""

import asyncio
from dataclasses import asdict
from typing import Annotated, Literal

import cyclopts
from aiokafka import AIOKafkaConsumer, TopicPartition
from cyclopts import App
from rich.console import Console
from rich.table import Table

from pipeline import settings as settings_module
from pipeline.broker import broker_options
from pipeline.cli.output import Output, print_document
from pipeline.endpoints import resolve
from pipeline.errors import SettingsRefused
from pipeline.exits import EXIT_OK
from pipeline.logs import configure
from pipeline.positions import Move, move, owned_lanes, plan_move
from pipeline.settings import Settings
from pipeline.stack import Endpoints
from pipeline.status import StreamStatus, open_status
from pipeline.storage.audit import operator
from pipeline.storage.connect import briefly, connect_holder
from pipeline.translate import broker_errors
from schemas.topics import Feed

app = App(name="positions", help="Where each lane stands; move one by hand.")

_FEEDS = {"events": Feed.EVENTS, "corrections": Feed.CORRECTIONS}


@app.command
def show(*, output: Output = "text") -> int:
    """Show where each lane stands in each topic, what is there to consume, and which member has it.

    Parameters
    ----------
    output
        text for people, json for programs.
    """
    settings = settings_module.load()
    configure(settings.log.level)  # on standard error: a coordinator that is not there yet is waited for, and told
    status, owners = asyncio.run(_look(settings, resolve(settings)))
    if output == "json":
        lanes = [asdict(lane) | {"member": owners.get(lane.lane)} for lane in status.lanes]
        print_document({"lanes": lanes})
        return EXIT_OK
    table = Table(box=None, header_style="bold")
    for heading in ("lane", "topic", "position", "end", "lag", "member"):
        table.add_column(heading, justify="left" if heading in ("topic", "member") else "right")
    for lane in status.lanes:
        for feed, at in lane.feeds.items():
            member = owners.get(lane.lane, "-")
            table.add_row(str(lane.lane), feed, str(at.position), str(at.end), f"{at.lag_records:,}", member)
    Console(highlight=False).print(table)
    return EXIT_OK


@app.command(name="set")
def set_(
    lane: int,
    /,
    *,
    to: str,
    feed: Literal["events", "corrections"] = "events",
    execute: Annotated[bool, cyclopts.Parameter(negative="")] = False,
    output: Output = "text",
) -> int:
    """Move a lane. Without --execute it only says what would happen.

    Parameters
    ----------
    lane
        The lane: the number of the partition.
    to
        An offset, or beginning or end of what the topic holds.
    feed
        Which of the two topics.
    execute
        Do it.
    output
        text for people, json for programs.
    """
    settings = settings_module.load()
    configure(settings.log.level)  # on standard error: a coordinator that is not there yet is waited for, and told
    planned = asyncio.run(_set(settings, resolve(settings), lane, _FEEDS[feed], to, execute=execute))
    if output == "json":
        print_document(asdict(planned) | {"consequence": planned.consequence, "executed": execute})
        return EXIT_OK
    print(f"lane {lane}, {planned.feed}: from {planned.start} to {planned.target}; {planned.consequence}")
    print("done" if execute else "nothing was changed: say --execute to do it")
    return EXIT_OK


async def _look(settings: Settings, endpoints: Endpoints) -> tuple[StreamStatus, dict[int, str]]:
    async with open_status(endpoints, settings.database, settings.kafka.topic_prefix) as reader:
        status = await reader.read()
    return status, dict(await owned_lanes(endpoints.kafka_bootstrap, settings.kafka.group))


async def _set(settings: Settings, endpoints: Endpoints, lane: int, feed: Feed, to: str, *, execute: bool) -> Move:
    status, owners = await _look(settings, endpoints)
    found = next((each for each in status.lanes if each.lane == lane), None)
    if found is None:
        raise SettingsRefused(f"lane {lane}: there are lanes 0 to {len(status.lanes) - 1}")
    if lane in owners:
        raise SettingsRefused(f"lane {lane} is owned by {owners[lane]}: stop the workers first")
    topic = settings.kafka.topic_prefix + feed
    planned = plan_move(found, feed, to, await _beginning(endpoints.kafka_bootstrap, topic, lane))
    if execute:
        connecting = connect_holder(endpoints.database_url, settings.database, "folio positions")
        async with briefly(connecting, "moving a lane") as connection:
            await move(connection, planned, operator())
    return planned


async def _beginning(bootstrap: str, topic: str, lane: int) -> int:
    consumer = AIOKafkaConsumer(**broker_options(bootstrap), client_id="folio-positions")
    with broker_errors("asking where the topic begins"):
        await consumer.start()
        try:
            partition = TopicPartition(topic, lane)
            return int((await consumer.beginning_offsets([partition]))[partition])
        finally:
            await consumer.stop()
