"""The settings of what serves: HTTP, cached balances, realtime subscribers, and the guards of the parts behind them."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from pipeline.addresses import Address, checked_database
from pipeline.masking import Secret
from pipeline.settings_section import Section


class ApiSettings(Section):
    """The HTTP server: `folio serve`."""

    host: str = Field("127.0.0.1", description="Address that it listens on.")
    port: int = Field(8080, ge=0, le=65535, description="Port that it listens on; 0: any free one.")
    jwks_path: Path | None = Field(
        None, description="Public keys of whoever issues tokens (JWKS, RFC 7517). Unset: the local stack's own."
    )
    jwks_check_seconds: float = Field(
        10, ge=0.05, le=3_600, description="How often that file is looked at for new keys."
    )
    token_issuer: str = Field("folio-development", min_length=1, description="`iss` of accepted tokens.")
    token_audience: str = Field("folio", min_length=1, description="`aud` of accepted tokens.")
    body_bytes_max: int = Field(33_554_432, ge=1_024, description="Largest body of a request: 32 MB.")
    # Eight of the largest. A body that waits is held twice, and a third time while it is sent.
    bodies_bytes_max: int = Field(
        268_435_456, ge=1_024, description="Bytes that are held of the bodies of all requests; beyond, 503."
    )
    cors_origins: str | None = Field(
        None,
        pattern=r"^https?://[^\s,/*]+(,https?://[^\s,/*]+){0,2}$",
        description="Origins of browsers that may ask from elsewhere: three at most, separated by commas.",
    )
    hsts_seconds: int = Field(
        0, ge=0, le=63_072_000, description="Browsers are told to come by TLS alone, for so long; 0: they are not."
    )
    head_seconds: float = Field(10, gt=0, le=300, description="Bound on the head of a request.")
    body_seconds: float = Field(
        20, gt=0, le=300, description="Bound on its body, and a second more for each 16 KiB that have come."
    )
    # Of 4,000 that a process answers, so that one holder leaves room for the others.
    rate_holder_per_second: float = Field(
        2_000, ge=0.1, le=1_000_000, description="Requests a second of a token's holder (`sub`), in each process."
    )
    rate_holder_burst: int = Field(4_000, ge=1, le=1_000_000, description="How many of them at once.")
    rate_address_per_second: float = Field(
        100, ge=0.1, le=1_000_000, description="Requests a second without a valid token, of a client's address."
    )
    rate_address_burst: int = Field(1_000, ge=1, le=1_000_000, description="How many of them at once.")
    trusted_proxies: str | None = Field(
        None,
        description="Addresses or networks, separated by commas, whose X-Forwarded-For tells a client's address.",
    )
    rate_remembered_max: int = Field(
        10_000, ge=1, le=1_000_000, description="Holders whose rate is remembered, and as many addresses."
    )
    # Clients and proxies commonly give up after 30 s, and an attempt may take 5 more.
    publish_patience_seconds: float = Field(
        25, ge=0, le=300, description="How long a publication waits for a broker that is away; 0: one attempt."
    )
    publish_waiting_max: int = Field(
        1_000, ge=1, le=100_000, description="Publications that wait for it at once; one more is refused (503)."
    )
    applied_wait_seconds: float = Field(
        10, gt=0, le=20, description="Bound on waiting for the stream, of who asks for `wait=applied`."
    )
    applied_waiting_max: int = Field(
        2_000, ge=1, le=100_000, description="Requests that wait for the stream at once; one more is refused (503)."
    )
    shutdown_grace_seconds: float = Field(20, gt=0, le=300, description="Bound on an orderly shutdown.")
    # A server that customers can reach reads, and has no other rights; what operators ask of it has logins of its own.
    operator_database_url: Annotated[str | None, Address(), AfterValidator(checked_database)] = Field(
        None, description="The database by a login of folio_operator, for /monitoring; unset: FOLIO_DATABASE_URL."
    )
    owner_database_url: Annotated[str | None, Address(), AfterValidator(checked_database)] = Field(
        None, description="The database by the tables' owner, for POST /cron; unset: FOLIO_DATABASE_URL."
    )
    count_seconds_max: float = Field(
        60, gt=0, le=3_600, description="Bound on counting every row, for /monitoring/verify-partitions."
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str | None) -> str | None:
        for each in value.split(",") if value is not None else ():
            ip_network(each)  # raises ValueError, with the place in it
        return value

    @model_validator(mode="after")
    def _one_body_fits(self) -> Self:
        if self.bodies_bytes_max < self.body_bytes_max:
            raise ValueError("bodies_bytes_max must not be below body_bytes_max")
        return self


class CacheSettings(Section):
    """Balances that readers keep: L1 in each process, over Redis (docs/cache.md)."""

    l1_entries_max: int = Field(10_000, ge=1, le=1_000_000, description="Days that a process keeps.")
    active_ttl_seconds: int = Field(15, ge=1, le=3_600, description="Life of a day that may be today somewhere.")
    past_ttl_seconds: int = Field(120, ge=1, le=3_600, description="Life of a day that is past everywhere.")
    # The last third of an active day's life, 5 s: who looks every few seconds never waits for the database.
    refresh_ahead: float = Field(
        0.33, ge=0, le=0.9, description="Part of a life at whose end a look has the day read anew meanwhile; 0: none."
    )
    # 40 MB when it is full: when so many different days change within the longest life and half a minute.
    floors_max: int = Field(
        100_000, ge=1, le=10_000_000, description="Days whose newest version a process remembers to have heard of."
    )
    warm_properties_max: int = Field(200, ge=0, le=100_000, description="Properties whose day is read at start.")
    warm_seconds: float = Field(2, ge=0, le=60, description="Bound on reading them.")


class CdnSettings(Section):
    """A CDN before the API: whether it may keep answers, and how it is told to forget them (docs/cache.md)."""

    # No name or password in it: it is shown in the log.
    purge_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s@/?#]+(/[^\s@?#]*)?$",
        description="Where workers send PURGE, and the sign for the API that somebody does. Unset: nothing is kept.",
    )
    timeout_seconds: float = Field(2, gt=0, le=30, description="Bound on a request to purge.")
    # A tag has up to 64 bytes, and servers take 8 KiB in a header.
    request_tags_max: int = Field(50, ge=1, le=100, description="Tags that are purged by a request.")
    # A tag that waits costs 250 bytes.
    waiting_tags_max: int = Field(
        20_000, ge=1, le=1_000_000, description="Tags that wait to be purged; with more, the oldest are left out."
    )
    again_seconds: float = Field(
        2, ge=0, le=60, description="After so long each tag is purged once more: what was read before the change."
    )


class RealtimeSettings(Section):
    """Subscribers of realtime updates, in one process (docs/realtime.md)."""

    user_connections_max: int = Field(10, ge=1, le=1_000, description="Subscriptions of one user.")
    org_connections_max: int = Field(1_000, ge=1, le=100_000, description="Subscriptions of one organisation.")
    connections_max: int = Field(10_000, ge=1, le=1_000_000, description="Subscriptions of the process.")
    # A late event may carry into every later day of a property: two centuries are 73,000, and those are a snapshot's.
    pending_days_max: int = Field(
        10_000, ge=1, le=1_000_000, description="Days that may wait for one subscriber; with more it is ended as slow."
    )
    # 130 bytes each, of every subscriber. A day beyond comes without its previous version: nothing is lost by that.
    known_days_max: int = Field(
        2_000, ge=1, le=1_000_000, description="Days of which the version told to a subscriber is remembered."
    )
    slow_seconds_max: float = Field(
        30, gt=0, le=3_600, description="Something waits and nothing was taken for so long: the subscriber is ended."
    )
    ring_entries_max: int = Field(
        10_000, ge=1, le=10_000_000, description="Last updates of each partition that are remembered for who returns."
    )
    ring_bytes_max: int = Field(64 << 20, ge=1 << 16, description="Bytes of what is remembered, over all partitions.")
    fetch_bytes_max: int = Field(4 << 20, ge=1 << 16, description="Bytes of one fetch of updates.")
    stall_seconds: float = Field(
        15, ge=1, le=300, description="Updates wait in the topic and none has come for so long: connect anew."
    )
    history_records_max: int = Field(
        2_000, ge=0, le=1_000_000, description="Records of each partition that are read at start: for who returns."
    )
    ready_seconds_max: float = Field(
        10, ge=0, le=300, description="Bound on reading them before the server listens; it goes on reading."
    )
    # Idle connections are cut by what lies between after a minute, often; a phone wakes up for each of them.
    heartbeat_seconds: float = Field(20, ge=0.1, le=300, description="What a silence is broken after.")
    snapshot_days_max: int = Field(
        10_000, ge=1, le=100_000, description="Days of a snapshot; who asks for more must narrow it."
    )
    # Of the fifty reads at once that the database's guard lets through: after a failover thousands want one together.
    snapshots_at_once: int = Field(8, ge=1, le=1_000, description="Snapshots read at once; the others wait in turn.")
    socket_subscriptions_max: int = Field(20, ge=1, le=1_000, description="Subscriptions over one WebSocket.")
    socket_idle_seconds: float = Field(
        60, ge=0.1, le=3_600, description="Bound on holding a WebSocket over which nothing is followed."
    )
    socket_messages_per_second: float = Field(
        20, ge=1, le=10_000, description="Messages that a WebSocket's client may send, on average."
    )
    cursor_secrets: Annotated[
        str | None,
        Secret(),
        Field(
            pattern=r"^[!-+\--~]{32,256}(,[!-+\--~]{32,256}){0,3}$",
            description="What cursors are signed with: 32 characters and more, the same in every process. Several, "
            "separated by commas: the first one signs, all are accepted. Unset: the local stack's own.",
        ),
    ] = None


class ResilienceSettings(Section):
    """Guards of the parts that may be away or overloaded (docs/resilience.md)."""

    breaker_failures: int = Field(5, ge=1, le=1_000, description="Failures in a row after which a circuit opens.")
    # A probe is one call of one caller: one in two seconds costs next to nobody a timeout, and each second more is one
    # in which a part that is back is refused to everybody.
    breaker_open_seconds: float = Field(
        2, gt=0, le=3_600, description="How long it stays open; then one call looks whether the part is back."
    )
    # A worker has nothing to do without its parts but wait for them, in pauses of its own. What is published is given
    # up after 30 s, a lane taken over after 60: an open circuit must be a small part of that.
    worker_open_seconds: float = Field(
        1, gt=0, le=10, description="The same in a worker, and in a rebuild, which wait for a part, whatever comes."
    )
    retry_attempts: int = Field(3, ge=1, le=10, description="Attempts at a call in all; 1: none is made again.")
    retry_backoff_seconds: float = Field(
        0.05, gt=0, le=60, description="Longest pause before the second attempt; doubled before each later one."
    )
    retry_backoff_max_seconds: float = Field(1, gt=0, le=60, description="Longest pause before any attempt.")
    retry_budget_share: float = Field(
        0.2, ge=0, le=1, description="Retries that the calls of a part pay for: this share of them, and no more."
    )
    # After a long calm, as many may be tried again at once. A hundred would be a burst against a part that just broke.
    retry_budget_saved_max: int = Field(10, ge=1, le=1_000, description="Retries that are paid for and kept, at most.")
    waiting_max: int = Field(
        1_000,
        ge=0,
        le=100_000,
        description="Calls to a part that wait for a place, or for their turn by rate, at most.",
    )
    wait_seconds_max: float = Field(2, gt=0, le=60, description="Bound on each of these two waits.")
    # As many as the pool of the primary has connections, and as the cache's client has: more would wait there instead.
    postgres_in_flight_max: int = Field(50, ge=1, le=10_000, description="Calls to PostgreSQL at once.")
    redis_in_flight_max: int = Field(8, ge=1, le=10_000, description="Calls to Redis at once.")
    # What is on its way goes out together, in one request of the client: so many wait for one acknowledgement.
    kafka_in_flight_max: int = Field(256, ge=1, le=10_000, description="Calls to Kafka at once.")
    cdn_in_flight_max: int = Field(4, ge=1, le=10_000, description="Calls to the CDN at once.")
    postgres_calls_per_second: float = Field(2_000, ge=1, description="Calls to PostgreSQL a second.")
    redis_calls_per_second: float = Field(20_000, ge=1, description="Calls to Redis a second.")
    kafka_calls_per_second: float = Field(2_000, ge=1, description="Calls to Kafka a second.")
    cdn_calls_per_second: float = Field(20, ge=1, description="Calls to the CDN a second; theirs bill and block.")

    @model_validator(mode="after")
    def _shortest_first(self) -> Self:
        if self.retry_backoff_seconds > self.retry_backoff_max_seconds:
            raise ValueError("retry_backoff_seconds must not be above retry_backoff_max_seconds")
        return self
