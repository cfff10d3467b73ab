"""folio dlq: what was quarantined and why, and sending back what the rules of now accept."""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeVar

import asyncpg
from cyclopts import App, Parameter, Token
from cyclopts.validators import Number

from pipeline import settings as settings_module
from pipeline.cli import dlq_views as views
from pipeline.cli.output import Output
from pipeline.cli.producing import running_producer
from pipeline.dead_letters.agreement import disagreements, require_agreement
from pipeline.dead_letters.letters import (
    LANE_MAX,
    OFFSET_MAX,
    Bucket,
    Filters,
    Place,
    Summary,
    histogram,
    newest,
    whole,
    whole_topic,
)
from pipeline.dead_letters.planning import Policy
from pipeline.dead_letters.redriving import Tally, alone, would_redrive
from pipeline.dead_letters.redriving import redrive as send_back
from pipeline.endpoints import resolve
from pipeline.errors import PipelineError
from pipeline.exits import EXIT_CANNOT, EXIT_OK
from pipeline.pauses import open_pauses
from pipeline.recorded_rules import recorded_rules
from pipeline.settings import Settings
from pipeline.storage.audit import audit, operator
from pipeline.storage.connect import briefly, connect
from pipeline.storage.migrate import require_schema
from pipeline.translate import database_errors
from schemas.codec import Rules
from schemas.reasons import Reason
from schemas.topics import Feed

app = App(name="dlq", help="Dead letters: look at them, count them, send back those that are accepted now.")

LIST_LIMIT_DEFAULT: Final = 50
ATTEMPTS_MAX_DEFAULT: Final = 3
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}

T = TypeVar("T")


def _since(_type: object, tokens: Sequence[Token]) -> datetime:
    """An instant, or how long ago: 30m, 24h, 7d. Without an offset it is UTC."""
    text = tokens[0].value
    if ago := re.fullmatch(r"(\d{1,5})([mhd])", text):
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither an instant, such as 2026-03-10T12:00Z, nor 30m, 24h or 7d") from None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


def _after(_type: object, tokens: Sequence[Token]) -> Place:
    return Place.parse(tokens[0].value)


Since = Annotated[datetime | None, Parameter(converter=_since)]
After = Annotated[Place | None, Parameter(converter=_after, accepts_keys=False, n_tokens=1)]
Reasons = Annotated[list[Reason] | None, Parameter(negative=())]
Count = Annotated[int, Parameter(validator=Number(gte=1))]
LaneNumber = Annotated[int, Parameter(validator=Number(gte=0, lte=LANE_MAX))]
Limit = Annotated[int, Parameter(validator=Number(gte=1, lte=10_000))]
Offset = Annotated[int, Parameter(validator=Number(gte=0, lte=OFFSET_MAX))]


@app.command(name="list")
def list_(
    *,
    topic: str | None = None,
    lane: LaneNumber | None = None,
    reason: Reasons = None,
    since: Since = None,
    limit: Limit = LIST_LIMIT_DEFAULT,
    after: After = None,
    output: Output = "text",
) -> int:
    """List dead letters, the newest first.

    Parameters
    ----------
    topic
        Of this topic only; finance-events and balance-corrections need no prefix.
    lane
        Of this lane only.
    reason
        With this reason only; may be repeated.
    since
        Recorded since then: an instant (2026-03-10T12:00Z), or how long ago (30m, 24h, 7d).
    limit
        At most so many.
    after
        The next page: the last letter of the page before, as topic/lane/offset.
    output
        text for people, json for programs.
    """
    settings = settings_module.load()
    filters = _filters(settings, topic, reason, since, lane)

    async def read(connection: asyncpg.Connection) -> list[Summary] | None:
        last = await whole(connection, after) if after is not None else None
        if after is not None and last is None:
            return None
        return await newest(connection, filters, limit, last)

    letters = asyncio.run(_with_database(settings, read))
    if letters is None:
        return _refuse(f"--after {after}: there is no such letter")
    views.show_list(letters, output, more=len(letters) == limit)
    return EXIT_OK


@app.command
def show(topic: str, lane: LaneNumber, offset: Offset, /, *, raw: bool = False, output: Output = "text") -> int:
    """Show one letter as a whole: why it is there, and the record as it came.

    Parameters
    ----------
    topic
        Its topic; finance-events and balance-corrections need no prefix.
    lane
        Its lane.
    offset
        Its offset.
    raw
        Write the bytes of its value to standard output, and nothing else.
    output
        text for people, json for programs.
    """
    settings = settings_module.load()
    place = Place(whole_topic(topic, settings.kafka.topic_prefix), lane, offset)

    letter = asyncio.run(_with_database(settings, lambda connection: whole(connection, place)))
    if letter is None:
        return _refuse(f"there is no letter {place}; `folio dlq list` shows those that are")
    if raw:
        sys.stdout.buffer.write(letter.letter.origin.value or b"")
    else:
        views.show_letter(letter, output)
    return EXIT_OK


@app.command(name="histogram")
def histogram_(*, by: Bucket | None = None, since: Since = None, output: Output = "text") -> int:
    """Count dead letters by reason and topic, with the first and the last of each.

    Parameters
    ----------
    by
        Also by the hour or day (UTC) in which they were recorded.
    since
        Recorded since then: an instant (2026-03-10T12:00Z), or how long ago (30m, 24h, 7d).
    output
        text for people, json for programs.
    """
    settings = settings_module.load()
    counts = asyncio.run(_with_database(settings, lambda connection: histogram(connection, since, by)))
    views.show_histogram(counts, output)
    return EXIT_OK


