"""folio pause, folio resume: lanes that stand still, organisations whose records are set aside."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

import asyncpg
from cyclopts import App, Parameter
from cyclopts.validators import Number

from pipeline import settings as settings_module
from pipeline.cli.dlq_views import printable
from pipeline.cli.output import Output, print_document
from pipeline.endpoints import resolve
from pipeline.exits import EXIT_OK
from pipeline.pauses import pause_lane, pause_org, resume_lane, resume_org
from pipeline.settings import Settings
from pipeline.storage.audit import operator
from pipeline.storage.connect import briefly, connect_holder
from pipeline.storage.migrate import require_schema
from pipeline.translate import database_errors

pause = App(name="pause", help="Let a lane stand still, or set an organisation's records aside, until resumed.")
resume = App(name="resume", help="Let a lane, or an organisation, go on.")

Lane = Annotated[int, Parameter(validator=Number(gte=0, lte=1023))]
Org = Annotated[int, Parameter(validator=Number(gte=1, lte=(1 << 63) - 1))]


@pause.command(name="lane")
def pause_lane_command(lane: Lane, /, *, reason: str, output: Output = "text") -> int:
    """Fetch nothing more of a lane. Its records wait in the topic; mind how long the topic keeps them.

    Parameters
    ----------
    lane
        The number of the partition.
    reason
        Why, for whoever finds it standing.
    output
        text for people, json for programs.
    """
    _do(lambda connection: pause_lane(connection, lane, operator(), printable(reason)))
    return _say(output, f"lane {lane} is paused; its worker stops fetching within two seconds", paused_lane=lane)


@pause.command(name="org")
def pause_org_command(org: Org, /, *, reason: str, output: Output = "text") -> int:
    """Set an organisation's records aside, as dead letters of the reason org_paused; its neighbours go on.

    Parameters
    ----------
    org
        The organisation.
    reason
        Why, for whoever asks.
    output
        text for people, json for programs.
    """
    _do(lambda connection: pause_org(connection, org, operator(), printable(reason)))
    return _say(output, f"organisation {org} is paused from here on", paused_org=org)


@resume.command(name="lane")
def resume_lane_command(lane: Lane, /, *, output: Output = "text") -> int:
    """Fetch a lane again. The poison that it holds by now no longer trips the breaker.

    Parameters
    ----------
    lane
        The number of the partition.
    output
        text for people, json for programs.
    """
    _do(lambda connection: resume_lane(connection, lane, operator()))
    return _say(output, f"lane {lane} goes on within two seconds", resumed_lane=lane)


@resume.command(name="org")
def resume_org_command(org: Org, /, *, output: Output = "text") -> int:
    """Take an organisation's records again. What was set aside waits for a redrive.

    Parameters
    ----------
    org
        The organisation.
    output
        text for people, json for programs.
    """
    _do(lambda connection: resume_org(connection, org, operator()))
    redrive = "`folio dlq redrive --reason org_paused --execute` sends back what was set aside"
    return _say(output, f"organisation {org} goes on; {redrive}", resumed_org=org)


def _do(change: Callable[[asyncpg.Connection], Awaitable[None]]) -> None:
    settings = settings_module.load()
    asyncio.run(_with_database(settings, change))


async def _with_database(settings: Settings, change: Callable[[asyncpg.Connection], Awaitable[None]]) -> None:
    connecting = connect_holder(resolve(settings).database_url, settings.database, "folio pause")
    async with briefly(connecting, "connecting") as connection:
        with database_errors("checking the schema"):
            await require_schema(connection)
        await change(connection)


def _say(output: Output, text: str, **document: int) -> int:
    if output == "json":
        print_document(document)
    else:
        print(text)
    return EXIT_OK
