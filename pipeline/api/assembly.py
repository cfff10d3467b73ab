"""What the routes work with, put together: opened from settings, kept going beside the server, closed at the end."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from typing import Any, Final

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from pipeline.api.application import Served
from pipeline.api.applying import Applying
from pipeline.api.development import development_secret
from pipeline.api.idempotency import Idempotency, KeyBounds
from pipeline.api.metrics import ApiMetrics
from pipeline.api.oversight import oversight
from pipeline.api.overview.opening import open_overview
from pipeline.api.parts import parts_of
from pipeline.api.patience import Patience, PatienceBounds
from pipeline.api.publishing import Publishing
from pipeline.api.reading import Books
from pipeline.api.realtime.admission import Gateway
from pipeline.api.sending import ANSWER_SECONDS, Sender
from pipeline.api.system import Overseen
from pipeline.api.tickets import Tickets
from pipeline.cache.balances import BalanceCache
from pipeline.cache.client import new_redis
from pipeline.cache.metrics import TierMetrics
from pipeline.cache.tiers import TieredBalances
from pipeline.cache.warming import warm
from pipeline.clock import Clock, SystemClock
from pipeline.errors import SettingsRefused, Transient
from pipeline.realtime import gateway as realtime
from pipeline.realtime.caps import CapBounds, Caps
from pipeline.realtime.cursor import Cursors
from pipeline.realtime.feed import Feed, Listener, Source
from pipeline.realtime.hub import Hub, bounds_of
from pipeline.realtime.metrics import RealtimeMetrics
from pipeline.resilience.guard import Guard
from pipeline.resilience.metrics import ResilienceMetrics
from pipeline.resilience.opening import Part, new_guard
from pipeline.settings import Settings
from pipeline.stack import Endpoints
from pipeline.storage.as_of import AsOf
from pipeline.storage.balances import Balances
from pipeline.storage.outcomes import Outcomes
from pipeline.storage.primary import PrimaryBalances
from pipeline.storage.reading import Reads
from pipeline.storage.replicas.metrics import ReadMetrics
from pipeline.storage.replicas.opening import open_readers
from pipeline.storage.reports import Reports
from pipeline.storage.transactions import Transactions
from pipeline.translate import lost_answers
from schemas.codec import Rules
from schemas.topics import FINANCE_EVENTS, REALTIME_UPDATES

_REDIS_CONNECTIONS: Final = 64
# What is read ahead is chosen among so many updates of those that were told last.
_WARMED_FROM_UPDATES: Final = 5_000

Guards = dict[Part, Guard]


@asynccontextmanager
async def assembled(settings: Settings, endpoints: Endpoints) -> AsyncIterator[Served]:
    """Everything, as long as the block runs. Raises SettingsRefused; what is away is no error."""
    registry, clock = CollectorRegistry(), SystemClock()
    measured = ResilienceMetrics(registry)
    guards = {part: new_guard(part, settings.resilience, clock, measured) for part in Part}
    redis = new_redis(endpoints.redis_url, settings.redis, _REDIS_CONNECTIONS)
    async with (
        aclosing(redis),
        open_readers(settings, endpoints, metrics=ReadMetrics(registry)) as readers,
        AsyncExitStack() as opened,
    ):
        reads = Reads(readers)
        primary, tier_metrics = PrimaryBalances(reads), TierMetrics(registry)
        cached = _tiers(settings, redis, primary, guards, tier_metrics, clock)
        gateway, feed = _gateway(settings, endpoints, redis, primary, guards, [cached], registry)
        sender, metrics = Sender(endpoints.kafka_bootstrap, clock), ApiMetrics(registry)
        applying = _applying(settings, reads, clock, metrics)
        overview = await opened.enter_async_context(
            open_overview(settings, endpoints, readers, registry, gateway.hub.positions)
        )
        served = Served(
            Books(cached, Balances(reads), Reports(reads), Transactions(reads), AsOf(reads)),
            _publishing(settings, sender, guards, clock, metrics),
            applying,
            Idempotency(redis, guards[Part.REDIS], clock, metrics, _key_bounds(settings)),
            Overseen(readers, registry, parts_of(endpoints.database_url, redis, sender)),
            gateway,
            oversight(settings, endpoints.database_url, clock),
            Tickets(redis, guards[Part.REDIS], metrics),
            metrics,
            overview,
        )
        beside = (realtime.run(feed, gateway.hub), gateway.caps.run(), sender.run(), applying.run())
        await _require_schema(primary, clock)
        async with aclosing(cached), _beside(*beside):
            seconds = settings.realtime.ready_seconds_max
            heard, _ = await asyncio.gather(gateway.hub.wait_until_ready(seconds), sender.wait_until_ready(seconds))
            if heard:
                await warm(cached, gateway.hub.newest(_WARMED_FROM_UPDATES), settings.cache, clock, tier_metrics)
            yield served


def _tiers(
    settings: Settings, redis: Redis, primary: PrimaryBalances, guards: Guards, metrics: TierMetrics, clock: Clock
) -> TieredBalances:
    cache = BalanceCache(redis, clock, metrics, value_ttl_seconds=settings.redis.value_ttl_seconds)
    return TieredBalances(cache, primary, guards[Part.REDIS], guards[Part.POSTGRES], settings.cache, clock, metrics)


async def _require_schema(primary: PrimaryBalances, clock: Clock) -> None:
    """Raises SchemaMismatch where the database lacks what a balance is read by. One that is away is no error."""
    with suppress(Transient):
        await primary.of_day((1, 1, clock.now().date()))


def _gateway(
    settings: Settings,
    endpoints: Endpoints,
    redis: Redis,
    primary: PrimaryBalances,
    guards: Guards,
    listeners: Sequence[Listener],
    registry: CollectorRegistry,
) -> tuple[Gateway, Feed]:
    """One feed of the topic, for who follows and for what is cached."""
    chosen, topic = settings.realtime, settings.kafka.topic_prefix + REALTIME_UPDATES
    metrics = RealtimeMetrics(registry)
    hub = Hub(topic, *bounds_of(chosen), metrics)
    source = Source(
        endpoints.kafka_bootstrap, topic, chosen.fetch_bytes_max, chosen.stall_seconds, chosen.history_records_max
    )
    caps = Caps(redis, guards[Part.REDIS], CapBounds(chosen.user_connections_max, chosen.org_connections_max), metrics)
    gateway = Gateway(hub, caps, Cursors(_secrets(settings)), primary, guards[Part.POSTGRES], chosen, metrics)
    return gateway, Feed(source, hub, metrics, listeners=listeners)


def _publishing(settings: Settings, sender: Sender, guards: Guards, clock: Clock, metrics: ApiMetrics) -> Publishing:
    bounds = PatienceBounds(settings.api.publish_patience_seconds, settings.api.publish_waiting_max)
    patience = Patience(bounds, clock, metrics)
    rules = Rules(past_max=settings.rules.past_max, future_max=settings.rules.future_max)
    topic = settings.kafka.topic_prefix + FINANCE_EVENTS
    return Publishing(sender, guards[Part.KAFKA], patience, topic, rules, clock)


def _key_bounds(settings: Settings) -> KeyBounds:
    """By what an answer takes at most: the broker, with a turn and a place for the last attempt, and the stream."""
    api = settings.api
    published = api.publish_patience_seconds + 2 * settings.resilience.wait_seconds_max + ANSWER_SECONDS
    return KeyBounds.of_answers(published, published + api.applied_wait_seconds)


def _applying(settings: Settings, reads: Reads, clock: Clock, metrics: ApiMetrics) -> Applying:
    outcomes = Outcomes(reads, settings.kafka.topic_prefix + FINANCE_EVENTS)
    return Applying(outcomes, settings.api.applied_wait_seconds, settings.api.applied_waiting_max, clock, metrics)


def _secrets(settings: Settings) -> list[bytes]:
    """The local stack has a secret of its own; processes that serve other books must have the same one."""
    given = settings.realtime.cursor_secrets
    if given is not None:
        return [each.encode() for each in given.split(",")]
    if settings.database.url is not None:
        raise SettingsRefused(
            "FOLIO_REALTIME_CURSOR_SECRETS must hold what cursors are signed with: 32 random characters, the same for "
            "every process, so that subscribers may go on at any of them"
        )
    return [development_secret(settings.stack.dir)]


@asynccontextmanager
async def _beside(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """These go on as long as the block runs; where one of them fails, so does the block."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_going_on(work)) for work in works]
        try:
            yield
        finally:
            for task in running:
                task.cancel()


async def _going_on(work: Coroutine[Any, Any, None]) -> None:
    """A group takes a task that was cancelled for one that has ended well: nobody would miss a feed that is no more."""
    with lost_answers():
        await work