@app.command
def redrive(
    *,
    execute: bool = False,
    max_: Annotated[Count | None, Parameter(name="--max")] = None,
    topic: str | None = None,
    reason: Reasons = None,
    since: Since = None,
    attempts_max: Count = ATTEMPTS_MAX_DEFAULT,
    as_: Annotated[str | None, Parameter(name="--as")] = None,
    output: Output = "text",
) -> int:
    """Send letters that the rules of now accept back to their topic, each once; without --execute only say which.

    Letters are judged by the settings of this command: those of the workers, or --execute is refused. A letter must be
    accepted as of its old append time, and with the new one that its new record gets. What the books refused
    (property_unknown, currency_mismatch, version_conflict, correction_conflict, database_rejected) goes only where
    --reason names it.

    Parameters
    ----------
    execute
        Do it. A run that was interrupted is resumed by the next; what it had sent and not yet remembered, at most 100
        letters, is sent once more, which the books take as a duplicate, or as another letter.
    max_
        Send at most so many.
    topic
        Of this topic only; finance-events and balance-corrections need no prefix.
    reason
        With this reason only; may be repeated.
    since
        Recorded since then: an instant (2026-03-10T12:00Z), or how long ago (30m, 24h, 7d).
    attempts_max
        Leave what was redriven so many times already, and failed again.
    as_
        Who does it, for the audit; the user of the operating system when not given.
    output
        text for people, json for programs.
    """
    settings = settings_module.load()
    filters = _filters(settings, topic, reason, since)
    feeds = {settings.kafka.topic_prefix + feed: feed for feed in Feed}
    rules = Rules(past_max=settings.rules.past_max, future_max=settings.rules.future_max)
    judging = Policy(rules, feeds, attempts_max, frozenset(filters.reasons or ()))

    async def plan(connection: asyncpg.Connection) -> Tally:
        policy = replace(judging, paused_orgs=await _paused_orgs(connection))
        for differing in await disagreements(connection, asdict(recorded_rules(settings.rules))):
            print(f"folio: --execute would be refused, the workers judge otherwise: {differing}", file=sys.stderr)
        return await would_redrive(connection, filters, policy, max_)

    async def do(connection: asyncpg.Connection) -> Tally | None:
        policy = replace(judging, paused_orgs=await _paused_orgs(connection))
        return await _redrive(connection, settings, filters, policy, max_, views.printable(as_ or operator()))

    tally = asyncio.run(_with_database(settings, do if execute else plan))
    if tally is None:
        return _refuse("another redrive runs; wait for its end")
    views.show_tally(tally, output, executed=execute)
    return EXIT_OK


async def _paused_orgs(connection: asyncpg.Connection) -> frozenset[int]:
    return frozenset(pause.org_id for pause in await open_pauses(connection))


async def _redrive(
    connection: asyncpg.Connection, settings: Settings, filters: Filters, policy: Policy, max_: int | None, who: str
) -> Tally | None:
    """What was done; None where another redrive runs."""
    tally = Tally()
    async with alone(connection) as nobody_else:
        if not nobody_else:
            return None
        require_agreement(await disagreements(connection, asdict(recorded_rules(settings.rules))))
        async with running_producer(
            resolve(settings).kafka_bootstrap, settings.kafka.topic_prefix, "folio-dlq"
        ) as producer:
            sending = send_back(connection, producer, filters, policy, max_, who, tally)
            await _audited(connection, who, _asked(filters, policy, max_), tally, sending)
    return tally


def _filters(
    settings: Settings,
    topic: str | None,
    reasons: Sequence[Reason] | None,
    since: datetime | None,
    lane: int | None = None,
) -> Filters:
    whole_name = whole_topic(topic, settings.kafka.topic_prefix) if topic is not None else None
    return Filters(whole_name, lane, tuple(reason.value for reason in reasons) if reasons else None, since)


def _asked(filters: Filters, policy: Policy, letters_max: int | None) -> dict[str, object]:
    return {
        "topic": filters.topic,
        "reasons": filters.reasons,
        "since": filters.since,
        "max": letters_max,
        "attempts_max": policy.attempts_max,
        "past_max_days": policy.rules.past_max.days,
        "future_max_seconds": policy.rules.future_max.total_seconds(),
    }


async def _audited(
    connection: asyncpg.Connection, who: str, asked: dict[str, object], tally: Tally, sending: Awaitable[None]
) -> None:
    """Send, and leave the audit's row whether that went well or not.

    A run that is killed leaves none: what it sent is remembered letter by letter, with who and when.
    """
    outcome = "interrupted"
    try:
        await sending
        outcome = "done"
    except PipelineError as error:
        outcome = views.printable(f"{type(error).__name__}: {error}")
        raise
    finally:
        detail = {"filters": asked, "outcome": outcome, **views.tally_document(tally, executed=True)}
        if not connection.is_closed():
            with database_errors("writing the operators' audit"):
                await audit(connection, who, "dlq redrive", detail)


async def _with_database(settings: Settings, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    connecting: Any = connect(resolve(settings).database_url, settings.database, "folio dlq")
    async with briefly(connecting, "connecting") as connection:
        with database_errors("checking the schema"):
            await require_schema(connection)
        return await work(connection)


def _refuse(message: str) -> int:
    print(f"folio: {message}", file=sys.stderr)
    return EXIT_CANNOT
