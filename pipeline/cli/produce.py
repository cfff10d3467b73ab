"""folio produce: events and corrections of simulated hotels, or lines of a file, to their topics."""

import asyncio
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from cyclopts import Parameter
from cyclopts.validators import Number

from pipeline import settings as settings_module
from pipeline.cli.output import Output, print_document
from pipeline.endpoints import resolve
from pipeline.errors import SettingsRefused
from pipeline.exits import EXIT_OK, EXIT_UNAVAILABLE
from pipeline.logs import configure
from pipeline.loop import run_on_loop
from pipeline.settings import RuleSettings
from pipeline.simulator.day import trading_day
from pipeline.simulator.lines import OTHER_LINE, opened
from pipeline.simulator.plan import CORRECTION_SHARE_DEFAULT, CORRECTION_SHARE_MAX, Plan
from pipeline.simulator.producing import Generated, Produced, Progress, Topics, live, next_id_base, topics_of
from pipeline.simulator.producing import produce as send
from schemas.topics import FINANCE_EVENTS, Feed

EVENTS_DEFAULT: Final = 10_000
HOTELS_ZONE: Final = ZoneInfo("Asia/Kolkata")
# Events happen up to 80 days before the trading day, and are moved back from there a few times.
_REACH_BACK: Final = timedelta(days=400)
_PROGRESS_SECONDS: Final = 0.2

Share = Annotated[float, Parameter(validator=Number(gte=0, lte=1))]
Positive = Annotated[float, Parameter(validator=Number(gt=0))]
Correcting = Annotated[float, Parameter(validator=Number(gte=0, lte=CORRECTION_SHARE_MAX))]
Count = Annotated[int, Parameter(validator=Number(gte=1))]

# Without it a lone hyphen would be read as an option.
Input = Annotated[Path, Parameter(allow_leading_hyphen=True)]


def produce(
    *,
    events: Count | None = None,
    orgs: Count = 1_000,
    day: date | None = None,
    seed: int = 1,
    rate: Positive | None = None,
    duration: Positive | None = None,
    poison: Share = 0.001,
    duplicates: Share = 0.005,
    late: Share = 0.02,
    corrections: Correcting | None = None,
    file: Input | None = None,
    topic: str | None = None,
    output: Output = "text",
) -> int:
    """Send a simulated trading day of hotels, or the lines of a file, to Kafka.

    Ctrl-C stops in order: what was sent is acknowledged and counted. Two runs at the same time may use the same
    transaction ids; one after the other never do.

    Parameters
    ----------
    events
        Messages to send, corrections included: 10,000 unless --duration says how long to go on with what happens now.
    orgs
        Organisations that trade, with one to six hotels each.
    day
        The trading day, YYYY-MM-DD; today when not given.
    seed
        The same seed, day and starting point give the same bytes.
    rate
        Messages a second, by the clock; as fast as the broker takes them when not given.
    duration
        Stop after so many seconds.
    poison
        Share of messages that break a rule, of every kind.
    duplicates
        Share of messages that are sent again, some of them written differently.
    late
        Share of transactions that happened 2 to 80 days earlier.
    corrections
        Share of messages that correct a day, 0.015 when not given: most of them counts at its close.
    file
        Send the lines of this file instead, as they are; - is standard input.
    topic
        The one topic to send to, without corrections; those of this stream when not given.
    output
        text for people, json for programs.
    """
    settings = settings_module.load()
    configure(settings.log.level)
    plan = Plan(
        day=_trading_day(day, settings.rules),
        events=events or EVENTS_DEFAULT,
        orgs=orgs,
        seed=seed,
        duplicate_share=duplicates,
        late_share=late,
        poison_share=poison,
        correction_share=_correction_share(corrections, topic),
    )
    default = Plan(plan.day, EVENTS_DEFAULT, correction_share=plan.correction_share)
    simulating = plan != default or any(given is not None for given in (events, day, corrections))
    if file is not None and simulating:
        raise SettingsRefused("--file sends lines as they are: besides it only --rate and --duration are accepted")
    if events is None and duration is not None and day is not None:
        raise SettingsRefused("--duration without --events sends events of now: leave --day out, or add --events")
    bootstrap = resolve(settings).kafka_bootstrap
    prefix = settings.kafka.topic_prefix
    if file is not None:
        lines = _send_lines(bootstrap, topic or prefix + FINANCE_EVENTS, file, rate, duration)
        return _told(run_on_loop(lines), output)
    topics = topics_of(prefix) if topic is None else {Feed.EVENTS: topic}
    endless = events is None and duration is not None
    return _told(run_on_loop(_send_day(bootstrap, topics, plan, rate, duration, endless=endless)), output)


