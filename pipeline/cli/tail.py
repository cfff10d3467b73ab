"""folio tail: realtime updates, as they come."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number
from msgspec import UNSET

from pipeline import settings as settings_module
from pipeline.cli.output import Output
from pipeline.endpoints import resolve
from pipeline.errors import SettingsRefused
from pipeline.exits import EXIT_OK
from pipeline.logs import configure
from pipeline.loop import run_on_loop
from pipeline.tail import Bounds, Follower, Start, Wanted, parse_since, placed_consumer
from schemas.topics import REALTIME_UPDATES
from schemas.updates import BalanceUpdate, EncodedUpdate

Id = Annotated[int, Parameter(validator=Number(gte=1))]


def tail(
    *,
    org: Annotated[list[Id] | None, Parameter(negative="")] = None,
    property_id: Annotated[Id | None, Parameter(name="--property")] = None,
    date_: Annotated[date | None, Parameter(name="--date")] = None,
    since: str | None = None,
    from_beginning: Annotated[bool, Parameter(negative="")] = False,
    limit: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    idle_seconds: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    output: Output = "text",
) -> int:
    """Show realtime updates as they come, until Ctrl-C. It joins no group and commits nothing: nobody is disturbed.

    Parameters
    ----------
    org
        Only updates of this organisation; may be repeated. Reads its home partition alone.
    property_id
        Only updates of this property.
    date_
        Only updates of this balance date, YYYY-MM-DD.
    since
        Begin with the updates of this time: a duration before now (90s, 10m, 1d12h) or an instant with its offset
        (2026-03-10T12:00:00Z). Without it only what comes from now on is shown.
    from_beginning
        Begin with the oldest update that the topic holds.
    limit
        End after so many updates.
    idle_seconds
        End after so many seconds without an update.
    output
        text for people; json: each update as it is in the topic, one a line.
    """
    settings = settings_module.load()
    configure(settings.log.level)
    # The client logs each attempt to reach a broker that is away; we say it once, and when it is back.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    start = _start(since, "beginning" if from_beginning else "end")
    wanted = Wanted(frozenset(org or ()), property_id, date_)
    show = {"text": as_line, "json": as_document}[output]
    following = _follow(
        resolve(settings).kafka_bootstrap,
        settings.kafka.topic_prefix + REALTIME_UPDATES,
        wanted,
        start,
        Bounds(limit, idle_seconds),
        show,
    )
    try:
        run_on_loop(_until_told(following))
    except BrokenPipeError:
        # Whoever read has seen enough (`| head`). Python would complain again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_OK


def as_document(encoded: EncodedUpdate) -> bytes:
    """The update's own bytes."""
    return encoded.line


def as_line(encoded: EncodedUpdate) -> bytes:
    """The update for people; money in cents, since an update does not name its currency."""
    update: BalanceUpdate = encoded.update
    time = update.changed_at.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")
    return (
        f"{time}Z  org {update.org_id}  property {update.property_id}  {update.balance_date}  v{update.version}  "
        f"closing {update.closing_balance_cents:,} cents, discrepancy {update.balance_discrepancy_cents:,}  "
        f"{update.cause}{_trace(update)}"
    ).encode()


def _trace(update: BalanceUpdate) -> str:
    """The id that a tracing tool is asked for."""
    return f"  trace {update.traceparent.split('-')[1]}" if update.traceparent is not UNSET else ""


def _start(since: str | None, otherwise: Literal["beginning", "end"]) -> Start:
    if since is None:
        return otherwise
    if otherwise == "beginning":
        raise SettingsRefused("--since and --from-beginning: one of them is accepted")
    return parse_since(since, datetime.now(UTC))


async def _follow(
    bootstrap: str, topic: str, wanted: Wanted, start: Start, bounds: Bounds, show: Callable[[EncodedUpdate], bytes]
) -> None:
    async with placed_consumer(bootstrap, topic, wanted, start) as consumer:
        _say(f"following {len(consumer.assignment())} partition(s) of {topic}")
        async for updates in Follower(consumer, wanted, bounds, _say).updates():
            sys.stdout.buffer.write(b"".join(show(each) + b"\n" for each in updates))
            sys.stdout.buffer.flush()


async def _until_told(following: Coroutine[object, object, None]) -> None:
    """Wait for its end, or for SIGTERM or Ctrl-C, which are an end like another one."""
    task = asyncio.ensure_future(following)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()


def _say(text: str) -> None:
    print(f"folio tail: {text}", file=sys.stderr, flush=True)