def _correction_share(corrections: float | None, topic: str | None) -> float:
    """No topic takes both: who names one gets events alone."""
    if topic is not None and corrections:
        raise SettingsRefused("--topic takes events alone: leave --corrections out, or --topic")
    if corrections is not None:
        return corrections
    return CORRECTION_SHARE_DEFAULT if topic is None else 0


def _trading_day(day: date | None, rules: RuleSettings) -> date:
    """The day, refused where events of it would be out of bounds by the broker's clock."""
    # Where the default zone is ahead of India, today there may still be tomorrow at the hotels.
    zones = (ZoneInfo(rules.default_time_zone), HOTELS_ZONE)
    today = min(datetime.now(zone).date() for zone in zones)
    earliest = today - (rules.past_max - _REACH_BACK)
    if day is not None and not earliest <= day <= today:
        raise SettingsRefused(f"--day {day}: between {earliest} and {today} (today) is accepted")
    return day or today


async def _send_day(
    bootstrap: str, topics: Topics, plan: Plan, rate: float | None, duration: float | None, *, endless: bool
) -> Produced:
    plan = replace(plan, id_base=await next_id_base(bootstrap, topics))
    source = live(plan) if endless else Generated(trading_day(plan))
    with _stop(duration) as stop:
        return await send(bootstrap, source, rate=rate, stop=stop, on_progress=_progress(), topics=topics)


async def _send_lines(bootstrap: str, topic: str, file: Path, rate: float | None, duration: float | None) -> Produced:
    with _stop(duration) as stop:
        async with opened(file) as lines:
            topics = {Feed.EVENTS: topic}
            produced = await send(bootstrap, lines, rate=rate, stop=stop, on_progress=_progress(), topics=topics)
    strange = produced.by_kind.get(OTHER_LINE, 0)
    if strange:
        _note(f"{strange:,} lines are not JSON, line {lines.first_not_json} the first; they were sent as they are")
    return produced


@contextmanager
def _stop(duration: float | None) -> Iterator[asyncio.Event]:
    """An event that Ctrl-C, SIGTERM and the end of `duration` set. A second Ctrl-C does not wait."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def signalled(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, signalled, number)
    timer = loop.call_later(duration, stop.set) if duration is not None else None
    try:
        yield stop
    finally:
        if timer is not None:
            timer.cancel()
        for number in numbers:
            loop.remove_signal_handler(number)


def _progress() -> Progress | None:
    """A line on the terminal that counts; nothing where standard error is a file."""
    if not sys.stderr.isatty():
        return None
    said_at = 0.0

    def say(acknowledged: int) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= _PROGRESS_SECONDS:
            said_at = time.monotonic()
            print(f"\r{acknowledged:,} acknowledged ", end="", file=sys.stderr, flush=True)

    return say


def _told(produced: Produced, output: Output) -> int:
    if sys.stderr.isatty():
        _note("\r\033[K", end="")
    if output == "json":
        print_document(produced)
    else:
        _show(produced)
    return EXIT_OK if produced.acknowledged == produced.sent else EXIT_UNAVAILABLE


def _show(produced: Produced) -> None:
    rate = produced.acknowledged / produced.seconds if produced.seconds else 0
    print(
        f"{produced.acknowledged:,} of {produced.sent:,} messages acknowledged "
        f"in {produced.seconds:.1f} s ({rate:,.0f}/s)"
    )
    for kind, count in sorted(produced.by_kind.items(), key=lambda item: (-item[1], item[0])):
        print(f"{count:>12,}  {kind}")


def _note(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)
